"""What is drawn into a video's frames beside boxes: lines and zones with their counts, and what nobody is to see."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, floor, sqrt

import numpy as np
from numpy.typing import NDArray

from darknet_compat.formats.arrays import Bytes, Doubles
from darknet_compat.vision.draw import BLACK, WHITE
from darknet_compat.vision.opencv import opencv

_COARSE = 6
"""Cells that the longer side of a blurred box keeps: too few to know a face or to read a plate by."""
_MARGIN = 0.1
"""The part of a box's sides that is blurred beyond them, since boxes are seldom exact."""


def blur(image: Bytes, boxes: NDArray[np.floating]) -> None:
    """Blur what lies in boxes [N, 4], x1 y1 x2 y2 in pixels, in the picture itself, uint8 [H, W, 3].

    A handful of mean colours is all that is kept, beyond recognition. Boxes that are not finite are left out.
    """
    cv2 = opencv()
    height, width = image.shape[:2]
    for x1, y1, x2, y2 in np.asarray(boxes, np.float64).reshape(-1, 4):
        if not np.isfinite([x1, y1, x2, y2]).all():
            continue
        wide, high = _MARGIN * (x2 - x1), _MARGIN * (y2 - y1)
        left, top = max(floor(x1 - wide), 0), max(floor(y1 - high), 0)
        right, bottom = min(ceil(x2 + wide), width), min(ceil(y2 + high), height)
        if left >= right or top >= bottom:
            continue
        part = image[top:bottom, left:right]
        cell = max(max(part.shape[:2]) / _COARSE, 1)
        cells = max(round(part.shape[1] / cell), 1), max(round(part.shape[0] / cell), 1)
        small = cv2.resize(part, cells, interpolation=cv2.INTER_AREA)
        part[:] = cv2.resize(small, (part.shape[1], part.shape[0]), interpolation=cv2.INTER_LINEAR)


def draw_shape(image: Bytes, points: Doubles, text: str) -> None:
    """Draw a line [2, 2] or the outline of a zone [P, 2], x y in pixels, into the picture itself, with text beside its
    first point."""
    cv2 = opencv()
    height, width = image.shape[:2]
    thick = max(1, round(sqrt(width * height) / 400))
    ends = np.rint(points).astype(np.int32)
    closed = len(ends) > 2
    for colour, more in ((BLACK, 2), (WHITE, 0)):
        cv2.polylines(image, [ends], closed, colour, thick + more, cv2.LINE_AA)
    if not closed:  # a small bar at the middle that shows the way forward, to the right of it
        middle, along = points.mean(0), points[1] - points[0]
        ahead = np.array([-along[1], along[0]]) / max(float(np.hypot(*along)), 1e-9) * thick * 8
        tip = np.rint(middle + ahead).astype(int)
        cv2.arrowedLine(image, tuple(np.rint(middle).astype(int).tolist()), tuple(tip.tolist()), WHITE, thick)
    _write(image, text, (int(ends[0][0]), int(ends[0][1])))


def _write(image: Bytes, text: str, place: tuple[int, int]) -> None:
    """White letters on black, kept inside the picture."""
    cv2 = opencv()
    height, width = image.shape[:2]
    scale = max(sqrt(width * height) / 1600, 0.35)
    thick = max(1, round(scale * 1.6))
    (wide, high), below = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thick)
    left = min(max(place[0], 0), max(width - wide - 4, 0))
    bottom = min(max(place[1], high + 4), height - below - 2)
    cv2.rectangle(image, (left, bottom - high - 3), (left + wide + 3, bottom + below), BLACK, -1)
    cv2.putText(image, text, (left + 2, bottom), cv2.FONT_HERSHEY_SIMPLEX, scale, WHITE, thick, cv2.LINE_AA)


def fitting(texts: Sequence[str]) -> str:
    """Counts in a row, as ASCII, which OpenCV's letters are."""
    return ", ".join(text.encode("ascii", "replace").decode() for text in texts) or "0"
