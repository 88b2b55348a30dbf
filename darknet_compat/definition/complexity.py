"""What each layer costs: numbers to store, operations to compute, and where its weights begin in the file.

A layer's operations are 2 for each multiply-add, as the YOLO papers count them (Darknet-19 at 224 x 224: 5.58 billion):
every weight is used once at every position the layer visits. Activations, normalization and pooling count nothing. The
original's `numops` (`darknet ops CFG`) counts convolutional, connected, rnn, gru and lstm layers, in just this way;
counted here, too, are deconvolutional, local and crnn layers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.definition.weights.file import Header, slots
from darknet_compat.definition.weights.slots import layer_slots


@dataclass(frozen=True)
class LayerCost:
    """One layer's cost, for one image (of a recurrent layer, for one step).

    `parameters` are all its numbers in a `.weights` file, batch normalization's statistics included. `operations` are
    two a multiply-add. `offset` is the byte at which its weights begin in the file, None where it reads none.
    """

    parameters: int
    operations: int
    offset: int | None


def costs(spec: NetworkSpec, header: Header | None = None) -> tuple[LayerCost, ...]:
    """The cost of every layer; offsets for a file with `header`, by default today's of 20 bytes."""
    header = header or Header()
    offsets = _offsets(spec, header)
    parameters = [0] * len(spec.layers)
    whole = replace(spec, layers=tuple(replace(layer, dontsave=False) for layer in spec.layers))
    for slot in slots(whole, saving=True):
        parameters[slot.layer] += slot.size
    return tuple(
        LayerCost(parameters[layer.index], _operations(layer), offsets.get(layer.index)) for layer in spec.layers
    )


def _offsets(spec: NetworkSpec, header: Header) -> dict[int, int]:
    """Layer → the byte at which the reader finds its first weight."""
    offsets: dict[int, int] = {}
    at = header.layout.size
    for slot in slots(spec, transposed=header.transposed):
        offsets.setdefault(slot.layer, at)
        at += 4 * slot.size
    return offsets


def _operations(layer: LayerSpec) -> int:
    """Two for each use of a weight, whosever it is."""
    weights = sum(slot.size for slot in layer_slots(layer) if slot.name.endswith("weights"))
    return 2 * weights * layer.positions if weights else 0
