"""`darknet detector train`, `classifier train`: training, in Darknet's words; its files go where `backup=` says."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darknet_compat.cli.darknet.files import cfg_and_weights
from darknet_compat.cli.darknet.grammar import Line
from darknet_compat.cli.terminal.output import say
from darknet_compat.errors import OptionError
from darknet_compat.formats.datafile import DataFile

if TYPE_CHECKING:
    from darknet_compat.training.trainer import Step, Trainer


def train(line: Line) -> int:
    """`detector train DATA CFG [WEIGHTS] [-clear] [-map]`, and `classifier train` alike."""
    order = f"{line.word(0)} train DATA CFG [WEIGHTS]"
    path = line.word(2)
    if path is None:
        raise OptionError(f"expected {order}, and there is no DATA")
    data = DataFile(path)
    data.file("train")
    cfg, weights = cfg_and_weights(line.word(3), line.word(4), order)
    from darknet_compat.training.job import train as run
    from darknet_compat.training.options import TrainOptions

    backup = Path(data.text("backup") or "backup")
    given: dict[str, Any] = {"model": str(cfg), "data": path, "weights": weights, "out": backup, "check": False}
    given |= {"clear": "clear" in line.options}
    given |= {"valid": "valid", "metric": "map"} if "map" in line.options else {}
    print(cfg.stem)
    printer = _ClassifierPrinter() if line.word(0) == "classifier" else _Printer()
    run(TrainOptions(**given | line.ours), progress=printer)
    printer.finish()
    return 0


_FIGURES = {
    "avg_iou": "Avg IOU",
    "class": "Class",
    "obj": "Obj",
    "no_obj": "No Obj",
    "recall": "Avg Recall",
    "recall_75": ".75R",
}
"""What the original calls the figures of a head, in its order."""


def _heads(figures: Mapping[str, float], heads: Sequence[Any]) -> Iterator[str]:
    """A line for each head that learns boxes, as `forward_region_layer` and its kin print."""
    for head in heads:
        layer = f"_{head.index}" if len(heads) > 1 else ""
        own = {name.removesuffix(layer): value for name, value in figures.items() if name.endswith(layer)}
        if "avg_iou" not in own:
            continue
        yolo = "recall_75" in own
        words = _FIGURES | ({"recall": ".5R"} if yolo else {})
        parts = [f"{word}: {own[name]:f}" for name, word in words.items() if name in own]
        start = f"Region {head.index}" if yolo else head.type.title()
        yield f"{start} {', '.join(parts)},  count: {own.get('count', 0):.0f}"


class _Printer:
    """The original's lines, and its files by the number of batches."""

    def __init__(self) -> None:
        self.trainer: Trainer | None = None
        self.pictures = 0

    def __call__(self, event: Any) -> None:
        from darknet_compat.inference.progress import Noted
        from darknet_compat.training import job

        if isinstance(event, job.Began):
            self.trainer, self.pictures = event.trainer, len(event.dataset)
            self._begin(event.trainer)
        elif isinstance(event, job.Stepped):
            self._step(event.step)
        elif isinstance(event, job.Validated):
            print(f"\n mean_average_precision (mAP@0.50) = {event.score:f} ")
        elif isinstance(event, Noted):
            say(event.text)
        sys.stdout.flush()

    def _begin(self, trainer: Trainer) -> None:
        net = trainer.net
        print(f"Learning Rate: {net.learning_rate:g}, Momentum: {net.momentum:g}, Decay: {net.decay:g}")

    def _step(self, step: Step) -> None:
        assert self.trainer is not None
        heads = self.trainer.network.spec.heads
        self._loaded(step, 10, getattr(heads[-1], "random", 0) if heads else 0)
        for line in _heads(step.figures, heads):
            print(line)
        self._figures(str(step.number), step)
        if step.number % 10000 == 0 or (step.number < 1000 and step.number % 100 == 0):
            self._save(f"_{step.number}")

    def _loaded(self, step: Step, every: int, random: float) -> None:
        if random and (step.number - 1) % every == 0:
            print(f"Resizing\n{step.width}")
        print(f"Loaded: {step.waited:f} seconds")

    def _figures(self, start: str, step: Step) -> None:
        print(
            f"{start}: {step.loss:f}, {step.average_loss:f} avg, {step.rate:f} rate,"
            f" {step.seconds - step.waited:f} seconds, {step.seen} images"
        )

    def _save(self, suffix: str) -> None:
        assert self.trainer is not None
        path = self.trainer.save_weights(self.trainer.network, f"{self.trainer.name}{suffix}.weights")
        print(f"Saving weights to {path}", file=sys.stderr)

    def finish(self) -> None:
        """What is left to write at the end."""


class _ClassifierPrinter(_Printer):
    """A classifier's: how often each picture has been seen, a file each time all have been, and one without a number at
    the end."""

    def __init__(self) -> None:
        super().__init__()
        self.rounds: int | None = None

    def _begin(self, trainer: Trainer) -> None:
        print(1)  # GPU
        super()._begin(trainer)
        net = trainer.net
        print(f"{self.pictures}\n{net.min_ratio * net.width:.0f} {net.max_ratio * net.width:.0f}")

    def _step(self, step: Step) -> None:
        assert self.trainer is not None
        self._loaded(step, 40, self.trainer.net.random)
        self._figures(f"{step.number}, {step.seen / self.pictures:.3f}", step)
        rounds = step.seen // self.pictures
        if self.rounds is None:
            self.rounds = (step.seen - step.images) // self.pictures
        if rounds > self.rounds:
            self.rounds = rounds
            self._save(f"_{rounds}")

    def finish(self) -> None:
        """The file that the original leaves."""
        if self.trainer is not None:
            self._save("")
