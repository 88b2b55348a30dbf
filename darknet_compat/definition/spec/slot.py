"""A run of numbers in a `.weights` file, and the runs that several kinds of layers have."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from darknet_compat.formats.arrays import Floats

FLOAT = np.dtype("<f4")


@dataclass(frozen=True)
class Slot:
    """One run of floats: parameter `name` of layer `layer`, of `shape` (that of its first rows, with `numload`).

    `flipped`: the file holds the matrix [shape[0], rest] transposed.
    """

    layer: int
    name: str
    shape: tuple[int, ...]
    flipped: bool = False

    @property
    def size(self) -> int:
        """The number of floats."""
        return math.prod(self.shape)

    def from_file(self, floats: Floats) -> Floats:
        """The parameter in its shape; a view of `floats` wherever that is possible."""
        if not self.flipped:
            return floats.reshape(self.shape)
        return np.reshape(floats.reshape(-1, self.shape[0]).T, self.shape)

    def to_file(self, parameter: Floats) -> Floats:
        """The inverse of `from_file`: float32 [size], contiguous."""
        rows = parameter[: self.shape[0]].reshape(self.shape[0], -1)
        return np.ascontiguousarray(rows.T if self.flipped else rows, FLOAT).reshape(-1)


STATISTICS = ("scales", "rolling_mean", "rolling_variance")
"""Of batch normalization, in file order."""


def normalization_slots(layer: int, prefix: str, filters: int) -> Iterator[Slot]:
    """The statistics of batch normalization."""
    return (Slot(layer, prefix + name, (filters,)) for name in STATISTICS)


def convolution_slots(
    layer: int, prefix: str, shape: tuple[int, ...], normalized: bool, flipped: bool = False
) -> Iterator[Slot]:
    """biases, with batch normalization its statistics, weights."""
    yield Slot(layer, prefix + "biases", shape[:1])
    if normalized:
        yield from normalization_slots(layer, prefix, shape[0])
    yield Slot(layer, prefix + "weights", shape, flipped)


def connection_slots(
    layer: int, prefix: str, shape: tuple[int, int], normalized: bool, transposed: bool
) -> Iterator[Slot]:
    """biases, weights, with batch normalization its statistics."""
    yield Slot(layer, prefix + "biases", shape[:1])
    yield Slot(layer, prefix + "weights", shape, transposed)
    if normalized:
        yield from normalization_slots(layer, prefix, shape[0])
