"""One function per kind of layer: its spec and arrays → the nodes that compute what `network.layers` computes.

A node is named after its layer, a weight after its slot; batch, height and width stay free. `tests/export` holds every
kind against its module. Heads are not here: see `heads`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, Shape
from darknet_compat.definition.weights.network_weights import LayerArrays
from darknet_compat.export.onnx.activations import ACTIVATIONS
from darknet_compat.export.onnx.fork import FORK, blurred
from darknet_compat.export.onnx.graph import Emit, Graph
from darknet_compat.formats.arrays import Floats

_LOWEST = float(np.finfo(np.float32).min)
_END = 2**31 - 1


def convolutional(graph: Graph, layer: s.Convolutional, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Conv, batch normalization in its weights; with `xnor` and `binary` the signs are the weights."""
    x = inputs[0]
    if layer.xnor:
        positive = graph.add("Greater", x, graph.constant(0.0))
        x = graph.add("Where", positive, graph.constant(1.0), graph.constant(-1.0))
    weights, biases = _weights(graph, arrays)
    padding = layer.padding * layer.dilation
    pads, stride, kernel = [padding] * 4, [1, 1] if layer.antialiasing else list(layer.strides), [layer.size] * 2
    if layer.xnor_padding and padding:
        x = graph.add("Pad", x, graph.constant([0, 0, *pads[:2]] * 2), graph.constant(layer.xnor_padding))
        pads = [0] * 4
    elif layer.size == 1 and padding and max(stride) > 1:
        # OpenVINO 2026.4 moves the stride of a padded, strided 1x1 convolution before the padding.
        x = graph.add("Pad", x, graph.constant([0, 0, *pads[:2]] * 2), graph.constant(0.0))
        x = _slice(graph, x, [0, 0], [_END, _END], [2, 3], stride)
        pads, stride = [0] * 4, [1] * 2
    options = {"dilations": [layer.dilation] * 2} if layer.dilation > 1 else {}
    x = graph.add(
        "Conv", x, weights, biases, kernel_shape=kernel, pads=pads, strides=stride, group=layer.groups, **options
    )
    x = ACTIVATIONS[layer.activation](graph, x)
    return blurred(graph, layer, x, layer.filters) if layer.antialiasing else x


def deconvolutional(graph: Graph, layer: s.Deconvolutional, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """ConvTranspose."""
    weights, biases = _weights(graph, arrays, axis=1)
    pads, strides, kernel = [layer.padding] * 4, [layer.stride] * 2, [layer.size] * 2
    x = graph.add("ConvTranspose", inputs[0], weights, biases, kernel_shape=kernel, pads=pads, strides=strides)
    return ACTIVATIONS[layer.activation](graph, x)


def connected(graph: Graph, layer: s.Connected, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Gemm on all of an image's values; the result as an image of 1 x 1."""
    weights, biases = _weights(graph, arrays)
    flat = graph.add("Flatten", inputs[0], axis=1)
    x = ACTIVATIONS[layer.activation](graph, graph.add("Gemm", flat, weights, biases, transB=1))
    return graph.add("Unsqueeze", x, graph.constant([2, 3]))


def local(graph: Graph, layer: s.Local, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Patches by slices, then one product of matrices a location."""
    c, h, w = layer.output[:3]
    x, pad = inputs[0], layer.padding
    if pad:
        x = graph.add("Pad", x, graph.constant([0, 0, pad, pad] * 2), graph.constant(0.0))
    parts = []
    for row in range(layer.size):
        for column in range(layer.size):
            end = [row + (h - 1) * layer.stride + 1, column + (w - 1) * layer.stride + 1]
            part = _slice(graph, x, [row, column], end, [2, 3], [layer.stride] * 2)  # [N, C, H', W']
            parts.append(graph.add("Unsqueeze", part, graph.constant([2])))
    patches = graph.add("Concat", *parts, axis=2)  # [N, C, size², H', W']
    kernel = arrays.shape("weights")[2]
    patches = graph.add("Reshape", patches, graph.constant([0, kernel, h * w]))  # [N, C·size², H'·W']
    patches = graph.add("Transpose", patches, perm=[2, 1, 0])  # [H'·W', C·size², N]
    weights = graph.weight("weights", arrays.shape("weights"), lambda: arrays["weights"])
    x = graph.add("Transpose", graph.add("MatMul", weights, patches), perm=[2, 1, 0])  # [N, filters, H'·W']
    biases = graph.weight("biases", (c, h * w), lambda: arrays["biases"].reshape(c, h * w))
    x = ACTIVATIONS[layer.activation](graph, graph.add("Add", x, biases))
    return graph.add("Reshape", x, graph.constant([0, c, h, w]))


def batchnorm(graph: Graph, layer: s.Batchnorm, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """A factor and a summand a channel."""
    shape = (layer.input.c, 1, 1)
    scales = graph.weight("scales", shape, lambda: arrays.factors().astype(np.float32).reshape(shape))
    biases = graph.weight("biases", shape, lambda: arrays.folded_biases().reshape(shape))
    return graph.add("Add", graph.add("Mul", inputs[0], scales), biases)


def activation(graph: Graph, layer: s.Activation, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """The activation alone."""
    return ACTIVATIONS[layer.activation](graph, inputs[0])


def maxpool(graph: Graph, layer: s.Maxpool, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """MaxPool with all of the padding: a window that begins inside reaches no further, whatever the size."""
    before, after = layer.padding // 2, layer.padding - layer.padding // 2
    x, pads = inputs[0], [before, before, after, after]
    if after >= layer.size:  # more than the operator allows
        x = graph.add("Pad", x, graph.constant([0, 0, before, before, 0, 0, after, after]), graph.constant(_LOWEST))
        pads = [0] * 4
    stride = [1, 1] if layer.antialiasing else list(layer.strides)
    x = graph.add("MaxPool", x, kernel_shape=[layer.size] * 2, pads=pads, strides=stride)
    return blurred(graph, layer, x, layer.input.c) if layer.antialiasing else x


def avgpool(graph: Graph, layer: s.Avgpool, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """GlobalAveragePool."""
    return graph.add("GlobalAveragePool", inputs[0])


def dropout(graph: Graph, layer: s.Dropout, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """No node: dropout acts in training alone."""
    return inputs[0]


def crop(graph: Graph, layer: s.Crop, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """The central crop of a fixed size."""
    start = [(layer.input.h - layer.output.h) // 2, (layer.input.w - layer.output.w) // 2]
    end = [start[0] + layer.output.h, start[1] + layer.output.w]
    x = _slice(graph, inputs[0], start, end, [2, 3])
    if layer.noadjust:
        return x
    return graph.add("Sub", graph.add("Mul", x, graph.constant(2.0)), graph.constant(1.0))


def normalization(graph: Graph, layer: s.Normalization, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """x·(kappa + alpha·Σ squares of neighbours)^-beta; the sum as a 1x1 convolution of zeros and ones."""
    channels, below, above = layer.input.c, (layer.size - 1) // 2, layer.size // 2

    def neighbours() -> Floats:
        distance = np.arange(channels) - np.arange(channels)[:, None]
        matrix = ((distance >= -below) & (distance <= above)).astype(np.float32)
        if above < channels:
            matrix[:, above] -= 1
        kernel: Floats = matrix[:, :, None, None] * np.float32(layer.alpha)
        return kernel

    squares = graph.add("Mul", inputs[0], inputs[0])
    sums = graph.add("Conv", squares, graph.weight("neighbours", (channels, channels, 1, 1), neighbours))
    base = graph.add("Add", sums, graph.constant(layer.kappa))
    return graph.add("Mul", inputs[0], graph.add("Pow", base, graph.constant(-layer.beta)))


def l2norm(graph: Graph, layer: s.L2norm, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Each location's channels by their length."""
    # Not ReduceL2: TensorRT 8.6 makes a layer without a name of its squares, which cannot be held in float32.
    squares = graph.add("Mul", inputs[0], inputs[0])
    return graph.add("Div", inputs[0], graph.add("Sqrt", graph.add("ReduceSum", squares, graph.constant([1]))))


def route(graph: Graph, layer: s.Route, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Concat; of each source one part of its channels."""
    if not layer.output.image:
        inputs = [graph.add("Flatten", x, axis=1) for x in inputs]
    elif layer.groups > 1:
        # Of one source the parts' sizes are known, and said: pnnx passes over a Split without them.
        sizes = [graph.constant([layer.output.c] * layer.groups)] if len(inputs) == 1 else []
        inputs = [graph.add_many("Split", [x, *sizes], layer.groups, axis=1)[layer.group_id] for x in inputs]
    return inputs[0] if len(inputs) == 1 else graph.add("Concat", *inputs, axis=1)


def shortcut(graph: Graph, layer: s.Shortcut, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Add; where the shapes differ, at the cells, every stride-th or sample-th, and channels that both have."""
    x, other = inputs
    if layer.other[:3] == layer.output[:3]:
        x = graph.add("Add", _times(graph, x, layer.alpha), _times(graph, other, layer.beta))
        return ACTIVATIONS[layer.activation](graph, x)
    stride, sample = layer.steps
    channels, *sides = (min(pair) for pair in zip(layer.output[:3], layer.other[:3], strict=True))
    added = _times(graph, _corner(graph, other, layer.other, channels, sides, stride), layer.beta)
    if layer.alpha != 1:  # where nothing is added, x stays as it is
        place = _corner(graph, x, layer.output, channels, sides, sample)
        added = graph.add("Add", added, graph.add("Mul", place, graph.constant(layer.alpha - 1)))
    if sample > 1:
        added = _apart(graph, added, channels, sample)
    missing = [layer.output.c - channels, *(a - b * sample for a, b in zip(layer.output[1:3], sides, strict=True))]
    if any(missing):
        added = graph.add("Pad", added, graph.constant([0, 0, 0, 0, 0, *missing]), graph.constant(0.0))
    return ACTIVATIONS[layer.activation](graph, graph.add("Add", x, added))


def _corner(graph: Graph, x: str, shape: Shape, channels: int, sides: Sequence[int], step: int) -> str:
    """The first `channels`, and of every step-th row and column the first `sides`; cuts only what has to be cut."""
    if [-(-side // step) for side in shape[1:3]] != list(sides):
        x = _slice(graph, x, [0, 0], [(side - 1) * step + 1 for side in sides], [2, 3], [step] * 2)
    elif step > 1:  # whatever the size
        x = _slice(graph, x, [0, 0], [_END, _END], [2, 3], [step] * 2)
    return _slice(graph, x, [0], [channels], [1]) if shape.c > channels else x


def _apart(graph: Graph, x: str, channels: int, step: int) -> str:
    """Zeros between the cells, step - 1 after each: [N, C, H, W] → [N, C, H·step, W·step]."""
    size = _slice(graph, graph.add("Shape", x), [2], [4], [0])  # H, W
    size = graph.add("Mul", size, graph.constant([step, step]))
    x = graph.add("Unsqueeze", x, graph.constant([3, 5]))  # N, C, H, 1, W, 1
    x = graph.add("Pad", x, graph.constant([0] * 9 + [step - 1, 0, step - 1]), graph.constant(0.0))
    return graph.add("Reshape", x, graph.add("Concat", graph.constant([0, channels]), size, axis=0))


def upsample(graph: Graph, layer: s.Upsample, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Resize to the nearest; in reverse AveragePool."""
    side = [layer.stride] * 2
    if layer.reverse:
        mean = graph.add("AveragePool", inputs[0], kernel_shape=side, strides=side)
        return _times(graph, mean, layer.scale * layer.stride**2)
    scales = graph.constant([1.0, 1.0, float(layer.stride), float(layer.stride)])
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _times(graph, graph.add("Resize", inputs[0], "", scales, **nearest), layer.scale)


def reorg(graph: Graph, layer: s.Reorg, arrays: LayerArrays, inputs: Sequence[str]) -> str:
    """Reshape, Transpose, Reshape to a size that is computed from the input's.

    Of five axes at most, which is what small runtimes permute: channels and rows stay side by side, and are one.
    """
    x, step, c = inputs[0], layer.stride, layer.input.c
    if layer.extra:
        flat = graph.add("Flatten", x, axis=1)
        return graph.add("Pad", flat, graph.constant([0, 0, 0, layer.extra]), graph.constant(0.0))
    size = _slice(graph, graph.add("Shape", x), [2], [4], [0])  # H, W
    scaled = graph.add("Mul" if layer.reverse else "Div", size, graph.constant([step, step]))
    channels = c // step**2 if layer.reverse else c * step**2
    shape = graph.add("Concat", graph.constant([0, channels]), scaled, axis=0)  # N, C', H', W'
    if layer.flatten:
        first, perm = ([0, -1, c], [0, 2, 1]) if layer.reverse else ([0, c, -1], [0, 2, 1])
    else:
        width = _slice(graph, size, [1], [2], [0])
        if layer.reverse:
            parts, perm = [graph.constant([0, step, step, -1]), width], [0, 3, 1, 4, 2]  # N, s, s, C/s²·H, W
        else:
            parts = [graph.constant([0, -1, step]), width, graph.constant([step])]  # N, C/s²·H, s, W, s
            perm = [0, 2, 4, 1, 3]
        x = graph.add("Reshape", x, graph.add("Concat", *parts, axis=0))
        return graph.add("Reshape", graph.add("Transpose", x, perm=perm), shape)
    x = graph.add("Transpose", graph.add("Reshape", x, graph.constant(first)), perm=perm)
    return graph.add("Reshape", x, shape)


EMIT: dict[type[LayerSpec], Emit] = {
    s.Convolutional: convolutional,
    s.Deconvolutional: deconvolutional,
    s.Connected: connected,
    s.Local: local,
    s.Batchnorm: batchnorm,
    s.Activation: activation,
    s.Maxpool: maxpool,
    s.Avgpool: avgpool,
    s.Dropout: dropout,
    s.Crop: crop,
    s.Normalization: normalization,
    s.L2norm: l2norm,
    s.Route: route,
    s.Shortcut: shortcut,
    s.Upsample: upsample,
    s.Reorg: reorg,
    **FORK,
}
"""A layer's spec → the function that adds its nodes and gives the name of its output: of the graph, the spec, the
layer's arrays and the names of the values that it reads."""


def _weights(graph: Graph, arrays: LayerArrays, axis: int = 0) -> tuple[str, str]:
    """The names of a layer's weights, filters along `axis`, and biases, batch normalization in them."""
    weights = graph.weight("weights", arrays.shape("weights"), lambda: arrays.folded_weights(axis))
    return weights, graph.weight("biases", arrays.shape("biases"), arrays.folded_biases)


def _times(graph: Graph, x: str, factor: float) -> str:
    return x if factor == 1 else graph.add("Mul", x, graph.constant(float(factor)))


def _slice(
    graph: Graph, x: str, start: Sequence[int], end: Sequence[int], axes: Sequence[int], steps: Sequence[int] = ()
) -> str:
    parts = [start, end, axes, *([steps] if steps else [])]
    return graph.add("Slice", x, *(graph.constant(list(part)) for part in parts))
