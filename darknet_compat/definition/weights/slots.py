"""What a `.weights` file holds, in order: a header, then one slot of float32s after another.

`slots` is the only statement of that order (original: `load_weights_upto`, `save_weights_upto` in parser.c), which each
kind of layer says of its own (`LayerSpec.slots`); reader, writer, cutter, `info` and the network iterate it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.definition.spec.slot import FLOAT as FLOAT
from darknet_compat.definition.spec.slot import STATISTICS
from darknet_compat.definition.spec.slot import Slot as Slot
from darknet_compat.errors import WeightsError


@dataclass(frozen=True)
class Header:
    """What stands before the floats. `seen` counts the images seen in training.

    `seen` takes 8 bytes when major·10 + minor >= 2 (and both are below 1000), else 4, unless `wide` says otherwise, as
    the fork's rule or a user does; files above 1000 hold the matrices of connected layers transposed. (The oldest have
    learning rate, momentum and decay instead of a version; as whole numbers these are above 1000.)
    """

    major: int = 0
    minor: int = 2
    revision: int = 0
    seen: int = 0
    wide: bool | None = None

    @property
    def layout(self) -> struct.Struct:
        """The header's bytes: 20 of them, or 16 with the narrow `seen`."""
        return struct.Struct("<iiiQ" if self._is_wide() else "<iiii")

    def _is_wide(self) -> bool:
        if self.wide is not None:
            return self.wide
        return self.major * 10 + self.minor >= 2 and self.major < 1000 and self.minor < 1000

    def as_fork(self) -> Header:
        """The same by the fork's rule, which has no limit of 1000."""
        wide = self.major * 10 + self.minor >= 2
        return self if wide == self._is_wide() else replace(self, wide=wide)

    @property
    def transposed(self) -> bool:
        """Whether connected layers' weights are stored [inputs, outputs]."""
        return self.major > 1000 or self.minor > 1000

    def to_bytes(self) -> bytes:
        """The header as it stands in a file. Raises WeightsError where a number has no room."""
        try:
            return self.layout.pack(self.major, self.minor, self.revision, self.seen)
        except struct.error:
            raise WeightsError(
                f"a header of version {self.major}.{self.minor} has no room for seen={self.seen}"
            ) from None


def slots(
    spec: NetworkSpec, *, transposed: bool = False, cutoff: int | None = None, saving: bool = False
) -> Iterator[Slot]:
    """All slots of a network in file order.

    `transposed` as the header says; only layers below `cutoff`. Reading obeys `dontload`, `dontloadscales` and
    `numload`; writing (`saving`) obeys `dontsave` and else writes everything.
    """
    for layer in spec.layers[:cutoff]:
        if (layer.dontsave if saving else layer.dontload) or shares(layer):
            continue
        for slot in layer.slots(transposed):
            # The original hands these two options on to neither its recurrent layers' parts nor a batchnorm layer.
            if not saving and layer.dontloadscales and slot.name in STATISTICS and not isinstance(layer, s.Batchnorm):
                continue
            if not saving and layer.numload and isinstance(layer, s.Convolutional):
                slot = replace(slot, shape=(layer.numload, *slot.shape[1:]))
            yield slot


def shares(layer: LayerSpec) -> bool:
    """Whether a layer has another's weights, and so none of its own in a file."""
    return isinstance(layer, s.Convolutional) and layer.share_index is not None


def layer_slots(layer: LayerSpec) -> tuple[Slot, ...]:
    """One layer's slots, all of them whole; none of a kind without weights, another's of one that shares them."""
    return tuple(layer.slots(False))
