"""What each layer costs: numbers to store, operations to compute, and where its weights begin in the file.

A layer's operations are 2 for each multiply-add, as the YOLO papers count them (Darknet-19 at 224 x 224: 5.58 billion):
every weight is used once at every position the layer visits. Activations, normalization and pooling count nothing. The
original's `numops` (`darknet ops CFG`) counts convolutional, connected, rnn, gru and lstm layers, in just this way;
counted here, too, are deconvolutional, local and crnn layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.definition.spec.base import windows
from darknet_compat.definition.weights.file import Header, slots
from darknet_compat.definition.weights.slots import layer_slots


@dataclass(frozen=True)
class Cost:
    """One layer's cost, for one image (of a recurrent layer, for one step).

    `parameters` are all its numbers in a `.weights` file, batch normalization's statistics included. `operations` are
    two a multiply-add. `offset` is the byte at which its weights begin in the file, None where it reads none.
    """

    parameters: int
    operations: int
    offset: int | None


def costs(spec: NetworkSpec, header: Header | None = None) -> tuple[Cost, ...]:
    """The cost of every layer; offsets for a file with `header`, by default today's of 20 bytes."""
    header = header or Header()
    offsets = _offsets(spec, header)
    parameters = [0] * len(spec.layers)
    whole = replace(spec, layers=tuple(replace(layer, dontsave=False) for layer in spec.layers))
    for slot in slots(whole, saving=True):
        parameters[slot.layer] += slot.size
    return tuple(Cost(parameters[layer.index], _operations(layer), offsets.get(layer.index)) for layer in spec.layers)


def _offsets(spec: NetworkSpec, header: Header) -> dict[int, int]:
    """Layer → the byte at which the reader finds its first weight."""
    offsets: dict[int, int] = {}
    at = header.layout.size
    for slot in slots(spec, transposed=header.transposed):
        offsets.setdefault(slot.layer, at)
        at += 4 * slot.size
    return offsets


def _operations(layer: LayerSpec) -> int:
    """Two for each use of a weight, whosever it is. Raises KeyError for a kind with weights that is in no table."""
    weights = sum(slot.size for slot in layer_slots(layer) if slot.name.endswith("weights"))
    return 2 * weights * _POSITIONS[type(layer)](layer) if weights else 0


def _once(layer: LayerSpec) -> int:
    return 1


def _nothing(layer: LayerSpec) -> int:
    return 0


def _convolved(layer: s.Convolutional) -> int:
    """The places of a convolution, which are more than are left where antialiasing filters them."""
    if not layer.antialiasing:
        return _area(layer.output)
    sides = (windows(side, layer.size, 1, 2 * layer.padding) for side in (layer.input.h, layer.input.w))
    return math.prod(sides)


def _area(shape: s.Shape) -> int:
    return shape.h * shape.w


_POSITIONS: dict[type[LayerSpec], Callable[[Any], int]] = {
    s.Convolutional: _convolved,
    s.Deconvolutional: lambda layer: _area(layer.input),
    s.Connected: _once,
    s.Local: _once,
    s.Rnn: _once,
    s.Gru: _once,
    s.Lstm: _once,
    s.Crnn: lambda layer: _area(layer.input) // layer.stride**2,
    s.ConvLstm: lambda layer: _area(layer.output),
    s.Sum: _nothing,
    s.Implicit: _nothing,
}
"""How often each weight of a kind of layer is used; local layers have weights of their own at each position. Those of
a sum and implicit ones are counted as little as other sums are."""
