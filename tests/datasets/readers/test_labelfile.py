"""Files of labels: where they lie, what becomes of faulty ones, and that many read at once are the same as singly."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import pytest

from darknet_compat.datasets.base import Labels, Repairs
from darknet_compat.datasets.check import check_dataset
from darknet_compat.datasets.options import LabelRule
from darknet_compat.datasets.readers.darknet import PictureList
from darknet_compat.datasets.readers.labelfile import fork_label_path, read_with_rule
from darknet_compat.errors import DatasetError

OVER = "0 0.5 0.5 1.000001 0.4\n"
BELOW = "1 -0.000001 0.5 0.1 0.4\n"
OUTSIDE = "0 320 240 10 10\n"
SOUND = "0 0.5 0.5 0.2 0.2\n"


@pytest.mark.parametrize(
    ("text", "boxes", "repairs"),
    [
        (OVER, [[0.5, 0.5, 1.0, 0.4]], (("clipped", 1),)),
        (BELOW, [[0.0249995, 0.5, 0.049999, 0.4]], (("clipped", 1),)),
        (OUTSIDE + SOUND, [[0.5, 0.5, 0.2, 0.2]], (("left out", 1),)),
        ("0 .5 .5 -.1 .1\n", [], (("left out", 1),)),
        ("0 0 0 0 0\n", [[0, 0, 0, 0]], ()),
        ("0 0 .5 0 .1\n", [[0, 0.5, 0, 0.1]], ()),
        ("0 .1 .1 .3 .1 .3 .5\n", [[0.2, 0.3, 0.2, 0.4]], (("polygons", 1),)),
    ],
)
def test_boxes_are_cut_as_the_original_does(
    text: str, boxes: list[list[float]], repairs: Repairs, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text(text)
    labels, done = read_with_rule(tmp_path / "a.txt", 2, "clip")
    assert np.allclose(labels.boxes, np.array(boxes).reshape(-1, 4), atol=1e-12) and len(labels) == len(boxes)
    assert done == repairs


@pytest.mark.parametrize("text", [OVER, BELOW, OUTSIDE, "7 .5 .5 .1 .1\n", "0 .5 .5 .1\n", "x\n"])
def test_faulty_labels_by_each_rule(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text(SOUND + text)
    with pytest.raises(DatasetError, match=r"a\.txt:2: expected|a\.txt:2: class 7"):
        read_with_rule(tmp_path / "a.txt", 2, "strict")
    labels, done = read_with_rule(tmp_path / "a.txt", 2, "skip")
    assert (len(labels), done) == (1, (("left out", 1),))
    if text[0] in "7x" or text.count(" ") == 3:  # nobody knows what is meant
        with pytest.raises(DatasetError, match=r"a\.txt:2: "):
            read_with_rule(tmp_path / "a.txt", 2, "clip")


@pytest.mark.parametrize(
    ("picture", "labels"),
    [
        ("data/images/a.jpg", "data/images/a.txt"),
        ("coco/images/train2014/a.jpg", "coco/labels/train2014/a.txt"),
        ("VOC2007/JPEGImages/a.PNG", "VOC2007/labels/a.txt"),
        ("raw/a.jpg.rf.1.jpeg", "raw/a.jpg.rf.1.txt"),
    ],
)
def test_where_the_fork_looks(picture: str, labels: str) -> None:
    assert fork_label_path(picture) == labels


def listed(folder: Path, labels: dict[str, str | None], line: str = "{}\n") -> Path:
    """Pictures with labels beside them, and their list."""
    for name, text in labels.items():
        picture = folder / f"{name}.jpg"
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(b"")
        if text is not None:
            picture.with_suffix(".txt").write_text(text)
    path = folder / "list.txt"
    path.write_text("".join(line.format(f"{name}.jpg") for name in labels))
    return path


@pytest.mark.parametrize("folder", ["my_images", "draw", "data/images"])
def test_labels_beside_pictures_that_the_original_would_look_for_elsewhere(folder: str, tmp_path: Path) -> None:
    pictures = PictureList(listed(tmp_path, {f"{folder}/a": SOUND}), ["x"])
    assert (len(pictures[0].labels), pictures[0].repairs) == (1, (("beside", 1),))
    report = check_dataset(pictures)
    assert {kind: found.count for kind, found in report.findings.items()} == {"beside": 1}


def test_the_originals_place_comes_first(tmp_path: Path) -> None:
    path = listed(tmp_path, {"images/a": SOUND})
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels/a.txt").write_text("")
    assert (len(PictureList(path)[0].labels), PictureList(path)[0].repairs) == (0, ())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-8-sig"])
@pytest.mark.parametrize(
    "line", ["set\\{}\n", ".\\set\\{}\r\n", "D:\\work\\set\\{}\n", "/home/me/data/set/{}\n", "set/{}\n"]
)
def test_lists_from_elsewhere(line: str, encoding: str, tmp_path: Path) -> None:
    listed(tmp_path / "set", {"a": SOUND, "b": ""})
    path = tmp_path / "list.txt"
    path.write_bytes("".join(line.format(f"{name}.jpg") for name in "ab").encode(encoding))
    pictures = PictureList(path, ["x"])
    assert [sample.image for sample in pictures] == [tmp_path / "set/a.jpg", tmp_path / "set/b.jpg"]
    assert [len(sample.labels) for sample in pictures] == [1, 0]


def same(one: Labels, other: Labels) -> bool:
    return one.boxes.tolist() == other.boxes.tolist() and one.classes.tolist() == other.classes.tolist()


@pytest.mark.parametrize("rule", ["clip", "skip", "strict"])
def test_many_at_once_are_the_same_as_one_by_one(rule: LabelRule, tmp_path: Path) -> None:
    """Pictures of every kind in any order."""
    random = Random(4)
    kinds = [SOUND, SOUND * 3, "", None, OVER, BELOW, OUTSIDE, "9 .5 .5 .1 .1\n", "nonsense\n", "1 .1 .1 .2 .2 .3 .1\n"]
    kinds += ["0 0 0 0 0", " \r\n0 5e-1 .5 .25 1.\r\n", SOUND[:-1]]
    labels = {f"p{number:03d}": random.choice(kinds) for number in range(300)}
    pictures = PictureList(listed(tmp_path, labels), ["x", "y"], labels=rule)
    rows = pictures.rows(0, 300)
    refused = {index: str(error) for index, error in rows.refusals}
    repairs: dict[int, list[tuple[str, int]]] = {}
    for index, repair, count in rows.repairs:
        repairs.setdefault(index, []).append((repair, count))
    assert (rows.pictures[1:] >= rows.pictures[:-1]).all()
    for index in range(300):
        try:
            sample = pictures[index]
        except DatasetError as error:
            assert refused[index] == str(error)
            continue
        assert index not in refused
        assert rows.paths[index] == str(sample.image)
        assert same(rows.labels.chosen(rows.pictures == index), sample.labels)
        assert sorted(repairs.get(index, [])) == sorted(sample.repairs)
    assert bool(refused) == (rule != "skip")
