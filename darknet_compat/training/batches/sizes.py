"""At what size a batch is trained: always the cfg's, or one that changes every few batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from darknet_compat.definition.spec import BoxHead, NetworkSpec
from darknet_compat.errors import TrainingError
from darknet_compat.training.augment.draws import Draws

DETECTOR_SIZES = tuple(range(320, 609, 32))
"""What `random=1` of a detector's head draws from, and (original: `train_detector`) …"""
CLASSIFIER_SIZES = tuple(range(128, 449, 32))
"""… that of [net] in a classifier's (original: `train_classifier`)."""
_LAST = 200
"""Batches at the end that a detector sees at the largest size."""
_STREAM = 2


@dataclass(frozen=True)
class Sizes:
    """`at` is a function of the seed and the batch's number alone; `choices` are (width, height)."""

    choices: tuple[tuple[int, int], ...]
    every: int
    largest_from: int | None
    seed: int

    def at(self, number: int) -> tuple[int, int]:
        """(width, height) of batch `number`, from 0."""
        period = number // self.every
        if self.largest_from is not None and period * self.every > self.largest_from:
            return max(self.choices)
        return self.choices[Draws(self.seed, _STREAM, period).below(len(self.choices))]


def training_sizes(spec: NetworkSpec, seed: int, sides: Sequence[int] | None = None) -> Sizes:
    """As the cfg's `random` says; with `sides`, squares of these sides whatever it says. Raises TrainingError."""
    net = spec.net
    heads = [head for head in spec.heads if isinstance(head, BoxHead)]
    every = 10 if heads else 40
    if sides is None:
        sides = DETECTOR_SIZES if heads and heads[-1].random else CLASSIFIER_SIZES if not heads and net.random else ()
    elif not sides or min(sides) < 1:
        raise TrainingError(f"sizes to train at: expected whole numbers above 0, found {list(sides)}")
    choices = tuple((side, side) for side in sides) or ((net.width, net.height),)
    largest_from = net.max_batches - _LAST if heads and net.max_batches else None
    return Sizes(choices, every, largest_from, seed)
