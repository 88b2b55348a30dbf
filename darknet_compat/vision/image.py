"""Pictures as arrays: decoded, fitted to a network's input, and boxes taken back to where they lie in the picture."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from darknet_compat.errors import ImageError
from darknet_compat.formats.arrays import Array, Bytes, Floats
from darknet_compat.formats.words import Resize
from darknet_compat.vision.header import expect_few_pixels, picture_size
from darknet_compat.vision.opencv import opencv, quiet
from darknet_compat.vision.resize import picture_shape, resize, resize_into
from darknet_compat.vision.signature import begins_like_video

__all__ = ["Placement", "decode", "expect_few_pixels_in", "letterbox", "resize", "stretch"]

GREY = 0.5

_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
}


# ------------------------------------------------------------------------------------------------- decoding


def decode(source: Any, max_pixels: int | None = None) -> Bytes:
    """A picture as uint8 [H, W, 3], RGB, 0..255 (original: `load_image_color`, there as floats).

    `source` is a path, a file's bytes, a PIL image, or an ndarray uint8 as OpenCV gives it: [H, W, 3] in BGR,
    [H, W, 4] in BGRA (alpha is dropped) or [H, W] in grey. Depths above 8 bits are reduced to 8.

    EXIF orientation is honoured, also a PIL image's, as by Debian's original, whose OpenCV turns JPEG and PNG (newer
    ones WebP as well); the original built without OpenCV ignores it. A file that ends too early is refused: the
    original fills what is missing with grey and detects there. Raises ImageError, naming the file, for whatever
    cannot be read, and for a file or a PIL image of more than `max_pixels`, by default `header.MAX_PIXELS` or what
    `header.limited_pixels` says: by its header, before there is memory for it.
    """
    if isinstance(source, np.ndarray):
        return _from_array(source)
    if isinstance(source, (bytes, bytearray, memoryview)):
        return _from_bytes(bytes(source), f"picture of {len(source)} bytes", max_pixels)
    if isinstance(source, (str, os.PathLike)):
        return _from_bytes(_read(source), os.fspath(source), max_pixels)
    if type(source).__module__.partition(".")[0] == "PIL":
        return _from_pil(source, max_pixels)
    raise ImageError(f"a picture is a path, bytes, a PIL image or an ndarray, not {type(source).__name__}")


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError:
        raise ImageError(f"{path}: no such file") from None
    except (OSError, ValueError) as cause:  # ValueError: a null character in the name
        if os.path.isdir(path):  # asked only now: Windows says no permission
            raise ImageError(f"{path}: a folder, not a picture") from None
        raise ImageError(f"{path}: cannot be read: {getattr(cause, 'strerror', None) or cause}") from None


def expect_few_pixels_in(path: str | os.PathLike[str]) -> None:
    """Raise ImageError for a file that `decode` would refuse for its size, where somebody else is to read it."""
    expect_few_pixels(picture_size(_read(path)), os.fspath(path))


def _from_bytes(data: bytes, name: str, max_pixels: int | None) -> Bytes:
    if not data:
        raise ImageError(f"{name}: empty, not a picture")
    expect_few_pixels(picture_size(data), name, max_pixels)
    cv2 = opencv()
    try:
        # Not imread: it takes no memory, on Windows no Unicode name, and it completes a truncated JPEG in silence.
        with quiet():
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as cause:
        if "CV_IO_MAX_IMAGE" in str(cause):
            limits = "2^20 pixels wide or high and 2^30 in all (OPENCV_IO_MAX_IMAGE_PIXELS)"
            raise ImageError(f"{name}: too large: OpenCV reads pictures of up to {limits}") from None
        raise ImageError(f"{name}: OpenCV cannot read it: {' '.join(str(cause).split())}") from None
    if bgr is None:
        kind = next((kind for start, kind in _SIGNATURES.items() if data.startswith(start)), None)
        if begins_like_video(data):
            raise ImageError(f"{name}: a video, not a picture; `detect` takes it")
        if kind:
            raise ImageError(f"{name}: this {kind} picture is damaged, cut short or too large to read")
        raise ImageError(f"{name}: not a picture that OpenCV can read: it starts with {data[:16]!r}")
    return _to_rgb(bgr)


def _from_pil(source: Any, max_pixels: int | None) -> Bytes:
    from PIL import ImageOps

    name = getattr(source, "filename", "") or "PIL image"
    expect_few_pixels(source.size, name, max_pixels)
    try:
        upright = ImageOps.exif_transpose(source)
        return _not_empty(np.array(_eight_bits(upright).convert("RGB")), "PIL image")
    except (OSError, ValueError, SyntaxError) as cause:  # PIL reads the file only now
        raise ImageError(f"{name}: cannot be read: {cause}") from None


def _eight_bits(image: Any) -> Any:
    """A grey PIL image of 16 or 32 bits by its upper 8 of 16, as OpenCV reads the same file; `convert` would cut all
    above 255 to white. Colours have 8 bits in PIL."""
    if not image.mode.startswith("I"):
        return image
    from PIL import Image

    return Image.fromarray(np.clip(np.array(image).astype(np.int64) >> 8, 0, 255).astype(np.uint8))


def _from_array(array: Array) -> Bytes:
    shapes = array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (1, 3, 4))
    if array.dtype != np.uint8 or not shapes:
        raise ImageError(
            f"an array as a picture is uint8 [height, width, 3] in BGR, [height, width, 4] in BGRA or [height, width] "
            f"in grey, not {array.dtype} {list(array.shape)}"
        )
    return _to_rgb(_not_empty(array, "array"))


def _not_empty(array: Bytes, name: str) -> Bytes:
    if not array.size:
        raise ImageError(f"{name}: a picture of {array.shape[1]}x{array.shape[0]} pixels has nothing to look at")
    return array


def _to_rgb(array: Bytes) -> Bytes:
    cv2 = opencv()
    codes = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: cv2.COLOR_BGRA2RGB}
    rgb: Bytes = cv2.cvtColor(np.ascontiguousarray(array), codes[array.shape[2] if array.ndim == 3 else 1])
    return rgb


# ------------------------------------------------------------------------------------- fitting to a network


@dataclass(frozen=True)
class Placement:
    """Where a picture lies in a network's input, all in pixels: `new_width` x `new_height` of the input show it.

    An extremely long picture can leave no pixel of its short side; the network then sees only grey, and that side
    counts as one pixel here instead of dividing by zero.
    """

    image_width: int
    image_height: int
    network_width: int
    network_height: int
    new_width: int
    new_height: int
    mode: Resize

    def to_image(self, boxes: ArrayLike) -> Floats:
        """From [N, 4] centre x, centre y, width, height, fractions of the network's input, to [N, 4] x1 y1 x2 y2.

        The result is float32, in pixels of the picture, which boxes may reach beyond (original: `correct_region_boxes`
        and `correct_yolo_boxes`, then the corners as in `draw_detections`, before it rounds and clips them). The
        margin is an exact half, even where the picture was pasted at a rounded one: half a pixel of the network's
        input off if the free space is odd, and as the original does it.
        """
        x, y, w, h = np.asarray(boxes, np.float32).reshape(-1, 4).T
        x, w = _unplace(x, w, self.network_width, self.new_width)
        y, h = _unplace(y, h, self.network_height, self.new_height)
        x, y, w, h = (values.astype(np.float64) for values in (x, y, w, h))
        corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
        corners *= [self.image_width, self.image_height] * 2
        return corners.astype(np.float32)


def _unplace(centre: Floats, side: Floats, network: int, new: int) -> tuple[Floats, Floats]:
    """Fractions of the network's input to fractions of the picture; float32 and double where the original has them."""
    new = max(new, 1)
    margin = (network - new) / 2 / network
    centre = ((centre.astype(np.float64) - margin) / np.float64(np.float32(new / network))).astype(np.float32)
    return centre, side * np.float32(network / new)


def letterbox(image: Bytes | Floats, width: int, height: int) -> tuple[Floats, Placement]:
    """The picture as large as it fits, centred on grey, float32 [C, height, width], 0..1 (original: `letterbox_image`).

    `image` is uint8 [H, W, C] as `decode` gives it, or float32 [C, H, W], 0..1. The same bits as the original's for
    every size (see `resize` for targets one pixel high). Raises ImageError.
    """
    channels, image_height, image_width = _checked(image, width, height)
    new_width, new_height = _fitting_size(image_width, image_height, width, height)
    out = np.full((channels, height, width), GREY, np.float32)
    left, top = (width - new_width) // 2, (height - new_height) // 2
    shown = out[:, top : top + new_height, left : left + new_width]
    if shown.size:
        resize_into(shown, image)
    return out, Placement(image_width, image_height, width, height, new_width, new_height, "letterbox")


def stretch(image: Bytes | Floats, width: int, height: int) -> tuple[Floats, Placement]:
    """The picture resized to the network's input whatever its shape, float32 [C, height, width], 0..1.

    What the original's older releases and its best-known fork do; networks trained that way need it. Takes and raises
    what `letterbox` does.
    """
    _, image_height, image_width = _checked(image, width, height)
    placement = Placement(image_width, image_height, width, height, width, height, "stretch")
    return resize(image, width, height), placement


def _checked(image: Bytes | Floats, width: int, height: int) -> tuple[int, int, int]:
    if width < 1 or height < 1:
        raise ImageError(
            f"a network's input of {width}x{height} pixels holds no picture: both sides must be at least 1"
        )
    return picture_shape(image)


def _fitting_size(image_width: int, image_height: int, width: int, height: int) -> tuple[int, int]:
    """The largest size of the picture's shape that fits: the original's float32 comparison and integer division."""
    by_width = np.float32(width) / np.float32(image_width) < np.float32(height) / np.float32(image_height)
    if by_width:
        return width, image_height * width // image_width
    return image_width * height // image_height, height
