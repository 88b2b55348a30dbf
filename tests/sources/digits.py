"""Handwritten digits that move over a quiet background, and where each is in every frame."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
HEIGHT = 44


class Moving(NamedTuple):
    """A digit, where its left top corner is at first, and its pixels a frame."""

    digit: int
    place: tuple[float, float]
    speed: tuple[float, float]


def film(
    moving: list[Moving], frames: int, width: int = 320, height: int = 240
) -> tuple[list[Bytes], list[list[list[float]]]]:
    """Frames in RGB, and of each frame the boxes, x1 y1 x2 y2, in the order of `moving`."""
    from sklearn.datasets import load_digits

    data = load_digits()
    inks = [_ink(data.images[np.flatnonzero(data.target == one.digit)[4]]) for one in moving]
    pictures, truth = [], []
    for number in range(frames):
        picture = np.full((height, width, 3), (70, 90, 110), np.float32)
        boxes = []
        for one, ink in zip(moving, inks, strict=True):
            left, top = (round(at + number * step) for at, step in zip(one.place, one.speed, strict=True))
            part = picture[top : top + ink.shape[0], left : left + ink.shape[1]]
            part += ink[..., None] * (np.float32([240, 235, 220]) - part)
            boxes.append([left, top, left + ink.shape[1], top + ink.shape[0]])
        pictures.append(picture.astype(np.uint8))
        truth.append([[float(side) for side in box] for box in boxes])
    return pictures, truth


def _ink(image: NDArray[np.float64]) -> NDArray[np.float32]:
    """How far ink covers each pixel, 0..1, tight around it."""
    large = cv2.resize(image.astype(np.float32) / 16, (HEIGHT, HEIGHT), interpolation=cv2.INTER_CUBIC)
    cover = np.clip((large - 0.25) / 0.3, 0, 1)
    rows, columns = np.flatnonzero((cover > 0.5).any(1)), np.flatnonzero((cover > 0.5).any(0))
    return cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
