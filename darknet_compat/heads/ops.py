"""The array operations that the heads are written in.

Implemented for numpy arrays (`numpy_ops`), torch tensors (`network.torch_ops`) and values of an ONNX graph
(`export.onnx.graph_ops`). A value of any of them can also be added, subtracted, multiplied and divided, by another or
by a number, and broadcasts as in numpy. No operation asks for a shape: of a graph's values it is not known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from darknet_compat.formats.arrays import Floats, Ints

Value = Any
"""A torch tensor, a numpy array or a value of a graph."""


class Ops(Protocol):
    """The operations; `x` is always a Value. Axes count from 0."""

    def constant(self, array: Floats, like: Value) -> Value:
        """An array as a value of the kind, type and place of `like`. The same array object may be kept for later."""
        ...

    def reshape(self, x: Value, shape: Sequence[int]) -> Value:
        """The same values in another shape: 0 keeps the side at that place, -1 is what is left."""
        ...

    def transpose(self, x: Value, axes: Sequence[int]) -> Value:
        """The axes in another order."""
        ...

    def concat(self, parts: Sequence[Value], axis: int) -> Value:
        """One after another."""
        ...

    def split(self, x: Value, sizes: Sequence[int], axis: int) -> list[Value]:
        """The inverse of `concat`; `sizes` may hold zeros, whose parts are left out."""
        ...

    def take(self, x: Value, indices: Ints, axis: int) -> Value:
        """The entries `indices` [K] along an axis."""
        ...

    def exp(self, x: Value) -> Value:
        """The exponential."""
        ...

    def sigmoid(self, x: Value) -> Value:
        """1 / (1 + exp(-x))."""
        ...

    def softmax(self, x: Value, axis: int, last: bool = True) -> Value:
        """The softmax along an axis; `last`: whether many of them are quickest with no axis after it."""
        ...

    def cells(self, x: Value) -> Value:
        """Column and row of each cell of a map [N, C, H, W], [2, H·W]; row by row."""
        ...

    def size(self, x: Value) -> Value:
        """Width and height of a map or of images [N, C, H, W], [2, 1]."""
        ...

    def best(self, x: Value, count: int) -> tuple[Value, Value]:
        """The `count` largest along the last axis, largest first, and their places."""
        ...

    def most(self, x: Value, axis: int) -> tuple[Value, Value]:
        """The largest along an axis, which is kept with one value, and its place as a float, the first of several."""
        ...

    def above(self, x: Value, number: float) -> Value:
        """1.0 where x > number, else 0.0."""
        ...

    def equal(self, x: Value, y: Value) -> Value:
        """1.0 where x = y, else 0.0; broadcasts."""
        ...

    def shaped(self, x: Value, like: Value) -> Value:
        """The values of x in the shape of `like`."""
        ...

    def gather(self, x: Value, places: Value, axis: int) -> Value:
        """[…, M, C], of which M is the `axis`, at `places` […, K] → […, K, C]."""
        ...

    def conv1x1(self, x: Value, weights: Value, biases: Value) -> Value:
        """[N, C, H, W] by `weights` [K, C, 1, 1] and `biases` [K] → [N, K, H, W]."""
        ...
