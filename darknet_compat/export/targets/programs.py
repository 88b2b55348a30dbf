"""Libraries that load the file themselves: OpenCV, OpenVINO, Ultralytics."""

from __future__ import annotations

import json

from darknet_compat.export.targets.base import FITTED, ExportedModel, Target, Texts, one_picture

_OPENCV = '''"""Finds objects with OpenCV alone: python detect.py PICTURE."""

import sys

import cv2
import numpy as np

NAMES = [line.rstrip("\\n") for line in open("labels.txt", encoding="utf-8")]
WIDTH, HEIGHT, LETTERBOX, THRESH, NMS = {width}, {height}, {letterbox}, {thresh:g}, {nms:g}


{fitted}

def detect(net, picture):
    """(name, score, x y width height in the picture's pixels) of each object."""
    images, scale, place = fitted(picture)
    net.setInput(images[None])
    rows = net.forward().reshape(-1, 5 + len(NAMES))  # centre and size as fractions, objectness, each class's score
    numbers, scores = rows[:, 5:].argmax(1), rows[:, 5:].max(1)
    sides = rows[:, :4] * [WIDTH, HEIGHT, WIDTH, HEIGHT]
    first = (sides[:, :2] - sides[:, 2:] / 2 - place) / scale
    boxes = np.hstack([first, sides[:, 2:] / scale])
    kept = cv2.dnn.NMSBoxesBatched(boxes.tolist(), scores.tolist(), numbers.tolist(), THRESH, NMS)
    return [(NAMES[numbers[one]], float(scores[one]), boxes[one].tolist()) for one in kept]


if __name__ == "__main__":
    for name, score, box in detect(cv2.dnn.readNetFromONNX("{model}"), cv2.imread(sys.argv[1])):
        print(f"{{name}}: {{score:.0%}}", *(f"{{side:.0f}}" for side in box))
'''


def _opencv(made: ExportedModel) -> Texts:
    artefact = made.artefact
    program = _OPENCV.format(
        width=artefact.width,
        height=artefact.height,
        thresh=artefact.thresh,
        nms=artefact.nms,
        letterbox=made.letterboxed,
        model=made.model,
        fitted=FITTED,
    )
    return {"detect.py": program}


def _metadata(made: ExportedModel) -> dict[str, str]:
    """What Ultralytics reads off a file (AutoBackend): names, task, sides and stride, as Python writes them."""
    return {
        "description": f"{made.name} by darknet-compat",
        "task": "detect",
        "stride": "32",
        "batch": "1",
        "imgsz": str([made.artefact.height, made.artefact.width]),
        "names": str(dict(enumerate(made.names))),
    }


OPENCV = Target(
    "opencv",
    "OpenCV 4 and 5, `cv2.dnn.readNetFromONNX`",
    one_picture("region"),
    _opencv,
    lambda made: ("`pip install opencv-python-headless`", "`python detect.py dog.jpg`"),
    "the rows that OpenCV's own reader of Darknet's files gives ([region] and [yolo] in OpenCV 4.14)",
    ("What read a .cfg with `readNetFromDarknet`, which OpenCV 5 no longer has, reads these rows unchanged.",),
)

OPENVINO = Target(
    "openvino",
    "OpenVINO, and its benchmark_app and ovc",
    one_picture("yolov8"),
    lambda made: {
        "model.json": json.dumps({"input": "RGB, 0..1, NCHW", "resize": made.artefact.resize, "names": made.names}),
    },
    lambda made: ("`pip install openvino`", f"`ovc {made.model}` writes an .xml with a .bin of half the size (fp16)."),
    "OpenVINO 2026.4's ONNX front end; the layout is that of Open Model Zoo's YOLOv8 demos",
)

ULTRALYTICS = Target(
    "ultralytics",
    "Ultralytics, `YOLO(…)` on an ONNX file",
    one_picture("yolov8"),
    lambda made: {},
    lambda made: (
        "`pip install ultralytics`",
        f"`yolo detect predict model={made.model} source=dog.jpg imgsz={made.artefact.height}`",
    ),
    "ultralytics v8.3: nn/autobackend.py, what an ONNX file says of itself, and utils/ops.py, its suppression",
    ("Ultralytics pads with 114 of 255, where Darknet has 128, and at the sides as they fall.",),
    properties=_metadata,
)
