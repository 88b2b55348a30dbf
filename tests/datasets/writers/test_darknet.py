"""Data sets written for the original: what it reads is what they were."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from darknet_compat.datasets.base import Labels
from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.writers.darknet import format_labels
from darknet_compat.datasets.writers.layouts import write_dataset
from darknet_compat.errors import DatasetError
from tests.conftest import Original
from tests.datasets.original_labels import ask
from tests.datasets.readers.test_voc import OBJECT, annotation, make
from tests.datasets.test_check import Composed


def test_labels() -> None:
    drawn = [[0.5, 0.25, 0.5, 0.1], [0, 0, 0, 0], [0.5, 0.5, 0.1, 0.1], [0.5, 0.5, 0.2, 0.2], [0.5, 0.5, 0, 0.1]]
    labels = Labels.drawn(drawn, [3, 1, 0, 0, 0], [False, False, True, False, False], [False] * 3 + [True, False])
    assert format_labels(labels) == "3 0.5 0.25 0.5 0.1\n1 0.0 0.0 0.0 0.0\n"


def test_boxes_are_cut_at_the_border() -> None:
    labels = Labels.drawn([[0, 0.5, 0.5, 2], [1.5, 0.5, 0.5, 0.5], [0.5, 0.5, 1, 1]], [0, 1, 2])
    assert format_labels(labels) == "0 0.125 0.5 0.25 1.0\n2 0.5 0.5 1.0 1.0\n"


@pytest.fixture
def plain_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in whose path nothing is replaced (a test's own may be called after `draw` or `images`)."""
    return tmp_path_factory.mktemp("written")


def test_a_voc_folder_as_darknets(plain_folder: Path) -> None:
    box, hard = (OBJECT.format("dog", mark, 1, 1, 200, 50) for mark in ("", "<difficult>1</difficult>"))
    folder = make(plain_folder / "voc", {"a": annotation(box, hard), "b": annotation()}, train="a\n", val="a\nb\n")
    train, valid = (open_dataset(folder, split=split) for split in ("train", "val"))
    seen: list[tuple[int, int]] = []
    parts = {"train": train, "valid": valid}
    path = write_dataset(plain_folder / "out", "darknet", parts, progress=lambda *both: seen.append(both))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    again, val = open_dataset(path), open_dataset(path, split="valid")
    assert (again.names, len(again), len(val)) == (("dog",), 1, 2)
    assert again[0].labels.boxes.tolist() == [[0.5, 0.25, 1, 0.5]]
    assert Path(str(again[0].image)).samefile(folder / "JPEGImages/a.jpg")
    assert write_dataset(plain_folder / "out", "darknet", {"train": train}) == path  # once more over it
    assert (path.parent / "train.txt").read_text() == "obj_train_data/a.jpg\n"


def test_composed_pictures_become_files(plain_folder: Path) -> None:
    composed = Composed()
    composed.names = ("a", "b", "c")
    path = write_dataset(plain_folder / "out", "darknet", {"train": composed})
    assert cv2.imread(str(open_dataset(path)[2].image)).shape == (4, 4, 3)


def test_what_is_written_can_be_moved(plain_folder: Path) -> None:
    composed = Composed()
    composed.names = ("a", "b", "c")
    write_dataset(plain_folder / "images raw/out", "darknet", {"train": composed})
    moved = (plain_folder / "images raw/out").rename(plain_folder / "elsewhere")
    again = open_dataset(moved)
    assert [len(sample.labels) for sample in again] == [0, 0, 0]  # crowds are left out
    assert all(Path(str(sample.image)).is_relative_to(moved) for sample in again)


def test_a_place_that_cannot_be_written(plain_folder: Path) -> None:
    (plain_folder / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file/.*: cannot be made"):
        write_dataset(plain_folder / "file", "darknet", {"train": Composed()})
    assert sorted(path.name for path in plain_folder.iterdir()) == ["file"]


@pytest.mark.reference
def test_the_original_reads_what_was_written(original: Original, shared_data: Path, plain_folder: Path) -> None:
    cells = open_dataset(shared_data / "bccd", split="test")
    path = write_dataset(plain_folder / "out", "darknet", {"train": cells})
    pictures = (path.parent / "train.txt").read_text().split()
    questions = [["boxes", str(path.parent / picture.replace(".jpg", ".txt"))] for picture in pictures]
    places = ask(original.library, [["label_path", picture] for picture in pictures])
    assert places == [picture.replace(".jpg", ".txt") for picture in pictures]
    theirs = ask(original.library, questions)
    assert len(theirs) == len(cells) == 72
    for boxes, sample in zip(theirs, cells, strict=True):
        corners = sample.labels.corners(640, 480)
        drawn = (corners[:, 2:] > corners[:, :2]).all(axis=1)
        expected = np.column_stack([sample.labels.classes, sample.labels.boxes])[drawn]
        assert np.array_equal(np.array(boxes, np.float32), expected.astype(np.float32))
