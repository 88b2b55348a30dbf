"""Pictures made of several for classifiers, as the fork makes them (AlexeyAB/darknet 59596d78, `load_data_augment`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np

from darknet_compat.formats.arrays import Floats
from darknet_compat.training.augment.boxes import PictureTruths
from darknet_compat.training.augment.draws import Draws

Mixing = Literal["none", "mixup", "cutmix", "mosaic", "cutmix or mosaic"]
"""What becomes of one picture of two; the last is one of both, with the same chance."""

More = Callable[[Floats], PictureTruths]
"""Makes a further picture in an array [3, H, W] and tells what it shows."""


def mixed(kind: Mixing, out: Floats, truths: PictureTruths, more: More, draws: Draws) -> PictureTruths:
    """One time of two, change the picture `out`, float32 [3, H, W]. Tell what it shows then: the labels of all that
    went into it, each with its share."""
    if not draws.coin():
        return truths
    if kind == "cutmix or mosaic":
        kind = "mosaic" if draws.coin() else "cutmix"
    return _MAKERS[kind](out, truths, more, draws)


def _mixup(out: Floats, truths: PictureTruths, more: More, draws: Draws) -> PictureTruths:
    """The mean of two (arXiv 1710.09412, with halves alone)."""
    other = np.empty_like(out)
    found = more(other)
    np.add(out, other, out)
    out /= 2
    return _together([(truths, 0.5), (found, 0.5)])


def _cutmix(out: Floats, truths: PictureTruths, more: More, draws: Draws) -> PictureTruths:
    """A window of another, 30 to 80 % of each side, at its own place (arXiv 1905.04899)."""
    _, height, width = out.shape
    cut_width, cut_height = (draws.between(int(0.3 * side), int(0.8 * side)) for side in (width, height))
    left, top = draws.between(0, width - cut_width - 1), draws.between(0, height - cut_height - 1)
    other = np.empty_like(out)
    found = more(other)
    window = (slice(None), slice(top, top + cut_height), slice(left, left + cut_width))
    out[window] = other[window]
    share = cut_width * cut_height / (width * height)
    return _together([(truths, 1 - share), (found, share)])


def _mosaic(out: Floats, truths: PictureTruths, more: More, draws: Draws) -> PictureTruths:
    """The quarters of four that meet between 20 and 80 % of each side."""
    _, height, width = out.shape
    x, y = (draws.between(int(0.2 * side), int(0.8 * side)) for side in (width, height))
    parts = [(truths, x * y / (width * height))]
    other = np.empty_like(out)
    for rows, columns in ((slice(y), slice(x, None)), (slice(y, None), slice(x)), (slice(y, None), slice(x, None))):
        found = more(other)
        out[:, rows, columns] = other[:, rows, columns]
        parts.append((found, out[0, rows, columns].size / (width * height)))
    return _together(parts)


_MAKERS = {"mixup": _mixup, "cutmix": _cutmix, "mosaic": _mosaic}


def _together(parts: list[tuple[PictureTruths, float]]) -> PictureTruths:
    return PictureTruths(
        np.concatenate([part.boxes for part, _ in parts]),
        np.concatenate([part.classes for part, _ in parts]),
        np.concatenate([np.full(len(part.classes), share, np.float32) for part, share in parts]),
    )
