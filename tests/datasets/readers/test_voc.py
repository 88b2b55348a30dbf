"""VOC's folders and XML: what is read, and what hostile files get for an answer."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.readers.voc import VocFolder, read_annotation
from darknet_compat.errors import DatasetError

OBJECT = (
    "<object><name>{}</name>{}<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox></object>"
)
SIZE = "<size><width>200</width><height>100</height><depth>3</depth></size>"


def annotation(*objects: str, size: str = SIZE) -> str:
    return f"<annotation>{size}{''.join(objects)}</annotation>"


def make(folder: Path, annotations: dict[str, str], **lists: str) -> Path:
    for name in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name, text in annotations.items():
        (folder / "Annotations" / f"{name}.xml").write_text(text)
        (folder / "JPEGImages" / f"{name}.jpg").write_bytes(b"")
    for name, text in lists.items():
        (folder / "ImageSets" / "Main" / f"{name}.txt").write_bytes(text.encode())
    return folder


def test_a_folder(tmp_path: Path) -> None:
    dog = OBJECT.format("dog", "<difficult>1</difficult>", 1, 1, 200, 100)
    cat = OBJECT.format("cat", "", 11, 21, 20, 40)
    folder = make(tmp_path, {"a": annotation(dog, cat), "b": annotation()}, train="b\r\na\r\n", val="a  1\n")
    train = VocFolder(folder)
    assert (train.title, train.names, train.ids) == (f"{tmp_path.name} (train)", ("cat", "dog"), ("b", "a"))
    assert [len(sample.labels) for sample in train] == [0, 2]
    sample = train[1]
    assert (sample.id, sample.image) == ("a", folder / "JPEGImages/a.jpg")
    assert sample.labels.classes.tolist() == [1, 0]
    assert sample.labels.difficult.tolist() == [True, False]
    assert sample.labels.boxes[0].tolist() == [0.5, 0.5, 1, 1]  # pixels 1 to 200 are all of 200
    assert sample.labels.corners(200, 100).tolist() == [[0, 0, 200, 100], [10, 20, 20, 40]]
    assert train.size(1) == (200, 100)
    assert VocFolder(folder, "valid").ids == ("a",)


def test_without_lists_everything_annotated(tmp_path: Path) -> None:
    folder = make(tmp_path, {"b": annotation(), "a": annotation()})
    assert VocFolder(folder, names=["x"]).ids == ("a", "b")


def test_the_order_of_names(tmp_path: Path) -> None:
    box = (1, 1, 9, 9)
    dog, bird = (annotation(OBJECT.format(name, "", *box)) for name in ("dog", "bird"))
    folder = make(tmp_path, {"a": dog, "b": bird})
    assert VocFolder(folder).names == ("bird", "dog")
    (folder / "my.names").write_text("dog\nbird\nzebra\n")
    assert VocFolder(folder).names == ("dog", "bird", "zebra")
    (folder / "my.names").write_text("dog\n")
    with pytest.raises(DatasetError, match=r"my.names: 'bird' is missing, it occurs in the annotations"):
        VocFolder(folder)


@pytest.mark.parametrize("size", ["", "<size><width>0</width><height>0</height></size>"])
def test_a_size_that_is_not_stated_is_the_pictures(size: str, tmp_path: Path) -> None:
    folder = make(tmp_path, {"a": annotation(OBJECT.format("dog", "", 11, 6, 20, 10), size=size)})
    cv2.imwrite(str(folder / "JPEGImages/a.jpg"), np.zeros((10, 40, 3), np.uint8))
    voc = VocFolder(folder)
    assert voc.size(0) is None
    assert voc[0].labels.boxes.tolist() == [[0.375, 0.75, 0.25, 0.5]]


@pytest.mark.parametrize("suffix", [".png", ".JPG", ".jpeg"])
def test_pictures_with_other_suffixes(suffix: str, tmp_path: Path) -> None:
    folder = make(tmp_path, {"a": annotation()})
    (folder / "JPEGImages/a.jpg").rename(folder / f"JPEGImages/a{suffix}")
    assert VocFolder(folder, names=["x"])[0].image == folder / f"JPEGImages/a{suffix}"


@given(boxes=st.lists(st.tuples(*[st.integers(0, 500)] * 4)))
def test_corners_come_back(boxes: list[tuple[int, ...]], tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = make(
        tmp_path_factory.getbasetemp() / "voc", {"a": annotation(*(OBJECT.format("dog", "", *box) for box in boxes))}
    )
    corners = VocFolder(folder, names=["dog"])[0].labels.corners(200, 100)
    assert np.add(corners, [1, 1, 0, 0]).tolist() == [list(map(float, box)) for box in boxes]


@pytest.mark.parametrize("part", ["DET", "CLS-LOC"])
def test_ilsvrcs_folders(part: str, tmp_path: Path) -> None:
    (tmp_path / f"Annotations/{part}/train/n1").mkdir(parents=True)
    (tmp_path / f"ImageSets/{part}").mkdir(parents=True)
    (tmp_path / f"Data/{part}/train/n1").mkdir(parents=True)
    (tmp_path / f"Annotations/{part}/train/n1/x.xml").write_text(annotation(OBJECT.format("n01", "", 1, 1, 20, 20)))
    (tmp_path / f"Data/{part}/train/n1/x.JPEG").write_bytes(b"")
    (tmp_path / f"ImageSets/{part}/train.txt").write_text("train/n1/x 1\n")
    sample = open_dataset(tmp_path)[0]
    assert (sample.id, sample.image) == ("train/n1/x", tmp_path / f"Data/{part}/train/n1/x.JPEG")
    assert sample.labels.corners(200, 100).tolist() == [[0, 0, 20, 20]]


# ------------------------------------------------------------------------------------------------ refusals

BOMB = (
    '<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx">'
    + "".join(f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("xbcdefghi", "bcdefghij", strict=True))
    + "]><annotation><object><name>&j;</name></object></annotation>"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": expected a VOC annotation, found damaged XML: no element found: line 1, column 0"),
        (annotation()[:20], ": expected a VOC annotation, found damaged XML: "),
        ("<html/>", ": expected <annotation>, found <html>"),
        (BOMB, ": an annotation has no document type; expected <annotation> first"),
        ('<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', ": an annotation has no document type"),
        ("<?xml version='1.0' encoding='klingon'?><annotation/>", ": expected a VOC annotation, found damaged XML: "),
        ("<a>" * 100_000, ": expected a VOC annotation, found damaged XML: "),
        (annotation("<object/>"), ": object 1: it has no <name>"),
        (annotation("<object><name>dog</name></object>"), ": object 1: 'dog' has no <bndbox>"),
        (annotation(OBJECT.format("dog", "", 1, "x", 2, 2)), ": object 1: ymin: expected pixels, found 'x'"),
        (annotation(OBJECT.format("dog", "", 1, "nan", 2, 2)), ": object 1: ymin: expected pixels, found 'nan'"),
        (annotation(OBJECT.format("dog", "", 1, 1, "1e99", 2)), ": object 1: xmax: expected pixels, found '1e99'"),
        (annotation(OBJECT.format("dog", "", 1, 1, "", 2)), ": object 1: xmax: expected pixels, found 'nothing'"),
        (annotation(size="<size><width>?</width></size>"), ": size: width: expected pixels, found '?'"),
        ("\0", ": expected a VOC annotation (XML) (text), found binary data; is another file meant?"),
    ],
    ids=range(15),
)
def test_annotations_that_are_none(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(DatasetError) as error:
        read_annotation(path)
    assert str(error.value).startswith(f"{path}{message}")
    assert str(error.value).isprintable()


def test_a_class_that_is_none_of_the_names(tmp_path: Path) -> None:
    folder = make(tmp_path, {"a": annotation(OBJECT.format("dog", "", 1, 1, 2, 2))})
    with pytest.raises(DatasetError, match=r"a.xml: 'dog' is not one of the 1 class"):
        VocFolder(folder, names=["cat"])[0]


def test_ids_stay_in_their_folder(tmp_path: Path) -> None:
    folder = make(tmp_path, {"a": annotation()}, train="../../etc/passwd\n/etc/passwd\n")
    voc = VocFolder(folder, names=["x"])
    for index in range(2):
        with pytest.raises(DatasetError, match=r"expected a file inside .*Annotations, found '.*etc/passwd.xml'"):
            voc[index]


def test_splits_that_are_none(tmp_path: Path) -> None:
    folder = make(tmp_path, {"a": annotation()}, val="\n", odd="a\n")
    with pytest.raises(DatasetError, match=r"there is no split 'test'; there are 'odd', 'val'"):
        VocFolder(folder, "test")
    with pytest.raises(DatasetError, match=r"say which split is meant; there are 'odd', 'val'"):
        VocFolder(folder)
    with pytest.raises(DatasetError, match=r"val.txt: expected one id a line, found an empty file"):
        VocFolder(folder, "val")
    with pytest.raises(DatasetError, match="expected VOC's folders Annotations and JPEGImages"):
        VocFolder(tmp_path / "Annotations")


# ---------------------------------------------------------------------------------------------------- real


def test_bccd(shared_data: Path) -> None:
    counts = {}
    for split in ("train", "val", "test", "trainval"):
        cells = open_dataset(shared_data / "bccd", split=split)
        assert cells.names == ("Platelets", "RBC", "WBC")
        classes = np.concatenate([sample.labels.classes for sample in cells])
        counts[split] = (len(cells), *np.bincount(classes, minlength=3).tolist())
        assert all(isinstance(sample.image, Path) and sample.image.is_file() for sample in cells)
    assert counts["trainval"] == tuple(a + b for a, b in zip(counts["train"], counts["val"], strict=True))
    assert sum(counts["trainval"][1:]) + sum(counts["test"][1:]) == 4888
    sample = open_dataset(shared_data / "bccd/BCCD", split="trainval")[0]
    assert sample.id == "BloodImage_00000"
    assert np.add(sample.labels.corners(640, 480)[0], [1, 1, 0, 0]).tolist() == [260, 177, 491, 376]
