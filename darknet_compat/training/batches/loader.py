"""Batches of training pictures, made by several processes ahead of the training that waits for them."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import torch

from darknet_compat.datasets.base import Dataset
from darknet_compat.definition.spec import BoxHead, NetworkSpec
from darknet_compat.errors import DatasetError, TrainingError
from darknet_compat.runtime.processor import cores
from darknet_compat.training.augment.recipes import recipe
from darknet_compat.training.batches.batch import Batch, Examples
from darknet_compat.training.batches.multi_scale import training_sizes
from darknet_compat.training.batches.order import ORDERS, Order
from darknet_compat.training.batches.workers import CAN_FORK, Workers

__all__ = ["Batch", "Loader"]

_MOST_DEATHS = 3
"""Deaths of workers without a batch in between."""
_AHEAD = 2
"""Batches that wait, beside those that are being made."""


class Loader:
    """Iterates over Batch, from number `start` on, without end.

    Which pictures a batch shows and what is done to them follows from `seed` and its number alone, however many
    `workers` there are, so that going on from any number costs nothing. By default there are as many as processors; 0
    does without, as Windows always does. `batch` is the cfg's by default. `sizes` are sides of squares to train at in
    turn, in place of what `random` in the cfg stands for.

    `order` is `darknet`, which draws every picture from all of them as the original does, or `epochs`. The first is the
    default because recipes were made with it. `part` (which, of how many) is for several machines: each makes its part
    of the same batch. With `pin_memory` workers' images come where a GPU, if there is one, fetches them fastest.

    A picture that cannot be read is skipped and another drawn; a worker that dies is replaced and its batch
    made again. Raises TrainingError for options that train nothing, and when workers die again and again; DatasetError
    for malformed labels, and when pictures can no longer be read.
    """

    def __init__(
        self,
        dataset: Dataset,
        spec: NetworkSpec,
        *,
        batch: int | None = None,
        seed: int = 0,
        workers: int | None = None,
        start: int = 0,
        order: Order = "darknet",
        sizes: Sequence[int] | None = None,
        part: tuple[int, int] = (0, 1),
        pin_memory: bool = False,
    ) -> None:
        batch = spec.net.batch if batch is None else batch
        if not len(dataset):
            raise DatasetError(f"{dataset.title}: no pictures to train on")
        if order not in ORDERS:
            raise TrainingError(f"order of pictures: expected {' or '.join(ORDERS)}, found '{order}'")
        if min(batch, seed + 1, start + 1) < 1 or not 0 <= part[0] < part[1] <= batch:
            raise TrainingError(
                f"expected a batch of at least one picture a part, and seed and start from 0 on; "
                f"found batch {batch}, part {part[0]} of {part[1]}, seed {seed}, start {start}"
            )
        if spec.net.channels not in (1, 3):
            raise TrainingError(f"{spec.name}: pictures have 3 channels (or 1), the network reads {spec.net.channels}")
        self.start = start
        self.workers = cores() if workers is None else workers
        self.pin_memory = pin_memory and torch.cuda.is_available()
        self.examples = Examples(
            dataset, recipe(spec), order, training_sizes(spec, seed, sizes), batch, seed, spec.net.channels,
            _classes(spec), part,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Batch]:
        if self.workers < 1 or not CAN_FORK:
            return map(self.examples, itertools.count(self.start))
        return self._made_ahead()

    def _made_ahead(self) -> Iterator[Batch]:
        most = self.workers + _AHEAD
        ahead: deque[Future[Batch]] = deque()
        workers: Workers | None = None
        number, deaths = self.start, 0
        try:
            while True:
                try:
                    if workers is None:
                        workers = Workers(self.examples, self.workers, most, self.pin_memory)
                    while len(ahead) < most:
                        ahead.append(workers.submit(number + len(ahead)))
                    batch = ahead[0].result()
                except BrokenProcessPool:
                    deaths += 1
                    if deaths > _MOST_DEATHS:
                        raise TrainingError(_dead(number)) from None
                    if workers is not None:
                        workers.close()
                    workers = None
                    ahead.clear()
                    continue
                ahead.popleft()
                number, deaths = number + 1, 0
                yield batch
        finally:
            if workers is not None:
                workers.close()


def _dead(number: int) -> str:
    return (
        f"processes that load pictures die again and again, making batch {number}: too little memory? "
        "Fewer workers need less, 0 need none; a picture that crashes OpenCV is in this batch otherwise"
    )


def _classes(spec: NetworkSpec) -> int:
    """How many classes a label may name."""
    head = spec.heads[-1] if spec.heads else spec.layers[spec.output_index]
    return head.classes if isinstance(head, BoxHead) else head.output.size
