"""The heads' operations on torch tensors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from darknet_compat.formats.arrays import Floats, Ints


class TorchOps:
    """See `heads.ops.Ops`. Keeps the constants that it has been given, a copy for each device and type."""

    def __init__(self) -> None:
        self._kept: dict[tuple[int, torch.device, torch.dtype], tuple[Floats | Ints, Tensor]] = {}
        self._sizes: dict[tuple[int, int], Floats] = {}

    def _tensor(self, array: Floats | Ints, device: torch.device, dtype: torch.dtype) -> Tensor:
        key = id(array), device, dtype
        known, tensor = self._kept.get(key, (None, None))
        if tensor is None or known is not array:  # a copy of this object keeps copies of the arrays
            with torch.inference_mode(False):  # for training may come later
                tensor = torch.tensor(array).to(device, dtype)
            self._kept[key] = array, tensor
        return tensor

    def constant(self, array: Floats, like: Tensor) -> Tensor:
        """See `Ops.constant`."""
        return self._tensor(array, like.device, like.dtype)

    def reshape(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """See `Ops.reshape`."""
        return x.reshape([side or x.shape[axis] for axis, side in enumerate(shape)])

    def transpose(self, x: Tensor, axes: Sequence[int]) -> Tensor:
        """See `Ops.transpose`."""
        return x.permute(*axes)

    def concat(self, parts: Sequence[Tensor], axis: int) -> Tensor:
        """See `Ops.concat`."""
        return torch.cat(list(parts), axis)

    def split(self, x: Tensor, sizes: Sequence[int], axis: int) -> list[Tensor]:
        """See `Ops.split`."""
        return list(x.split([size for size in sizes if size], axis))

    def take(self, x: Tensor, indices: Ints, axis: int) -> Tensor:
        """See `Ops.take`."""
        return x.index_select(axis, self._tensor(indices, x.device, torch.int64))

    def exp(self, x: Tensor) -> Tensor:
        """See `Ops.exp`."""
        return x.exp()

    def sigmoid(self, x: Tensor) -> Tensor:
        """See `Ops.sigmoid`."""
        return x.sigmoid()

    def softmax(self, x: Tensor, axis: int, last: bool = True) -> Tensor:
        """See `Ops.softmax`."""
        return x.softmax(axis)

    def cells(self, x: Tensor) -> Tensor:
        """See `Ops.cells`."""
        height, width = x.shape[2:]
        columns = torch.arange(width, device=x.device).expand(height, width)
        rows = torch.arange(height, device=x.device)[:, None].expand(height, width)
        return torch.stack([columns, rows]).flatten(1).to(x.dtype)

    def size(self, x: Tensor) -> Tensor:
        """See `Ops.size`."""
        return self.sides(x.shape[3], x.shape[2], x)

    def sides(self, width: int, height: int, like: Tensor) -> Tensor:
        """[[width], [height]] of the kind of `like`."""
        size = self._sizes.setdefault((width, height), np.array([[width], [height]], np.float32))
        return self._tensor(size, like.device, like.dtype)

    def best(self, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
        """See `Ops.best`."""
        values, places = x.topk(count)
        return values, places

    def most(self, x: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """See `Ops.most`."""
        values, places = x.max(axis, keepdim=True)
        return values, places.to(x.dtype)

    def above(self, x: Tensor, number: float) -> Tensor:
        """See `Ops.above`."""
        return (x > number).to(x.dtype)

    def equal(self, x: Tensor, y: Tensor) -> Tensor:
        """See `Ops.equal`."""
        return (x == y).to(x.dtype)

    def shaped(self, x: Tensor, like: Tensor) -> Tensor:
        """See `Ops.shaped`."""
        return x.reshape(like.shape)

    def gather(self, x: Tensor, places: Tensor, axis: int) -> Tensor:
        """See `Ops.gather`."""
        return x.take_along_dim(places[..., None], axis)

    def conv1x1(self, x: Tensor, weights: Tensor, biases: Tensor) -> Tensor:
        """See `Ops.conv1x1`."""
        return F.conv2d(x, weights, biases)
