"""The forms in which programs take a detector's answers, a row each: ours, and those of others.

`LAYOUTS` is the only statement of them: what the outputs are called and how long their axes are, how they are made of
candidates (in a graph, or of arrays), and how a runtime of ours makes candidates of them again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from darknet_compat.formats.arrays import Array, Floats
from darknet_compat.formats.words import WidthHeight
from darknet_compat.heads.boxes import Boxes
from darknet_compat.heads.ops import Ops, Value

Gives = Literal["boxes", "detections"]


@dataclass(frozen=True)
class Output:
    """An output's name, axes and type. An axis is a number, or N (pictures), D (candidates), C (classes), `4+C`, `5+C`,
    K (the most detections of a picture) or M (detections of all pictures)."""

    name: str
    axes: tuple[str, ...]
    type: Literal["float32", "int32", "int64"] = "float32"


@dataclass(frozen=True)
class OutputLayout:
    """One form.

    `outputs`: in the graph's order. `readers`: who takes it. `gives`: candidates, or what suppression leaves of them.
    `encode`: candidates and [width, height, width, height] in pixels → the outputs; None where the suppression makes
    them (`export.onnx.suppression`). `decode`: the outputs, the number of pictures, of classes and the input's size →
    `boxes`, `objectness` and `classes` as `runtime.base.Runtime.infer` has them. `rows`: of a fixed batch of one the
    axis N is left out. `optional`: what some networks have beside.
    """

    name: str
    readers: str
    outputs: tuple[Output, ...]
    decode: Callable[[Mapping[str, Array], int, int, WidthHeight], dict[str, Floats]]
    encode: Callable[[Ops, Boxes, Value], list[Value]] | None = None
    gives: Gives = "boxes"
    rows: bool = False
    optional: tuple[Output, ...] = ()

    def drops(self, batch: int | None) -> bool:
        """Whether the axis N is left out where a graph takes so many pictures at once (None: any number)."""
        return self.rows and batch == 1


def axis_length(axis: str, known: Mapping[str, int | None]) -> int | None:
    """How long an axis is where so long are N, D, C and K; None where that is not settled."""
    number, _, letter = axis.rpartition("+")
    if axis.isdecimal():
        return int(axis)
    length = known.get(letter)
    return None if length is None else length + int(number or 0)


# ------------------------------------------------------------------------------------------------------ candidates → …


def scored(ops: Ops, found: Boxes) -> Value:
    """Each class's score, [N, D, C]: its probability times the objectness."""
    return found.classes * ops.reshape(found.objectness, (0, -1, 1))


def corners(ops: Ops, xywh: Value) -> Value:
    """[N, D, 4] centre and size → x1 y1 x2 y2."""
    centre, size = ops.split(xywh, [2, 2], 2)
    half = size * 0.5
    return ops.concat([centre - half, centre + half], 2)


def _boxes(ops: Ops, found: Boxes, size: Value) -> list[Value]:
    return list(found)


def _yolov5(ops: Ops, found: Boxes, size: Value) -> list[Value]:
    return [ops.concat([found.xywh * size, ops.reshape(found.objectness, (0, -1, 1)), found.classes], 2)]


def _yolov8(ops: Ops, found: Boxes, size: Value) -> list[Value]:
    return [ops.transpose(ops.concat([found.xywh * size, scored(ops, found)], 2), (0, 2, 1))]


def _deepstream(ops: Ops, found: Boxes, size: Value) -> list[Value]:
    score, number = ops.most(scored(ops, found), 2)
    return [ops.concat([corners(ops, found.xywh) * size, score, number], 2)]


def _boxes_confs(ops: Ops, found: Boxes, size: Value) -> list[Value]:
    return [ops.reshape(corners(ops, found.xywh), (0, -1, 1, 4)), scored(ops, found)]


def _region(ops: Ops, found: Boxes, size: Value) -> list[Value]:
    return [ops.concat([found.xywh, ops.reshape(found.objectness, (0, -1, 1)), scored(ops, found)], 2)]


# ------------------------------------------------------------------------------------------------------ … → candidates


def _candidates(xywh: Array, objectness: Array, classes: Array) -> dict[str, Floats]:
    parts = {"boxes": xywh, "objectness": objectness, "classes": classes}
    return {name: np.ascontiguousarray(array, np.float32) for name, array in parts.items()}


def _of_scores(xywh: Array, scores: Array) -> dict[str, Floats]:
    """Scores [N, D, C] are taken apart so that the objectness is a candidate's best one."""
    best = scores.max(2, initial=0)
    return _candidates(xywh, best, np.divide(scores, best[..., None], out=np.zeros_like(scores), where=scores > 0))


def _of_numbers(xywh: Array, scores: Array, numbers: Array, classes: int) -> dict[str, Floats]:
    """One class a candidate, by its number, [N, D]."""
    only = numbers.astype(np.int64)[..., None] == np.arange(classes)
    return _candidates(xywh, scores, only)


def _centred(box: Array) -> Array:
    """[…, 4] x1 y1 x2 y2 → centre and size."""
    first, last = box[..., :2], box[..., 2:]
    return np.concatenate([(first + last) / 2, last - first], -1)


def _fractions(pixels: Array, size: WidthHeight) -> Array:
    return pixels / np.array([*size, *size], np.float32)


def _from_boxes(outputs: Mapping[str, Array], count: int, classes: int, size: WidthHeight) -> dict[str, Floats]:
    names = ("boxes", "objectness", "classes", "uncertainties")
    return {name: outputs[name] for name in names if name in outputs}


def _from_yolov5(outputs: Mapping[str, Array], count: int, classes: int, size: WidthHeight) -> dict[str, Floats]:
    every = outputs["output0"]
    return _candidates(_fractions(every[..., :4], size), every[..., 4], every[..., 5:])


def _from_yolov8(outputs: Mapping[str, Array], count: int, classes: int, size: WidthHeight) -> dict[str, Floats]:
    every = outputs["output0"].transpose(0, 2, 1)
    return _of_scores(_fractions(every[..., :4], size), every[..., 4:])


def _from_deepstream(outputs: Mapping[str, Array], count: int, classes: int, size: WidthHeight) -> dict[str, Floats]:
    every = outputs["output"]
    return _of_numbers(_fractions(_centred(every[..., :4]), size), every[..., 4], every[..., 5], classes)


def _from_boxes_confs(outputs: Mapping[str, Array], count: int, classes: int, size: WidthHeight) -> dict[str, Floats]:
    return _of_scores(_centred(outputs["boxes"][:, :, 0]), outputs["confs"])


def _from_region(outputs: Mapping[str, Array], count: int, classes: int, size: WidthHeight) -> dict[str, Floats]:
    every = outputs["output"].reshape(count, -1, 5 + classes)
    return _of_scores(every[..., :4], every[..., 5:])


def _from_nms(outputs: Mapping[str, Array], count: int, classes: int, size: WidthHeight) -> dict[str, Floats]:
    boxes, scores, numbers = (outputs[name] for name in ("det_boxes", "det_scores", "det_classes"))
    there = np.arange(scores.shape[1]) < outputs["num_dets"]  # what comes after them means nothing
    return _of_numbers(_fractions(_centred(boxes), size), np.where(there, scores, 0), numbers, classes)


def _from_detections(outputs: Mapping[str, Array], count: int, classes: int, size: WidthHeight) -> dict[str, Floats]:
    """As many candidates an image as the one with the most detections has. Objectness is 1, and the class's probability
    is the score."""
    images, class_ids = outputs["images_of"], outputs["class_ids"]
    counts = np.bincount(images, minlength=count)
    order = np.argsort(images, kind="stable")
    rank = np.empty(len(images), np.int64)
    rank[order] = np.arange(len(images)) - np.repeat(np.cumsum(counts) - counts, counts)
    most = int(counts.max(initial=0))
    boxes, probabilities = np.zeros((count, most, 4), np.float32), np.zeros((count, most, classes), np.float32)
    boxes[images, rank] = _fractions(_centred(outputs["boxes"]), size)
    probabilities[images, rank, class_ids] = outputs["scores"]
    return _candidates(boxes, np.arange(most) < counts[:, None], probabilities)


LAYOUTS: dict[str, OutputLayout] = {
    row.name: row
    for row in (
        OutputLayout(
            "boxes",
            "darknet-compat",
            (Output("boxes", ("N", "D", "4")), Output("objectness", ("N", "D")), Output("classes", ("N", "D", "C"))),
            _from_boxes,
            _boxes,
            optional=(Output("uncertainties", ("N", "D", "4")), Output("every_objectness", ("N", "D"))),
        ),
        OutputLayout(
            "detections",
            "darknet-compat",
            (
                Output("boxes", ("M", "4")),
                Output("scores", ("M",)),
                Output("class_ids", ("M",), "int64"),
                Output("images_of", ("M",), "int64"),
            ),
            _from_detections,
            gives="detections",
        ),
        OutputLayout(
            "yolov5",
            "whatever takes a YOLOv5, v6 or v7 export",
            (Output("output0", ("N", "D", "5+C")),),
            _from_yolov5,
            _yolov5,
        ),
        OutputLayout(
            "yolov8",
            "whatever takes a YOLOv8, v9 or 11 export: Ultralytics, Frigate",
            (Output("output0", ("N", "4+C", "D")),),
            _from_yolov8,
            _yolov8,
        ),
        OutputLayout(
            "deepstream", "DeepStream-Yolo", (Output("output", ("N", "D", "6")),), _from_deepstream, _deepstream
        ),
        OutputLayout(
            "boxes-confs",
            "whatever takes pytorch-YOLOv4's: NVIDIA's DeepStream sample, Triton clients",
            (Output("boxes", ("N", "D", "1", "4")), Output("confs", ("N", "D", "C"))),
            _from_boxes_confs,
            _boxes_confs,
        ),
        OutputLayout(
            "region",
            "programs written for OpenCV's Darknet importer",
            (Output("output", ("N", "D", "5+C")),),
            _from_region,
            _region,
            rows=True,
        ),
        OutputLayout(
            "nms",
            "Triton and TensorRT users: the outputs of EfficientNMS",
            (
                Output("num_dets", ("N", "1"), "int32"),
                Output("det_boxes", ("N", "K", "4")),
                Output("det_scores", ("N", "K")),
                Output("det_classes", ("N", "K"), "int32"),
            ),
            _from_nms,
            gives="detections",
        ),
    )
}
"""By name."""
