"""Photographs that EXIF turns, and annotations of them as they lie in the file.

Cameras store a portrait as a landscape with a note to turn it. Programs that decode by OpenCV or a browser turn it,
and so does the original built with OpenCV; labelling tools that read the bare pixels (Qt's, PIL's without
`exif_transpose`) do not. Which of the two an annotation was made by can be told where it states the picture's size
and that has the sides the other way round. Where it cannot (no size, a square, a half turn) the turned picture counts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.datasets.base import Labels, Repairs
from darknet_compat.vision.orientation import read_stored

_QUARTER_TURNS = (5, 6, 7, 8)


def turned_along(labels: Labels, picture: Path, stated: tuple[int, int] | None) -> tuple[Labels, Repairs]:
    """Labels of a picture for which its annotation states a size, as `decode` shows it."""
    orientation = _labelled_unturned(picture, stated)
    if not orientation:
        return labels, ()
    x, y, w, h = labels.boxes.T
    drawn = labels.is_drawn
    across, down = {5: (y, x), 6: (1 - y, x), 7: (1 - y, 1 - x), 8: (y, 1 - x)}[orientation]
    boxes = np.where(drawn[:, None], np.stack([across, down, h, w], axis=1), 0)
    return Labels(boxes, labels.classes, labels.difficult, labels.crowd), (("turned", 1),)


def seen_size(picture: Path, stated: tuple[int, int] | None) -> tuple[int, int] | None:
    """The stated size with its sides as `decode` gives them."""
    return (stated[1], stated[0]) if stated and _labelled_unturned(picture, stated) else stated


def _labelled_unturned(picture: Path | Any, stated: tuple[int, int] | None) -> int:
    """The EXIF orientation of a quarter turn that the annotation knows nothing of; 0 for none."""
    if stated is None or stated[0] == stated[1]:
        return 0
    header = read_stored(picture)
    if header is None or header.orientation not in _QUARTER_TURNS:
        return 0
    return header.orientation if stated == (header.width, header.height) else 0
