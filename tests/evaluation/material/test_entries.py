"""The pictures that are scored: told apart by their folders where they share a name; one line where none is there."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_compat.datasets.open import open_dataset
from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material.columns import Found
from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.evaluation.scores.metrics import METRICS
from tests.datasets.shapes import NAMES, PARTS, coco_json, picture, put, yolo_lines


def listed(folder: Path, names: list[str]) -> Path:
    for name in names:
        put(folder / f"{name}.png", picture("train_0"))
        put(folder / f"{name}.txt", yolo_lines(PARTS["train"]["train_0"]))
    return put(folder / "list.txt", "".join(f"{name}.png\n" for name in names))


def test_pictures_of_one_name(tmp_path: Path) -> None:
    source = listed(tmp_path, ["a/p0", "b/p0", "b/deep/p0", "b/p1"])
    entries = read_entries(open_dataset(source, names=NAMES))
    assert entries.ids == ["a/p0", "b/p0", "b/deep/p0", "p1"]
    assert len({row.image_id for row in entries.rows}) == 4
    assert "pictures that share their name with others, called by their folders too in results: 3" in entries.notes
    found = Found.of([0, 1, 2, 3], [0, 1, 0, 1], [[1, 2, 3, 4]] * 4, [0.5, 0.25, 0.75, 1])
    sizes = np.full((4, 2), 50)
    for name in ("voc", "coco"):
        metric = METRICS[name]
        metric.expect_writable(entries)
        (tmp_path / name).mkdir()
        metric.write(tmp_path / name, found, entries, sizes)
        again = metric.read(tmp_path / name, entries)
        order = np.argsort(again.images)
        assert again.images[order].tolist() == [0, 1, 2, 3]
        assert again.scores[order].tolist() == [0.5, 0.25, 0.75, 1]


def test_one_stem_and_two_suffixes(tmp_path: Path) -> None:
    put(tmp_path / "a.png", picture("train_0"))
    put(tmp_path / "a.bmp", picture("train_0"))
    put(tmp_path / "a.txt", "")
    source = put(tmp_path / "list.txt", "a.png\na.bmp\n")
    assert len(set(read_entries(open_dataset(source, names=NAMES)).ids)) == 2


def test_a_name_that_no_file_can_hold_is_refused_before_anything_is_detected(tmp_path: Path) -> None:
    entries = read_entries(open_dataset(listed(tmp_path, ["a"]), names=("x/y", "z")))
    with pytest.raises(DatasetError, match="a class of this name cannot have a result file"):
        METRICS["voc"].expect_writable(entries)


def test_not_one_picture_is_one_line(tmp_path: Path) -> None:
    path = put(tmp_path / "x.json", coco_json(PARTS["train"]))
    entries = read_entries(open_dataset(path))
    with pytest.raises(
        DatasetError, match=r"none of its 4 pictures is there, not even .*; --pictures names their folder"
    ):
        entries.expect_pictures()
    put(tmp_path / "train_1.png", picture("train_1"))
    read_entries(open_dataset(path)).expect_pictures()  # one is enough: the others are a line each


def test_nothing_to_find_is_nothing_to_score(tmp_path: Path) -> None:
    source = listed(tmp_path, ["a", "b"])
    read_entries(open_dataset(source, names=NAMES)).expect_objects()
    for name in "ab":
        put(tmp_path / f"{name}.txt", "")
    with pytest.raises(DatasetError, match="there is no box in its 2 pictures, so nothing to score"):
        read_entries(open_dataset(source, names=NAMES)).expect_objects()


def test_what_was_done_to_labels_is_said(tmp_path: Path) -> None:
    source = listed(tmp_path, ["a", "b"])
    (tmp_path / "a.txt").unlink()
    put(tmp_path / "b.txt", "0 .5 .5 1.000001 .5\n")
    notes = read_entries(open_dataset(source, names=NAMES)).notes
    assert notes == (
        "pictures without a file of labels, taken for background: 1",
        "boxes that reached out of their picture, cut at its border: 1",
    )
