"""What people draw in labelling tools: rectangles, and outlines of which the box around them counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from darknet_compat.datasets.base import Labels, Repair, Repairs
from darknet_compat.datasets.files import class_number
from darknet_compat.datasets.orientation import turned_along
from darknet_compat.errors import DatasetError
from darknet_compat.vision.image import decode

_MOST_PIXELS = 1e9

Corners = tuple[float, float, float, float]
"""x1 y1 x2 y2 in pixels, x2 and y2 exclusive."""


class Drawn(NamedTuple):
    """An object's class and the corners of its box; None for what has none around it (a point, a line). `is_outline`:
    the box is the one around what was drawn."""

    name: str
    corners: Corners | None
    is_outline: bool = False


def around(points: object, where: str, least: int = 2) -> Corners:
    """The corners of the box around points x, y. Raises DatasetError, beginning with `where`, for what is not at least
    so many of them."""
    try:
        table = np.array(points, np.float64)
    except (TypeError, ValueError, OverflowError):
        table = np.empty(0)
    if table.ndim != 2 or table.shape[1] != 2 or len(table) < least or not (np.abs(table) < _MOST_PIXELS).all():
        raise DatasetError(f"{where}: expected {least} or more points, pairs of x and y in pixels")
    (x1, y1), (x2, y2) = table.min(axis=0).tolist(), table.max(axis=0).tolist()
    return x1, y1, x2, y2


def drawn_labels(
    objects: Iterable[Drawn], numbers: Mapping[str, int], picture: Path, stated: tuple[int, int] | None, where: str
) -> tuple[Labels, Repairs]:
    """The labels of a picture as it is seen, of the `stated` size, and what was done to them.

    Raises DatasetError, beginning with `where`, for a class that is none of the `numbers`; ImageError where no size is
    stated and the picture cannot be read either.
    """
    corners, classes = [], []
    counts: dict[Repair, int] = {"polygons": 0, "left out": 0}
    for one in objects:
        if one.corners is None:
            counts["left out"] += 1
            continue
        counts["polygons"] += one.is_outline
        corners.append(one.corners)
        classes.append(class_number(one.name, numbers, where))
    size = stated or (decode(picture).shape[1::-1] if corners else (1, 1))
    labels, turned = turned_along(Labels.from_corners(corners, (size[0], size[1]), classes), picture, stated)
    return labels, (*turned, *((repair, count) for repair, count in counts.items() if count))
