"""What the raw outputs mean, as nodes: the torch code of `network.heads`, traced, so that no formula is written twice.

By torch's tracing exporter: the newer one begins with opset 18, needs a package more, and takes ten times as long for
the same nodes. What tracing would make a constant of though it depends on the input is found, and is an error.
"""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Sequence
from typing import Any

import onnx
import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.export.onnx.graph import Graph
from darknet_compat.network import heads
from darknet_compat.network.layers import Convolutional
from darknet_compat.network.network import Network
from darknet_compat.network.split import SplitRegion, splittable

OPSET = 17
"""The newest that the runtimes of 2022 on read (TensorRT 8.5, OpenVINO 2022.3, ONNX Runtime 1.12); nothing later is
needed."""

SPLIT_FROM = 200
"""From how many classes on only the candidates get class probabilities, as in the torch runtime."""

BOXES = ("boxes", "objectness", "classes")
CANDIDATES = (*BOXES, "every_objectness")
"""The outputs' names. `every_objectness` [N, all of them] tells a reader how many candidates had no room."""

_DETECTS = (heads.Region, heads.Yolo, heads.Detection)


class Boxes(nn.Module):
    """Every head's raw output → boxes, objectness and classes of all heads together (`heads.Boxes`)."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.heads = nn.ModuleList(copy.deepcopy(network.layers[head.index]) for head in network.spec.heads)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """[N, values, H, W] each, and the images for the size that [yolo] needs → [N, D, 4], [N, D], [N, D, C]."""
        raws, images = inputs[: len(self.heads)], inputs[len(self.heads) :]
        size = (images[0].shape[3], images[0].shape[2]) if images else (1, 1)
        parts = []
        for head, raw in zip(self.heads, raws, strict=True):
            assert isinstance(head, _DETECTS)
            parts.append(head.boxes(head(raw), size))
        return parts[0] if len(parts) == 1 else tuple(torch.cat(column, 1) for column in zip(*parts, strict=True))


class Split(nn.Module):
    """What the last convolution reads → the best candidates (`network.split`)."""

    def __init__(self, network: Network, limit: int) -> None:
        super().__init__()
        convolution, region = network.layers[-2], network.layers[-1]
        assert isinstance(convolution, Convolutional) and isinstance(region, heads.Region)
        self.split = SplitRegion(convolution, copy.deepcopy(region), limit)
        for name, rows in list(self.split.named_buffers(recurse=False)):
            setattr(self.split, name, rows.detach())  # a traced constant may not need a gradient

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """[N, channels, H, W] → [N, K, 4], [N, K], [N, K, C], [N, D]."""
        found = self.split.static(features)
        return found.xywh, found.objectness, found.classes, self.split.objects(features)[1]


class Probabilities(nn.Module):
    """A classifier's last raw output → its classes."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.head = copy.deepcopy(network.layers[network.spec.heads[-1].index])

    def forward(self, raw: Tensor) -> Tensor:
        """[N, …] → [N, C]."""
        classes: Tensor = self.head(raw).flatten(1)
        return classes


def decoder(network: Network, limit: int) -> tuple[nn.Module, list[int], tuple[str, ...]]:
    """The module that makes a network's answers, the layers it reads (-1: the images), the names of what it gives.

    `limit`: how many candidates there are of a network with many classes.
    """
    spec = network.spec
    if not detects(spec):
        return Probabilities(network), [spec.heads[-1].sources[0]], ("classes",)
    if splits(spec):
        return Split(network, limit), [spec.layers[-2].sources[0]], CANDIDATES
    images = [-1] if any(isinstance(head, s.Yolo) for head in spec.heads) else []  # no grid tells their size exactly
    return Boxes(network), [head.sources[0] for head in spec.heads] + images, BOXES


def detects(spec: NetworkSpec) -> bool:
    """Whether the heads give boxes."""
    return bool(spec.heads) and isinstance(spec.heads[-1], s.Region | s.Yolo | s.Detection)


def splits(spec: NetworkSpec) -> bool:
    """Whether the head is one for candidates only."""
    head: LayerSpec = spec.layers[-1]
    return isinstance(head, s.Region) and head.classes >= SPLIT_FROM and splittable(spec)


def whole_parts(spec: NetworkSpec, candidates: int) -> int:
    """As many candidates, rounded up so that each anchor has an equal part (`SplitRegion.static`); 0, for no limit,
    where the head is not split."""
    region = spec.layers[-1]
    return region.num * -(-candidates // region.num) if splits(spec) and isinstance(region, s.Region) else 0


def trace(
    graph: Graph, module: nn.Module, shapes: Sequence[tuple[int, ...]], inputs: Sequence[str], dynamic: bool
) -> list[str]:
    """Add the nodes of `module`, which reads images' worth of `shapes`; the names of its outputs.

    The batch is free, and with `dynamic` height and width. Raises RuntimeError where they are not after all.
    """
    traced = _traced(module, 2, shapes, dynamic)
    more = [(shape[0], *(side + 2 for side in shape[1:])) if dynamic else shape for shape in shapes]
    again = _traced(module, 3, more, dynamic)
    if traced.node != again.node or traced.initializer != again.initializer:
        raise RuntimeError(f"{type(module).__name__}: the traced graph depends on the size it was traced with")
    return graph.inline(traced, inputs)


def _traced(module: nn.Module, batch: int, shapes: Sequence[tuple[int, ...]], dynamic: bool) -> onnx.GraphProto:
    samples = tuple(torch.rand(batch, *shape) for shape in shapes)
    names = [f"input{number}" for number in range(len(samples))]
    sides = {2: "H", 3: "W"} if dynamic else {}
    axes = {
        name: {0: "N"} | {axis: f"{side} {name}" for axis, side in sides.items() if axis < x.dim()}
        for name, x in zip(names, samples, strict=True)
    }
    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", torch.jit._trace.TracerWarning)
        export: Any = torch.onnx.export
        export(
            module.cpu().float().eval(),
            samples,
            file,
            input_names=names,
            dynamic_axes=axes,
            opset_version=OPSET,
            **_TRACING,
        )
    return onnx.load_from_string(file.getvalue()).graph


# `dynamo` came with torch 2.5, and chose the other exporter from 2.9 on.
_TRACING = {"dynamo": False} if tuple(map(int, torch.__version__.split(".")[:2])) >= (2, 5) else {}


def suppressed(graph: Graph, outputs: Sequence[str], size: str, thresh: float, nms: float) -> list[str]:
    """Boxes [N, D, 4], objectness [N, D], classes [N, D, C] → detections after `do_nms_sort`: [M, 4] x1 y1 x2 y2 in
    pixels of the input, scores [M], classes [M], images [M].

    NonMaxSuppression is the original's: class by class, greedy, a box goes where its IoU is above the threshold.
    `size` is the name of [width, height, width, height], float32.
    """
    boxes, objectness, classes = outputs[:3]
    scores = graph.add("Mul", graph.add("Unsqueeze", objectness, graph.constant([2])), classes)  # [N, D, C]
    scores = graph.add("Transpose", scores, perm=[0, 2, 1])  # [N, C, D]
    corners = _corners(graph, boxes)
    every = graph.constant([2**31 - 1])
    limits = (every, graph.constant([nms]), graph.constant([thresh]))
    chosen = graph.add("NonMaxSuppression", corners, scores, *limits)  # [M, 3]: image, class, box
    image, number = (graph.add("Gather", chosen, graph.constant(column), axis=1) for column in (0, 1))
    place = graph.add("Gather", chosen, graph.constant([0, 2]), axis=1)  # [M, 2]
    found = graph.add("Mul", graph.add("GatherND", corners, place), size)  # [M, 4]
    return [found, graph.add("GatherND", scores, chosen), number, image]


def _corners(graph: Graph, boxes: str) -> str:
    """[N, D, 4] centre and size → x1 y1 x2 y2."""
    centre, size = graph.add_many("Split", [boxes], 2, axis=2)
    half = graph.add("Mul", size, graph.constant(0.5))
    return graph.add("Concat", graph.add("Sub", centre, half), graph.add("Add", centre, half), axis=2)
