"""The heads' operations on numpy arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darknet_compat.formats.arrays import Array, Floats, Ints


class NumpyOps:
    """See `ops.Ops`. Stateless."""

    def constant(self, array: Floats, like: Array) -> Array:
        """See `Ops.constant`."""
        found: Array = array.astype(like.dtype, copy=False)
        return found

    def reshape(self, x: Array, shape: Sequence[int]) -> Array:
        """See `Ops.reshape`."""
        sides = tuple(side or x.shape[axis] for axis, side in enumerate(shape))
        found: Array = x.reshape(sides)
        return found

    def transpose(self, x: Array, axes: Sequence[int]) -> Array:
        """See `Ops.transpose`."""
        found: Array = np.transpose(x, tuple(axes))
        return found

    def concat(self, parts: Sequence[Array], axis: int) -> Array:
        """See `Ops.concat`."""
        return np.concatenate(parts, axis)

    def split(self, x: Array, sizes: Sequence[int], axis: int) -> list[Array]:
        """See `Ops.split`."""
        return np.split(x, np.cumsum([size for size in sizes if size])[:-1], axis)

    def take(self, x: Array, indices: Ints, axis: int) -> Array:
        """See `Ops.take`."""
        return x.take(indices, axis)

    def exp(self, x: Array) -> Array:
        """See `Ops.exp`."""
        return np.exp(x)

    def sigmoid(self, x: Array) -> Array:
        """See `Ops.sigmoid`."""
        small = np.exp(-np.abs(x))  # which never overflows
        found: Array = np.where(x >= 0, 1, small) / (1 + small)
        return found

    def softmax(self, x: Array, axis: int, last: bool = True) -> Array:
        """See `Ops.softmax`."""
        exponentials = np.exp(x - x.max(axis, keepdims=True))
        found: Array = exponentials / exponentials.sum(axis, keepdims=True)
        return found

    def cells(self, x: Array) -> Array:
        """See `Ops.cells`."""
        height, width = x.shape[2:]
        return np.stack([np.tile(np.arange(width), height), np.arange(height).repeat(width)]).astype(x.dtype)

    def size(self, x: Array) -> Array:
        """See `Ops.size`."""
        return np.array([[x.shape[3]], [x.shape[2]]], x.dtype)

    def best(self, x: Array, count: int) -> tuple[Array, Array]:
        """See `Ops.best`."""
        places = np.argsort(-x, axis=-1, kind="stable")[..., :count]
        return np.take_along_axis(x, places, -1), places

    def most(self, x: Array, axis: int) -> tuple[Array, Array]:
        """See `Ops.most`."""
        return x.max(axis, keepdims=True), x.argmax(axis, keepdims=True).astype(x.dtype)

    def above(self, x: Array, number: float) -> Array:
        """See `Ops.above`."""
        found: Array = (x > x.dtype.type(number)).astype(x.dtype)
        return found

    def equal(self, x: Array, y: Array) -> Array:
        """See `Ops.equal`."""
        found: Array = (x == y).astype(x.dtype)
        return found

    def shaped(self, x: Array, like: Array) -> Array:
        """See `Ops.shaped`."""
        return x.reshape(like.shape)

    def gather(self, x: Array, places: Array, axis: int) -> Array:
        """See `Ops.gather`."""
        return np.take_along_axis(x, places[..., None], axis)

    def conv1x1(self, x: Array, weights: Array, biases: Array) -> Array:
        """See `Ops.conv1x1`."""
        found: Array = np.einsum("kc,nchw->nkhw", weights[:, :, 0, 0], x) + biases[:, None, None]
        return found
