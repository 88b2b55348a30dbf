"""The training loop: one batch after another by the original's rules, and files from which it can go on.

As in the original (`train_network`), a batch is the cfg's `batch` images, seen in `subdivisions` parts whose gradients
are summed; the rate of its update is that of the number of batches then seen.
"""

from __future__ import annotations

import dataclasses
import math
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from darknet_compat.definition.spec import Cost
from darknet_compat.errors import ImageError, TrainingError
from darknet_compat.formats.textfile import first_line
from darknet_compat.network.load import save_weights
from darknet_compat.network.network import Network, out_of_memory
from darknet_compat.training.batches.loader import Batch
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.checkpoint import Checkpoints
from darknet_compat.training.losses import Losses
from darknet_compat.training.options import ObjectnessRule
from darknet_compat.training.parallel import World, synchronize_normalization, total
from darknet_compat.training.update.optimizer import expect_learning, freeze, make_optimizer
from darknet_compat.training.update.schedule import current_batch, learning_rate
from darknet_compat.training.update.sparse_region import Features, SparseHead, SparseSGD, worth_sparse

CHECKPOINT = "checkpoint.pt"
_LAST_AVERAGED = 1000
_AVERAGED_OVER = 0.9
"""How much of the average loss stays from batch to batch (original: `train_detector`)."""


@dataclass(frozen=True)
class TrainerSettings:
    """How to train, beside what the cfg says.

    `precision` of the layers; losses are float32 either way. `device` is torch's name for one, by default a GPU if
    there is one. `compile` has torch compile the network. With several processes (`training.parallel`), `synchronize`
    normalizes by the whole batch's statistics instead of those of each one's part. `ema` keeps a running average of
    the weights, which detect better than the last ones do: the part that stays from batch to batch, such as 0.999. A
    checkpoint is written every `checkpoint_every` batches. `objectness` is the rule for the box that a whole picture's
    label is given to (`training.options.ObjectnessRule`).
    """

    precision: Literal["fp32", "bf16"] = "fp32"
    device: str | None = None
    compile: bool = False
    synchronize: bool = False
    ema: float | None = None
    checkpoint_every: int = 100
    objectness: ObjectnessRule = "darknet"


@dataclass(frozen=True)
class Step:
    """One batch of `images`: with it `number` batches and `seen` images. `loss` an image, and its running average.

    `figures` are the original's for its heads (Avg IOU, …), the mean over subdivisions. `skipped` pictures could not be
    read. `width` and `height` are what the images had, `seconds` what the batch took, of which it was `waited` for.
    """

    number: int
    seen: int
    images: int
    loss: float
    average_loss: float
    rate: float
    width: int
    height: int
    seconds: float
    waited: float
    figures: Mapping[str, float]
    skipped: tuple[ImageError, ...]

    def row(self) -> dict[str, float]:
        """Its numbers by name."""
        values = {"batch": self.number, **dataclasses.asdict(self)}
        return {
            name: float(value) for name, value in {**values, **self.figures}.items() if isinstance(value, int | float)
        }


class Trainer:
    """Trains `network` on what `batches(start)` gives, batch number `start` first, until the cfg's max_batches.

    Goes on from `checkpoint.pt` in `folder` where `resume` is asked for, or from the one before where that is damaged
    (then `notes` say so); else begins where the network's header says that it stopped. Files go into `folder`, called
    after `name`: `.backup` with each checkpoint (in the original's format, as all of them), `_final.weights`, and
    `_ema.weights`.
    """

    def __init__(
        self,
        network: Network,
        batches: Callable[[int], Iterable[Batch]],
        folder: str | Path,
        *,
        name: str,
        settings: TrainerSettings | None = None,
        made_with: Mapping[str, Any] | None = None,
        resume: bool = False,
        world: World | None = None,
    ) -> None:
        self.world = world or World()
        self.settings, self.folder, self.name = settings or TrainerSettings(), Path(folder), name
        self.device = _device(self.world.device or self.settings.device)
        network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.network = network.train()
        expect_learning(self.network)
        freeze(self.network)
        self.net = network.spec.net
        self.batches = batches
        # The running average reads all weights after every step, and processes would have to exchange rows.
        ema = self.settings.ema or self.net.ema_alpha or None
        sparse = self.world.size == 1 and ema is None and worth_sparse(network)
        rule = self.settings.objectness
        head = SparseHead(network, rule=rule) if sparse else None
        self.losses = head or Losses(network, rule=rule)
        self.optimizer = SparseSGD(network, head) if head else make_optimizer(network)
        self.forward: Callable[[Tensor], Any] = self._forward(Features(network) if head else network)
        self.averaged = _averaged(network, ema, statistics=self.settings.ema is not None)
        self.seen = network.header.seen
        self.average_loss: float | None = None
        self.stopping = False
        made_with = {"batch": self.net.step_rows, "layers": len(network.spec.layers), **(made_with or {})}
        self.checkpoints = Checkpoints(self.folder / CHECKPOINT, made_with)
        self.notes: tuple[str, ...] = ()
        if resume:
            self._resume()
        self.started = self.number

    def _forward(self, module: nn.Module) -> Callable[[Tensor], Any]:
        """What gives `module`'s outputs and sees to it that gradients meet."""
        if self.settings.synchronize:
            synchronize_normalization(self.network)
        forward: Callable[[Tensor], Any] = torch.compile(module) if self.settings.compile else module
        if self.world.size == 1:
            return forward
        return DistributedDataParallel(forward)

    @property
    def number(self) -> int:
        """How many batches are done (original: `get_current_batch`)."""
        return current_batch(self.net, self.seen)

    @property
    def detecting(self) -> Network:
        """The network to detect with: the running average where one is kept."""
        if self.averaged is None or not int(self.averaged.n_averaged):
            return self.network
        assert isinstance(self.averaged.module, Network)
        return self.averaged.module

    def run(self) -> Iterator[Step]:
        """Train, one batch at a time, until max_batches or `stop`; writes the files, the last ones at the end.

        Raises TrainingError where the loss is no number: nothing is written then, and the last files stay.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        began = time.perf_counter()
        if self.number < self.net.max_batches:
            for batch in self.batches(self.number):
                arrived = time.perf_counter()
                with _memory_told(self.network.spec.name, batch, self.net.subdivisions):
                    loss, rate, figures = self._learn(batch)
                ended = time.perf_counter()
                height, width = batch.images.shape[2:]
                skipped = tuple(failure.error for failure in batch.skipped)
                yield Step(
                    self.number, self.seen, self.net.step_rows, loss, self._average(loss), rate, width, height,
                    ended - began, arrived - began, figures, skipped,
                )  # fmt: skip
                began = time.perf_counter()
                finished = self.number >= self.net.max_batches
                if finished or self.stopping or self.number % self.settings.checkpoint_every == 0:
                    self.save()
                if finished or self.stopping:
                    break
        if self.number >= self.net.max_batches and self.world.rank == 0:
            self.save_weights(self.network, f"{self.name}_final.weights")

    def stop(self) -> None:
        """End after the batch that is under way, with a checkpoint."""
        self.stopping = True

    def save(self) -> None:
        """Write the checkpoint and the weights, in the first of several processes; raises TrainingError where weights
        are no numbers."""
        if self.world.rank:
            return
        if not all(bool(torch.isfinite(values).all()) for values in self.network.state_dict().values()):
            raise TrainingError(
                f"batch {self.number}: weights are no longer finite; {self.folder / CHECKPOINT} is the last good state;"
                " a lower learning_rate or a longer burn_in may help"
            )
        state = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "seen": self.seen,
            "average_loss": self.average_loss,
            "random": torch.get_rng_state(),
        }
        if self.device.type == "cuda":
            state["random_cuda"] = torch.cuda.get_rng_state(self.device)
        if self.averaged is not None:
            state["averaged"] = self.averaged.state_dict()
        self.checkpoints.write(state)
        self.save_weights(self.network, f"{self.name}.backup")
        if self.detecting is not self.network:
            self.save_weights(self.detecting, f"{self.name}_ema.weights")

    def save_weights(self, network: Network, file: str) -> Path:
        """Write a network's weights into the folder. Raises WeightsError."""
        network.header = dataclasses.replace(self.network.header, seen=self.seen)
        save_weights(network, self.folder / file)
        return self.folder / file

    def _resume(self) -> None:
        state, note = self.checkpoints.read()
        self.notes += () if note is None else (note,)
        try:
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.averaged is not None:
                self.averaged.load_state_dict(state["averaged"])
            average = state["average_loss"]
            self.seen, self.average_loss = operator.index(state["seen"]), average if average is None else float(average)
            torch.set_rng_state(state["random"])
            if "random_cuda" in state and self.device.type == "cuda":
                torch.cuda.set_rng_state(state["random_cuda"], self.device)
        except (AttributeError, LookupError, RuntimeError, ValueError, TypeError) as error:
            where = self.folder / CHECKPOINT
            reason = first_line(error)
            raise TrainingError(f"{where}: is of another network or other settings: {reason}") from None

    def _learn(self, batch: Batch) -> tuple[float, float, dict[str, float]]:
        """One batch's gradients and update: the loss an image, the rate, the heads' figures."""
        seen, done = self.seen, 0
        cost, figures = torch.zeros((), device=self.device), []
        costs: list[Tensor] = []
        for images, truth in _parts(batch, self.net.subdivisions):
            done += len(images)
            images = images.to(self.device, memory_format=torch.channels_last)
            truth = truth.to(self.device)
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.settings.precision == "bf16"):
                raw = self.forward(images)
            height, width = images.shape[2:]
            result = self.losses(raw, truth, seen + done * self.world.size, (width, height))
            # DistributedDataParallel makes means of the processes' gradients.
            (result.loss * self.world.size).backward()
            costs.append(torch.stack(result.costs))
            cost += costs[-1].mean()
            figures.append(result.figures)
        whole, stops = total([float(cost), float(self.stopping)], self.world, self.device)
        self.stopping = stops > 0
        self.seen = seen + self.net.step_rows
        if not math.isfinite(whole):
            raise TrainingError(self._not_finite(whole, torch.stack(costs).sum(0)))
        rate = learning_rate(self.net, self.number)
        self.optimizer.step(rate, self.number)
        self.optimizer.zero_grad()
        self._average_weights()
        return whole / self.net.step_rows, rate, _mean(figures)

    def _average_weights(self) -> None:
        """Let the running average follow. That of the cfg's `ema_alpha` begins at half of all batches, and a thousand
        before the last one it becomes the weights themselves (fork: `ema_update`, `ema_apply`)."""
        if self.averaged is None or (self.settings.ema is None and self.number < self.net.max_batches // 2):
            return
        self.averaged.update_parameters(self.network)
        if self.settings.ema is None and self.number == self.net.max_batches - _LAST_AVERAGED:
            with torch.no_grad():
                for ours, average in zip(self.network.parameters(), self.averaged.parameters(), strict=True):
                    ours.copy_(average)

    def _not_finite(self, loss: float, costs: Tensor) -> str:
        """What to say of a batch whose loss is no number; `costs` are those of the parts that it is made of."""
        spec, good = self.network.spec, self.folder / CHECKPOINT
        parts = (*spec.heads, *(layer for layer in spec.layers if isinstance(layer, Cost)))
        wrong = [layer for layer, cost in zip(parts, costs.tolist(), strict=True) if not math.isfinite(cost)]
        where = f" ({spec.place(wrong[0])})" if wrong else ""
        kept = f"the last good state is in {good}" if good.is_file() else "there is no checkpoint yet"
        if self.number == self.started + 1:
            return (
                f"batch {self.number}: the loss is {loss:g}{where}, before anything was learned; a factor of the loss"
                " there, or the weights it began with, are too large"
            )
        return (
            f"batch {self.number}: the loss is {loss:g}{where}; nothing of this batch is kept, {kept}; a lower"
            " learning_rate or a longer burn_in may help, --resume goes on"
        )

    def _average(self, loss: float) -> float:
        old = loss if self.average_loss is None else self.average_loss
        self.average_loss = _AVERAGED_OVER * old + (1 - _AVERAGED_OVER) * loss
        return self.average_loss


@contextmanager
def _memory_told(name: str, batch: Batch, subdivisions: int) -> Iterator[None]:
    """Make a TrainingError of what memory does not suffice for."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not out_of_memory(error):
            raise
        (count, _, height, width), parts = batch.images.shape, min(subdivisions, len(batch.images))
        raise TrainingError(
            f"{name}: not enough memory to train with {-(-count // parts)} x {width}x{height} pixels at once; more"
            " subdivisions, or a smaller size, need less"
        ) from None


def _device(name: str | None) -> torch.device:
    """The device of this name. Raises TrainingError where there is none."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise TrainingError(f"device: torch knows no '{name}' on this machine; cpu is always there") from None
    return device


def _averaged(network: Network, ema: float | None, *, statistics: bool) -> AveragedModel | None:
    """A running average of the weights and, with `statistics`, of batch normalization's own. Raises TrainingError for
    a share that cannot be kept."""
    if ema is None:
        return None
    if not 0 <= ema <= 1:
        raise TrainingError(f"{network.spec.name}: [net] ema_alpha must be from 0 to 1, found {ema:g}")
    return AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(ema), use_buffers=statistics)


def _parts(batch: Batch, subdivisions: int) -> Iterator[tuple[Tensor, Truth]]:
    """The batch in as many parts, as even as possible."""
    for images, truth in zip(batch.images.tensor_split(subdivisions), batch.truth.parts(subdivisions), strict=True):
        if len(images):
            yield images, truth


def _mean(figures: list[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each figure over those that have it."""
    names = dict.fromkeys(name for one in figures for name in one)
    return {
        name: sum(values) / len(values) for name in names if (values := [one[name] for one in figures if name in one])
    }
