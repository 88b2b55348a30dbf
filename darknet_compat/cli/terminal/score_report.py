"""What an evaluation says, on the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from darknet_compat.cli.terminal import output as terminal
from darknet_compat.evaluation import job
from darknet_compat.evaluation.compare import tradeoff
from darknet_compat.evaluation.compare.against import difference_text
from darknet_compat.evaluation.scores.metrics import METRICS


def print_evaluated(done: job.Evaluated) -> None:
    """Tables and figures for a person, and where the files are."""
    _PRINTED[type(done)](done)
    files = done.files if len(done.files) < 6 else done.files[-2:]
    for path in files if type(done) in _NAMING_FILES else ():
        terminal.print_line(f"-> {path}")


def _print_compared(done: job.Compared) -> None:
    found = done.comparison
    terminal.print_line(f"{done.title}: {METRICS[done.metric].title}", bold=True)
    terminal.print_fields(zip(("first", "second"), found.labels, strict=True))
    first, second = (score.figures for score in found.scores)
    rows = [(name, _percent(value), _percent(second[name])) for name, value in first.items()]
    terminal.print_table(("figure", "first", "second"), rows, left=("figure",))
    print()
    agreed = found.agreement
    boxes = f"{agreed.first:,} and {agreed.second:,}, of which {agreed.same:,} the same ({_percent(agreed.share)})"
    apart = f"scores within {agreed.score:.4f}, IoU at least {agreed.overlap:.4f}"
    fields = [("difference", difference_text(found)), ("boxes above 0.25", boxes), ("among these", apart)]
    parted = [found.results[0].entries.ids[row] for row in found.parted_most[:5]]
    terminal.print_fields([*fields, ("they part most in", ", ".join(parted) or "no picture")])


def _print_traded(done: job.Traded) -> None:
    terminal.print_line(f"{done.label} on {done.title}: {METRICS[done.metric].title}", bold=True)
    rows = [tradeoff.cells(point) for point in done.points if not point.problem]
    terminal.print_table(tradeoff.HEADERS, rows, left=("backend",))
    terminal.print_line(f"{done.document['machine']}; one picture at a time, medians of runs in turn")


def _print_reached(done: job.Reached) -> None:
    total, plain = done.recall, done.recall.to_dict()
    terminal.print_line(f"{done.label} on {done.title}, IoU above 0.5", bold=True)
    terminal.print_fields(
        [
            ("recall", _percent(plain["recall"])),
            ("average IoU", _percent(plain["average_iou"])),
            ("proposals", f"{plain['proposals_per_picture'] or 0:.2f} a picture"),
            ("objects", f"{total.objects:,} in {terminal.count(total.pictures, 'picture')}"),
        ]
    )


def _print_classified(done: job.Classified) -> None:
    scores = done.scores
    pictures = terminal.count(scores.pictures, "picture")
    terminal.print_line(f"{done.label} on {done.title}, {pictures}, view {done.view}", bold=True)
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


def _print_scored(done: job.Scored) -> None:
    score = done.score
    title = METRICS[score.metric].title
    terminal.print_line(f"{done.label} on {done.title}: {title}", bold=True)
    objects = score.headers.index("objects")
    rows = [tuple(map(_cell, row)) for row in score.rows if row[objects]]
    terminal.print_table(score.headers, rows, left=("class",))
    without = len(score.rows) - len(rows)
    print()
    counts = [(name, f"{value:,}") for name, value in score.counts.items()]
    terminal.print_fields([*((name, _percent(value)) for name, value in score.figures.items()), *counts])
    note = f"; {without:,} of {len(score.rows):,} classes without objects" if without else ""
    pictures = terminal.count(done.pictures, "picture")
    terminal.print_line(f"{pictures}, {terminal.count(done.detections, 'detection')}{note}")


def _cell(value: str | float | int | None) -> str:
    if isinstance(value, float) or value is None:
        return _percent(value)
    return f"{value:,}" if isinstance(value, int) else value


def _percent(value: float | None) -> str:
    return "none" if value is None else f"{100 * value:.2f} %"


_PRINTED: dict[type[job.Evaluated], Callable[[Any], None]] = {
    job.Scored: _print_scored,
    job.Compared: _print_compared,
    job.Traded: _print_traded,
    job.Reached: _print_reached,
    job.Classified: _print_classified,
}
_NAMING_FILES = (job.Scored, job.Compared, job.Traded)
