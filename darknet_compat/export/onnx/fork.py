"""The nodes of the layers that only the fork has, and YOLOR's: what `network.fork` computes, as `layers`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import BLURS, LayerSpec
from darknet_compat.definition.weights.fold import shares
from darknet_compat.definition.weights.network_weights import LayerArrays
from darknet_compat.export.onnx.activations import ACTIVATIONS
from darknet_compat.export.onnx.graph import Emit, Graph
from darknet_compat.formats.arrays import Floats

_LOWEST = float(np.finfo(np.float32).min)
_FILTERS = {1: np.outer([1, 2, 1], [1, 2, 1]) / 16, 2: np.full((2, 2), 0.25)}


def blurred(graph: Graph, layer: s.Convolutional | s.Maxpool, x: str, channels: int) -> str:
    """The filter of antialiasing as a convolution of each channel by itself, with the layer's strides."""
    size, padding = BLURS[layer.antialiasing]

    def kernel() -> Floats:
        return np.broadcast_to(_FILTERS[layer.antialiasing], (channels, 1, size, size)).astype(np.float32)

    weights = graph.weight("antialiasing", (channels, 1, size, size), kernel)
    return graph.add(
        "Conv",
        x,
        weights,
        kernel_shape=[size] * 2,
        pads=[padding] * 4,
        strides=list(layer.strides),
        group=channels,
    )


def maxpool_depth(graph: Graph, layer: s.MaxpoolDepth, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """The maximum of slices of channels."""
    x, channels, count = inputs[0], layer.input.c, layer.out_channels
    if missing := -channels % count:
        x = graph.add("Pad", x, graph.constant([0, 0, 0, 0, 0, missing, 0, 0]), graph.constant(_LOWEST))
    parts = (channels + missing) // count
    slices = graph.add_many("Split", [x, graph.constant([count] * parts)], parts, axis=1) if parts > 1 else [x]
    return slices[0] if parts == 1 else graph.add("Max", *slices)


def local_avgpool(graph: Graph, layer: s.LocalAvgpool, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """AveragePool that counts no padding."""
    before, after = layer.padding // 2, layer.padding - layer.padding // 2
    return graph.add(
        "AveragePool",
        inputs[0],
        kernel_shape=[layer.size] * 2,
        pads=[before, before, after, after],
        strides=list(layer.strides),
        count_include_pad=0,
    )


def total(graph: Graph, layer: s.Sum, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Add, each layer times its share where it has one."""
    values = [inputs[0]]
    for x, other in zip(inputs[1:], layer.others, strict=True):
        values.append(_fitted(graph, x, other, layer.output))
    if layer.weights is not None:
        count, each = arrays.shape("weights")

        def share(at: int) -> Callable[[], Floats]:
            return lambda: shares(arrays["weights"], layer.weights_normalization)[at].reshape(1, each, 1, 1)

        names = [graph.weight(f"share {at}", (1, each, 1, 1), share(at)) for at in range(count)]
        values = [graph.add("Mul", x, name) for x, name in zip(values, names, strict=True)]
    x = values[0]
    for value in values[1:]:
        x = graph.add("Add", x, value)
    return ACTIVATIONS[layer.activation](graph, x)


def _fitted(graph: Graph, x: str, shape: s.Shape, wanted: s.Shape) -> str:
    """A layer's values one after another in another shape, 0 where they end."""
    if shape == wanted:
        return x
    if shape.image and shape[1:3] == wanted[1:3]:  # then these are whole channels, whatever the size
        if shape.c > wanted.c:
            ends = (graph.constant([0]), graph.constant([wanted.c]), graph.constant([1]))
            return graph.add("Slice", x, *ends)
        return graph.add("Pad", x, graph.constant([0, 0, 0, 0, 0, wanted.c - shape.c, 0, 0]), graph.constant(0.0))
    x = graph.add("Flatten", x, axis=1)
    if shape.size > wanted.size:
        x = graph.add("Slice", x, graph.constant([0]), graph.constant([wanted.size]), graph.constant([1]))
    elif shape.size < wanted.size:
        x = graph.add("Pad", x, graph.constant([0, 0, 0, wanted.size - shape.size]), graph.constant(0.0))
    return graph.add("Reshape", x, graph.constant([0, *wanted[:3]]))


def scale_channels(graph: Graph, layer: s.ScaleChannels, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Mul, which broadcasts."""
    return ACTIVATIONS[layer.activation](graph, graph.add("Mul", inputs[1], inputs[0]))


def sam(graph: Graph, layer: s.Sam, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Mul."""
    return ACTIVATIONS[layer.activation](graph, graph.add("Mul", *inputs))


def implicit(graph: Graph, layer: s.Implicit, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """The weights, once an image."""
    shape = (1, layer.filters, layer.atoms, 1)
    weights = graph.weight("weights", shape, lambda: arrays["weights"].reshape(shape))
    images = graph.add("Slice", graph.add("Shape", inputs[0]), *(graph.constant([at]) for at in (0, 1, 0)))
    return graph.add("Expand", weights, graph.add("Concat", images, graph.constant([1, 1, 1]), axis=0))


def broadcast(graph: Graph, layer: s.Broadcast, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Add or Mul."""
    return graph.add("Mul" if layer.multiply else "Add", *inputs)


def reorg3d(graph: Graph, layer: s.Reorg3d, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Reshape, Transpose, Reshape; see `network.fork.Reorg3d`."""
    x, step, c = inputs[0], layer.stride, layer.input.c
    size = graph.add("Slice", graph.add("Shape", x), *(graph.constant([at]) for at in (2, 4, 0)))  # H, W
    scaled = graph.add("Mul" if layer.reverse else "Div", size, graph.constant([step, step]))
    shape = graph.add("Concat", graph.constant([0, layer.output.c]), scaled, axis=0)  # N, C', H', W'
    if layer.reverse:
        leading = graph.constant([0, step, step, c // step**4])
        x = graph.add("Reshape", x, graph.add("Concat", leading, scaled, axis=0))  # N, dy, dx, C/s⁴, H·s, W·s
        return graph.add("Reshape", graph.add("Transpose", x, perm=[0, 3, 4, 1, 5, 2]), shape)
    rows, columns = (graph.add("Slice", scaled, *(graph.constant([at]) for at in (k, k + 1, 0))) for k in (0, 1))
    steps = graph.constant([step])
    parted = graph.add("Concat", graph.constant([0, c]), rows, steps, columns, steps, axis=0)
    x = graph.add("Transpose", graph.add("Reshape", x, parted), perm=[0, 3, 5, 1, 2, 4])
    return graph.add("Reshape", x, shape)


def empty(graph: Graph, layer: s.Empty, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """No node: its input is its output."""
    return inputs[0]


def history(graph: Graph, layer: s.History, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Pad with channels of 0."""
    missing = layer.output.c - layer.input.c
    if not missing:
        return inputs[0]
    return graph.add("Pad", inputs[0], graph.constant([0, 0, 0, 0, 0, missing, 0, 0]), graph.constant(0.0))


FORK: dict[type[LayerSpec], Emit] = {
    s.MaxpoolDepth: maxpool_depth,
    s.LocalAvgpool: local_avgpool,
    s.Sum: total,
    s.ScaleChannels: scale_channels,
    s.Sam: sam,
    s.Implicit: implicit,
    s.Broadcast: broadcast,
    s.Reorg3d: reorg3d,
    s.Empty: empty,
    s.History: history,
}
"""As `layers.EMIT`."""
