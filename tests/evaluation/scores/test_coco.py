"""The twelve figures are pycocotools', to the last bit, and its files are read and written."""

from __future__ import annotations

import contextlib
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material import coco_files
from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.scores import coco
from tests.evaluation.making import annotations_document, random_results

SIZES = np.full((12, 2), 500)
NAMES = ["a", "b", "c", "d", "e"]


def official(found: Found, truths: Truths, pictures: int = 12, names: list[str] = NAMES) -> Any:
    """pycocotools' evaluator, run."""
    cocotools = pytest.importorskip("pycocotools.coco")
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    ids = range(1, pictures + 1)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = cocotools.COCO()
        sizes = np.full((pictures, 2), 500)
        truth.dataset = annotations_document(truths, ids, ["x"] * pictures, sizes, names)
        truth.createIndex()
        entries = [
            {"image_id": image + 1, "category_id": kind + 1, "bbox": box, "score": score}
            for image, kind, box, score in zip(
                found.images.tolist(), found.classes.tolist(), found.boxes.tolist(), found.scores.tolist(), strict=True
            )
        ]
        evaluator = evaluation.COCOeval(truth, truth.loadRes(entries), "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    return evaluator


def without_difficult(truths: Truths) -> Truths:
    return truths.rows(~truths.difficult)


@pytest.mark.parametrize("seed", range(12))
def test_figures_are_those_of_pycocotools(seed: int) -> None:
    found, truths = random_results(seed)
    truths = without_difficult(truths)
    ours = coco.score(found, truths, NAMES)
    theirs = official(found, truths)
    assert [-1 if value is None else value for value in ours.figures.values()] == theirs.stats.tolist()
    assert np.array_equal(ours.precision, theirs.eval["precision"][:, :, :, 0, 2])
    assert np.unique(theirs.stats).size > 6  # not a comparison of nothing


def test_more_than_a_hundred_detections_of_a_class_in_a_picture() -> None:
    found, truths = random_results(3, pictures=1, classes=3, objects=30, detections=900)
    truths = without_difficult(truths)
    ours = coco.score(found, truths, NAMES[:3])
    theirs = official(found, truths, 1, NAMES[:3])
    assert [-1 if value is None else value for value in ours.figures.values()] == theirs.stats.tolist()


def test_nothing_found_and_nothing_to_find() -> None:
    _, truths = random_results(0)
    nothing = Found.of([], [], [], [])
    assert coco.score(nothing, truths, NAMES).figures["AP"] == 0
    assert set(coco.score(nothing, Truths.of([], [], []), NAMES).figures.values()) == {None}


def test_the_originals_ninety_one_numbers() -> None:
    assert len(coco_files.CATEGORIES) == 80
    assert set(range(1, 91)) - set(coco_files.CATEGORIES) == {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}


@pytest.mark.parametrize(
    ("name", "number"),
    [("/d/COCO_val2014_000000000042.jpg", 42), ("/d/000000397133.jpg", 397133), ("dog.jpg", 0), ("/a_7/x.jpg", 0)],
)
def test_the_number_in_a_pictures_name(name: str, number: int) -> None:
    assert coco_files.image_id(name) == number


def test_results_are_written_as_the_original_prints_them_and_read_back(tmp_path: Path) -> None:
    found = Found.of([0, 1], [0, 79], [[-5, 10.25, 30, 600], [1, 2, 3, 4]], [0.5, 0.25])
    coco_files.write_results(tmp_path / "r.json", found, [7, 9], SIZES)
    assert (tmp_path / "r.json").read_text() == (
        '[\n{"image_id":7, "category_id":1, "bbox":[0.000000, 10.250000, 25.000000, 489.750000], "score":0.500000},\n'
        '{"image_id":9, "category_id":90, "bbox":[1.000000, 2.000000, 3.000000, 4.000000], "score":0.250000}\n]\n'
    )
    again = coco_files.read_results(tmp_path / "r.json", [7, 9])
    assert again.boxes.tolist() == found.clipped(SIZES).boxes.tolist() and again.classes.tolist() == [0, 79]
    coco_files.write_results(tmp_path / "none.json", Found.of([], [], [], []), [], SIZES)
    assert json.loads((tmp_path / "none.json").read_text()) == []


HUGE = '[{{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, 4], "score": {value}}}]'


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "expected COCO results"),
        ("[1]", "entry 0: expected image_id"),
        ('[{"image_id": 5}]', "entry 0: 5 is missing, or no picture"),
        ('[{"image_id": 7, "category_id": 1, "bbox": [1, 2], "score": 1}]', "entry 0: expected image_id"),
        ('[{"image_id": 7, "category_id": 1, "bbox": [1, 2, 3, NaN], "score": 1}]', "not finite"),
        ("[", ":1: expected COCO results, found damaged JSON"),
        (HUGE.format(value="9" * 400), "entry 0: has numbers that are not finite"),
        (HUGE.format(value="9" * 5000), "entry 0: has numbers that are not finite"),
    ],
)
def test_results_that_are_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "r.json").write_text(text)
    with pytest.raises(DatasetError, match=message):
        coco_files.read_results(tmp_path / "r.json", [7])
