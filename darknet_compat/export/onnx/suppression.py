"""Non-maximum suppression as nodes of a graph (`do_nms_sort`: class by class, greedy, a box goes where its IoU with a
better one is above the threshold)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from darknet_compat.export.onnx.graph import PLUGINS, Graph
from darknet_compat.export.onnx.graph_ops import GraphOps, GraphValue
from darknet_compat.heads.boxes import Boxes
from darknet_compat.heads.output_layouts import corners, scored

_LOWEST = float(np.finfo(np.float32).min)


@dataclass(frozen=True)
class Suppression:
    """What counts, and in `fixed` how many of a picture's detections at most. `size`: the name of [width, height,
    width, height], float32, in pixels of the input."""

    thresh: float
    nms: float
    most: int
    size: str


def detections(graph: Graph, found: Boxes, asked: Suppression) -> list[str]:
    """Candidates → `detections`: [M, 4] x1 y1 x2 y2 in pixels, scores [M], classes [M], images [M]."""
    ops = GraphOps(graph)
    scores = ops.transpose(scored(ops, found), (0, 2, 1)).name  # [N, C, D]
    edges = corners(ops, found.xywh).name  # fractions: what is suppressed must not depend on the input's form
    every = graph.constant([2**31 - 1])
    limits = (every, graph.constant([asked.nms]), graph.constant([asked.thresh]))
    chosen = graph.add("NonMaxSuppression", edges, scores, *limits)  # [M, 3]: image, class, box
    image, number = (graph.add("Gather", chosen, graph.constant(column), axis=1) for column in (0, 1))
    place = graph.add("Gather", chosen, graph.constant([0, 2]), axis=1)  # [M, 2]
    boxes = graph.add("Mul", graph.add("GatherND", edges, place), asked.size)  # [M, 4]
    return [boxes, graph.add("GatherND", scores, chosen), number, image]


def fixed(graph: Graph, found: Boxes, asked: Suppression) -> list[str]:
    """Candidates → `nms`: num_dets [N, 1], det_boxes [N, K, 4] in pixels, det_scores [N, K], det_classes [N, K], the
    best first, zeros after the last."""
    boxes, scores, numbers, images = detections(graph, found, asked)
    most = asked.most
    empty = graph.constant(np.full(most, -1, np.int64))
    images = graph.add("Concat", images, empty, axis=0)  # [M + K]: so many there are in any case
    scores = graph.add("Concat", scores, graph.constant(np.full(most, _LOWEST, np.float32)), axis=0)
    numbers = graph.add("Concat", numbers, graph.constant(np.zeros(most, np.int64)), axis=0)
    boxes = graph.add("Concat", boxes, graph.constant(np.zeros((most, 4), np.float32)), axis=0)
    count = graph.add("Gather", graph.add("Shape", found.objectness.name), graph.constant(0))
    each = graph.add("Range", graph.constant(0), count, graph.constant(1))
    own = graph.add("Equal", graph.add("Unsqueeze", each, graph.constant([1])), images)  # [N, M + K]
    scores = graph.add("Where", own, scores, graph.constant(_LOWEST))
    best, places = graph.add_many("TopK", [scores, graph.constant([most])], 2)  # [N, K]
    there = graph.add("Greater", best, graph.constant(_LOWEST))
    count = graph.add("ReduceSum", graph.add("Cast", there, to=TensorProto.INT32), graph.constant([1]), keepdims=1)
    numbers = graph.add("Where", there, graph.add("Gather", numbers, places), graph.constant(0))
    nowhere = graph.add("Unsqueeze", there, graph.constant([2]))
    return [
        count,
        graph.add("Where", nowhere, graph.add("Gather", boxes, places), graph.constant(0.0)),
        graph.add("Where", there, best, graph.constant(0.0)),
        graph.add("Cast", numbers, to=TensorProto.INT32),
    ]


def plugged(graph: Graph, found: Boxes, asked: Suppression) -> list[str]:
    """As `fixed`, by TensorRT's own plug-in EfficientNMS_TRT, version 1, which no other runtime has."""
    ops = GraphOps(graph)
    edges = corners(ops, found.xywh) * GraphValue(graph, asked.size)
    return graph.add_many(
        "EfficientNMS_TRT",
        [edges.name, scored(ops, found).name],
        4,
        domain=PLUGINS,
        plugin_version="1",
        background_class=-1,
        box_coding=0,
        class_agnostic=0,
        iou_threshold=asked.nms,
        max_output_boxes=asked.most,
        score_activation=0,
        score_threshold=asked.thresh,
    )
