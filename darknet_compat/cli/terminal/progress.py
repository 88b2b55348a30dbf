"""What a person sees of training while it runs, and what stays of it: table, chart, pictures, the best weights."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import TYPE_CHECKING, Any

from darknet_compat.cli.terminal import output as terminal
from darknet_compat.definition.spec import Detection, Region, Yolo
from darknet_compat.training.log import CHART, Log

if TYPE_CHECKING:
    from rich.progress import Progress as Bars

    from darknet_compat.datasets.base import Dataset
    from darknet_compat.training.trainer import Step, Trainer

_EVERY = 100
"""Batches from line to line where there is no terminal for a bar."""
_ESTIMATE_AFTER = 60.0
"""Seconds after which it is worth saying how long training will take."""
_WARMING_UP = 5
"""Batches at the start that say little about those to come."""


class TrainingProgress:
    """A context that is shown each step and score of a Trainer's run."""

    def __init__(self, trainer: Trainer, dataset: Dataset, *, quiet: bool, tensorboard: bool) -> None:
        self.trainer, self.dataset, self.quiet = trainer, dataset, quiet
        self.log = Log(trainer.folder, trainer.number)
        self.events = _events(trainer.folder) if tensorboard else None
        self.last: Step | None = None
        self.best: tuple[float, int] | None = None
        self.score: float | None = None
        self.skipped = 0
        self._began = perf_counter()
        self._steady: tuple[float, int] | None = None
        self._estimated = False
        self._bars: Bars | None = None

    def __enter__(self) -> TrainingProgress:
        if not self.quiet:
            net, title = self.trainer.net, self.dataset.title
            terminal.say(
                f"{self.trainer.name} on {title}: {terminal.count(len(self.dataset), 'picture')}, batches of"
                f" {net.step_rows} to {net.max_batches:,}, on {self.trainer.device}; results in {self.trainer.folder}"
            )
            self._bars = _bars(self.trainer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bars is not None:
            self._bars.stop()
        if self.log.rows:
            self.log.write()
        if self.events is not None:
            self.events.close()

    def show(self, step: Step) -> None:
        """A batch is done."""
        self.last = step
        self.log.add(step.row())
        for error in step.skipped:
            self.skipped += 1
            terminal.say(f"skipped {error}")
        if self.events is not None:
            for name, value in step.row().items():
                self.events.add_scalar(name, value, step.number)
        if step.number % self.trainer.settings.checkpoint_every == 0:
            self.log.write()
        self._estimate(step)
        if self._bars is not None:
            self._bars.update(self._bars.task_ids[0], completed=step.number, status=_status(step, self.score))
        elif not self.quiet and step.number % _EVERY == 0:
            terminal.print_line(f"{step.number}: {_status(step, self.score)}")

    def scored(self, number: int, score: float, weights: Path) -> None:
        """The weights after batch `number`, now in the file `weights`, reach this mAP; the best ones are kept."""
        self.score = score
        self.log.add({"batch": number, "mAP": score})
        self.log.write()
        if self.events is not None:
            self.events.add_scalar("mAP", score, number)
        best = self.best is None or score > self.best[0]
        if best:
            self.best = (score, number)
            shutil.move(weights, weights.with_name(f"{self.trainer.name}_best.weights"))
        else:
            weights.unlink()
        if not self.quiet:
            terminal.print_line(f"{number}: mAP {100 * score:.2f} %" + (", the best so far" if best else ""))

    def finish(self, json: bool, facts: dict[str, Any]) -> None:
        """The last words; `facts` are of the data, for JSON."""
        trainer, step = self.trainer, self.last
        final = trainer.folder / f"{trainer.name}_final.weights"
        weights = final if final.is_file() else trainer.folder / f"{trainer.name}.backup"
        report: dict[str, Any] = {
            "folder": str(trainer.folder),
            "weights": str(weights),
            "batches": trainer.number,
            "images": trainer.seen,
            "seconds": round(perf_counter() - self._began, 1),
            "loss": None if step is None else step.average_loss,
            "skipped": self.skipped,
            "mAP": self.score,
            "best": None if self.best is None else {"mAP": self.best[0], "batch": self.best[1]},
            **facts,
        }
        if json:
            terminal.print_json(report)
            return
        if step is None:
            terminal.print_line(
                f"nothing to do: {trainer.number:,} batches are done, max_batches is {trainer.net.max_batches:,}"
            )
            return
        took = timedelta(seconds=round(report["seconds"]))
        scores = "" if self.best is None else f", best mAP {100 * self.best[0]:.2f} % after batch {self.best[1]:,}"
        terminal.print_line(
            f"{trainer.number:,} batches in {took}, average loss {step.average_loss:.4g}{scores}", bold=True
        )
        chart, cfg = trainer.folder / CHART, trainer.folder / f"{trainer.name}.cfg"
        verb = "detect" if isinstance(trainer.network.spec.heads[-1], Region | Yolo | Detection) else "classify"
        print(f"weights  {terminal.printable(weights)}")
        if chart.is_file():
            print(f"chart    {terminal.printable(chart)}")
        print(f"next     darknet-compat {verb} {terminal.printable(cfg)} FILES --weights {terminal.printable(weights)}")

    def _estimate(self, step: Step) -> None:
        """Once, after a minute: how long the rest will take."""
        now = perf_counter()
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


def _status(step: Step, score: float | None) -> str:
    """What there is to say of a batch, in some 60 columns."""
    pace = step.images / step.seconds
    parts = [f"loss {step.loss:.4g}, average {step.average_loss:.4g}", f"rate {step.rate:.3g}", f"{pace:.3g} images/s"]
    if "avg_iou" in step.figures:
        parts.insert(1, f"IoU {step.figures['avg_iou']:.2f}")
    if score is not None:
        parts.append(f"mAP {100 * score:.1f} %")
    return ", ".join(parts)


def _bars(trainer: Trainer) -> Bars | None:
    """A bar on a terminal."""
    import sys

    if not sys.stderr.isatty():
        return None
    from rich import progress

    columns = (
        progress.MofNCompleteColumn(),
        progress.BarColumn(bar_width=12),
        progress.TimeRemainingColumn(compact=True),
        progress.TextColumn("{task.fields[status]}"),
    )
    bars = progress.Progress(*columns, console=terminal.console(stderr=True), transient=True)
    bars.add_task("", total=trainer.net.max_batches or None, completed=trainer.number, status="")
    bars.start()
    return bars


def _events(folder: Path) -> Any:
    """TensorBoard's writer. Raises TrainingError without it."""
    from darknet_compat.errors import TrainingError

    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise TrainingError("tensorboard is not installed: pip install tensorboard") from None
    return SummaryWriter(str(folder))
