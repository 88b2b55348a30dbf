"""Speed against accuracy: one model at several sizes and on several backends (paper, Table 3 and Figure 4)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from darknet_compat.datasets.base import CountProgress
from darknet_compat.errors import DarknetCompatError, DatasetError, ImageError
from darknet_compat.evaluation.material.entries import Entries
from darknet_compat.evaluation.report import plots
from darknet_compat.evaluation.report.report import percent
from darknet_compat.evaluation.run.evaluated import EvaluatedModel, results_of
from darknet_compat.evaluation.scores.metrics import METRICS
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.page import image, section, table, write_page
from darknet_compat.formats.textfile import count
from darknet_compat.inference.batch import Prepared, prepare
from darknet_compat.inference.detector import Detector
from darknet_compat.runtime.machine import machine
from darknet_compat.runtime.timing import interleaved
from darknet_compat.vision.image import decode

TIMED = 16
"""Pictures that are timed, in turn at every size and backend."""


@dataclass(frozen=True)
class Point:
    """A size and backend: the headline figure, None where nothing is to find; milliseconds for a picture in the network
    and from the decoded picture to detections, medians; or why it could not be run."""

    backend: str
    width: int
    height: int
    score: float | None = None
    network_ms: float | None = None
    picture_ms: float | None = None
    problem: str = ""

    @property
    def fps(self) -> float | None:
        """Pictures a second through the network, as the paper counts."""
        return 1000 / self.network_ms if self.network_ms else None


def measure(
    evaluated: EvaluatedModel,
    variants: Sequence[tuple[str, tuple[int, int]]],
    entries: Entries,
    metric: str,
    batch: int,
    progress: Callable[[str], CountProgress],
) -> list[Point]:
    """Score every variant (backend, size), then time all of them in turn, one picture at a time."""
    points: list[Point] = []
    ready: list[tuple[int, Detector]] = []
    for backend, size in variants:
        point = Point(backend, *size)
        varied = replace(evaluated, backend=backend, size=size)
        try:
            detector = varied.detector()
            results = results_of(varied, detector, entries, batch, progress(varied.label))
            found = METRICS[metric].as_scored(results.found, results.sizes)
            score = METRICS[metric].score(found, results.truths, entries.names)
            ready.append((len(points), detector))
            point = replace(point, score=score.headline)
        except DarknetCompatError as error:
            point = replace(point, problem=str(error))
        points.append(point)
    for number, network, picture in _time(ready, entries):
        points[number] = replace(points[number], network_ms=network, picture_ms=picture)
    return points


def _time(ready: Sequence[tuple[int, Detector]], entries: Entries) -> Iterator[tuple[int, float, float]]:
    """(number, milliseconds in the network, milliseconds from pixels to detections) of each."""
    pictures = []
    for row in itertools.islice(itertools.cycle(entries.rows), 4 * TIMED):
        try:
            pictures.append(decode(row.image)[..., ::-1].copy())
        except ImageError:
            continue
        if len(pictures) == TIMED:
            break
    if not pictures:
        return
    tasks: dict[str, Callable[[], None]] = {}
    for number, detector in ready:
        fitted = [prepare(picture, detector.runtime.description) for picture in pictures]
        tasks[f"network {number}"] = _network_task(detector, fitted)
        tasks[f"picture {number}"] = _picture_task(detector, pictures)
    timed = interleaved(tasks, runs=TIMED)
    for number, _ in ready:
        yield number, 1000 * timed[f"network {number}"].median, 1000 * timed[f"picture {number}"].median


def _network_task(detector: Detector, fitted: Sequence[Prepared]) -> Callable[[], None]:
    turn = itertools.cycle(fitted)

    def run() -> None:
        detector.runtime.infer(next(turn).pixels[None], detector.thresh)

    return run


def _picture_task(detector: Detector, pictures: Sequence[Any]) -> Callable[[], None]:
    turn = itertools.cycle(pictures)

    def run() -> None:
        detector(next(turn))

    return run


HEADERS = ("backend", "size", "mAP", "pictures/s", "network", "picture")


def cells(point: Point) -> tuple[str, ...]:
    """A row of the table under HEADERS."""
    if point.problem:
        return point.backend, f"{point.width} x {point.height}", point.problem, "", "", ""
    times = (f"{value:.1f} ms" if value else "" for value in (point.network_ms, point.picture_ms))
    fps = f"{point.fps:.1f}" if point.fps else ""
    return point.backend, f"{point.width} x {point.height}", percent(point.score), fps, *times


def document(evaluated: EvaluatedModel, entries: Entries, metric: str, points: Sequence[Point]) -> dict[str, Any]:
    """Plain values, for JSON."""
    rows = [asdict(point) | {"pictures_per_second": point.fps} for point in points]
    about = {"model": Path(evaluated.model).name, "data": entries.title, "metric": metric, "pictures": len(entries)}
    return about | {"machine": machine(), "thresh": evaluated.thresh, "points": rows}


def write(
    folder: Path, evaluated: EvaluatedModel, entries: Entries, metric: str, points: Sequence[Point]
) -> list[Path]:
    """Write the table as JSON, the figure as PNG, and both as a page. Raises DatasetError."""
    series: dict[str, list[tuple[float, float, str]]] = {}
    for point in points:
        if point.fps and point.score is not None:
            label = str(point.width) if point.width == point.height else f"{point.width}x{point.height}"
            series.setdefault(point.backend, []).append((point.fps, 100 * point.score, label))
    figure = plots.trade_off(series)
    plain = document(evaluated, entries, metric, points)
    paths = [folder / name for name in ("sizes.json", "sizes.png", "sizes.html")]
    for path, data in zip(paths[:2], (json.dumps(plain, indent=1).encode(), figure), strict=True):
        with atomic_write(path, DatasetError) as file:
            file.write(data)
    rows = table(HEADERS, [cells(point) for point in points], left=("backend",))
    caption = "One picture at a time; medians of runs in turn."
    parts = [section("Speed against accuracy", image(figure, caption, width=640), rows)]
    about = f"{METRICS[metric].title}, {count(len(entries), 'picture')} of {entries.title}; {plain['machine']}"
    write_page(paths[2], f"{plain['model']} at several sizes", about, parts, DatasetError)
    return paths
