"""The layers between a network's input and its heads."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from darknet_compat.definition.spec.base import ActivationName, LayerSpec, windows
from darknet_compat.definition.spec.slot import Slot, connection_slots, convolution_slots, normalization_slots
from darknet_compat.formats.words import Build

BLURS = {1: (3, 1), 2: (2, 0)}
"""The fork's antialiasing: the size of the filter and its padding on every side."""


@dataclass(frozen=True, kw_only=True)
class Convolutional(LayerSpec):
    """Weights [filters, c / groups, size, size]; `padding` cells on every side, as much more with `dilation`.

    `antialiasing` 1 or 2: computed at every cell, then filtered (`Blur`) with the strides. `share_index`: the layer
    whose weights, biases and normalization these are. `xnor_padding`: what padding counts as among signs. `uniform`:
    how new weights are drawn.
    """

    filters: int
    size: int
    stride_x: int
    stride_y: int
    padding: int
    groups: int
    activation: ActivationName
    batch_normalize: bool
    binary: bool
    xnor: bool
    flipped: bool
    dilation: int = 1
    antialiasing: int = 0
    share_index: int | None = None
    xnor_padding: float = 0.0
    bin_output: bool = False
    uniform: bool = False

    @property
    def strides(self) -> tuple[int, int]:
        """Down and across."""
        return self.stride_y, self.stride_x

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return pooled(self, sides[0], self.strides[axis - 1], 2 * self.padding)

    def overwrites(self, build: Build) -> bool:
        """Those of 1x1 do, unless cuDNN computes them."""
        return build == "cpu" and self.size == 1

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """Those of the self that it shares, where it does."""
        shape = (self.filters, self.input.c // self.groups, self.size, self.size)
        index = self.index if self.share_index is None else self.share_index
        return convolution_slots(index, "", shape, self.batch_normalize, self.flipped)

    @property
    def positions(self) -> int:
        """The places of a convolution, which are more than are left where antialiasing filters them."""
        if not self.antialiasing:
            return self.output.h * self.output.w
        sides = (windows(side, self.size, 1, 2 * self.padding) for side in (self.input.h, self.input.w))
        return math.prod(sides)


@dataclass(frozen=True, kw_only=True)
class Deconvolutional(LayerSpec):
    """A transposed convolution, weights [c, filters, size, size]."""

    filters: int
    size: int
    stride: int
    padding: int
    activation: ActivationName
    batch_normalize: bool

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return (sides[0] - 1) * self.stride + self.size - 2 * self.padding

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """See `LayerSpec`."""
        yield Slot(self.index, "biases", (self.filters,))
        if self.batch_normalize:
            yield from normalization_slots(self.index, "", self.filters)
        yield Slot(self.index, "weights", (self.input.c, self.filters, self.size, self.size))

    @property
    def positions(self) -> int:
        """See `LayerSpec`."""
        return self.input.h * self.input.w


@dataclass(frozen=True, kw_only=True)
class Connected(LayerSpec):
    """Weights [outputs, inputs]."""

    activation: ActivationName
    batch_normalize: bool

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """See `LayerSpec`."""
        return connection_slots(self.index, "", (self.output.c, self.input.size), self.batch_normalize, transposed)

    @property
    def positions(self) -> int:
        """Each of its weights is used once."""
        return 1


@dataclass(frozen=True, kw_only=True)
class Local(LayerSpec):
    """A convolution with weights of its own at each location; `padding` is 0 or 1."""

    filters: int
    size: int
    stride: int
    padding: int
    activation: ActivationName

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """See `LayerSpec`."""
        yield Slot(self.index, "biases", (self.output.size,))
        locations = self.output.h * self.output.w
        yield Slot(self.index, "weights", (locations, self.filters, self.input.c * self.size * self.size))

    @property
    def positions(self) -> int:
        """Each of its weights is used once."""
        return 1


@dataclass(frozen=True, kw_only=True)
class Batchnorm(LayerSpec):
    """Batch normalization by itself. `biases`: whether a file holds them."""

    keeps_size: ClassVar[bool] = True

    biases: bool = False

    def overwrites(self, build: Build) -> bool:
        """See `LayerSpec`."""
        return True

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """Its biases are neither saved nor loaded by the original."""
        if self.biases:
            yield Slot(self.index, "biases", (self.input.c,))
        yield from normalization_slots(self.index, "", self.input.c)


@dataclass(frozen=True, kw_only=True)
class Activation(LayerSpec):
    """An activation by itself."""

    keeps_size: ClassVar[bool] = True

    activation: ActivationName

    def overwrites(self, build: Build) -> bool:
        """See `LayerSpec`."""
        return True


@dataclass(frozen=True, kw_only=True)
class Maxpool(LayerSpec):
    """`padding` is the total of both sides; half of it, rounded down, is left and above. `antialiasing` as of a
    convolution."""

    size: int
    stride_x: int
    stride_y: int
    padding: int
    antialiasing: int = 0

    @property
    def strides(self) -> tuple[int, int]:
        """Down and across."""
        return self.stride_y, self.stride_x

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return pooled(self, sides[0], self.strides[axis - 1], self.padding)


@dataclass(frozen=True, kw_only=True)
class MaxpoolDepth(LayerSpec):
    """The fork's [maxpool] with maxpool_depth: of `out_channels` each is the maximum of every out_channels-th one."""

    keeps_size: ClassVar[bool] = True

    out_channels: int


@dataclass(frozen=True, kw_only=True)
class LocalAvgpool(LayerSpec):
    """The mean of the cells of a window that lie inside; `padding` as of a maxpool."""

    size: int
    stride_x: int
    stride_y: int
    padding: int

    @property
    def strides(self) -> tuple[int, int]:
        """Down and across."""
        return self.stride_y, self.stride_x

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return windows(sides[0], self.size, self.strides[axis - 1], self.padding)


@dataclass(frozen=True, kw_only=True)
class Avgpool(LayerSpec):
    """The mean of each channel."""

    settles: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Dropout(LayerSpec):
    """Values dropped in training with `probability`, the others scaled up."""

    keeps_size: ClassVar[bool] = True

    probability: float


@dataclass(frozen=True, kw_only=True)
class Crop(LayerSpec):
    """A random crop in training, the central one otherwise; pixels go to x·2-1 unless `noadjust`."""

    flip: bool
    noadjust: bool

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True


@dataclass(frozen=True, kw_only=True)
class Normalization(LayerSpec):
    """Local response normalization over `size` neighbouring channels."""

    keeps_size: ClassVar[bool] = True

    size: int
    alpha: float
    beta: float
    kappa: float

    def overwrites(self, build: Build) -> bool:
        """See `LayerSpec`."""
        return True


@dataclass(frozen=True, kw_only=True)
class L2norm(LayerSpec):
    """Each location's channels divided by their Euclidean length."""

    keeps_size: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Upsample(LayerSpec):
    """Each value `stride`² times, or with `reverse` the sum of `stride`² values; both times `scale`."""

    stride: int
    reverse: bool
    scale: float

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return sides[0] // self.stride if self.reverse else sides[0] * self.stride


@dataclass(frozen=True, kw_only=True)
class Reorg(LayerSpec):
    """Darknet's own rearrangement of blocks into channels (and back with `reverse`); see `network.layers`."""

    stride: int
    reverse: bool
    flatten: bool
    extra: int

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return bool(self.extra)

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        if self.fixes_size:
            return self.output[axis]
        return sides[0] * self.stride if self.reverse else sides[0] // self.stride

    def overwrites(self, build: Build) -> bool:
        """See `LayerSpec`."""
        return True


@dataclass(frozen=True, kw_only=True)
class Reorg3d(LayerSpec):
    """The fork's [reorg3d], space to depth: channel (dy·stride + dx)·c + k at (y, x) is channel k at (y·stride + dy,
    x·stride + dx)."""

    stride: int
    reverse: bool

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return sides[0] * self.stride if self.reverse else sides[0] // self.stride


@dataclass(frozen=True, kw_only=True)
class Empty(LayerSpec):
    """Passes its input on unchanged."""

    keeps_size: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Contrastive(LayerSpec):
    """The fork's loss of the embeddings of a [yolo]; outside training nothing, which nobody reads."""

    silent: ClassVar[bool] = True

    keeps_size: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Cost(LayerSpec):
    """A cost against the truth; passes nothing on."""

    silent: ClassVar[bool] = True

    keeps_size: ClassVar[bool] = True

    cost: Literal["sse", "masked", "L1", "seg", "smooth", "wgan"]
    scale: float
    ratio: float
    noobj: float
    thresh: float


def pooled(layer: Convolutional | Maxpool, side: int, stride: int, padding: int) -> int:
    """One side after windows with `padding` in all, and after the filter of antialiasing, which then has the stride."""
    if not layer.antialiasing:
        return windows(side, layer.size, stride, padding)
    size, around = BLURS[layer.antialiasing]
    return windows(windows(side, layer.size, 1, padding), size, stride, 2 * around)
