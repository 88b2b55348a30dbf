"""How the programs that a layout is for read it, written anew from what they publish, each with its source and version.

Each function takes one picture's outputs by name, without the axis N, and the input's width and height in pixels, and
gives (x1, y1, x2, y2, score, class) a row, x and y in pixels of the input.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def greedy(rows: Array, limit: float, *, agnostic: bool = False) -> Array:
    """Non-maximum suppression, best first: class by class, or across classes; a box goes above the limit."""
    left, kept = rows[np.argsort(-rows[:, 4], kind="stable")], []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        sides = np.minimum(best[2:4], left[:, 2:4]) - np.maximum(best[:2], left[:, :2])
        inner = np.prod(np.maximum(sides, 0), 1)
        areas = np.prod(left[:, 2:4] - left[:, :2], 1) + np.prod(best[2:4] - best[:2])
        goes = inner > limit * (areas - inner)
        left = left[~(goes & (agnostic | (left[:, 5] == best[5])))]
    return np.array(kept).reshape(-1, 6)


def corners(xywh: Array) -> Array:
    return np.concatenate([xywh[:, :2] - xywh[:, 2:] / 2, xywh[:, :2] + xywh[:, 2:] / 2], 1)


def yolov5(outputs: Mapping[str, Array], width: int, height: int, thresh: float, nms: float) -> Array:
    """ultralytics/yolov5 v7.0, utils/general.py, non_max_suppression(multi_label=True): candidates have an objectness
    above the threshold; confidence is objectness · class; centre and size in pixels; each class above is a box."""
    every = outputs["output0"]
    every = every[every[:, 4] > thresh]
    confidence = every[:, 5:] * every[:, 4:5]
    row, number = np.nonzero(confidence > thresh)
    boxes = corners(every[:, :4])
    return greedy(np.column_stack([boxes[row], confidence[row, number], number]), nms)


def yolov8(outputs: Mapping[str, Array], width: int, height: int, thresh: float, nms: float) -> Array:
    """ultralytics v8.3, utils/ops.py, non_max_suppression(multi_label=True): [4 + classes, boxes], centre and size in
    pixels, scores with nothing to multiply."""
    every = outputs["output0"].T
    row, number = np.nonzero(every[:, 4:] > thresh)
    boxes = corners(every[:, :4])
    return greedy(np.column_stack([boxes[row], every[row, 4 + number], number]), nms)


def frigate(outputs: Mapping[str, Array], width: int, height: int, thresh: float, nms: float) -> Array:
    """frigate 0.16, frigate/util/model.py, the yolo-generic model's one output: turned where it is wider than high, the
    best class alone, suppressed across classes (there at 0.4 and 0.4)."""
    (every,) = outputs.values()
    every = every.T if every.shape[0] < every.shape[1] else every
    scores = every[:, 4:].max(1)
    every, scores = every[scores > thresh], scores[scores > thresh]
    numbers = every[:, 4:].argmax(1)
    return greedy(np.column_stack([corners(every[:, :4]), scores, numbers]), nms, agnostic=True)


def deepstream(outputs: Mapping[str, Array], width: int, height: int, thresh: float, nms: float) -> Array:
    """marcoslucianops/DeepStream-Yolo at 07feae95, nvdsparsebbox_Yolo.cpp, corners (decodeTensorYoloE there): the first
    output, rows of x1 y1 x2 y2 score class in pixels of the network, clamped to it; boxes of less than a pixel go; then
    nvinfer's cluster-mode 2, which is suppression class by class."""
    first = next(iter(outputs.values()))
    assert first.shape[1] == 6
    first = first[first[:, 4] >= thresh]
    limits = np.array([width, height, width, height])
    boxes = np.clip(first[:, :4], 0, limits)
    large = (boxes[:, 2:] - boxes[:, :2] >= 1).all(1)
    return greedy(np.column_stack([boxes, first[:, 4:]])[large], nms)


def boxes_confs(outputs: Mapping[str, Array], width: int, height: int, thresh: float, nms: float) -> Array:
    """Tianxiaomo/pytorch-YOLOv4 at 0433b23b, README and tool/utils.py: boxes [N, D, 1, 4] x1 y1 x2 y2 as fractions of
    the input, confs [N, D, classes]; the best class alone, suppressed class by class."""
    boxes, confs = outputs["boxes"], outputs["confs"]
    assert boxes.shape[1:] == (1, 4) and len(boxes) == len(confs)
    best = confs.max(1)
    rows = np.column_stack([boxes[:, 0] * [width, height, width, height], best, confs.argmax(1)])
    return greedy(rows[best > thresh], nms)


def region(outputs: Mapping[str, Array], width: int, height: int, thresh: float, nms: float) -> Array:
    """opencv at 036f7218, samples/dnn/object_detection.py, outputs of type Region: rows of cx cy w h as fractions,
    objectness, and scores of the classes, of which the best one counts."""
    rows = []
    for out in outputs.values():
        for row in out:
            number = int(np.argmax(row[5:]))
            if row[5 + number] > thresh:
                box = corners(row[None, :4])[0] * [width, height, width, height]
                rows.append([*box, row[5 + number], number])
    return greedy(np.array(rows).reshape(-1, 6), nms)


def efficient_nms(outputs: Mapping[str, Array], width: int, height: int, thresh: float, nms: float) -> Array:
    """NVIDIA/TensorRT at 2349256c, plugin/efficientNMSPlugin/README.md: num_detections [N, 1] int32, of which so many
    rows are valid; boxes as corners; classes int32."""
    assert outputs["num_dets"].dtype == np.int32 and outputs["det_classes"].dtype == np.int32
    count = int(outputs["num_dets"][0])
    parts = outputs["det_boxes"], outputs["det_scores"], outputs["det_classes"]
    assert len({len(part) for part in parts}) == 1
    return np.column_stack([part[:count] for part in parts])


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x.astype(np.float64)))


def softmax(x: Array) -> Array:
    powers = np.exp(x.astype(np.float64) - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def head(
    cells: Array,
    anchors: Sequence[tuple[float, float]],
    size: tuple[int, int] | None,
    *,
    after: bool,
    scale: float = 1.0,
    groups: Sequence[tuple[int, int]] | None = None,
) -> tuple[Array, Array, Array]:
    """What an NPU's program computes of one head, [H, W, anchors · (5 + classes)]: `get_region_box` and `get_yolo_box`
    of pjreddie/darknet. `size`: the input's (width, height), in whose pixels a [yolo]'s anchors are; None for a
    [region], whose are cells. `groups`: the softmaxes' (begin, end); none for the logistic function. Returns centre and
    size in fractions [D, 4], objectness [D], classes [D, C]."""
    height, width, _ = cells.shape
    every = cells.reshape(height, width, len(anchors), -1).astype(np.float64)
    act = (lambda x: x) if after else sigmoid
    place = act(every[..., :2]) if after else sigmoid(every[..., :2]) * scale - (scale - 1) / 2
    rows, columns = np.mgrid[:height, :width]
    centre = (place + np.stack([columns, rows], -1)[:, :, None]) / [width, height]
    sides = np.exp(every[..., 2:4]) * np.array(anchors) / (size or (width, height))
    classes = every[..., 5:]
    if groups is None:
        classes = act(classes)
    elif not after:
        classes = np.concatenate([softmax(classes[..., begin:end]) for begin, end in groups], -1)
    flat = np.concatenate([centre, sides], -1).reshape(-1, 4)
    return flat, act(every[..., 4]).ravel(), classes.reshape(len(flat), -1)
