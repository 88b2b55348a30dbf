"""At what size a batch is trained: always the cfg's, or one that changes every few batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from darknet_compat.definition.sides import side_problem
from darknet_compat.definition.spec import BoxHead, NetworkSpec
from darknet_compat.errors import TrainingError
from darknet_compat.training.augment.draws import Draws

DETECTOR_SIZES = tuple(range(320, 609, 32))
"""What `random=1` of a detector's head draws from, and (original: `train_detector`) …"""
CLASSIFIER_SIZES = tuple(range(128, 449, 32))
"""… that of [net] in a classifier's (original: `train_classifier`)."""
_LAST = 200
"""Batches at the end that a detector sees at the largest size."""
_EVERY = 10
"""How many batches of a detector have one size."""
_SCALE = 1.4
"""What the fork's `random=1` stands for, …"""
_LAST_SCALED = 100
"""… and how many batches at the end see the largest size there."""
_STREAM = 2


class Sizes(Protocol):
    """`at` is a function of the seed and the batch's number alone; `choices` are the (width, height) it may give."""

    @property
    def choices(self) -> tuple[tuple[int, int], ...]:
        """All of them."""

    def at(self, number: int) -> tuple[int, int]:
        """(width, height) of batch `number`, from 0."""


@dataclass(frozen=True)
class ListedSizes:
    """One of `choices`, another `every` so many batches; from `largest_from` on the largest."""

    choices: tuple[tuple[int, int], ...]
    every: int
    largest_from: int | None
    seed: int

    def at(self, number: int) -> tuple[int, int]:
        """See `Sizes`."""
        period = number // self.every
        if self.largest_from is not None and period * self.every > self.largest_from:
            return max(self.choices)
        return self.choices[Draws(self.seed, _STREAM, period).below(len(self.choices))]


@dataclass(frozen=True)
class ScaledSizes:
    """The fork's `random` of a detector: every ten batches the cfg's own size times 1 to `most` or as often one divided
    by it, in whole steps; the first ten and the last batches at the largest (AlexeyAB/darknet, `train_detector`)."""

    width: int
    height: int
    most: float
    step: int
    last: int | None
    seed: int

    @property
    def choices(self) -> tuple[tuple[int, int], ...]:
        """See `Sizes`."""
        scales = np.linspace(1 / self.most, self.most, 10_001)
        return tuple(dict.fromkeys(self._scaled(float(scale)) for scale in scales))

    def at(self, number: int) -> tuple[int, int]:
        """See `Sizes`."""
        period = number // _EVERY
        if period == 0 or (self.last is not None and number > self.last):
            return self._scaled(self.most)
        return self._scaled(float(Draws(self.seed, _STREAM, period).scale(self.most)))

    def _scaled(self, scale: float) -> tuple[int, int]:
        width, height = ((round(scale * side / self.step + 1)) * self.step for side in (self.width, self.height))
        larger = width > self.width or height > self.height
        return (self.width, self.height) if scale < 1 and larger else (width, height)


def training_sizes(spec: NetworkSpec, seed: int, sides: Sequence[int] | None = None) -> Sizes:
    """As the cfg's `random` says; with `sides`, squares of these sides whatever it says. Raises TrainingError, also
    where a layer cannot take pictures of one of the sizes."""
    heads = [head for head in spec.heads if isinstance(head, BoxHead)]
    if sides is not None and (not sides or min(sides) < 1):
        raise TrainingError(f"sizes to train at: expected whole numbers above 0, found {list(sides)}")
    random = heads[-1].random if heads else spec.net.random
    if sides is None and not random:
        return ListedSizes(((spec.net.width, spec.net.height),), _EVERY, None, seed)
    sizes = _changing(spec, heads, random, seed, sides)
    for axis in (1, 2):
        for side in dict.fromkeys(size[2 - axis] for size in sizes.choices):
            if problem := side_problem(spec, axis, side):
                where = spec.place(heads[-1]) if heads else f"{spec.name}: [net]"
                asked = f"{spec.name}: sizes to train at" if sides is not None else f"{where} random={random:g}"
                raise TrainingError(f"{asked}: {problem}")
    return sizes


def _changing(
    spec: NetworkSpec, heads: Sequence[BoxHead], random: float, seed: int, sides: Sequence[int] | None
) -> Sizes:
    """Squares of `sides`, else the sizes that `random` stands for. Raises TrainingError."""
    net = spec.net
    if sides is None and heads and spec.dialect.scaled_sizes:
        last = net.max_batches - _LAST_SCALED if net.max_batches else None
        most = _SCALE if random == 1 else float(random)
        if not 0.1 <= most <= 10:
            raise TrainingError(f"{spec.place(heads[-1])} random must be 0, or from 0.1 to 10, found {most:g}")
        if net.resize_step < 1:
            raise TrainingError(f"{spec.name}: [net] resize_step must be above 0, found {net.resize_step}")
        return ScaledSizes(net.width, net.height, most, net.resize_step, last, seed)
    if sides is None:
        sides = DETECTOR_SIZES if heads else CLASSIFIER_SIZES
    largest_from = net.max_batches - _LAST if heads and net.max_batches else None
    return ListedSizes(tuple((side, side) for side in sides), _EVERY if heads else 40, largest_from, seed)
