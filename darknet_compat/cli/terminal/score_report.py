"""The pieces of work behind `darknet-compat evaluate`: run, print, and write what was asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.answers import announce
from darknet_compat.errors import DatasetError

if TYPE_CHECKING:
    from darknet_compat.datasets.base import Progress
    from darknet_compat.evaluation.compare.against import Comparison
    from darknet_compat.evaluation.material.entries import Entries, Problem
    from darknet_compat.evaluation.run.detections import Results
    from darknet_compat.evaluation.run.subject import Subject
    from darknet_compat.evaluation.scores.metrics import Score
    from darknet_compat.inference.detector import Detector
    from darknet_compat.runtime.base import Precision

_LOSING = ("missing", "unreadable", "labels")
"""Kinds of problems for which something could not be scored as it should."""


@dataclass(frozen=True)
class Job:
    """What was asked for."""

    subject: Subject
    data: str
    split: str | None
    metric: str
    batch: int
    out: Path | None
    json: bool
    verbose: bool


def task(job: Job) -> str:
    """What the model does, "detect" or "classify"; its weights are fetched if need be."""
    from darknet_compat.inference.about import task_of
    from darknet_compat.inference.model import locate

    with terminal.Transfers(job.subject.model, quiet=job.json) as progress:
        return task_of(locate(job.subject.model, job.subject.weights, progress=progress).cfg)


def detect(job: Job, results_from: Path | None) -> None:
    """Score a detector, or result files."""
    from darknet_compat.evaluation.scores.metrics import METRICS, usual_metric

    detector = _detector(job, job.subject)
    entries = _entries(job, detector)
    name = usual_metric(job.data, entries) if job.metric == "auto" else job.metric
    metric = METRICS[name]
    if results_from is not None:
        _score_files(job, entries, name, results_from)
        return
    results = _results(job, job.subject, detector, entries)
    score = metric.score(metric.as_scored(results.found, results.sizes), results.truths, entries.names)
    if results.dropped:
        terminal.say(
            f"{job.subject.label}: had no room for {results.dropped:,} candidates; a higher --thresh leaves fewer"
        )
    written = []
    if job.out:
        from darknet_compat.evaluation.report.report import write_report

        written = metric.write(job.out, results.found, entries, results.sizes)
        written.append(write_report(job.out / "report.html", job.subject.label, results, score, detector))
    _finish(job, entries, score, results.problems, len(results.found), written)


def _score_files(job: Job, entries: Entries, name: str, path: Path) -> None:
    """Score detections that somebody has written down."""
    from darknet_compat.evaluation.run.detections import stated_sizes
    from darknet_compat.evaluation.scores.metrics import METRICS

    found = METRICS[name].read(path, entries)
    sizes, problems = stated_sizes(entries)
    score = METRICS[name].score(found, entries.truths(sizes), entries.names)
    _finish(job, entries, score, problems, len(found), [])


def compare(job: Job, model: str, weights: Path | None, backend: str, precision: str) -> None:
    """Score another model on the same pictures, and show where the two part; what is not said of it is as for the
    first."""
    from darknet_compat.evaluation.compare import against
    from darknet_compat.evaluation.scores.metrics import METRICS, usual_metric

    subject = replace(
        job.subject, model=model, weights=weights, backend=backend, precision=cast("Precision", precision)
    )
    first, second = _detector(job, job.subject), _detector(job, subject)
    if first.names != second.names:
        raise DatasetError(f"{subject.label}: has other classes than {job.subject.label}; name them with --names")
    entries = _entries(job, first)
    name = usual_metric(job.data, entries) if job.metric == "auto" else job.metric
    if name not in METRICS:
        raise typer.BadParameter(f"--against compares {', '.join(METRICS)}, not {name}", param_hint="--metric")
    pair = _results(job, job.subject, first, entries), _results(job, subject, second, entries)
    found = against.compare((job.subject.label, subject.label), pair, name)
    for problem in pair[0].problems:
        terminal.say(str(problem))
    written = []
    if job.out:
        written.append(against.write_comparison(job.out / "against.html", found))
    if job.json:
        about = {"data": entries.title, "metric": name, "pictures": len(entries)}
        terminal.print_json(about | found.to_dict() | {"files": [str(path) for path in written]})
    else:
        _print_comparison(entries, found, name)
        for path in written:
            terminal.print_line(f"-> {path}")
    if any(problem.kind in _LOSING for problem in pair[0].problems):
        raise typer.Exit(1)


def _print_comparison(entries: Entries, found: Comparison, metric: str) -> None:
    from darknet_compat.evaluation.compare.against import luck_text
    from darknet_compat.evaluation.scores.metrics import METRICS

    terminal.print_line(f"{entries.title}: {METRICS[metric].title}", bold=True)
    terminal.print_fields(zip(("first", "second"), found.labels, strict=True))
    first, second = (score.figures for score in found.scores)
    rows = [(name, _percent(value), _percent(second[name])) for name, value in first.items()]
    terminal.print_table(("figure", "first", "second"), rows, left=("figure",))
    print()
    agreed = found.agreement
    boxes = f"{agreed.first:,} and {agreed.second:,}, of which {agreed.same:,} the same ({_percent(agreed.share)})"
    apart = f"scores within {agreed.score:.4f}, IoU at least {agreed.overlap:.4f}"
    fields = [("difference", luck_text(found)), ("boxes above 0.25", boxes), ("among these", apart)]
    parted = [found.results[0].entries.ids[row] for row in found.parted_most[:5]]
    terminal.print_fields([*fields, ("they part most in", ", ".join(parted) or "no picture")])


def sizes(job: Job, wanted: Sequence[tuple[int, int]], backends: Sequence[str]) -> None:
    """Score and time a model at several sizes and on several backends."""
    from darknet_compat.evaluation.compare import tradeoff as tradeoff
    from darknet_compat.evaluation.scores.metrics import METRICS, usual_metric

    entries = _entries(job, _detector(job, job.subject))
    name = usual_metric(job.data, entries) if job.metric == "auto" else job.metric
    if name not in METRICS:
        raise typer.BadParameter(f"--sizes compares {', '.join(METRICS)}, not {name}", param_hint="--metric")
    for problem in entries.problems:
        terminal.say(str(problem))
    with contextlib.ExitStack() as stack:

        def progress(label: str) -> Progress:
            stack.pop_all().close()
            return stack.enter_context(terminal.Counter(label, quiet=job.json))

        variants = [(backend, (size[0], size[1])) for backend in backends for size in wanted]
        points = tradeoff.measure(job.subject, variants, entries, name, job.batch, progress)
    written = []
    if job.out:
        written = tradeoff.write(job.out, job.subject, entries, name, points)
    document = tradeoff.document(job.subject, entries, name, points)
    if job.json:
        terminal.print_json(document | {"files": [str(path) for path in written]})
    else:
        terminal.print_line(f"{job.subject.label} on {entries.title}: {METRICS[name].title}", bold=True)
        done = [tradeoff.cells(point) for point in points if not point.problem]
        terminal.print_table(tradeoff.HEADERS, done, left=("backend",))
        terminal.print_line(f"{document['machine']}; one picture at a time, medians of runs in turn")
        for path in written:
            terminal.print_line(f"-> {path}")
    for point in points:
        if point.problem:
            terminal.say(f"{point.backend} at {point.width} x {point.height}: {point.problem}")
    if any(point.problem for point in points) or any(problem.kind in _LOSING for problem in entries.problems):
        raise typer.Exit(1)


def recall(job: Job) -> None:
    """How many objects a detector's boxes reach, as `detector recall`."""
    from darknet_compat.evaluation.scores.recall import Recall, recalls
    from darknet_compat.inference.batch import Failure

    detector = _detector(job, job.subject)
    entries = _entries(job, detector)
    total, failed = Recall(), []
    missing = {problem.entry for problem in entries.problems if problem.kind == "missing"}
    with terminal.Counter("pictures", quiet=job.json) as progress:
        for done, (row, one) in enumerate(
            zip(entries.rows, recalls(detector, entries, job.batch), strict=True), start=1
        ):
            if isinstance(one, Failure):
                if row.number + 1 not in missing:
                    failed.append(f"entry {row.number + 1}: {one.error}; its objects count as not found")
                one = Recall(1, int(row.labels.is_drawn.sum()))
            total += one
            progress(done, len(entries))
    lines = [*map(str, entries.problems), *failed]
    for line in lines:
        terminal.say(line)
    document: dict[str, Any] = {
        "model": job.subject.label,
        "data": entries.title,
        "recall": total.to_dict() | {"problems": lines},
    }
    written = _write_scores(job, document)
    if job.json:
        terminal.print_json(document | {"files": written})
    else:
        plain = total.to_dict()
        terminal.print_line(f"{job.subject.label} on {entries.title}, IoU above 0.5", bold=True)
        terminal.print_fields(
            [
                ("recall", _percent(plain["recall"])),
                ("average IoU", _percent(plain["average_iou"])),
                ("proposals", f"{plain['proposals_per_picture'] or 0:.2f} a picture"),
                ("objects", f"{total.objects:,} in {terminal.count(total.pictures, 'picture')}"),
            ]
        )
    if failed or any(problem.kind in _LOSING for problem in entries.problems):
        raise typer.Exit(1)


def classify(job: Job, view: str) -> None:
    """Top-1 and top-5, and what a WordTree gets right at each level."""
    from darknet_compat.evaluation.material.entries import read_entries
    from darknet_compat.evaluation.run.detections import matched_classes, open_for
    from darknet_compat.evaluation.scores import classification
    from darknet_compat.inference.batch import Failure

    with terminal.Transfers(job.subject.model, quiet=job.json) as transfers:
        classifier = job.subject.classifier(transfers)
    announce(classifier.choice, job.verbose)
    dataset = open_for(job.data, classifier.names, job.split, "classification")
    entries = matched_classes(read_entries(dataset), classifier.names)
    rows = [row for row in entries.rows if len(row.labels) == 1 and not row.labels.is_drawn[0]]
    if not rows:
        raise DatasetError(f"{job.data}: no picture has one class; a classifier is scored on such")
    given: list[classification.Answer | None] = []
    lines = [str(problem) for problem in entries.problems]
    losing = any(problem.kind in _LOSING for problem in entries.problems)
    with terminal.Counter("pictures", quiet=job.json) as progress:
        looked = classification.answers(
            classifier, (row.image for row in rows), cast("classification.View", view), job.batch
        )
        for row, answer in zip(rows, looked, strict=True):
            if isinstance(answer, Failure):
                losing = True
                lines.append(f"entry {row.number + 1}: {answer.error}; it counts as wrong")
            given.append(None if isinstance(answer, Failure) else answer)
            progress(len(given), len(rows))
    tree = classifier.runtime.description.tree
    scores = classification.score(given, [int(row.labels.classes[0]) for row in rows], tree)
    for line in lines:
        terminal.say(line)
    document: dict[str, Any] = {"model": job.subject.label, "data": entries.title, "view": view} | scores.to_dict()
    written = _write_scores(job, document | {"problems": lines})
    if job.json:
        terminal.print_json(document | {"problems": lines, "files": written})
    else:
        _print_classes(job, entries, view, scores)
    if losing:
        raise typer.Exit(1)


def _print_classes(job: Job, entries: Entries, view: str, scores: Any) -> None:
    pictures = terminal.count(scores.pictures, "picture")
    terminal.print_line(f"{job.subject.label} on {entries.title}, {pictures}, view {view}", bold=True)
    fields = [("top-1", _percent(scores.top1)), ("top-5", _percent(scores.top5))]
    if scores.levels:
        fields.append(("named right", _percent(scores.named_right)))
    terminal.print_fields(fields)
    rows = [
        (one.level, one.pictures, _percent(one.right / one.pictures if one.pictures else None), one.stopped)
        for one in scores.levels
    ]
    if rows:
        terminal.print_table(("level", "pictures", "right", "stopped here"), rows)


def _detector(job: Job, subject: Subject) -> Detector:
    with terminal.Transfers(subject.model, quiet=job.json) as transfers:
        detector = subject.detector(transfers)
    announce(detector.choice, job.verbose)
    return detector


def _results(job: Job, subject: Subject, detector: Detector, entries: Entries) -> Results:
    from darknet_compat.evaluation.run.subject import results_of

    with terminal.Counter(subject.label, quiet=job.json) as progress:
        return results_of(subject, detector, entries, job.batch, progress)


def _write_scores(job: Job, document: dict[str, Any]) -> list[str]:
    """Write the document into --out, if that was asked for; the paths written."""
    if job.out is None:
        return []
    import json

    from darknet_compat.formats.atomic import atomic_write

    path = job.out / "scores.json"
    with atomic_write(path, DatasetError) as file:
        file.write(json.dumps(document, indent=1).encode())
    return [str(path)]


def _entries(job: Job, detector: Detector) -> Entries:
    """What is to be scored, as the detector numbers it; reading it may take a while."""
    from darknet_compat.evaluation.run.subject import entries_for

    with terminal.Counter("reading labels", quiet=job.json) as progress:
        return entries_for(detector, job.subject, job.data, job.split, progress)


def _finish(
    job: Job, entries: Entries, score: Score, problems: Sequence[Problem], detections: int, written: Iterable[Path]
) -> None:
    """Say what was wrong, print the score, write it; Exit with 1 if a picture could not be used."""
    for problem in problems:
        terminal.say(str(problem))
    written = list(written)
    document: dict[str, Any] = {
        "model": job.subject.label,
        "data": entries.title,
        "metric": score.metric,
        "pictures": len(entries),
        "detections": detections,
        "figures": score.figures,
        "scores": score.document,
        "problems": [{"entry": one.entry, "kind": one.kind, "message": str(one)} for one in problems],
    }
    written += map(Path, _write_scores(job, document))
    if job.json:
        terminal.print_json(document | {"files": [str(path) for path in written]})
    else:
        _print(job, entries, score, detections)
        for path in written if len(written) < 6 else written[-2:]:
            terminal.print_line(f"-> {path}")
    if any(problem.kind in _LOSING for problem in problems):
        raise typer.Exit(1)


def _print(job: Job, entries: Entries, score: Score, detections: int) -> None:
    from darknet_compat.evaluation.scores.metrics import METRICS

    title = METRICS[score.metric].title
    terminal.print_line(f"{job.subject.label} on {entries.title}: {title}", bold=True)
    objects = score.headers.index("objects")
    rows = [tuple(map(_cell, row)) for row in score.rows if row[objects]]
    terminal.print_table(score.headers, rows, left=("class",))
    without = len(score.rows) - len(rows)
    print()
    terminal.print_fields([(name, _percent(value)) for name, value in score.figures.items()])
    note = f"; {without:,} of {len(score.rows):,} classes without objects" if without else ""
    pictures = terminal.count(len(entries), "picture")
    terminal.print_line(f"{pictures}, {terminal.count(detections, 'detection')}{note}")


def _cell(value: str | float | int | None) -> str:
    if isinstance(value, float) or value is None:
        return _percent(value)
    return f"{value:,}" if isinstance(value, int) else value


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.2f} %"
