"""Where chance comes from: numbers that belong to one picture of one batch, whoever loads it."""

from __future__ import annotations

import numpy as np

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
