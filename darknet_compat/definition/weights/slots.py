"""What a `.weights` file holds, in order: a header, then one slot of float32s after another.

`slots` is the only statement of that order (original: `load_weights_upto`, `save_weights_upto` in parser.c); reader,
writer, cutter, `info` and the network iterate it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.errors import WeightsError

Floats = NDArray[np.float32]
FLOAT = np.dtype("<f4")


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
        """The inverse of `from_file`, contiguous."""
        rows = parameter[: self.shape[0]].reshape(self.shape[0], -1)
        return np.ascontiguousarray(rows.T if self.flipped else rows, FLOAT).reshape(-1)


def slots(
    spec: NetworkSpec, *, transposed: bool = False, cutoff: int | None = None, saving: bool = False
) -> Iterator[Slot]:
    """All slots of a network in file order.

    `transposed` as the header says; only layers below `cutoff`. Reading obeys `dontload`, `dontloadscales` and
    `numload`; writing (`saving`) obeys `dontsave` and else writes everything.
    """
    for layer in spec.layers[:cutoff]:
        if (layer.dontsave if saving else layer.dontload) or type(layer) not in _SLOTS or shares(layer):
            continue
        for slot in _SLOTS[type(layer)](layer, transposed):
            # The original hands these two options on to neither its recurrent layers' parts nor a batchnorm layer.
            if not saving and layer.dontloadscales and slot.name in _STATISTICS and not isinstance(layer, s.Batchnorm):
                continue
            if not saving and layer.numload and isinstance(layer, s.Convolutional):
                slot = replace(slot, shape=(layer.numload, *slot.shape[1:]))
            yield slot


def shares(layer: LayerSpec) -> bool:
    """Whether a layer has another's weights, and so none of its own in a file."""
    return isinstance(layer, s.Convolutional) and layer.share_index is not None


def layer_slots(layer: LayerSpec) -> tuple[Slot, ...]:
    """One layer's slots, all of them whole; none of a kind without weights, another's of one that shares them."""
    return tuple(_SLOTS[type(layer)](layer, False)) if type(layer) in _SLOTS else ()


_STATISTICS = ("scales", "rolling_mean", "rolling_variance")


def _normalized(layer: int, prefix: str, filters: int) -> Iterator[Slot]:
    return (Slot(layer, prefix + name, (filters,)) for name in _STATISTICS)


def _convolution(
    layer: int, prefix: str, shape: tuple[int, ...], normalized: bool, flipped: bool = False
) -> Iterator[Slot]:
    """biases, with batch normalization its statistics, weights."""
    yield Slot(layer, prefix + "biases", shape[:1])
    if normalized:
        yield from _normalized(layer, prefix, shape[0])
    yield Slot(layer, prefix + "weights", shape, flipped)


def _connection(layer: int, prefix: str, shape: tuple[int, int], normalized: bool, transposed: bool) -> Iterator[Slot]:
    """biases, weights, with batch normalization its statistics."""
    yield Slot(layer, prefix + "biases", shape[:1])
    yield Slot(layer, prefix + "weights", shape, transposed)
    if normalized:
        yield from _normalized(layer, prefix, shape[0])


def _convolutional(layer: s.Convolutional, transposed: bool) -> Iterator[Slot]:
    """Those of the layer that it shares, where it does."""
    shape = (layer.filters, layer.input.c // layer.groups, layer.size, layer.size)
    index = layer.index if layer.share_index is None else layer.share_index
    return _convolution(index, "", shape, layer.batch_normalize, layer.flipped)


def _deconvolutional(layer: s.Deconvolutional, transposed: bool) -> Iterator[Slot]:
    yield Slot(layer.index, "biases", (layer.filters,))
    if layer.batch_normalize:
        yield from _normalized(layer.index, "", layer.filters)
    yield Slot(layer.index, "weights", (layer.input.c, layer.filters, layer.size, layer.size))


def _connected(layer: s.Connected, transposed: bool) -> Iterator[Slot]:
    return _connection(layer.index, "", (layer.output.c, layer.input.size), layer.batch_normalize, transposed)


def _local(layer: s.Local, transposed: bool) -> Iterator[Slot]:
    yield Slot(layer.index, "biases", (layer.output.size,))
    locations = layer.output.h * layer.output.w
    yield Slot(layer.index, "weights", (locations, layer.filters, layer.input.c * layer.size * layer.size))


def _batchnorm(layer: s.Batchnorm, transposed: bool) -> Iterator[Slot]:
    """Its biases are neither saved nor loaded by the original."""
    if layer.biases:
        yield Slot(layer.index, "biases", (layer.input.c,))
    yield from _normalized(layer.index, "", layer.input.c)


def _gated(layer: s.Gru | s.Lstm, transposed: bool) -> Iterator[Slot]:
    for part in layer.parts:
        shape = (layer.outputs, layer.outputs if part[0] == "w" else layer.input.size)
        yield from _connection(layer.index, part + ".", shape, layer.batch_normalize, transposed)


def _rnn(layer: s.Rnn, transposed: bool) -> Iterator[Slot]:
    inputs, hidden, outputs = layer.input.size, layer.hidden, layer.outputs
    parts = {"input_layer": (hidden, inputs), "self_layer": (hidden, hidden), "output_layer": (outputs, hidden)}
    for part, shape in parts.items():
        yield from _connection(layer.index, part + ".", shape, layer.batch_normalize, transposed)


def _crnn(layer: s.Crnn, transposed: bool) -> Iterator[Slot]:
    hidden, output = layer.hidden_filters, layer.output_filters
    parts = {"input_layer": (hidden, layer.input.c), "self_layer": (hidden, hidden), "output_layer": (output, hidden)}
    for part, (filters, channels) in parts.items():
        shape = (filters, channels // layer.groups, layer.size, layer.size)
        yield from _convolution(layer.index, part + ".", shape, layer.batch_normalize)


def _conv_lstm(layer: s.ConvLstm, transposed: bool) -> Iterator[Slot]:
    for part in layer.parts:
        channels = layer.input.c if part[0] == "u" else layer.filters
        shape = (layer.filters, channels // layer.groups, layer.size, layer.size)
        yield from _convolution(layer.index, part + ".", shape, layer.batch_normalize)


def _sum(layer: s.Sum, transposed: bool) -> Iterator[Slot]:
    """The previous layer's weights first, then those of the others."""
    if layer.weights is not None:
        each = (layer.output.c,) if layer.weights == "per_channel" else (1,)
        yield Slot(layer.index, "weights", (len(layer.sources), *each))


def _implicit(layer: s.Implicit, transposed: bool) -> Iterator[Slot]:
    yield Slot(layer.index, "weights", (layer.filters, layer.atoms))


_SLOTS: dict[type[LayerSpec], Callable[[Any, bool], Iterator[Slot]]] = {
    s.Convolutional: _convolutional,
    s.Deconvolutional: _deconvolutional,
    s.Connected: _connected,
    s.Local: _local,
    s.Batchnorm: _batchnorm,
    s.Rnn: _rnn,
    s.Gru: _gated,
    s.Lstm: _gated,
    s.Crnn: _crnn,
    s.ConvLstm: _conv_lstm,
    s.Sum: _sum,
    s.Implicit: _implicit,
}
