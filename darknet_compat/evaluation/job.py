"""Scoring a model as one piece of work: from an options value to figures, with a report where one is asked for.

import darknet_compat as dc

scored = dc.evaluate(model="yolov2-voc", data="VOCdevkit/VOC2007")
scored.figures["mAP"]
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from darknet_compat.catalogue.locate import locate
from darknet_compat.cluster.evaluate import answers_of_cluster
from darknet_compat.datasets.options import Reading
from darknet_compat.errors import DatasetError, OptionError
from darknet_compat.evaluation.compare import against, tradeoff
from darknet_compat.evaluation.material.entries import LOSING, Entries, Problem, read_entries
from darknet_compat.evaluation.options import EvaluateOptions
from darknet_compat.evaluation.run.detections import Results, matched_classes, open_for, stated_sizes
from darknet_compat.evaluation.run.evaluated import EvaluatedModel, entries_for, results_of
from darknet_compat.evaluation.scores import classification
from darknet_compat.evaluation.scores.detector_map import MapSettings
from darknet_compat.evaluation.scores.metrics import METRICS, Score, metric_of, usual_metric
from darknet_compat.evaluation.scores.recall import Recall, recalls
from darknet_compat.formats.atomic import atomic_write, results_folder
from darknet_compat.inference.about import task_of
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.progress import Counted, Loading, Noted, Opened, Progress, counting, fetching, silent
from darknet_compat.options import made
from darknet_compat.vision.header import limited_pixels

EvaluationEvent = Loading | Opened | Counted | Noted


@dataclass(frozen=True)
class Evaluated:
    """What an evaluation says: the `label` of the model, the `title` of the data, the whole as a `document` of plain
    values, `problems` a line each, the `files` written. Not `complete` where a picture could not be used."""

    label: str
    title: str
    document: dict[str, Any]
    problems: tuple[str, ...]
    complete: bool
    files: tuple[Path, ...] = field(default=(), kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return self.document | {"files": [str(path) for path in self.files]}


@dataclass(frozen=True)
class Scored(Evaluated):
    """A detector's score on `pictures` with so many `detections`."""

    score: Score
    pictures: int
    detections: int

    @property
    def figures(self) -> dict[str, float | None]:
        """The figures by name, shares from 0 to 1."""
        return self.score.figures


@dataclass(frozen=True)
class Compared(Evaluated):
    """Two detectors on the same pictures."""

    comparison: against.Comparison
    metric: str


@dataclass(frozen=True)
class Traded(Evaluated):
    """A detector at several sizes and on several backends."""

    points: tuple[tradeoff.Point, ...]
    metric: str


@dataclass(frozen=True)
class Reached(Evaluated):
    """How many objects a detector's boxes reach, as `detector recall`."""

    recall: Recall


@dataclass(frozen=True)
class Classified(Evaluated):
    """Top-1 and top-5, and what a WordTree gets right at each level."""

    scores: classification.ClassificationScores
    view: str


def evaluate(
    options: EvaluateOptions | None = None, *, progress: Progress[EvaluationEvent] | None = None, **given: Any
) -> Evaluated:
    """Score a model on labelled pictures (original: `detector valid` and `recall`, `classifier valid`).

    Takes an `EvaluateOptions` or its fields as keyword arguments: `evaluate(model="yolov2-voc", data="VOC2007")`. Gives
    `Scored` for a detector, `Compared` with `against`, `Traded` with `sizes`, `Reached` with metric "recall", and
    `Classified` for a classifier. `progress` is called with each event. What was detected once is not detected again.

    Raises OptionError for options that cannot be, other DarknetCompatErrors, one line, for what is missing or wrong.
    """
    options = made(EvaluateOptions, options, given)
    with limited_pixels(options.max_pixels):
        return _evaluated(options, _Work(options, progress or silent))


def _evaluated(options: EvaluateOptions, work: _Work) -> Evaluated:
    """The one kind of evaluation that is asked for."""
    if options.out is not None:
        results_folder(options.out)
    model = str(options.model)
    if task_of(locate(model, options.weights, progress=fetching(work.tell, model)).cfg) == "classify":
        if options.against or options.sizes or options.results_from or options.metric != "auto":
            raise OptionError(f"{model} classifies; --metric and comparisons are for detectors")
        if options.engine == "ray":
            raise OptionError(f"{model} classifies; ray is for detectors", "engine")
        return work.classify()
    if options.sizes:
        return work.trade(options.sizes, options.backends or (options.backend,))
    if options.against:
        return work.compare(options.against)
    if options.metric == "recall":
        return work.reach()
    return work.score_files(options.results_from) if options.results_from else work.score()


class _Work:
    """The kinds of evaluation."""

    def __init__(self, options: EvaluateOptions, tell: Progress[EvaluationEvent]) -> None:
        self.options, self.tell = options, tell
        names = EvaluatedModel.__dataclass_fields__.keys()
        self.evaluated = EvaluatedModel(**{name: getattr(options, name) for name in names})

    def score(self) -> Scored:
        """Score what the detector finds."""
        detector = self._detector(self.evaluated)
        entries = self._entries(detector)
        metric = metric_of(self._metric(entries), self._settings)
        if self.options.out:
            metric.expect_writable(entries)
        results = self._results(self.evaluated, detector, entries)
        score = metric.score(metric.as_scored(results.found, results.sizes), results.truths, entries.names)
        if results.dropped:
            room = f"had no room for {results.dropped:,} candidates; a higher --thresh leaves fewer"
            self.tell(Noted(f"{self.evaluated.label}: {room}"))
        written = []
        if self.options.out:
            from darknet_compat.evaluation.report.report import write_report

            written = metric.write(self.options.out, results.found, entries, results.sizes)
            page = self.options.out / "report.html"
            written.append(write_report(page, self.evaluated.label, results, score, detector))
        return self._scored(entries, score, results.problems, len(results.found), written)

    def score_files(self, path: Path) -> Scored:
        """Score detections that somebody has written down."""
        entries = self._entries(self._detector(self.evaluated))
        metric = metric_of(self._metric(entries), self._settings)
        found = metric.read(path, entries)
        sizes, problems = stated_sizes(entries)
        score = metric.score(found, entries.truths(sizes), entries.names)
        return self._scored(entries, score, problems, len(found), [])

    def compare(self, model: str) -> Compared:
        """Score another model on the same pictures; what is not said of it is as for the first."""
        options, label = self.options, self.evaluated.label
        same = model == options.model and options.against_weights is None
        evaluated = replace(
            self.evaluated,
            model=model,
            weights=options.weights if same else options.against_weights,
            backend=options.against_backend,
            precision=options.against_precision,
        )
        first, second = self._detector(self.evaluated), self._detector(evaluated)
        if first.names != second.names:
            raise DatasetError(f"{evaluated.label}: has other classes than {label}; name them with --names")
        entries = self._entries(first)
        metric = self._metric(entries, "--against")
        pair = self._results(self.evaluated, first, entries), self._results(evaluated, second, entries)
        found = against.compare((label, evaluated.label), pair, metric)
        document = {"data": entries.title, "metric": metric, "pictures": len(entries)} | found.to_dict()
        written = [against.write_comparison(options.out / "against.html", found)] if options.out else []
        lines, complete = _lines(pair[0].problems)
        return Compared(label, entries.title, document, lines, complete, found, metric, files=tuple(written))

    def trade(self, sizes: Sequence[tuple[int, int]], backends: Sequence[str]) -> Traded:
        """Score and time the model at several sizes and on several backends."""
        entries = self._entries(self._detector(self.evaluated))
        metric = self._metric(entries, "--sizes")
        variants = [(backend, (size[0], size[1])) for backend in backends for size in sizes]
        points = tradeoff.measure(
            self.evaluated, variants, entries, metric, self.options.batch, lambda label: counting(self.tell, label)
        )
        out = self.options.out
        written = tradeoff.write(out, self.evaluated, entries, metric, points) if out else []
        document = tradeoff.document(self.evaluated, entries, metric, points)
        lines, complete = _lines(entries.problems)
        complete = complete and not any(point.problem for point in points)
        label, title = self.evaluated.label, entries.title
        return Traded(label, title, document, lines, complete, tuple(points), metric, files=tuple(written))

    def reach(self) -> Reached:
        """How many objects the detector's boxes reach."""
        detector = self._detector(self.evaluated)
        entries = self._entries(detector)
        total, failed = Recall(), []
        missing = {problem.entry for problem in entries.problems if problem.kind == "missing"}
        count = counting(self.tell, "pictures")
        rows = zip(entries.rows, recalls(detector, entries, self.options.batch), strict=True)
        for done, (row, one) in enumerate(rows, start=1):
            if isinstance(one, Failure):
                if row.number + 1 not in missing:
                    failed.append(f"entry {row.number + 1}: {one.error}; its objects count as not found")
                one = Recall(1, int(row.labels.is_drawn.sum()))
            total += one
            count(done, len(entries))
        lines, complete = _lines(entries.problems, failed)
        label, title = self.evaluated.label, entries.title
        document = {"model": label, "data": title, "recall": total.to_dict() | {"problems": list(lines)}}
        written = self._write_scores(document)
        return Reached(label, title, document, lines, complete, total, files=tuple(written))

    def classify(self) -> Classified:
        """Top-1 and top-5, and what a WordTree gets right at each level."""
        options = self.options
        classifier = self.evaluated.classifier(fetching(self.tell, self.evaluated.model))
        self.tell(Opened(classifier.choice))
        reading = Reading.of(options, classifier.runtime.description.labels_beside)
        dataset = open_for(options.data, classifier.names, options.split, "classify", reading)
        entries = matched_classes(read_entries(dataset), classifier.names)
        rows = [row for row in entries.rows if len(row.labels) == 1 and not row.labels.is_drawn[0]]
        if not rows:
            raise DatasetError(f"{options.data}: no picture has one class; a classifier is scored on such")
        given: list[classification.RankedClasses | None] = []
        failed = []
        count = counting(self.tell, "pictures")
        looked = classification.answers(classifier, (row.image for row in rows), options.view, options.batch)
        for row, answer in zip(rows, looked, strict=True):
            if isinstance(answer, Failure):
                failed.append(f"entry {row.number + 1}: {answer.error}; it counts as wrong")
            given.append(None if isinstance(answer, Failure) else answer)
            count(len(given), len(rows))
        tree = classifier.runtime.description.tree
        scores = classification.score(given, [int(row.labels.classes[0]) for row in rows], tree)
        lines, complete = _lines(entries.problems, failed)
        label, title = self.evaluated.label, entries.title
        document = {"model": label, "data": title, "view": options.view} | scores.to_dict()
        document |= {"problems": list(lines)}
        written = self._write_scores(document)
        return Classified(label, title, document, lines, complete, scores, options.view, files=tuple(written))

    @property
    def _settings(self) -> MapSettings:
        options = self.options
        return MapSettings(options.iou_thresh, options.points, options.conf)

    def _detector(self, evaluated: EvaluatedModel) -> Detector:
        detector = evaluated.detector(fetching(self.tell, evaluated.model))
        self.tell(Opened(detector.choice))
        return detector

    def _entries(self, detector: Detector) -> Entries:
        """What is to be scored, as the detector numbers it; reading it may take a while."""
        count = counting(self.tell, "reading labels")
        reading = Reading.of(self.options, detector.runtime.description.labels_beside)
        entries = entries_for(detector, self.evaluated, self.options.data, self.options.split, count, reading)
        if not self.options.results_from:
            entries.expect_pictures()
        entries.expect_objects()
        for note in entries.notes:
            self.tell(Noted(note))
        return entries

    def _results(self, evaluated: EvaluatedModel, detector: Detector, entries: Entries) -> Results:
        options, count = self.options, counting(self.tell, evaluated.label)
        stream = partial(answers_of_cluster, workers=options.workers) if options.engine == "ray" else None
        return results_of(evaluated, detector, entries, options.batch, count, stream)

    def _metric(self, entries: Entries, asked_by: str | None = None) -> str:
        """The metric's name. Raises OptionError for one that what was asked for does not know."""
        name = usual_metric(self.options.data, entries) if self.options.metric == "auto" else self.options.metric
        if name not in METRICS:
            raise OptionError(f"{asked_by} compares {', '.join(METRICS)}, not {name}", "metric")
        return name

    def _scored(
        self, entries: Entries, score: Score, problems: Sequence[Problem], detections: int, written: Iterable[Path]
    ) -> Scored:
        document: dict[str, Any] = {
            "model": self.evaluated.label,
            "data": entries.title,
            "metric": score.metric,
            "pictures": len(entries),
            "detections": detections,
            "figures": score.figures,
            "scores": score.document,
            "problems": [{"entry": one.entry, "kind": one.kind, "message": str(one)} for one in problems],
        }
        files = (*written, *self._write_scores(document))
        lines, complete = _lines(problems)
        label, title = self.evaluated.label, entries.title
        return Scored(label, title, document, lines, complete, score, len(entries), detections, files=files)

    def _write_scores(self, document: dict[str, Any]) -> list[Path]:
        """Write the document into `out`, if that was asked for."""
        if self.options.out is None:
            return []
        path = self.options.out / "scores.json"
        with atomic_write(path, DatasetError) as file:
            file.write(json.dumps(document, indent=1).encode())
        return [path]


def _lines(problems: Iterable[Problem], failed: Sequence[str] = ()) -> tuple[tuple[str, ...], bool]:
    """A line for each that was wrong, and whether nothing was lost by it."""
    problems = list(problems)
    complete = not failed and not any(problem.kind in LOSING for problem in problems)
    return (*map(str, problems), *failed), complete
