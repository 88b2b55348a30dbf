"""Anchors: the paper's Table 1 on real boxes, and what k-means owes to its definition."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darknet_compat.datasets.anchors.find import Distance, average_iou, cfg_line, curve, find_anchors
from darknet_compat.datasets.anchors.plot import save_anchors_plot
from darknet_compat.datasets.anchors.shapes import Shapes, read_csv
from darknet_compat.errors import DatasetError

SIDES = st.floats(1, 500)
SHAPES = st.lists(st.tuples(SIDES, SIDES), min_size=1, max_size=60)


@pytest.fixture(scope="module")
def voc(shared_data: Path) -> Shapes:
    return read_csv(shared_data / "voc2007-trainval-boxes.csv", (416, 416))


def test_table_1(voc: Shapes) -> None:
    assert (len(voc.sizes), voc.pictures, voc.left_out) == (12_609, 5_012, 0)
    fits = {(by, k): 100 * find_anchors(voc.sizes, k, by=by).average_iou for by, k in _TABLE_1}
    assert fits["iou", 5] == pytest.approx(61.0, abs=0.3)
    assert fits["sse", 5] == pytest.approx(58.7, abs=0.5)
    assert fits["iou", 9] >= 67.2


_TABLE_1: tuple[tuple[Distance, int], ...] = (("iou", 5), ("sse", 5), ("iou", 9))


def test_by_hand() -> None:
    assert average_iou([[2, 2], [4, 1]], [[2, 2]]) == pytest.approx((1 + 2 / 6) / 2)
    assert average_iou([[2, 2], [4, 1]], [[1, 1], [4, 1]]) == pytest.approx((1 / 3 + 1) / 2)
    one = find_anchors([[2, 2], [4, 8]], 1)
    assert one.sizes.tolist() == [[3, 5]]  # the mean
    assert one.average_iou == pytest.approx((4 / 15 + 15 / 32) / 2)


@pytest.mark.parametrize("by", ["iou", "sse"])
def test_clusters_that_are_there_are_found(by: Distance) -> None:
    centres = np.array([[20.0, 30], [30, 90], [120, 60], [200, 220], [390, 300]])
    rng = np.random.default_rng(2)
    boxes = np.concatenate([centre + rng.uniform(-2, 2, (200, 2)) for centre in centres])
    found = find_anchors(boxes, 5, by=by)
    assert np.abs(found.sizes - centres).max() < 0.5
    assert np.all(np.diff(found.sizes.prod(axis=1)) > 0)


@given(SHAPES, st.integers(1, 8), st.sampled_from(["iou", "sse"]), st.integers(0, 3))
@settings(max_examples=60)
def test_what_holds_for_all_boxes(boxes: list[tuple[float, float]], k: int, by: Distance, seed: int) -> None:
    if len(set(boxes)) < k:
        with pytest.raises(DatasetError, match=rf"different shapes? of boxes (is|are) too few for {k} anchors?"):
            find_anchors(boxes, k, by=by, seed=seed)
        return
    found = find_anchors(boxes, k, by=by, seed=seed)
    assert found.sizes.shape == (k, 2)
    assert found.average_iou == average_iou(boxes, found.sizes)
    low, high = np.min(boxes, axis=0), np.max(boxes, axis=0)
    assert (found.sizes >= low * (1 - 1e-12)).all() and (found.sizes <= high * (1 + 1e-12)).all()
    again = find_anchors(boxes, k, by=by, seed=seed)
    assert np.array_equal(found.sizes, again.sizes)


def test_the_iou_does_not_depend_on_the_unit(voc: Shapes) -> None:
    some = voc.sizes[:2000]
    assert find_anchors(some / 13, 4).average_iou == pytest.approx(find_anchors(some, 4).average_iou, abs=1e-9)


def test_a_settled_centroid_is_the_mean_of_its_boxes(voc: Shapes) -> None:
    some = voc.sizes[:3000]
    sizes = find_anchors(some, 6).sizes
    shared = np.minimum(some[:, None], sizes).prod(axis=2)
    nearest = (shared / (some.prod(axis=1)[:, None] + sizes.prod(axis=1) - shared)).argmax(axis=1)
    for number, size in enumerate(sizes):
        assert size == pytest.approx(some[nearest == number].mean(axis=0), rel=1e-9)


def test_many_boxes_are_sampled_and_all_of_them_decide(voc: Shapes) -> None:
    boxes = np.tile(voc.sizes, (3, 1))
    assert find_anchors(boxes, 5, restarts=4).average_iou == pytest.approx(0.611, abs=0.003)


def test_the_curve_rises_and_ends_where_shapes_do() -> None:
    boxes = np.random.default_rng(1).uniform(1, 100, (12, 2))
    points = curve(boxes, range(1, 16))
    assert [k for k, _ in points] == list(range(1, 13))
    assert points[-1][1] == pytest.approx(1)
    values = [value for _, value in points]
    assert values == sorted(values)


@pytest.mark.parametrize(
    ("boxes", "k", "message"),
    [
        ([[1, 1]], 0, "expected 1 to 64 anchors, found 0"),
        ([[1, 1]], 65, "expected 1 to 64 anchors, found 65"),
        ([[1, 1]] * 9, 2, "1 different shape of boxes is too few for 2 anchors"),
        ([], 1, "0 different shapes of boxes are too few for 1 anchor"),
        ([[1, 0]], 1, "expected widths and heights above 0"),
        ([[1, float("nan")]], 1, "expected widths and heights above 0"),
    ],
)
def test_refusals(boxes: list[list[float]], k: int, message: str) -> None:
    with pytest.raises(DatasetError, match=message):
        find_anchors(boxes, k)


def test_the_line_for_a_cfg() -> None:
    sizes = [[42.3, 55.4], [102.17, 128.3]]
    assert cfg_line(sizes, 32) == "anchors = 1.32,1.73,  3.19,4.01"
    assert cfg_line(sizes, 1, 0) == "anchors = 42,55,  102,128"


def test_the_picture(voc: Shapes, tmp_path: Path) -> None:
    chosen = find_anchors(voc.sizes[:500], 3)
    points = {"by IoU": [(1, 0.3), (2, 0.5)], "theirs": [(3, 0.4)]}
    save_anchors_plot(tmp_path / "a.png", voc, chosen, points)
    save_anchors_plot(tmp_path / "a.svg", voc, chosen, points)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    for path, message in {"a.txt": "expected a name that ends in .png", "no/a.png": "cannot be written"}.items():
        with pytest.raises(DatasetError, match=message):
            save_anchors_plot(tmp_path / path, voc, chosen, points)
