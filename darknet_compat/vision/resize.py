"""The original's resize, bit for bit (original: `resize_image` in image.c).

Bilinear with corners aligned: output pixel i of n reads at i * (size - 1) / (n - 1), all in float32, first along x,
then along y. That is not OpenCV's INTER_LINEAR, and no other resize can stand in for it: a position rounded in another
way moves by up to 5e-5 pixels, so the indices and weights here are computed as the original computes them.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import NamedTuple

import numpy as np

from darknet_compat.errors import ImageError
from darknet_compat.formats.arrays import Array, Bytes, Floats, Indices
from darknet_compat.vision.opencv import opencv

BAND = 1 << 17
"""Numbers of the output that are computed at a time: half a megabyte, a compromise of cache and calls."""

ONE = np.float32(1)
WHITE = np.float32(255)


def resize(image: Bytes | Floats, width: int, height: int) -> Floats:
    """The picture at another size, float32 [C, height, width] (original: `resize_image`).

    `image` is uint8 [H, W, C], 0..255, which becomes 0..1 on the way (original: `mat_to_image`), or float32
    [C, H, W]. Two things to know. Where float32 puts the last output row a hair above the picture's last row, the
    original weighs the row before by that hair and leaves the rest out, so that the output's last row is nearly
    black (one pair of heights in 28 has it; 512 to 448 is one), and so it is here. And a target one pixel high, for
    which the original divides 0 by 0, shows the last row, as one that is one pixel wide shows the last column.
    Raises ImageError.
    """
    channels, _, _ = picture_shape(image)
    if width < 1 or height < 1:
        raise ImageError(f"a picture cannot be resized to {width}x{height}: both sides must be at least 1")
    out = np.empty((channels, height, width), np.float32)
    resize_into(out, image)
    return out


def picture_shape(image: Bytes | Floats) -> tuple[int, int, int]:
    """(channels, height, width) of uint8 [H, W, C] or float32 [C, H, W]. Raises ImageError for anything else."""
    if image.ndim == 3 and image.size:
        if image.dtype == np.uint8:
            height, width, channels = image.shape
            return channels, height, width
        if image.dtype == np.float32:
            channels, height, width = image.shape
            return channels, height, width
    raise ImageError(
        f"expected a picture, uint8 [height, width, channels] or float32 [channels, height, width], "
        f"and found {image.dtype} {list(image.shape)}"
    )


def resize_into(out: Floats, image: Bytes | Floats) -> None:
    """`resize` to the size of `out` [C, height, width] and into it; neither side may be 0.

    Raises ImageError for a picture too large to be worked on.
    """
    channels, image_height, image_width = picture_shape(image)
    _, height, width = out.shape
    _sample_into(out, image, _resize_plan(image_width, image_height, width, height, channels))


class Axis(NamedTuple):
    """What each output pixel along one side is made of: two pixels of the picture, and the weight of each,
    all [pixels]."""

    first: Indices
    second: Indices
    first_weight: Floats
    second_weight: Floats

    def part(self, chosen: slice) -> Axis:
        """Some of the output pixels, or all of them in another order."""
        first, second, first_weight, second_weight = self
        return Axis(first[chosen], second[chosen], first_weight[chosen], second_weight[chosen])


def sample_into(out: Floats, image: Bytes | Floats, columns: Axis, rows: Axis) -> None:
    """Bilinear sampling wherever `columns` and `rows` say, into `out` [C, len(rows.first), len(columns.first)].

    `image` as in `resize`; no side of `out` may be 0. Raises ImageError.
    """
    channels, _, _ = picture_shape(image)
    _sample_into(out, image, _plan(columns, rows, channels))


def _sample_into(out: Floats, image: Bytes | Floats, plan: _Plan) -> None:
    channels, _, width = out.shape
    for band in plan.bands:
        source = _source(image, band.rows)
        part, right = source(plan.left, "left"), source(plan.right, "right")  # [C, rows read, width]
        count = part.shape[1]
        part *= plan.left_weights[:count]
        right *= plan.right_weights[:count]
        part += right
        shape = (channels, len(band.upper), width)
        upper = part.take(band.upper, axis=1, mode="clip", out=_scratch.array("upper", shape))
        lower = part.take(band.lower, axis=1, mode="clip", out=_scratch.array("lower", shape))
        upper *= plan.upper_weights[band.out]
        lower *= plan.lower_weights[band.out]
        np.add(upper, lower, out=out[:, band.out])


class _Scratch(threading.local):
    """Arrays that a thread uses again and again: fresh pages would cost as much as the arithmetic done in them."""

    def __init__(self) -> None:
        self.held: dict[str, Array] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: type[np.generic] = np.float32) -> Array:
        size = prod(shape)
        held = self.held.get(name)
        if held is None or held.size < size:
            held = self.held[name] = np.empty(size, dtype)
        return held[:size].reshape(shape)


_scratch = _Scratch()


@dataclass(frozen=True, eq=False)
class _Band:
    """Some rows of the output and those of the picture that they read: what fits a processor's cache."""

    out: slice
    rows: slice | Indices
    upper: Indices  # indices into `rows`
    lower: Indices


@dataclass(frozen=True, eq=False)
class _Plan:
    """Where every output pixel reads, and the weights, for one pair of sizes.

    The weights are whole planes although each is constant along one axis: numpy multiplies plane by plane in half the
    time that it needs to broadcast a row or a column.
    """

    bands: tuple[_Band, ...]
    left: Indices  # [width] columns of the picture
    right: Indices
    left_weights: Floats  # [most rows that a band reads, width]
    right_weights: Floats
    upper_weights: Floats  # [height, width]
    lower_weights: Floats


@lru_cache(maxsize=8)
def _resize_plan(image_width: int, image_height: int, width: int, height: int, channels: int) -> _Plan:
    columns, rows = _aligned(image_width, width), _aligned(image_height, height)
    # The original copies the last column instead of weighing it, and has no such rule for the last row.
    columns.first[-1], columns.first_weight[-1], columns.second_weight[-1] = image_width - 1, 1, 0
    rows.second_weight[-1] = 0
    return _plan(columns, rows, channels)


def _plan(columns: Axis, rows: Axis, channels: int) -> _Plan:
    width, height = len(columns.first), len(rows.first)
    bands, most = [], 0
    step = max(BAND // (width * channels), 1)
    for start in range(0, height, step):
        out = slice(start, start + step)
        used = np.flatnonzero(np.bincount(np.concatenate([rows.first[out], rows.second[out]])))  # in order, once each
        most = max(most, len(used))
        read = slice(used[0], used[-1] + 1) if len(used) == used[-1] + 1 - used[0] else used
        bands.append(_Band(out, read, np.searchsorted(used, rows.first[out]), np.searchsorted(used, rows.second[out])))
    return _Plan(
        tuple(bands),
        columns.first,
        columns.second,
        np.tile(columns.first_weight, (most, 1)),
        np.tile(columns.second_weight, (most, 1)),
        np.repeat(rows.first_weight[:, None], width, axis=1),
        np.repeat(rows.second_weight[:, None], width, axis=1),
    )


def _aligned(size: int, new_size: int) -> Axis:
    """Corner on corner: output pixel i reads at i * (size - 1) / (new_size - 1)."""
    if new_size == 1:
        last, one = np.array([size - 1]), np.ones(1, np.float32)
        return Axis(last, last.copy(), one, 1 - one)
    scale = np.float32(size - 1) / np.float32(new_size - 1)
    position = np.arange(new_size, dtype=np.float32) * scale
    first = position.astype(np.int32)
    fraction = position - first.astype(np.float32)
    first = first.astype(np.intp)
    return Axis(first, np.minimum(first + 1, size - 1), ONE - fraction, fraction)


def _source(image: Bytes | Floats, rows: slice | Indices) -> Callable[[Indices, str], Floats]:
    """A function from columns to planes [C, len(rows), len(columns)], 0..1, of these rows, in the named scratch.

    Of bytes [H, W, C], columns are fetched as rows of the transposed picture: whole rows move many times faster than
    single pixels, and the way back separates the channels as well.
    """
    if image.dtype == np.float32:
        planes = np.asarray(image[:, rows], np.float32)
        shape = planes.shape[:2]
        return lambda columns, name: planes.take(
            columns, axis=2, mode="clip", out=_scratch.array(name, (*shape, len(columns)))
        )
    cv2 = opencv()
    read = np.ascontiguousarray(image[rows])
    count, width, channels = read.shape
    turned = _scratch.array("turned", (width * channels, count), np.uint8)
    turned = cv2.transpose(read.reshape(count, width * channels), dst=turned)

    def fetch(columns: Indices, name: str) -> Floats:
        index = columns * channels + np.arange(channels)[:, None]  # [C, width]
        fetched = _scratch.array("fetched", (*index.shape, count), np.uint8)
        turned.take(index, axis=0, mode="clip", out=fetched)
        back = _scratch.array("back", (channels, count, len(columns)), np.uint8)
        for source, plane in zip(fetched, back, strict=True):
            cv2.transpose(source, dst=plane)
        fractions: Floats = _scratch.array(name, back.shape)
        # A true division: multiplying by the rounded 1/255 gives another last bit for half of the 256 values.
        fractions[:] = back
        fractions /= WHITE
        return fractions

    return fetch
