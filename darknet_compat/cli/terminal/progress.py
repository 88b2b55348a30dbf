"""What a person sees of training while it runs, and its last words."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.data_report import print_report
from darknet_compat.cli.terminal.jobs import JobProgress
from darknet_compat.definition.lower import load_spec
from darknet_compat.training import job
from darknet_compat.training.log import CHART

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from darknet_compat.training.trainer import Step, Trainer

_EVERY = 100
"""Batches from line to line where there is no terminal for a bar."""
_ESTIMATE_AFTER = 60.0
"""Seconds after which it is worth saying how long training will take."""
_WARMING_UP = 5
"""Batches at the start that say little about those to come."""


class TrainingProgress(JobProgress):
    """What training tells, on the terminal."""

    def __init__(self, began: Callable[[Trainer], None], *, quiet: bool) -> None:
        super().__init__(quiet=quiet)
        self._when_begun = began
        self.trainer: Trainer | None = None
        self._began = perf_counter()
        self._steady: tuple[float, int] | None = None
        self._estimated = False
        self._bars: Bars | None = None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        super().__exit__(kind, error, trace)

    def show(self, event: Any) -> None:
        """Show an event that is not about how far something is."""
        if isinstance(event, job.Stepped):
            self._step(event.step, event.score)
        elif isinstance(event, job.Began):
            self._begin(event)
        elif self.quiet:
            super().show(event)
        elif isinstance(event, job.Checked):
            print_report(event.report)
        elif isinstance(event, job.Covered):
            pictures = terminal.count(len(event.dataset), "picture")
            terminal.print_line(f"{event.dataset.title}: {pictures}; {event.coverage}")
        elif isinstance(event, job.Validated):
            best = ", the best so far" if event.best else ""
            terminal.print_line(f"{event.number}: mAP {100 * event.score:.2f} %{best}")
        else:
            super().show(event)

    def _begin(self, event: job.Began) -> None:
        trainer, dataset = event
        self.trainer = trainer
        self._when_begun(trainer)
        self._began = perf_counter()
        if not self.quiet:
            terminal.say(
                f"{trainer.name} on {dataset.title}: {terminal.count(len(dataset), 'picture')}, batches of"
                f" {trainer.net.step_rows} to {trainer.net.max_batches:,}, on {trainer.device}; results in"
                f" {trainer.folder}"
            )
        if sys.stderr.isatty():
            columns, most = ("of", "bar", "left", "{task.fields[status]}"), trainer.net.max_batches or None
            self._bars = terminal.start_bar("", most, *columns, done=trainer.number, width=12, status="")

    def _step(self, step: Step, score: float | None) -> None:
        self._estimate(step)
        if self._bars is not None:
            self._bars.update(self._bars.task_ids[0], completed=step.number, status=_status(step, score))
        elif not self.quiet and step.number % _EVERY == 0:
            terminal.print_line(f"{step.number}: {_status(step, score)}")

    def _estimate(self, step: Step) -> None:
        """Once, after a minute: how long the rest will take."""
        now = perf_counter()
        assert self.trainer is not None
        done = step.number - self.trainer.started
        if done == _WARMING_UP:
            self._steady = (now, step.number)
        if self._estimated or self.quiet or self._steady is None or now - self._began < _ESTIMATE_AFTER:
            return
        self._estimated = True
        since, first = self._steady
        if step.number > first:
            each = (now - since) / (step.number - first)
            left = timedelta(seconds=round(each * (self.trainer.net.max_batches - step.number)))
            pace = self.trainer.net.step_rows / each
            terminal.print_line(f"{pace:.3g} images/s; the remaining batches take about {left}")


def print_trained(trained: job.Trained, max_batches: int) -> None:
    """The last words."""
    if trained.loss is None:
        done = terminal.count(trained.batches, "batch is", "batches are")
        terminal.print_line(f"nothing to do: {done} done, max_batches is {max_batches:,}")
        return
    best = trained.best
    scores = "" if best is None else f", best mAP {100 * best.mAP:.2f} % after batch {best.batch:,}"
    took = timedelta(seconds=round(trained.seconds))
    batches = terminal.count(trained.batches, "batch")
    terminal.print_line(f"{batches} in {took}, average loss {trained.loss:.4g}{scores}", bold=True)
    weights, cfg, chart = trained.weights, trained.cfg, trained.folder / CHART
    verb = "detect" if load_spec(cfg, quiet=True).heads[-1].detects else "classify"
    print(f"weights  {terminal.printable(weights)}")
    if chart.is_file():
        print(f"chart    {terminal.printable(chart)}")
    else:
        print("chart    none, for want of matplotlib: pip install 'darknet-compat[train]'")
    print(f"next     darknet-compat {verb} {terminal.printable(cfg)} FILES --weights {terminal.printable(weights)}")


def _status(step: Step, score: float | None) -> str:
    """What there is to say of a batch, in some 60 columns."""
    pace = step.images / step.seconds
    parts = [f"loss {step.loss:.4g}, average {step.average_loss:.4g}", f"rate {step.rate:.3g}", f"{pace:.3g} images/s"]
    if "avg_iou" in step.figures:
        parts.insert(1, f"IoU {step.figures['avg_iou']:.2f}")
    if score is not None:
        parts.append(f"mAP {100 * score:.1f} %")
    return ", ".join(parts)
