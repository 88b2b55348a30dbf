"""One function per kind of layer: the nodes that compute what its module in `network.layers` computes.

Written out rather than traced, because a node is then named after its layer, a weight after its slot, and the batch,
height and width stay free; `tests/export` holds every kind against its module. Heads are not here: see `heads`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, Shape
from darknet_compat.export.onnx.activations import ACTIVATIONS
from darknet_compat.export.onnx.graph import Graph
from darknet_compat.network import layers

Emit = Callable[[Graph, Any, Any, Sequence[str]], str]
_LOWEST = float(np.finfo(np.float32).min)
_END = 2**31 - 1


def convolutional(graph: Graph, spec: s.Convolutional, module: layers.Convolutional, inputs: Sequence[str]) -> str:
    """Conv, batch normalization in its weights; with `xnor` and `binary` the signs are the weights."""
    x = inputs[0]
    if module.binary_input:
        positive = graph.add("Greater", x, graph.constant(0.0))
        x = graph.add("Where", positive, graph.constant(1.0), graph.constant(-1.0))
    fold = _Fold(module, 0)
    weights = graph.weight("weights", module.weights.shape, lambda: fold.weights(_effective(module)))
    biases = graph.weight("biases", module.biases.shape, fold.biases)
    pads, stride, kernel = [spec.padding] * 4, [spec.stride] * 2, [spec.size] * 2
    if spec.size == 1 and spec.padding and spec.stride > 1:
        # Of such a one OpenVINO moves the stride to before the padding (2026.4 does so where another comes before it).
        x = graph.add("Pad", x, graph.constant([0, 0, *pads[:2]] * 2), graph.constant(0.0))
        x = _slice(graph, x, [0, 0], [_END, _END], [2, 3], stride)
        pads, stride = [0] * 4, [1] * 2
    x = graph.add("Conv", x, weights, biases, kernel_shape=kernel, pads=pads, strides=stride, group=spec.groups)
    return ACTIVATIONS[spec.activation](graph, x)


def deconvolutional(
    graph: Graph, spec: s.Deconvolutional, module: layers.Deconvolutional, inputs: Sequence[str]
) -> str:
    """ConvTranspose."""
    fold = _Fold(module, 1)
    weights = graph.weight("weights", module.weights.shape, lambda: fold.weights(module.weights))
    biases = graph.weight("biases", module.biases.shape, fold.biases)
    pads, strides, kernel = [spec.padding] * 4, [spec.stride] * 2, [spec.size] * 2
    x = graph.add("ConvTranspose", inputs[0], weights, biases, kernel_shape=kernel, pads=pads, strides=strides)
    return ACTIVATIONS[spec.activation](graph, x)


def connected(graph: Graph, spec: s.Connected, module: layers.Connected, inputs: Sequence[str]) -> str:
    """Gemm on all of an image's values; the result as an image of 1 x 1."""
    fold = _Fold(module, 0)
    weights = graph.weight("weights", module.weights.shape, lambda: fold.weights(module.weights))
    biases = graph.weight("biases", module.biases.shape, fold.biases)
    flat = graph.add("Flatten", inputs[0], axis=1)
    x = ACTIVATIONS[spec.activation](graph, graph.add("Gemm", flat, weights, biases, transB=1))
    return graph.add("Unsqueeze", x, graph.constant([2, 3]))


def local(graph: Graph, spec: s.Local, module: layers.Local, inputs: Sequence[str]) -> str:
    """Patches by slices, then one product of matrices a location."""
    c, h, w = spec.output[:3]
    x, pad = inputs[0], spec.padding
    if pad:
        x = graph.add("Pad", x, graph.constant([0, 0, pad, pad] * 2), graph.constant(0.0))
    parts = []
    for row in range(spec.size):
        for column in range(spec.size):
            end = [row + (h - 1) * spec.stride + 1, column + (w - 1) * spec.stride + 1]
            part = _slice(graph, x, [row, column], end, [2, 3], [spec.stride] * 2)  # [N, C, H', W']
            parts.append(graph.add("Unsqueeze", part, graph.constant([2])))
    patches = graph.add("Concat", *parts, axis=2)  # [N, C, size², H', W']
    patches = graph.add("Reshape", patches, graph.constant([0, module.weights.shape[2], h * w]))  # [N, C·size², H'·W']
    patches = graph.add("Transpose", patches, perm=[2, 1, 0])  # [H'·W', C·size², N]
    weights = graph.weight("weights", module.weights.shape, lambda: _array(module.weights))
    x = graph.add("Transpose", graph.add("MatMul", weights, patches), perm=[2, 1, 0])  # [N, filters, H'·W']
    biases = graph.weight("biases", (c, h * w), lambda: _array(module.biases).reshape(c, h * w))
    x = ACTIVATIONS[spec.activation](graph, graph.add("Add", x, biases))
    return graph.add("Reshape", x, graph.constant([0, c, h, w]))


def batchnorm(graph: Graph, spec: s.Batchnorm, module: layers.Batchnorm, inputs: Sequence[str]) -> str:
    """A factor and a summand a channel."""
    fold, shape = _Fold(module, 0), (spec.input.c, 1, 1)
    scales = graph.weight("scales", shape, lambda: fold.weights(torch.ones(shape)))
    biases = graph.weight("biases", shape, lambda: fold.biases().reshape(shape))
    return graph.add("Add", graph.add("Mul", inputs[0], scales), biases)


def activation(graph: Graph, spec: s.Activation, module: nn.Module, inputs: Sequence[str]) -> str:
    """The activation alone."""
    return ACTIVATIONS[spec.activation](graph, inputs[0])


def maxpool(graph: Graph, spec: s.Maxpool, module: nn.Module, inputs: Sequence[str]) -> str:
    """MaxPool with all of the padding: a window that begins inside reaches no further, whatever the size."""
    before, after = spec.padding // 2, spec.padding - spec.padding // 2
    x, pads = inputs[0], [before, before, after, after]
    if after >= spec.size:  # more than the operator allows
        x = graph.add("Pad", x, graph.constant([0, 0, before, before, 0, 0, after, after]), graph.constant(_LOWEST))
        pads = [0] * 4
    return graph.add("MaxPool", x, kernel_shape=[spec.size] * 2, pads=pads, strides=[spec.stride] * 2)


def avgpool(graph: Graph, spec: s.Avgpool, module: nn.Module, inputs: Sequence[str]) -> str:
    """GlobalAveragePool."""
    return graph.add("GlobalAveragePool", inputs[0])


def dropout(graph: Graph, spec: s.Dropout, module: nn.Module, inputs: Sequence[str]) -> str:
    """Nothing, outside training."""
    return inputs[0]


def crop(graph: Graph, spec: s.Crop, module: nn.Module, inputs: Sequence[str]) -> str:
    """The central crop of a fixed size."""
    start = [(spec.input.h - spec.output.h) // 2, (spec.input.w - spec.output.w) // 2]
    end = [start[0] + spec.output.h, start[1] + spec.output.w]
    x = _slice(graph, inputs[0], start, end, [2, 3])
    if spec.noadjust:
        return x
    return graph.add("Sub", graph.add("Mul", x, graph.constant(2.0)), graph.constant(1.0))


def normalization(graph: Graph, spec: s.Normalization, module: nn.Module, inputs: Sequence[str]) -> str:
    """x·(kappa + alpha·Σ squares of neighbours)^-beta; the sum as a 1x1 convolution of zeros and ones."""
    channels, below, above = spec.input.c, (spec.size - 1) // 2, spec.size // 2

    def neighbours() -> NDArray[np.float32]:
        distance = np.arange(channels) - np.arange(channels)[:, None]
        matrix = ((distance >= -below) & (distance <= above)).astype(np.float32)
        if above < channels:
            matrix[:, above] -= 1
        kernel: NDArray[np.float32] = matrix[:, :, None, None] * np.float32(spec.alpha)
        return kernel

    squares = graph.add("Mul", inputs[0], inputs[0])
    sums = graph.add("Conv", squares, graph.weight("neighbours", (channels, channels, 1, 1), neighbours))
    base = graph.add("Add", sums, graph.constant(spec.kappa))
    return graph.add("Mul", inputs[0], graph.add("Pow", base, graph.constant(-spec.beta)))


def l2norm(graph: Graph, spec: s.L2norm, module: nn.Module, inputs: Sequence[str]) -> str:
    """Each location's channels by their length."""
    return graph.add("Div", inputs[0], graph.add("ReduceL2", inputs[0], axes=[1], keepdims=1))


def route(graph: Graph, spec: s.Route, module: layers.Route, inputs: Sequence[str]) -> str:
    """Concat; of each source one part of its channels."""
    if not module.image:
        inputs = [graph.add("Flatten", x, axis=1) for x in inputs]
    elif spec.groups > 1:
        inputs = [graph.add_many("Split", [x], spec.groups, axis=1)[spec.group_id] for x in inputs]
    return inputs[0] if len(inputs) == 1 else graph.add("Concat", *inputs, axis=1)


def shortcut(graph: Graph, spec: s.Shortcut, module: layers.Shortcut, inputs: Sequence[str]) -> str:
    """Add; where the shapes differ, at the cells, every stride-th or sample-th, and channels that both have."""
    x, other = inputs
    if spec.other[:3] == spec.output[:3]:
        x = graph.add("Add", _times(graph, x, spec.alpha), _times(graph, other, spec.beta))
        return ACTIVATIONS[spec.activation](graph, x)
    channels, *sides = (min(pair) for pair in zip(spec.output[:3], spec.other[:3], strict=True))
    added = _times(graph, _corner(graph, other, spec.other, channels, sides, module.stride), spec.beta)
    if spec.alpha != 1:  # where nothing is added, x stays as it is
        place = _corner(graph, x, spec.output, channels, sides, module.sample)
        added = graph.add("Add", added, graph.add("Mul", place, graph.constant(spec.alpha - 1)))
    if module.sample > 1:
        added = _apart(graph, added, channels, module.sample)
    missing = [spec.output.c - channels, *(a - b * module.sample for a, b in zip(spec.output[1:3], sides, strict=True))]
    if any(missing):
        added = graph.add("Pad", added, graph.constant([0, 0, 0, 0, 0, *missing]), graph.constant(0.0))
    return ACTIVATIONS[spec.activation](graph, graph.add("Add", x, added))


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


def upsample(graph: Graph, spec: s.Upsample, module: nn.Module, inputs: Sequence[str]) -> str:
    """Resize to the nearest; in reverse AveragePool."""
    side = [spec.stride] * 2
    if spec.reverse:
        mean = graph.add("AveragePool", inputs[0], kernel_shape=side, strides=side)
        return _times(graph, mean, spec.scale * spec.stride**2)
    scales = graph.constant([1.0, 1.0, float(spec.stride), float(spec.stride)])
    nearest = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    return _times(graph, graph.add("Resize", inputs[0], "", scales, **nearest), spec.scale)


def reorg(graph: Graph, spec: s.Reorg, module: nn.Module, inputs: Sequence[str]) -> str:
    """Reshape, Transpose, Reshape to a size that is computed from the input's."""
    x, step, c = inputs[0], spec.stride, spec.input.c
    if spec.extra:
        flat = graph.add("Flatten", x, axis=1)
        return graph.add("Pad", flat, graph.constant([0, 0, 0, spec.extra]), graph.constant(0.0))
    size = _slice(graph, graph.add("Shape", x), [2], [4], [0])  # H, W
    scaled = graph.add("Mul" if spec.reverse else "Div", size, graph.constant([step, step]))
    channels = c // step**2 if spec.reverse else c * step**2
    shape = graph.add("Concat", graph.constant([0, channels]), scaled, axis=0)  # N, C', H', W'
    if spec.flatten:
        first, perm = ([0, -1, c], [0, 2, 1]) if spec.reverse else ([0, c, -1], [0, 2, 1])
    elif spec.reverse:
        leading = graph.constant([0, step, step, c // step**2])
        x = graph.add("Reshape", x, graph.add("Concat", leading, size, axis=0))  # N, s, s, C/s², H, W
        return graph.add("Reshape", graph.add("Transpose", x, perm=[0, 3, 4, 1, 5, 2]), shape)
    else:
        first, perm = [0, c // step**2, 0, step, -1, step], [0, 3, 5, 1, 2, 4]  # N, C/s², H, s, W, s
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
}
"""A layer's spec → the function that adds its nodes and gives the name of its output."""


class _Fold:
    """Batch normalization as factors on the weights' `axis` and summands, computed when they are written."""

    def __init__(self, module: layers.Biased, axis: int) -> None:
        self.module, self.axis = module, axis

    def _factor(self) -> torch.Tensor:
        module = self.module
        return module.scales.double() / module.deviation(module.rolling_variance.double())  # [filters]

    @torch.no_grad()
    def weights(self, weights: torch.Tensor) -> NDArray[np.float32]:
        """The weights, times the factor of their filter."""
        if not self.module.normalized:
            return _array(weights)
        shape = [1] * weights.dim()
        shape[self.axis] = -1
        return _array(weights * self._factor().view(shape))

    @torch.no_grad()
    def biases(self) -> NDArray[np.float32]:
        """What is left to add."""
        if not self.module.normalized:
            return _array(self.module.biases)
        return _array(self.module.biases - self.module.rolling_mean * self._factor())


def _effective(module: layers.Convolutional) -> torch.Tensor:
    """The weights that the convolution multiplies by."""
    weights: torch.Tensor = module.weights.detach()
    if not module.binary_weights:
        return weights
    mean = weights.abs().mean((1, 2, 3), keepdim=True)
    return torch.where(weights > 0, mean, -mean)


def _array(x: torch.Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = x.detach().float().cpu().numpy()
    return array


def _times(graph: Graph, x: str, factor: float) -> str:
    return x if factor == 1 else graph.add("Mul", x, graph.constant(float(factor)))


def _slice(
    graph: Graph, x: str, start: Sequence[int], end: Sequence[int], axes: Sequence[int], steps: Sequence[int] = ()
) -> str:
    parts = [start, end, axes, *([steps] if steps else [])]
    return graph.add("Slice", x, *(graph.constant(list(part)) for part in parts))
