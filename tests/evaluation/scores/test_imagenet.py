"""ImageNet DET's rules, its result file, and the classes that COCO has boxes for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material.columns import Found, Truths, to_corners
from darknet_compat.evaluation.scores import imagenet


def test_small_boxes_have_a_lower_bar() -> None:
    bars = imagenet.least_overlaps(np.array([[0, 0, 10.0, 10], [0, 0, 100, 100], [0, 0, 10, 1000]]))
    assert bars == pytest.approx([100 / 400, 0.5, 10_000 / (20 * 1010)])


def test_a_box_five_pixels_off_finds_a_small_object() -> None:
    truths = Truths.of([0, 0], [0, 1], [[50, 50, 10, 10], [50, 50, 100, 100]])
    found = Found.of([0, 0], [0, 1], [[46, 46, 10, 10], [10, 10, 100, 100]], [0.9, 0.9])  # IoU 0.22 and 0.22
    assert [
        one.average_precision for one in imagenet.score(found, truths, "ab", np.zeros(2, bool)).by_class.classes
    ] == [
        0,
        0,
    ]
    nearer = Found.of([0, 0], [0, 1], [[47, 47, 10, 10], [20, 20, 100, 100]], [0.9, 0.9])  # IoU 0.32 and 0.32
    assert [
        one.average_precision for one in imagenet.score(nearer, truths, "ab", np.zeros(2, bool)).by_class.classes
    ] == [
        1,
        0,
    ]


def test_the_two_hundred_classes() -> None:
    shared = imagenet.shared_with_coco()
    assert len(imagenet.labels()) == len(shared) == 200
    assert (int(shared.sum()), int((~shared).sum())) == (44, 156)  # paper, section 4
    assert "n02374451" in np.array(imagenet.labels())[shared]  # horse
    assert "n02076196" in np.array(imagenet.labels())[~shared]  # seal


def test_classes_apart_and_ranked() -> None:
    truths = Truths.of([0, 0, 0, 0], [0, 1, 2, 2], [[0, 0, 50, 50]] * 2 + [[0, 0, 50, 50], [100, 0, 50, 50]])
    found = Found.of([0, 0], [0, 2], [[0, 0, 50, 50]] * 2, [0.5, 0.5])
    scores = imagenet.score(found, truths, ["a", "b", "c", "d"], np.array([True, False, False, False]))
    assert (scores.mean(), scores.mean(scores.shared), scores.mean(~scores.shared)) == (0.5, 1, 0.25)
    assert [one.name for one in scores.ranking(~scores.shared)] == ["c", "b"]
    assert scores.to_dict()["worst_without"] == ["b", "c"]


def test_the_result_file(tmp_path: Path) -> None:
    found = Found.of([0, 1], [0, 199], [[-3, 4, 10, 20], [90, 0, 30, 10]], [0.5, 0.25])
    sizes = np.array([[100, 50], [100, 50]])
    imagenet.write_results(tmp_path / "r.txt", found, sizes)
    assert (tmp_path / "r.txt").read_text() == (
        "1 1 0.500000 0.000000 4.000000 7.000000 24.000000\n2 200 0.250000 90.000000 0.000000 100.000000 10.000000\n"
    )
    again = imagenet.read_results(tmp_path / "r.txt", 2, 200)
    expected = imagenet.as_scored(found, sizes)
    assert again.classes.tolist() == [0, 199] and to_corners(again.boxes) == pytest.approx(to_corners(expected.boxes))
    for line in ("1 201 0.5 1 2 3 4", "3 1 0.5 1 2 3 4", "1 1 x 1 2 3 4", "1 1 0.5 1 2 3"):
        (tmp_path / "r.txt").write_text(f"1 1 0.5 1 2 3 4\n{line}\n")
        with pytest.raises(DatasetError, match=r"r\.txt:2: expected picture \(1 to 2\), class \(1 to 200\)"):
            imagenet.read_results(tmp_path / "r.txt", 2, 200)
