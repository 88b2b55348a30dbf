"""VOC's average precision against pycocotools and against plain readings of its definition."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material.columns import Found, Truths, to_corners
from darknet_compat.evaluation.scores import voc
from darknet_compat.evaluation.scores.average_precision import Curve, average_precision
from darknet_compat.inference.detector import Detector
from tests.evaluation.making import random_results
from tests.evaluation.scores.test_coco import official

NAMES = ["a", "b", "c", "d", "e"]


def overlap(a: list[float], b: list[float]) -> float:
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    shared = width * height if width > 0 and height > 0 else 0.0
    return shared / (a[2] * a[3] + b[2] * b[3] - shared) if shared else 0.0


def plain(found: Found, truths: Truths, kind: int, eleven: bool) -> float | None:
    """The definition read line by line: one class, one detection after another."""
    objects = [
        {"image": int(truths.images[i]), "box": truths.boxes[i].tolist(), "taken": False,
         "neither": bool(truths.difficult[i] or truths.crowd[i])}
        for i in range(len(truths)) if truths.classes[i] == kind
    ]  # fmt: skip
    total = sum(not one["neither"] for one in objects)
    if not total:
        return None
    rows = [i for i in range(len(found)) if found.classes[i] == kind]
    rows.sort(key=lambda i: (-found.scores[i], found.images[i]))  # sort is stable
    hits, points = 0, []
    counted = 0
    for i in rows:
        best, least = None, 0.0
        for one in objects:
            if one["image"] == found.images[i]:
                met = overlap(found.boxes[i].tolist(), one["box"])
                if met > least:
                    best, least = one, met
        if best is not None and least >= 0.5:
            if best["neither"]:
                continue
            hits += not best["taken"]
            best["taken"] = True
        counted += 1
        points.append((hits / total, hits / counted))
    if eleven:
        levels = [0.1 * step for step in range(11)]
        return sum(max((p for r, p in points if r >= level), default=0.0) for level in levels) / 11
    area, last = 0.0, 0.0
    for place, (recall, _) in enumerate(points):
        area += (recall - last) * max(p for _, p in points[place:])
        last = recall
    return area


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("form", ["area", "11-point"])
def test_equal_to_the_definition(seed: int, form: str) -> None:
    found, truths = random_results(seed)
    scores = voc.score(found, truths, NAMES, form=form)  # type: ignore[arg-type]
    for kind, one in enumerate(scores.classes):
        expected = plain(found, truths, kind, form == "11-point")
        assert one.average_precision == pytest.approx(expected, abs=1e-9)
    assert scores.classes[4].average_precision is None and scores.classes[3].average_precision == 0
    known = [one.average_precision for one in scores.classes[:4]]
    assert scores.mean == pytest.approx(np.mean(known)) and max(known) > 0.05


def official_areas(found: Found, truths: Truths, scores: voc.VocScores, pictures: int) -> list[float]:
    """pycocotools with VOC's settings, for each class that has objects: one threshold, any number of detections, IoU
    of the plain kind also with what counts neither way, and every recall that can occur as a level."""
    evaluation = pytest.importorskip("pycocotools.cocoeval")
    mask = pytest.importorskip("pycocotools.mask")

    class Voc(evaluation.COCOeval):  # type: ignore[misc]
        def computeIoU(self, image: int, category: int) -> object:
            truths, found = self._gts[image, category], self._dts[image, category]
            if not truths or not found:
                return []
            found = [found[i] for i in np.argsort([-one["score"] for one in found], kind="mergesort")]
            return mask.iou([one["bbox"] for one in found], [one["bbox"] for one in truths], [0] * len(truths))

    names = [one.name for one in scores.classes]
    base = official(found, truths, pictures, names)  # whose annotations mark what counts neither way as crowds
    areas = []
    for kind, one in enumerate(scores.classes):
        if not one.positives:
            continue
        evaluator = Voc(base.cocoGt, base.cocoDt, "bbox")
        evaluator.params.iouThrs, evaluator.params.maxDets = np.array([0.5]), [10_000]
        evaluator.params.areaRng, evaluator.params.areaRngLbl = [[0, 1e10]], ["all"]
        evaluator.params.catIds = [kind + 1]
        evaluator.params.recThrs = np.arange(1, one.positives + 1) / one.positives
        with contextlib.redirect_stdout(io.StringIO()):
            evaluator.evaluate()
            evaluator.accumulate()
        areas.append(float(evaluator.eval["precision"].mean()))
    return areas


def areas_of(scores: voc.VocScores) -> list[float | None]:
    return [one.average_precision for one in scores.classes if one.positives]


@pytest.mark.parametrize("seed", range(6))
def test_area_equal_to_pycocotools(seed: int) -> None:
    found, truths = random_results(seed)
    scores = voc.score(found, truths, NAMES, rule="free")
    assert areas_of(scores) == pytest.approx(official_areas(found, truths, scores, 12), abs=1e-9)


def test_real_detections(photos: list[Path], shared_data: Path) -> None:
    """One trained detector's answers to photographs, scored by another's as if they were annotated: by both rules."""
    found, objects = (
        Detector(f"{shared_data}/models/{model}/{model}.cfg", thresh=thresh)(list(photos))
        for model, thresh in (("yolo-lite-coco", 0.005), ("yolo-fastest-1.1", 0.2))
    )
    detections = Found.from_detections(found)
    other = Found.from_detections(objects)
    truths = Truths.of(other.images, other.classes, other.boxes, None, other.scores < 0.25)
    names = [str(number) for number in range(80)]
    free = voc.score(detections, truths, names, rule="free")
    assert len(detections) > 500 and len(areas_of(free)) > 5 and 0.2 < (free.mean or 0) < 0.9
    assert areas_of(free) == pytest.approx(official_areas(detections, truths, free, len(photos)), abs=1e-9)
    for form in ("area", "11-point"):
        scores = voc.score(detections, truths, names, form=form)  # type: ignore[arg-type]
        expected = [plain(detections, truths, kind, form == "11-point") for kind in range(80)]
        assert areas_of(scores) == pytest.approx([value for value in expected if value is not None], abs=1e-9)


def test_the_rules_differ_only_where_a_detection_overlaps_two_objects() -> None:
    objects = Truths.of([0, 0], [0, 0], [[0, 0, 10, 10], [2, 0, 10, 10]])
    found = Found.of([0, 0], [0, 0], [[0, 0, 10, 10], [0.5, 0, 10, 10]], [0.9, 0.8])
    assert voc.score(found, objects, ["a"], rule="best").mean == 0.5
    assert voc.score(found, objects, ["a"], rule="free").mean == 1


@given(st.lists(st.booleans(), min_size=1, max_size=60), st.integers(0, 20))
def test_both_forms_lie_between_none_and_all(hits: list[bool], missed: int) -> None:
    true = np.array(hits)
    positives = int(true.sum()) + missed
    counts = np.cumsum(true)
    points = Curve(
        counts / max(positives, 1), counts / np.arange(1, len(true) + 1), np.linspace(1, 0, len(true)), positives
    )
    for form in ("area", "11-point"):
        value = average_precision(points, form)
        assert value is None if not positives else 0 <= value <= 1  # type: ignore[operator]


def test_files_are_the_originals(tmp_path: Path) -> None:
    """1-based, cut to the picture, a line a detection."""
    found = Found.of([0, 1, 0], [0, 1, 0], [[-3, 4.5, 10, 20], [90, 0, 30, 10], [1, 2, 3, 4]], [0.5, 0.25, 0.125])
    sizes = np.array([[100, 50], [100, 50]])
    voc.write_results(tmp_path, found, ["one", "two"], sizes, ["a", "b"])
    assert (tmp_path / "comp4_det_test_a.txt").read_text() == (
        "one 0.500000 1.000000 5.500000 8.000000 25.500000\none 0.125000 2.000000 3.000000 5.000000 7.000000\n"
    )
    assert (tmp_path / "comp4_det_test_b.txt").read_text() == "two 0.250000 91.000000 1.000000 100.000000 11.000000\n"
    again = voc.read_results(tmp_path, ["one", "two"], ["a", "b"])
    assert again.images.tolist() == [0, 0, 1]
    order = [0, 2, 1]
    assert to_corners(again.boxes) == pytest.approx(to_corners(voc.as_scored(found, sizes).boxes[order]), abs=1e-6)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("one 0.5 1 2 3", r"_a.txt:1: expected id score"),
        ("one 0.5 1 2 3 nan", r"_a.txt:1: expected id score"),
        ("two 0.5 1 2 3 4", r"_a.txt:1: 'two' is no picture"),
    ],
)
def test_files_that_are_none(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "comp4_det_test_a.txt").write_text(line + "\n")
    with pytest.raises(DatasetError, match=message):
        voc.read_results(tmp_path, ["one"], ["a"])
    with pytest.raises(DatasetError, match="cannot be read"):
        voc.read_results(tmp_path, ["one"], ["b"])


def test_classes_of_one_name_have_files_of_their_own(tmp_path: Path) -> None:
    found = Found.of([0, 0], [0, 2], [[1, 2, 3, 4]] * 2, [0.5, 0.25])
    names = ["crane", "dog", "crane"]
    paths = voc.write_results(tmp_path, found, ["x"], np.array([[50, 50]]), names)
    assert [path.name for path in paths] == [f"comp4_det_test_{name}.txt" for name in ("crane", "dog", "crane-2")]
    again = voc.read_results(tmp_path, ["x"], names)
    assert again.classes.tolist() == [0, 2] and again.scores.tolist() == [0.5, 0.25]


def test_no_file_leaves_the_folder_and_no_id_breaks_a_line(tmp_path: Path) -> None:
    nothing = Found.of([], [], [], [])
    with pytest.raises(DatasetError, match="result file"):
        voc.write_results(tmp_path, nothing, [], np.zeros((0, 2), np.int64), ["../x"])
    for id in ("a\nb", " a", ""):
        with pytest.raises(DatasetError, match="cannot hold a picture's name"):
            voc.write_results(tmp_path, nothing, [id], np.zeros((1, 2), np.int64), ["x"])
    assert not list(tmp_path.iterdir())


def test_names_with_blanks_are_read_back(tmp_path: Path) -> None:
    found = Found.of([0, 1], [0, 0], [[1, 2, 3, 4]] * 2, [0.5, 0.25])
    ids = ["my photo (1) 7", "b/p0"]
    voc.write_results(tmp_path, found, ids, np.array([[50, 50]] * 2), ["x"])
    assert voc.read_results(tmp_path, ids, ["x"]).images.tolist() == [0, 1]
    (tmp_path / "comp4_det_test_x.txt").write_text("p0 0.5 1 2 3 4\n")
    with pytest.raises(DatasetError, match=r"'p0' is no picture of the data; several have that name .* b/p0"):
        voc.read_results(tmp_path, ids, ["x"])


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "a\0", "\x1b[2J", "a\nb", "\x7f", "\u202efed", "\u2028"])
def test_names_that_no_file_should_have(name: str, tmp_path: Path) -> None:
    found, sizes = Found.of([], [], [], []), np.zeros((0, 2), np.int64)
    with pytest.raises(DatasetError, match="a class of this name cannot have a result file; give other --names"):
        voc.write_results(tmp_path, found, [], sizes, ["cat", name])
    assert not list(tmp_path.iterdir())
    voc.write_results(tmp_path, found, [], sizes, ["traffic light", "собака", "\udcb9\udcb7"])
    assert len(list(tmp_path.iterdir())) == 3
