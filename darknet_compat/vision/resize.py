"""The original's resize, bit for bit (original: `resize_image` in image.c).

Bilinear with corners aligned: output pixel i of n reads at i * (size - 1) / (n - 1), all in float32, first along x,
then along y. That is not OpenCV's INTER_LINEAR, and no other resize can stand in for it: a position rounded in another
way moves by up to 5e-5 pixels, so the indices and weights here are computed as the original computes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from darknet_compat.errors import ImageError
from darknet_compat.vision.opencv import opencv

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
Ints = NDArray[np.intp]

ONE = np.float32(1)
WHITE = np.float32(255)


def resize(image: Bytes | Floats, width: int, height: int) -> Floats:
    """The picture at another size, float32 [C, height, width] (original: `resize_image`).

    `image` is uint8 [H, W, C], 0..255, which becomes 0..1 on the way (original: `mat_to_image`), or float32
    [C, H, W]. Two things to know: where float32 puts the last output row a hair above the picture's last row, the
    original gives that hair's weight to the row below and the rest to none, so that the row comes out nearly black
    (one pair of heights in 28; 512 to 448 is one), and so it does here. And a target one pixel high, for which the
    original divides 0 by 0, shows the last row, as one that is one pixel wide shows the last column. Raises
    ImageError.
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
    """`resize` to the size of `out` [C, height, width] and into it; neither side may be 0."""
    _, image_height, image_width = picture_shape(image)
    _, height, width = out.shape
    plan = _plan(image_width, image_height, width, height)
    left, right = _columns(image, plan)  # [C, rows read, width] each
    left *= plan.left_weights
    right *= plan.right_weights
    left += right
    upper = left.take(plan.upper, axis=1, mode="clip")  # [C, height, width]
    lower = left.take(plan.lower, axis=1, mode="clip")
    upper *= plan.upper_weights
    lower *= plan.lower_weights
    np.add(upper, lower, out=out)


@dataclass(frozen=True, eq=False)
class _Plan:
    """Where every output pixel reads, and the weights, for one pair of sizes.

    The weights are whole planes although each is constant along one axis: numpy multiplies plane by plane in half the
    time that it needs to broadcast a row or a column.
    """

    rows: Ints | slice  # the picture's rows that are read at all
    left: Ints  # [width] columns
    right: Ints
    left_weights: Floats  # [rows read, width]
    right_weights: Floats
    upper: Ints  # [height] indices into the rows read
    lower: Ints
    upper_weights: Floats  # [height, width]
    lower_weights: Floats


@lru_cache(maxsize=4)
def _plan(image_width: int, image_height: int, width: int, height: int) -> _Plan:
    left, left_weight, right_weight = _positions(image_width, width)
    # The original copies the last column instead of weighing it, and has no such rule for the last row.
    left[-1], left_weight[-1], right_weight[-1] = image_width - 1, 1, 0
    right = np.minimum(left + 1, image_width - 1)
    upper, upper_weight, lower_weight = _positions(image_height, height)
    lower_weight[-1] = 0
    lower = np.minimum(upper + 1, image_height - 1)
    used = np.union1d(upper, lower)
    rows: Ints | slice = slice(None)
    count = image_height
    if len(used) < image_height:
        rows, count = used, len(used)
        upper, lower = np.searchsorted(used, upper), np.searchsorted(used, lower)
    return _Plan(
        rows,
        left,
        right,
        np.tile(left_weight, (count, 1)),
        np.tile(right_weight, (count, 1)),
        upper,
        lower,
        np.repeat(upper_weight[:, None], width, axis=1),
        np.repeat(lower_weight[:, None], width, axis=1),
    )


def _positions(size: int, new_size: int) -> tuple[Ints, Floats, Floats]:
    """Along one axis, for each of `new_size` outputs: the first pixel read, its weight, and that of the next one."""
    if new_size == 1:
        return np.array([size - 1]), np.ones(1, np.float32), np.zeros(1, np.float32)
    scale = np.float32(size - 1) / np.float32(new_size - 1)
    position = np.arange(new_size, dtype=np.float32) * scale
    first = position.astype(np.int32)
    fraction = position - first.astype(np.float32)
    return first.astype(np.intp), ONE - fraction, fraction


def _columns(image: Bytes | Floats, plan: _Plan) -> tuple[Floats, Floats]:
    """Both neighbours of every output column, 0..1, as planes [C, rows read, width].

    Of bytes [H, W, C], columns are fetched as rows of the transposed picture: whole rows move many times faster than
    single pixels, and the way back separates the channels as well.
    """
    if image.dtype == np.float32:
        planes = np.asarray(image[:, plan.rows], np.float32)
        return planes.take(plan.left, axis=2, mode="clip"), planes.take(plan.right, axis=2, mode="clip")
    cv2 = opencv()
    rows = np.ascontiguousarray(image[plan.rows])
    count, width, channels = rows.shape
    transposed = cv2.transpose(rows.reshape(count, width * channels))  # [W * C, rows]

    def fetched(columns: Ints) -> Floats:
        index = columns * channels + np.arange(channels)[:, None]  # [C, width]
        bytes_ = np.empty((channels, count, len(columns)), np.uint8)
        for source, plane in zip(transposed.take(index, axis=0, mode="clip"), bytes_, strict=True):
            cv2.transpose(source, dst=plane)
        fractions = bytes_.astype(np.float32)
        # A true division: multiplying by the rounded 1/255 gives another last bit for half of the 256 values.
        fractions /= WHITE
        return fractions

    return fetched(plan.left), fetched(plan.right)
