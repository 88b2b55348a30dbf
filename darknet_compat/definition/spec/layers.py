"""The layers between a network's input and its heads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from darknet_compat.definition.shape import Shape
from darknet_compat.definition.spec.base import ActivationName, LayerSpec


@dataclass(frozen=True, kw_only=True)
class Convolutional(LayerSpec):
    """Weights [filters, c / groups, size, size]; `padding` cells on every side."""

    filters: int
    size: int
    stride: int
    padding: int
    groups: int
    activation: ActivationName
    batch_normalize: bool
    binary: bool
    xnor: bool
    flipped: bool


@dataclass(frozen=True, kw_only=True)
class Deconvolutional(LayerSpec):
    """A transposed convolution, weights [c, filters, size, size]."""

    filters: int
    size: int
    stride: int
    padding: int
    activation: ActivationName
    batch_normalize: bool


@dataclass(frozen=True, kw_only=True)
class Connected(LayerSpec):
    """Weights [outputs, inputs]."""

    activation: ActivationName
    batch_normalize: bool


@dataclass(frozen=True, kw_only=True)
class Local(LayerSpec):
    """A convolution with weights of its own at each location; `padding` is 0 or 1."""

    filters: int
    size: int
    stride: int
    padding: int
    activation: ActivationName


@dataclass(frozen=True, kw_only=True)
class Batchnorm(LayerSpec):
    """Batch normalization by itself."""


@dataclass(frozen=True, kw_only=True)
class Activation(LayerSpec):
    """An activation by itself."""

    activation: ActivationName


@dataclass(frozen=True, kw_only=True)
class Maxpool(LayerSpec):
    """`padding` is the total of both sides; half of it, rounded down, is left and above."""

    size: int
    stride: int
    padding: int


@dataclass(frozen=True, kw_only=True)
class Avgpool(LayerSpec):
    """The mean of each channel."""


@dataclass(frozen=True, kw_only=True)
class Dropout(LayerSpec):
    """Values dropped in training with `probability`, the others scaled up."""

    probability: float


@dataclass(frozen=True, kw_only=True)
class Crop(LayerSpec):
    """A random crop in training, the central one otherwise; pixels go to x·2-1 unless `noadjust`."""

    flip: bool
    angle: float
    saturation: float
    exposure: float
    shift: float
    noadjust: bool


@dataclass(frozen=True, kw_only=True)
class Normalization(LayerSpec):
    """Local response normalization over `size` neighbouring channels."""

    size: int
    alpha: float
    beta: float
    kappa: float


@dataclass(frozen=True, kw_only=True)
class L2norm(LayerSpec):
    """Each location's channels divided by their Euclidean length."""


@dataclass(frozen=True, kw_only=True)
class Route(LayerSpec):
    """The channels of `sources` one after another; of each source the `group_id`-th of `groups` parts (the fork's)."""

    groups: int = 1
    group_id: int = 0


@dataclass(frozen=True, kw_only=True)
class Shortcut(LayerSpec):
    """`alpha` · the previous layer + `beta` · the layer `sources[1]`, of shape `other`, strided or cut to fit."""

    other: Shape
    alpha: float
    beta: float
    activation: ActivationName

    @property
    def steps(self) -> tuple[int, int]:
        """Every how many cells the other layer is read, and every how many of its own the sum goes to."""
        return max(self.other.w // self.output.w, 1), max(self.output.w // self.other.w, 1)


@dataclass(frozen=True, kw_only=True)
class Upsample(LayerSpec):
    """Each value `stride`² times, or with `reverse` the sum of `stride`² values; both times `scale`."""

    stride: int
    reverse: bool
    scale: float


@dataclass(frozen=True, kw_only=True)
class Reorg(LayerSpec):
    """Darknet's own rearrangement of blocks into channels (and back with `reverse`); see `network.layers`."""

    stride: int
    reverse: bool
    flatten: bool
    extra: int


@dataclass(frozen=True, kw_only=True)
class Cost(LayerSpec):
    """A cost against the truth; passes nothing on."""

    cost: Literal["sse", "masked", "L1", "seg", "smooth", "wgan"]
    scale: float
    ratio: float
    noobj: float
    thresh: float
