"""The words that several rooms choose from, each list once; free of numpy, so that help texts have them at once."""

from __future__ import annotations

from typing import Literal

Task = Literal["detect", "classify"]
"""What a model answers: boxes with classes, or one class of the whole picture; and what labels are of."""

Resize = Literal["letterbox", "stretch"]
"""How a picture is fitted to a network's input: whole, with a grey border; or each side by itself."""

Precision = Literal["fp32", "bf16", "fp16", "int8"]
"""What the layers compute in. int8 is a property of the file: those in fp32 do not become it by being asked to."""

Mode = Literal["latency", "throughput"]
"""latency: one picture at a time, as soon as possible, by all cores. throughput: as many pictures a second as possible,
several at a time, each by few cores, which then seldom wait for one another."""

Outputs = Literal["heads", "boxes", "detections"]
"""What an exported file gives: raw outputs of the heads, decoded boxes, or detections after suppression."""

OtherLayout = Literal["yolov5", "yolov8", "deepstream", "boxes-confs", "region", "nms"]
"""Forms in which other programs take an exported file's outputs (`heads.output_layouts`)."""

MOST_DETECTIONS = 3840
"""Of a picture, where their number is fixed: TensorRT's TopK holds no more."""

EngineTarget = Literal["tensorrt", "rtx"]
"""What an engine is built for: TensorRT on the GPU that is here, or TensorRT-RTX, built without one."""

Input = Literal["float", "uint8"]
"""What an exported file takes: float [N, C, H, W], 0..1, or uint8 [N, H, W, C], 0..255."""

MOST_BATCH = 1024
"""How many pictures at once at most."""

NmsKind = Literal["default", "greedynms", "diounms", "cornersnms"]
"""How boxes are suppressed: the words of the fork's `nms_kind`; `default` is what the original does."""

Build = Literal["cuda", "cpu"]
"""Which build of the original to equal (`load_network(batchnorm=)`). They differ in batch normalization, which divides
by sqrt(variance + 1e-5) in the CUDA build, with which the official weights were trained, and by sqrt(variance) + 1e-6
in the CPU build."""

WidthHeight = tuple[int, int]
"""(width, height) in pixels, of a picture or of a network's input."""

AnswersFormat = Literal["csv", "coco", "yolo", "labelme", "jsonl", "json"]
"""What detections can be written as (`inference.writers`)."""

LabelsFormat = Literal["darknet", "voc", "coco", "yolo"]
"""What a data set can be written as (`datasets.writers.layouts.WRITERS`)."""
