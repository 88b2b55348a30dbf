"""Scoring from Python: one options value, one function, one progress callable."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import darknet_compat as dc
from darknet_compat.errors import OptionError
from darknet_compat.evaluation import job
from darknet_compat.inference.progress import Counted, Loading, Opened
from tests.cli.support import CLASSIFIER, DETECTOR, paint, write_toy


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    toy = write_toy(tmp_path, "toy", DETECTOR, [0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, -2, 0, 8])
    toy.cfg.with_suffix(".names").write_text("cat\ndog\n")
    for number in range(2):
        paint(tmp_path / f"{number}.png", 32, 32)
        (tmp_path / f"{number}.txt").write_text(f"{number} 0.5 0.5 1 1\n")
    listed = tmp_path / "all.txt"
    listed.write_text("".join(f"{tmp_path / f'{number}.png'}\n" for number in range(2)))
    return {"model": str(toy.cfg), "data": str(listed)}


def test_scores_by_keywords_and_by_a_value(data: dict[str, Any], tmp_path: Path) -> None:
    seen: list[job.EvaluationEvent] = []
    scored = dc.evaluate(**data, out=tmp_path / "out", progress=seen.append)
    assert isinstance(scored, job.Scored)
    assert scored.complete
    assert 0 < (scored.figures["mAP"] or 0) <= 1
    assert {type(event) for event in seen} == {Loading, Opened, Counted}
    assert tmp_path / "out" / "scores.json" in scored.files
    again = dc.evaluate(dc.EvaluateOptions(**data))
    assert isinstance(again, job.Scored)
    assert again.figures == scored.figures


def test_the_forks_page_of_figures(data: dict[str, Any], tmp_path: Path) -> None:
    """A cat of 0.94 that fills both pictures: right where the cat is, false where the dog is."""
    scored = dc.evaluate(**data, metric="map", out=tmp_path / "out")
    assert isinstance(scored, job.Scored)
    assert dict(scored.score.counts) == {"true positives": 1, "false positives": 1, "missed": 1}
    assert scored.figures["precision"] == scored.figures["recall"] == 0.5
    # The cat is the best in its picture. The dog's own boxes, of 0.12, are a quarter of it; of the large boxes,
    # which call it a dog with 0.05, the one in its picture comes fourth.
    assert scored.figures["mAP"] == pytest.approx((1 + 1 / 4) / 2)
    lower = dc.evaluate(**data, metric="map", conf=0.01, iou_thresh=0.2, points=11)
    assert isinstance(lower, job.Scored)
    assert lower.score.counts["missed"] == 0


@pytest.mark.parametrize(
    ("words", "spared"),
    [
        ("", 1),
        ("nms_kind=cornersnms", 1),
        ("nms_kind=greedynms\nbeta_nms=50", 2),
        ("nms_kind=diounms", 2),
        ("nms_kind=diounms\nbeta_nms=50", 1),
    ],
)
@pytest.mark.parametrize("exported", [False, True])
def test_suppression_is_of_the_heads_kind(
    words: str, spared: int, exported: bool, data: dict[str, Any], tmp_path: Path
) -> None:
    """Two cats of a picture's size each, 0.905 of it apart: IoU 0.095/1.905 = 0.05; distance over diagonal, squared,
    0.819/4.63 = 0.177: 0.35 to the power of 0.6, greedynms' own, and 0 to that of 50. Beyond 0.04 the second goes."""
    biases = [-3, 0, 0, 0, 4, 5, 0, 3, 0, 0.6931472, 0.6931472, 4, 5, 0]
    toy = write_toy(tmp_path, "toy", f"{DETECTOR}{words}\n", biases)
    model = toy.cfg
    if exported:
        model = tmp_path / "toy.onnx"
        dc.export_onnx(dc.load_network(toy.cfg, toy.weights), model, names=("cat", "dog"))
    scored = dc.evaluate(model=str(model), data=data["data"], metric="map", nms=0.04)
    assert isinstance(scored, job.Scored)
    counts = scored.score.counts
    assert counts["true positives"] + counts["false positives"] == 2 * spared


@pytest.mark.parametrize(("dialect", "misses"), [("original", 1), ("fork", 0)])
def test_labels_lie_where_the_dialect_has_them(dialect: Any, misses: int, tmp_path: Path) -> None:
    """Of a picture with two files of labels the original takes the one in `labels`, the fork the one beside it."""
    toy = write_toy(tmp_path, "toy", DETECTOR, [0, 0, 0, 0, 4, 5, 0, 0, 0, 0, 0, -2, 0, 8])
    toy.cfg.with_suffix(".names").write_text("cat\ndog\n")
    picture = paint(tmp_path / "images" / "a.png", 32, 32)
    picture.with_suffix(".txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 1 1\n")
    (tmp_path / "all.txt").write_text("images/a.png\n")
    scored = dc.evaluate(model=str(toy.cfg), data=str(tmp_path / "all.txt"), metric="map", dialect=dialect)
    assert isinstance(scored, job.Scored)
    assert scored.score.counts["missed"] == misses


def test_the_other_kinds_of_work(data: dict[str, Any], tmp_path: Path) -> None:
    reached = dc.evaluate(**data, metric="recall")
    assert isinstance(reached, job.Reached)
    assert reached.recall.objects == 2
    compared = dc.evaluate(**data, against=data["model"])
    assert isinstance(compared, job.Compared)
    assert compared.comparison.agreement.share == 1
    classifier = write_toy(tmp_path, "classes", CLASSIFIER, [0, 1, 2])
    for name in ("a", "b", "c"):
        paint(tmp_path / "folders" / name / "0.png")
    (tmp_path / "abc.names").write_text("a\nb\nc\n")
    names = tmp_path / "abc.names"
    classified = dc.evaluate(model=str(classifier.cfg), data=str(tmp_path / "folders"), names=names)
    assert isinstance(classified, job.Classified)
    assert classified.scores.top1 == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"metric": "best"}, "metric: expected one of auto, voc, voc07, coco, det, map, recall, found 'best'"),
        ({"against": "x", "sizes": 416}, "--against and --sizes do not go together"),
        ({"points": 11}, "points: goes with --metric map"),
        ({"metric": "map", "points": 1}, "points: expected 0, or 2 or more"),
        ({"metric": "map", "iou_thresh": 2}, "iou_thresh: expected"),
        ({"metric": "map", "sizes": 416}, "metric: map goes with neither"),
        ({"backends": ["torch"]}, "backends: needs --sizes"),
        ({"against": "yolov2-voc", "metric": "recall"}, "metric: --against compares voc"),
    ],
)
def test_wrong_options(more: dict[str, Any], message: str, data: dict[str, Any]) -> None:
    if more.get("against") == "yolov2-voc":
        more = more | {"against": data["model"]}
    with pytest.raises(OptionError, match=message):
        dc.evaluate(**data | more)
