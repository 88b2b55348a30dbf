"""Data sets written for the original: what it reads is what they were."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from darknet_compat.datasets.base import Labels
from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.writers.darknet import format_labels, write_darknet
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
    path = write_darknet(plain_folder / "out", train, valid, progress=lambda *both: seen.append(both))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    again, val = open_dataset(path), open_dataset(path, split="valid")
    assert (again.names, len(again), len(val)) == (("dog",), 1, 2)
    assert again[0].labels.boxes.tolist() == [[0.5, 0.25, 1, 0.5]]
    assert Path(str(again[0].image)).resolve() == folder / "JPEGImages/a.jpg"
    assert write_darknet(plain_folder / "out", train) == path  # once more over it


def test_composed_pictures_become_files(plain_folder: Path) -> None:
    composed = Composed()
    composed.names = ("a", "b", "c")
    path = write_darknet(plain_folder / "out", composed)
    assert cv2.imread(str(open_dataset(path)[2].image)).shape == (4, 4, 3)


def test_places_where_the_original_would_look_elsewhere(plain_folder: Path) -> None:
    for name in ("images", "raw", "a b", "x.jpg"):
        with pytest.raises(DatasetError, match="expected a folder without images, JPEGImages, raw or a blank"):
            write_darknet(plain_folder / name / "out", Composed())
    (plain_folder / "file").write_text("")
    with pytest.raises(DatasetError, match=r"file/.*: cannot be made"):
        write_darknet(plain_folder / "file", Composed())
    assert sorted(path.name for path in plain_folder.iterdir()) == ["file"]


@pytest.mark.reference
def test_the_original_reads_what_was_written(original: Original, shared_data: Path, plain_folder: Path) -> None:
    cells = open_dataset(shared_data / "bccd", split="test")
    path = write_darknet(plain_folder / "out", cells)
    pictures = (path.parent / "train.txt").read_text().split()
    questions = [["boxes", picture.replace("images", "labels").replace(".jpg", ".txt")] for picture in pictures]
    theirs = ask(original.library, questions)
    assert len(theirs) == len(cells) == 72
    for boxes, sample in zip(theirs, cells, strict=True):
        corners = sample.labels.corners(640, 480)
        drawn = (corners[:, 2:] > corners[:, :2]).all(axis=1)
        expected = np.column_stack([sample.labels.classes, sample.labels.boxes])[drawn]
        assert np.array_equal(np.array(boxes, np.float32), expected.astype(np.float32))
