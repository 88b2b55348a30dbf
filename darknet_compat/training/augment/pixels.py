"""The original's image functions that training needs (image.c), with its parameters and its numbers to 1e-5.

A picture to read from is uint8 [H, W, C], 0..255, or float32 [C, H, W], 0..1; one to write into is float32 [C, H, W].
"""

from __future__ import annotations

import numpy as np

from darknet_compat.errors import ImageError
from darknet_compat.formats.arrays import Bytes, Floats
from darknet_compat.vision.opencv import opencv
from darknet_compat.vision.resize import Axis, picture_shape, resize, sample_into

_MOST = 32766
"""OpenCV's `remap` reads pictures of no longer sides."""


def place_image(
    image: Bytes | Floats, width: int, height: int, left: int, top: int, canvas: Floats, *, flip: bool = False
) -> None:
    """Stretch the picture to `width` x `height` and put it on the canvas, what reaches beyond cut off.

    The picture is uint8 [H, W, C] or float32 [C, H, W], the canvas float32 [C, height, width], changed in place.

    Output pixel i of n reads at i / n of the picture. What lies outside of the picture counts as 0: an enlarged picture
    has a darker edge on the right and below. With `flip` the canvas shows the mirror image of what it would show.
    """
    channels, image_height, image_width = picture_shape(image)
    _, canvas_height, canvas_width = canvas.shape
    columns = _Span(left, width, canvas_width)
    rows = _Span(top, height, canvas_height)
    if columns.is_empty or rows.is_empty:
        return
    axis = _spread(image_width, width).part(columns.shown)
    where = columns.on_canvas
    if flip:
        axis = axis.part(slice(None, None, -1))
        where = slice(canvas_width - where.stop, canvas_width - where.start)
    sample_into(canvas[:channels, rows.on_canvas, where], image, axis, _spread(image_height, height).part(rows.shown))


class _Span:
    """Which of `count` pixels that begin at `start` lie on a canvas of `size`, and where."""

    def __init__(self, start: int, count: int, size: int) -> None:
        first, last = max(start, 0), min(start + count, size)
        self.is_empty = first >= last
        self.on_canvas = slice(first, last)
        self.shown = slice(first - start, last - start)


def _spread(size: int, new_size: int) -> Axis:
    # In the order in which the original's compiler multiplies: another one moves positions by up to 6e-5 of a pixel.
    position = np.arange(new_size, dtype=np.float32) * (np.float32(1) / np.float32(new_size) * np.float32(size))
    first = position.astype(np.intp)
    fraction = position - first.astype(np.float32)
    second = np.minimum(first + 1, size - 1)
    return Axis(np.minimum(first, size - 1), second, 1 - fraction, np.where(second > first, fraction, np.float32(0)))


def rotate_crop_image(
    image: Bytes | Floats,
    radians: float,
    scale: float,
    width: int,
    height: int,
    dx: float,
    dy: float,
    aspect: float,
) -> Floats:
    """`width` x `height` pixels of the picture turned by `radians`, enlarged `scale` times and narrowed by `aspect`.

    `dx` and `dy` move the window away from the middle, in pixels of the result. What lies outside of the picture is 0.
    Raises ImageError for a picture too large for OpenCV.
    """
    _, image_height, image_width = picture_shape(image)
    if max(image_height, image_width) > _MOST:
        raise ImageError(f"a picture of {image_width}x{image_height} pixels is too large to be turned: {_MOST} at most")
    # Steps are rounded as the original rounds them, doubles to one float32 at the end: 1e-5 of a pixel can be seen.
    radians, scale, dx, dy, aspect = (float(np.float32(value)) for value in (radians, scale, dx, dy, aspect))
    cosine, sine = np.cos(radians), np.sin(radians)
    shift = float(np.float32(dx) / np.float32(scale) * np.float32(aspect))
    along = (np.arange(width) - width / 2) / scale * aspect + shift
    down = (np.arange(height) - height / 2) / scale + float(np.float32(dy) / np.float32(scale))
    x = (cosine * along - (sine * down)[:, None] + float(np.float32(image_width / 2))).astype(np.float32)
    y = (sine * along + (cosine * down)[:, None] + float(np.float32(image_height / 2))).astype(np.float32)
    sampled = _interpolate(image, x, y)
    return np.ascontiguousarray(sampled.transpose(2, 0, 1))


def _interpolate(image: Bytes | Floats, x: Floats, y: Floats) -> Floats:
    """Bilinear samples [h, w, C] at x, y [h, w], 0 outside (original: `bilinear_interpolate`)."""
    cv2 = opencv()
    interleaved = image if image.dtype == np.uint8 else np.ascontiguousarray(image.transpose(1, 2, 0))
    height, width, channels = interleaved.shape
    left, top = np.floor(x), np.floor(y)
    right_weight, lower_weight = (cv2.merge([weight] * channels) for weight in (x - left, y - top))
    # Far outside is outside: whole numbers of 16 bits are what OpenCV fetches single pixels by.
    first = cv2.merge([np.clip(left, -2, width).astype(np.int16), np.clip(top, -2, height).astype(np.int16)])

    def fetched(right: int, down: int) -> Floats:
        where = cv2.add(first, (right, down, 0, 0))
        found = cv2.remap(interleaved, where, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
        return np.asarray(found, np.float32)

    rows = []
    for down in (0, 1):
        row, right = fetched(0, down), fetched(1, down)
        right -= row
        right *= right_weight
        row += right
        rows.append(row)
    upper, lower = rows
    lower -= upper
    lower *= lower_weight
    upper += lower
    if image.dtype == np.uint8:
        upper /= 255
    return upper.reshape(*x.shape, channels)


def distort_image(planes: Floats, hue: float, saturation: float, exposure: float) -> None:
    """Turn the hue (1 is a whole turn), multiply saturation and value, and cut off at 0 and 1; in place, [3, H, W].

    Where the turned hue is 1 to the last bit, the original takes red for magenta; here it is red.
    """
    if not planes.size:
        return
    cv2 = opencv()
    colours = cv2.cvtColor(cv2.merge(list(planes)), cv2.COLOR_RGB2HSV)  # 0..360, 0..1, 0..1
    cv2.multiply(colours, (1.0, float(saturation), float(exposure), 0.0), dst=colours)
    cv2.add(colours, (360.0 * (float(hue) % 1), 0.0, 0.0, 0.0), dst=colours)  # OpenCV turns beyond 360, not below 0
    colours = cv2.cvtColor(colours, cv2.COLOR_HSV2RGB)
    np.clip(colours, 0, 1, out=colours)
    np.copyto(planes, colours.transpose(2, 0, 1))


def flip_image(planes: Floats) -> None:
    """Mirror a picture [C, H, W] left and right, in place."""
    planes[:] = planes[..., ::-1].copy()


def crop_image(image: Bytes, left: int, top: int, width: int, height: int) -> Bytes:
    """[height, width, C] of the picture [H, W, C] from `left`, `top` on; beyond its edges, the edges' pixels again."""
    rows = np.arange(top, top + height).clip(0, image.shape[0] - 1)
    columns = np.arange(left, left + width).clip(0, image.shape[1] - 1)
    cropped: Bytes = image[rows[:, None], columns]
    return cropped


def center_crop_image(image: Bytes | Floats, width: int, height: int) -> Floats:
    """The largest square in the middle of a picture, resized: float32 [C, height, width]."""
    _, image_height, image_width = picture_shape(image)
    side = min(image_height, image_width)
    top, left = (image_height - side) // 2, (image_width - side) // 2
    rows, columns = slice(top, top + side), slice(left, left + side)
    cropped: Bytes | Floats = image[rows, columns] if image.dtype == np.uint8 else image[:, rows, columns]
    return resize(cropped, width, height)


def brightness(planes: Floats) -> Floats:
    """[1, H, W] of [3, H, W], for networks that read one channel (original: `grayscale_image`)."""
    weights: Floats = np.array([0.299, 0.587, 0.114], np.float32)
    return np.tensordot(weights, planes, 1)[None]
