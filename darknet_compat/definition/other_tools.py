"""Words of other tools that borrowed the `.cfg` format: whose they seem to be, for the line that refuses them."""

from __future__ import annotations

_SPURLIPU = "SpursLipu's YOLOv3v4-ModelCompression-MultidatasetTraining-Multibackbone (PyTorch)"
_SOWSON = "sowson's Darknet with OpenCL"
_FSPT = "the fspt fork of Darknet (failure prediction)"
_DARKFLOW = "darkflow (TensorFlow)"
_YOLOV5 = "yolo-tensorrt's YOLOv5 (enazoe)"

ASFF = "Ultralytics' YOLOv3 with ASFF (PyTorch)"
"""Whose [yolo] has from=, three layers that its input weighs by three channels more."""

_SECTIONS: dict[str, str] = {
    "yolo4": _SOWSON,
    "fspt": _FSPT,
    "select": _DARKFLOW,
    "extract": _DARKFLOW,
    "conv-extract": _DARKFLOW,
    "conv-select": _DARKFLOW,
    "se": _SPURLIPU,
    "depthwise": _SPURLIPU,
    "quantize_convolutional": _SPURLIPU,
    "route_lhalf": "Tianxiaomo's or WongKinYiu's PyTorch YOLOv4",
    "Focus": _YOLOV5,
    "Conv": _YOLOV5,
    "C3": _YOLOV5,
    "SPP": _YOLOV5,
    "SPPF": _YOLOV5,
    "BottleneckCSP": _YOLOV5,
    "Concat": _YOLOV5,
    "Detect": _YOLOV5,
    "nn.Upsample": _YOLOV5,
    "Upsample": _YOLOV5,
}

_ACTIVATIONS: dict[str, str] = {
    "h_swish": _SPURLIPU,
    "none": _SPURLIPU,
    "prelu": "a PyTorch tool's",
}


def whose_section(name: str) -> str | None:
    """Whose a section seems to be that Darknet does not have; None where nobody is known to have it."""
    return _SECTIONS.get(name)


def whose_activation(name: str) -> str | None:
    """As `whose_section`, of an activation's name."""
    return _ACTIVATIONS.get(name)
