"""The layers that read several others, and what these are scaled or shifted by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from darknet_compat.definition.shape import Shape
from darknet_compat.definition.spec.base import ActivationName, LayerSpec
from darknet_compat.definition.spec.slot import Slot


@dataclass(frozen=True, kw_only=True)
class Route(LayerSpec):
    """The channels of `sources` one after another; of each source the `group_id`-th of `groups` parts (the fork's)."""

    groups: int = 1
    group_id: int = 0

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return not self.output.image

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return self.output[axis] if self.fixes_size else sides[0]


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

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return sides[0]

    def meets(self, sides: Sequence[int]) -> bool:
        """Its other layer's places may be strides or samples apart."""
        stride, sample = self.steps
        return -(-sides[1] // stride) * sample == sides[0]


@dataclass(frozen=True, kw_only=True)
class Sum(LayerSpec):
    """The fork's [shortcut] where the plain one does not do: the previous layer and all others of `sources`, of the
    shapes `others`, value by value from the first as far as they go; with `weights` each layer, or each of its
    channels, counts by a share of its own (`weights_normalization` makes shares of them)."""

    others: tuple[Shape, ...]
    activation: ActivationName
    weights: Literal["per_feature", "per_channel"] | None
    weights_normalization: Literal["relu", "softmax"]

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return any(not other.image or other[1:3] != self.output[1:3] for other in self.others)

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return sides[0]

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """The previous self's weights first, then those of the others."""
        if self.weights is not None:
            each = (self.output.c,) if self.weights == "per_channel" else (1,)
            yield Slot(self.index, "weights", (len(self.sources), *each))

    @property
    def positions(self) -> int:
        """Its weights count as little as other sums do."""
        return 0


@dataclass(frozen=True, kw_only=True)
class ScaleChannels(LayerSpec):
    """The layer `sources[1]`, each channel times its value of the previous layer, or with `scale_wh` each place."""

    scale_wh: bool
    activation: ActivationName

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """See `LayerSpec`."""
        return sides[1]

    def meets(self, sides: Sequence[int]) -> bool:
        """See `LayerSpec`; one value a channel goes with any place."""
        return sides[0] == (sides[1] if self.scale_wh else 1)


@dataclass(frozen=True, kw_only=True)
class Sam(LayerSpec):
    """The previous layer times the layer `sources[1]`, value by value."""

    keeps_size: ClassVar[bool] = True

    activation: ActivationName


@dataclass(frozen=True, kw_only=True)
class Implicit(LayerSpec):
    """Weights that are an output, [filters, atoms, 1], whatever comes before.

    `mean`, `std` of new ones, drawn uniformly within ±std of the mean, or with `normal` of that deviation.
    """

    settles: ClassVar[bool] = True

    filters: int
    atoms: int
    mean: float
    std: float
    normal: bool = False

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """See `LayerSpec`."""
        yield Slot(self.index, "weights", (self.filters, self.atoms))

    @property
    def positions(self) -> int:
        """Its weights count as little as other sums do."""
        return 0


@dataclass(frozen=True, kw_only=True)
class Broadcast(LayerSpec):
    """YOLOR's [shift_channels] and [control_channels]: the layer `sources[1]`, [c, 1, 1], added to the previous one at
    every place, or multiplied."""

    keeps_size: ClassVar[bool] = True

    multiply: bool

    def meets(self, sides: Sequence[int]) -> bool:
        """See `LayerSpec`; one value a channel goes with any place."""
        return sides[1] == 1
