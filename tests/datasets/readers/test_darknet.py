"""Darknet's lists, label files and `.data` files, and the original as the judge of where labels are."""

from __future__ import annotations

import re
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.datasets.readers.darknet import PictureList, label_path, read_data_file, read_labels
from darknet_compat.datasets.writers.darknet import format_labels
from darknet_compat.errors import CfgError, DatasetError, MetadataError
from tests.conftest import Original
from tests.datasets.original_labels import ask

FRACTIONS = st.floats(0, 1, allow_subnormal=False)


def refusal(text: str | bytes, path: Path, classes: int | None = 2) -> str:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DatasetError) as error:
        read_labels(path, classes)
    assert str(error.value).isprintable()
    return str(error.value).removeprefix(str(path))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working directory, and beside it a folder `set` with two labelled pictures and their lists."""
    work, folder = tmp_path / "work", tmp_path / "set"
    for path in (work, folder / "images", folder / "labels"):
        path.mkdir(parents=True)
    monkeypatch.chdir(work)
    for name, labels in (("a", "1 .5 .5 .25 .5\r\n"), ("b", "")):
        (folder / "images" / f"{name}.jpg").write_bytes(b"")
        (folder / "labels" / f"{name}.txt").write_text(labels)
    (folder / "list.txt").write_bytes(b"images/a.jpg\r\n\r\n images/b.jpg \r\n")
    (folder / "cats.names").write_text("cat\ndog\n")
    return folder


# ------------------------------------------------------------------------------------------------- labels


def test_labels(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"\xef\xbb\xbf1 0.5 .25 1e-1 1\r\n\r\n\t0   0 0 1 1\n")
    labels = read_labels(path, 2)
    assert labels.boxes.tolist() == [[0.5, 0.25, 0.1, 1], [0, 0, 0, 0]]
    assert labels.classes.tolist() == [1, 0]
    assert labels.is_drawn.tolist() == [True, False]
    path.write_bytes(b"")
    assert len(read_labels(path)) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 .5 .5 .1 .1\n2 .5 .5 .1 .1", ":2: class 2, but there are 2 classes, from 0 to 1"),
        ("0 1.2 .5 .1 .1", ":1: expected x as a fraction of the picture from 0 to 1, found '1.2'"),
        ("0 .5 .5 -.1 .1", ":1: expected w as a fraction of the picture from 0 to 1, found '-.1'"),
        ("0 .5 .5 .1 200", ":1: expected h as a fraction of the picture from 0 to 1, found '200'; in pixels?"),
        ("0 .5 .5 .1", ":1: expected class x y w h, found '0 .5 .5 .1'"),
        ("0 .5 .5 .1 .1 .9", ":1: expected class x y w h, found '0 .5 .5 .1 .1 .9'"),
        ("0 nan .5 .1 .1", ":1: expected class x y w h, found '0 nan .5 .1 .1'"),
        ("0 1_0 .5 .1 .1", ":1: expected class x y w h, found '0 1_0 .5 .1 .1'"),
        ("-1 .5 .5 .1 .1", ":1: expected the number of a class first, found '-1'"),
        ("1.0 .5 .5 .1 .1", ":1: expected the number of a class first, found '1.0'"),
        ("9999999999 .5 .5 .1 .1", ":1: expected the number of a class first, found '9999999999'"),
        (b"\xff\xd8\xff\xe0\0", ": expected labels (class x y w h) (text), found binary data; is another file meant?"),
        (b"\x1b[31m\n", r":1: expected class x y w h, found '\x1b[31m'"),
    ],
    ids=range(13),
)
def test_labels_that_are_none(text: str | bytes, message: str, tmp_path: Path) -> None:
    assert refusal(text, tmp_path / "a.txt") == message


@given(
    rows=st.lists(st.tuples(st.integers(0, 5), FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS)),
    end=st.sampled_from(["\n", "\r\n"]),
)
def test_any_fractions_read_back_as_they_were_written(
    rows: list[tuple[float, ...]], end: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "labels.txt"
    path.write_text("".join(" ".join(map(repr, row)) + end for row in rows), newline="")
    labels = read_labels(path, 6)
    expected = [list(row[1:]) if row[1] or row[2] else [0, 0, 0, 0] for row in rows]
    assert labels.boxes.tolist() == expected
    assert labels.classes.tolist() == [row[0] for row in rows]
    path.write_text(format_labels(labels))
    again = read_labels(path, 6)
    assert ((again.boxes >= 0) & (again.boxes <= 1)).all()


@pytest.mark.reference
def test_the_original_reads_the_same_boxes(original: Original, tmp_path: Path) -> None:
    random = Random(7)
    forms = ("{:g}", "{:.6f}", "{:.1e}", "{!r}")
    lines = [
        " ".join([str(random.randrange(80)), *(random.choice(forms).format(random.random()) for _ in range(4))])
        for _ in range(200)
    ]
    path = tmp_path / "a.txt"
    path.write_text("\r\n".join(lines) + "\n\n")
    theirs = np.array(ask(original.library, [["boxes", str(path)]])[0], np.float32)
    ours = read_labels(path, 80)
    assert np.array_equal(theirs, np.column_stack([ours.classes, ours.boxes]).astype(np.float32))
    assert len(theirs) == 200


# --------------------------------------------------------------------------------------------- label paths


@pytest.mark.parametrize(
    ("picture", "labels"),
    [
        ("data/images/a.jpg", "data/labels/a.txt"),
        ("VOC2007/JPEGImages/000012.jpg", "VOC2007/labels/000012.txt"),
        ("images/images/a.png", "labels/images/a.txt"),
        ("draw/images/a.JPEG", "dlabels/labels/a.txt"),  # "raw" is replaced wherever it stands
        ("a.jpg.JPG", "a.txt.txt"),
        ("beside/a.jpg", "beside/a.txt"),
        ("x/a.webp", "x/a.txt"),
        ("x.y/a", "x.y/a.txt"),
    ],
)
def test_where_labels_are(picture: str, labels: str) -> None:
    assert label_path(picture) == labels


@pytest.mark.reference
def test_the_original_looks_in_the_same_places(original: Original) -> None:
    random = Random(3)
    suffixes = [".jpg", ".png", ".JPG", ".JPEG"]
    parts = [*suffixes, "images", "JPEGImages", "raw", "labels", "draw", "imagesJPEGImages", "rawraw", "a", *"///."]
    paths = ["/absent/" + "".join(random.choices(parts, k=6)) + "/p" + random.choice(suffixes) for _ in range(120)]
    theirs = ask(original.library, [["label_path", path] for path in paths])
    known = [(path, answer) for path, answer in zip(paths, theirs, strict=True) if answer.endswith(".txt")]
    assert len(known) > 80  # the others: a suffix that stands earlier in the path was replaced there
    assert [(path, label_path(path)) for path, _ in known] == known


# --------------------------------------------------------------------------------------------------- lists


def test_a_list_with_windows_line_ends_from_its_own_folder(here: Path) -> None:
    pictures = PictureList(here / "list.txt", ["cat", "dog"])
    assert (pictures.title, pictures.names, len(pictures)) == ("list.txt", ("cat", "dog"), 2)
    first, second = pictures
    assert (first.id, first.image) == ("a", here / "images/a.jpg")
    assert first.labels.boxes.tolist() == [[0.5, 0.5, 0.25, 0.5]]
    assert len(second.labels) == 0


def test_the_working_directory_comes_first(here: Path) -> None:
    for folder, name in (("images", "a.jpg"), ("labels", "a.txt")):
        Path(folder).mkdir()
        Path(folder, name).write_text("")
    first, second = PictureList(here / "list.txt")
    assert first.image == Path.cwd() / "images/a.jpg"
    assert len(first.labels) == 0
    assert second.image == here / "images/b.jpg"


def test_a_list_keeps_to_the_folder_where_it_was_opened(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(here)
    pictures = PictureList("list.txt")
    monkeypatch.chdir("/")
    assert pictures[0].image == here / "images/a.jpg"


def test_missing_labels_and_pictures_are_named_with_the_line(here: Path) -> None:
    (here / "labels/b.txt").unlink()
    pictures = PictureList(here / "list.txt", labels="strict")
    with pytest.raises(
        DatasetError, match=re.escape(f"list.txt:3: there is no {here}/labels/b.txt; a picture without")
    ):
        pictures[1]
    background = PictureList(here / "list.txt")[1]
    assert (len(background.labels), background.repairs) == (0, (("no labels", 1),))
    (here / "images/b.jpg").unlink()
    with pytest.raises(DatasetError, match=r"list.txt:3: expected a picture, found no file 'images/b.jpg'"):
        pictures[1]


@pytest.mark.parametrize("text", ["", "\r\n \n"])
def test_an_empty_list_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(DatasetError, match=r"list.txt: expected one picture a line, found an empty file"):
        PictureList(tmp_path / "list.txt")


# ------------------------------------------------------------------------------------------- classification


def classified(folder: Path, lines: str, strings: list[str]) -> PictureList:
    (folder / "list").write_text(lines)
    return PictureList(folder / "list", strings, strings=strings)


def test_the_label_is_the_string_in_the_path(tmp_path: Path) -> None:
    pictures = classified(tmp_path, "train/n01/x.jpg\nval/5_n02.png\n", ["n01", "n02"])
    assert [sample.labels.classes.tolist() for sample in pictures] == [[0], [1]]
    assert not pictures[0].labels.is_drawn.any()


def test_one_class_and_a_picture_that_is_not_of_it(tmp_path: Path) -> None:
    yes, no = classified(tmp_path, "a/cat/1.jpg\na/other/1.jpg\n", ["cat"])
    assert (yes.labels.classes.tolist(), len(no.labels)) == ([0], 0)


def test_no_string_or_several_are_named_with_the_line(tmp_path: Path) -> None:
    pictures = classified(tmp_path, "a.jpg\nn01/n02.jpg\n", ["n01", "n02"])
    with pytest.raises(DatasetError, match=r"list:1: expected one label string in the path 'a.jpg', found none"):
        pictures[0]
    with pytest.raises(DatasetError, match=r"list:2: .* found 'n01' and 'n02'"):
        pictures[1]


@pytest.mark.reference
def test_the_original_gives_the_same_class(original: Original, tmp_path: Path) -> None:
    random = Random(5)
    strings = [f"n{number:03d}" for number in range(40)] + ["cat", "dog"]
    paths = ["/".join(random.choices([*strings, "a", "b"], weights=[1] * 42 + [40, 40], k=4)) for _ in range(300)]
    theirs = ask(original.library, [["truth", path, strings] for path in paths])
    pictures = classified(tmp_path, "\n".join(paths), strings)
    agreed = 0
    for number, truth in enumerate(theirs):
        if sum(truth) == 1:
            assert pictures[number].labels.classes.tolist() == [truth.index(1)]
            agreed += 1
        else:
            with pytest.raises(DatasetError, match="expected one label string"):
                pictures[number]
    assert 50 < agreed < 250


# --------------------------------------------------------------------------------------------------- .data


def data_file(folder: Path, text: str) -> Path:
    path = folder / "x.data"
    path.write_text(text)
    return path


def test_a_data_file_for_detection(here: Path) -> None:
    text = "# comment\nclasses= 2\ntrain  = list.txt\nvalid = list.txt\nnames=cats.names\nbackup = backup\n"
    path = data_file(here, text)
    train, valid = read_data_file(path), read_data_file(path, split="val")
    assert (train.title, valid.title, train.names) == ("x (train)", "x (valid)", ("cat", "dog"))
    assert train[0].labels.classes.tolist() == [1]
    assert read_data_file(path, names=["a", "b"]).names == ("a", "b")


def test_a_data_file_for_classification(here: Path) -> None:
    (here / "animals.list").write_text("x/n01_1.jpg\nx/n02_1.jpg\n")
    (here / "labels.list").write_text("n01\nn02\nn03\n")
    text = "classes=2\ntrain=animals.list\nlabels=labels.list\n"
    pictures = read_data_file(data_file(here, text))
    assert (pictures.names, pictures[1].labels.classes.tolist()) == (("n01", "n02"), [1])
    assert read_data_file(data_file(here, text + "names=cats.names\n")).names == ("cat", "dog")


def test_labels_beside_the_pictures_make_it_detection(here: Path) -> None:
    (here / "labels.list").write_text("n01\nn02\n")
    path = data_file(here, "classes=2\ntrain=list.txt\nlabels=labels.list\nnames=cats.names\n")
    assert read_data_file(path).strings is None
    assert read_data_file(path, task="classify").strings == ("n01", "n02")


def test_a_data_file_in_cfg_finds_what_lies_above_and_the_packages_names(here: Path) -> None:
    (here / "cfg").mkdir()
    path = data_file(here / "cfg", "classes=80\ntrain=list.txt\nnames=data/coco.names\n")
    assert len(read_data_file(path).names) == 80


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train=absent.txt\n", "x.data:1: [data] train: there is no 'absent.txt'"),
        ("valid=list.txt\nnames=absent\n", "x.data:2: [data] names: there is no 'absent'"),
        ("classes=3\nvalid=list.txt\nnames=cats.names\n", "x.data: classes=3, but there are only 2 names"),
        ("classes=0\nvalid=list.txt\n", "x.data:1: [data] classes: expected 1 or more, found 0"),
        ("names=cats.names\n", "x.data: say which split is meant; there are none"),
        ("nonsense\n", "x.data:1: expected key=value, found 'nonsense'"),
    ],
)
def test_data_files_that_are_none(text: str, message: str, here: Path) -> None:
    with pytest.raises((DatasetError, MetadataError, CfgError)) as error:
        read_data_file(data_file(here, text))
    assert str(error.value) == f"{here}/{message}"


def test_a_split_that_is_not_there(here: Path) -> None:
    with pytest.raises(DatasetError, match=r"x.data: there is no split 'test'; there are 'train'"):
        read_data_file(data_file(here, "train=list.txt\n"), split="test")
