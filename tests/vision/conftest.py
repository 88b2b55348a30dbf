"""The original's own picture and box functions, called in its library."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from ctypes import POINTER, Structure, c_char_p, c_float, c_int
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

Floats = NDArray[np.float32]


class Image(Structure):
    _fields_ = [("w", c_int), ("h", c_int), ("c", c_int), ("data", POINTER(c_float))]


class Box(Structure):
    _fields_ = [("x", c_float), ("y", c_float), ("w", c_float), ("h", c_float)]


class Detection(Structure):
    _fields_ = [
        ("bbox", Box),
        ("classes", c_int),
        ("prob", POINTER(c_float)),
        ("mask", POINTER(c_float)),
        ("objectness", c_float),
        ("sort_class", c_int),
    ]


class Installation(Protocol):
    library: Path


class Library:
    """The original's functions with arrays instead of its structures. None of these calls makes it exit."""

    def __init__(self, path: Path) -> None:
        self.so = ctypes.CDLL(str(path))
        for name in ("resize_image", "letterbox_image"):
            self._declare(name, [Image, c_int, c_int], Image)
        self._declare("load_image_color", [c_char_p, c_int, c_int], Image)
        for name in ("free_image", "rgbgr_image"):
            self._declare(name, [Image], None)
        for name in ("do_nms_sort", "do_nms_obj"):
            self._declare(name, [POINTER(Detection), c_int, c_int, c_float], None)
        self._declare("correct_region_boxes", [POINTER(Detection), *[c_int] * 6], None)

    def _declare(self, name: str, arguments: list[Any], result: Any) -> None:
        function = getattr(self.so, name)
        function.argtypes, function.restype = arguments, result

    def _taken(self, image: Image) -> Floats:
        size = image.c * image.h * image.w
        values = np.ctypeslib.as_array(image.data, (size,)).copy() if size else np.empty(0, np.float32)
        self.so.free_image(image)
        return values.reshape(image.c, image.h, image.w)

    def _given(self, planes: Floats) -> Image:
        assert planes.dtype == np.float32 and planes.flags.c_contiguous
        channels, height, width = planes.shape
        return Image(width, height, channels, planes.ctypes.data_as(POINTER(c_float)))

    def load(self, path: Path) -> Floats:
        return self._taken(self.so.load_image_color(str(path).encode(), 0, 0))

    def resize(self, planes: Floats, width: int, height: int) -> Floats:
        return self._taken(self.so.resize_image(self._given(planes), width, height))

    def letterbox(self, planes: Floats, width: int, height: int) -> Floats:
        return self._taken(self.so.letterbox_image(self._given(planes), width, height))

    def rgbgr(self, planes: Floats) -> None:
        """In place."""
        self.so.rgbgr_image(self._given(planes))

    def correct_region_boxes(self, boxes: Floats, image: tuple[int, int], network: tuple[int, int]) -> Floats:
        """[N, 4] x y w h, fractions of the network's input, to fractions of the picture."""
        detections = (Detection * len(boxes))()
        for detection, box in zip(detections, boxes.tolist(), strict=True):
            detection.bbox = Box(*box)
        self.so.correct_region_boxes(detections, len(boxes), *image, *network, 1)
        return np.array([[d.bbox.x, d.bbox.y, d.bbox.w, d.bbox.h] for d in detections], np.float32)

    def nms_sort(self, boxes: Floats, scores: Floats, objectness: Floats, threshold: float) -> tuple[Floats, Floats]:
        return self._nms(self.so.do_nms_sort, boxes, scores, objectness, threshold)

    def nms_obj(self, boxes: Floats, scores: Floats, objectness: Floats, threshold: float) -> tuple[Floats, Floats]:
        return self._nms(self.so.do_nms_obj, boxes, scores, objectness, threshold)

    def _nms(
        self, function: Callable[..., None], boxes: Floats, scores: Floats, objectness: Floats, threshold: float
    ) -> tuple[Floats, Floats]:
        """Boxes [N, 4] x y w h; scores and objectness afterwards, in the order given (the original reorders)."""
        count, classes = scores.shape
        after = np.ascontiguousarray(scores).copy()
        masks = (c_float * (count + 1))(*range(count))  # carries each detection's number through the sorting
        detections = (Detection * count)()
        for n in range(count):
            row = ctypes.cast(after[n:].ctypes.data, POINTER(c_float))
            mask = ctypes.cast(ctypes.addressof(masks) + 4 * n, POINTER(c_float))
            detections[n] = Detection(Box(*boxes[n].tolist()), classes, row, mask, objectness[n], 0)
        function(detections, count, classes, threshold)
        certain = np.empty(count, np.float32)
        for detection in detections:
            certain[int(detection.mask[0])] = detection.objectness
        return after, certain


@pytest.fixture(scope="session")
def library(original: Installation) -> Library:
    return Library(original.library)
