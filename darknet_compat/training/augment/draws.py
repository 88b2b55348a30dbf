"""Where chance comes from: numbers, colours and pictures that belong to one picture of one batch, whoever loads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from darknet_compat.datasets.base import Labels
from darknet_compat.formats.arrays import Bytes, Floats

Float = np.float32


class Draws:
    """Random numbers that follow from `key` (whole numbers from 0 on) alone.

    Everything is made of `fraction` and `below`, as the original makes everything of `rand` (utils.c), in float32.
    """

    def __init__(self, *key: int) -> None:
        self._generator = np.random.default_rng(key)

    def fraction(self) -> Float:
        """From 0 to 1."""
        fraction: Float = Float(self._generator.random())
        return fraction

    def below(self, number: int) -> int:
        """A whole number from 0 to `number` - 1."""
        return int(self._generator.integers(number))

    def uniform(self, low: float | Float, high: float | Float) -> Float:
        """Between two numbers, whichever is the larger (original: `rand_uniform`)."""
        low, high = sorted((Float(low), Float(high)))
        value: Float = self.fraction() * (high - low) + low
        return value

    def between(self, low: int, high: int) -> int:
        """A whole number between two, both included, whichever is the larger (original: `rand_int`)."""
        low, high = sorted((low, high))
        return self.below(high - low + 1) + low

    def scale(self, most: float) -> Float:
        """A factor from 1 to `most`, or as often one divided by it (original: `rand_scale`)."""
        factor = self.uniform(1, most)
        return factor if self.coin() else Float(1 / factor)

    def coin(self) -> bool:
        """One time of two."""
        return bool(self.below(2))

    def normal(self, shape: tuple[int, ...], deviation: float) -> Floats:
        """Normal numbers around 0, float32 of `shape`."""
        values: Floats = self._generator.standard_normal(shape, np.float32) * Float(deviation)
        return values


class Colours(NamedTuple):
    """How far colours are moved: hue by up to this part of a turn, the others up to so many times."""

    hue: float
    saturation: float
    exposure: float

    def draw(self, draws: Draws) -> tuple[float, float, float]:
        """Parameters of `distort_image` (original: `random_distort_image`)."""
        hue = float(draws.uniform(-self.hue, self.hue))
        saturation = float(draws.scale(self.saturation))
        return hue, saturation, float(draws.scale(self.exposure))


Another = Callable[[], tuple[Bytes, Labels]]
"""Draws a further picture, uint8 [H, W, 3], with its labels."""
