"""The ways to score detections, by the name that `--metric` knows them under."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.evaluation.material import coco_files
from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.material.entries import Entries
from darknet_compat.evaluation.scores import coco, detector_map, imagenet, voc
from darknet_compat.evaluation.scores.average_precision import Interpolation
from darknet_compat.evaluation.scores.detector_map import MapSettings
from darknet_compat.formats.arrays import Ints


@dataclass(frozen=True, eq=False)
class Score:
    """What a metric says: `figures` by name, shares from 0 to 1 and None for what cannot be said, the first one being
    the headline; a table of classes, whose columns `headers` names; the whole as a `document` for JSON; and `counts` by
    name, where the metric has any."""

    metric: str
    figures: dict[str, float | None]
    headers: tuple[str, ...]
    rows: tuple[tuple[str | float | int | None, ...], ...]
    document: dict[str, Any]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def headline(self) -> float | None:
        """The figure to quote."""
        return next(iter(self.figures.values()))


@dataclass(frozen=True)
class Metric:
    """`as_scored` makes of a detector's boxes what the metric's result files hold; `score` takes those; `write` writes
    the files into a folder and `read` reads them, from that folder or the file itself; `expect_writable` raises
    DatasetError, before anything is detected, where they cannot hold the pictures or classes."""

    title: str
    as_scored: Callable[[Found, Ints], Found]
    score: Callable[[Found, Truths, Sequence[str]], Score]
    write: Callable[[Path, Found, Entries, Ints], list[Path]]
    read: Callable[[Path, Entries], Found]
    expect_writable: Callable[[Entries], None] = lambda entries: None


def _voc(metric: str, form: Interpolation, found: Found, truths: Truths, names: Sequence[str]) -> Score:
    scores = voc.score(found, truths, names, form=form)
    rows = tuple((one.name, one.average_precision, one.positives, one.detections) for one in scores.classes)
    return Score(metric, {"mAP": scores.mean}, ("class", "AP", "objects", "detections"), rows, scores.to_dict())


def _coco(found: Found, truths: Truths, names: Sequence[str]) -> Score:
    scores = coco.score(found, truths, names)
    objects = np.bincount(truths.classes[~truths.crowd], minlength=len(names)).tolist()
    rows = tuple((name, *scores.class_precision(number), objects[number]) for number, name in enumerate(scores.names))
    return Score("coco", scores.figures, ("class", "AP", "AP50", "objects"), rows, scores.to_dict())


def _det(found: Found, truths: Truths, names: Sequence[str]) -> Score:
    theirs = len(names) == 200  # of other classes nobody has said which are COCO's
    shared = imagenet.shared_with_coco() if theirs else np.zeros(len(names), bool)
    scores = imagenet.score(found, truths, names, shared)
    figures = {"mAP": scores.mean()}
    if theirs:
        figures |= {"mAP, boxes in COCO": scores.mean(shared), "mAP, no boxes in COCO": scores.mean(~shared)}
    rows = tuple(
        (
            one.name,
            one.average_precision,
            one.positives,
            one.detections,
            *(("yes" if known else "no",) if theirs else ()),
        )
        for one, known in zip(scores.by_class.classes, shared, strict=True)
    )
    headers = ("class", "AP", "objects", "detections", *(("in COCO",) if theirs else ()))
    return Score("det", figures, headers, rows, scores.to_dict())


def _map(settings: MapSettings, found: Found, truths: Truths, names: Sequence[str]) -> Score:
    scores = detector_map.score(found, truths, names, settings)
    rows = tuple((one.name, one.average_precision, one.true, one.false, one.objects) for one in scores.classes)
    counts = {"true positives": scores.true, "false positives": scores.false, "missed": scores.missed}
    return Score("map", scores.figures, ("class", "AP", "TP", "FP", "objects"), rows, scores.to_dict(), counts)


def _as_found(found: Found, sizes: Ints) -> Found:
    """As the detector gives them: the fork scores what it detects, without a file in between."""
    return found


def _write_voc(folder: Path, found: Found, entries: Entries, sizes: Ints) -> list[Path]:
    return voc.write_results(folder, found, entries.ids, sizes, entries.names)


def _read_voc(path: Path, entries: Entries) -> Found:
    return voc.read_results(path, entries.ids, entries.names)


def _expect_voc(entries: Entries) -> None:
    voc.expect_writable(entries.ids, entries.names)


def _image_ids(entries: Entries) -> list[int]:
    return [row.image_id for row in entries.rows]


def _category_ids(entries: Entries) -> tuple[int, ...]:
    """COCO's own for its data and for 80 classes; else the classes counted from 1."""
    if entries.category_ids is not None:
        return entries.category_ids
    count = len(entries.names)
    return coco_files.CATEGORIES if count == len(coco_files.CATEGORIES) else tuple(range(1, count + 1))


def _write_coco(folder: Path, found: Found, entries: Entries, sizes: Ints) -> list[Path]:
    path = folder / coco_files.RESULTS
    coco_files.write_results(path, found, _image_ids(entries), sizes, _category_ids(entries))
    return [path]


def _read_coco(path: Path, entries: Entries) -> Found:
    path = path / coco_files.RESULTS if path.is_dir() else path
    return coco_files.read_results(path, _image_ids(entries), _category_ids(entries))


def _write_det(folder: Path, found: Found, entries: Entries, sizes: Ints) -> list[Path]:
    imagenet.write_results(folder / imagenet.RESULTS, found, sizes)
    return [folder / imagenet.RESULTS]


def _read_det(path: Path, entries: Entries) -> Found:
    path = path / imagenet.RESULTS if path.is_dir() else path
    return imagenet.read_results(path, len(entries), len(entries.names))


METRICS: dict[str, Metric] = {
    "voc": Metric("VOC, area", voc.as_scored, partial(_voc, "voc", "area"), _write_voc, _read_voc, _expect_voc),
    "voc07": Metric(
        "VOC 2007, 11 points", voc.as_scored, partial(_voc, "voc07", "11-point"), _write_voc, _read_voc, _expect_voc
    ),
    "coco": Metric("COCO", Found.clipped, _coco, _write_coco, _read_coco),
    "map": Metric("detector map", _as_found, partial(_map, MapSettings()), _write_coco, _read_coco),
    "det": Metric("ImageNet DET", imagenet.as_scored, _det, _write_det, _read_det),
}


def metric_of(name: str, settings: MapSettings | None = None) -> Metric:
    """The metric of this name; `settings` are those of "map"."""
    metric = METRICS[name]
    return replace(metric, score=partial(_map, settings)) if name == "map" and settings else metric


def usual_metric(source: str | Path, entries: Entries) -> str:
    """The metric that goes with the data: COCO's for its files, 11 points for VOC2007, DET's for its 200 classes."""
    if entries.category_ids is not None:
        return "coco"
    if len(entries.names) == 200:
        return "det"
    return "voc07" if Path(source).name == "VOC2007" else "voc"
