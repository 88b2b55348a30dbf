"""Sizes by headers: those that decoding gives, for every format that OpenCV reads, and refused before decoding."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from darknet_compat.errors import ImageError
from darknet_compat.sources.base import Frame
from darknet_compat.vision import header
from darknet_compat.vision.header import expect_max_pixels, limited_pixels, picture_size
from darknet_compat.vision.image import decode

WIDTH, HEIGHT = 61, 37
PIXELS = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)


def by_pil(kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PIXELS).save(file, kind, **options)
    return file.getvalue()


def by_opencv(suffix: str, pixels: Any = PIXELS) -> bytes:
    return bytes(cv2.imencode(suffix, pixels)[1])


def core_bmp() -> bytes:
    """The oldest kind, with sides of two bytes each."""
    row = (WIDTH * 3 + 3) // 4 * 4
    size = 26 + row * HEIGHT
    return struct.pack("<2sIHHIIHHHH", b"BM", size, 0, 0, 26, 12, WIDTH, HEIGHT, 1, 24) + bytes(row * HEIGHT)


def tiff(order: str, big: bool = False) -> bytes:
    mark = {"<": b"II", ">": b"MM"}[order]
    tags = [(256, 4, WIDTH), (257, 3, HEIGHT)]
    if big:
        start = mark + struct.pack(order + "HHHQQ", 43, 8, 0, 16, len(tags))
        return start + b"".join(
            struct.pack(order + "HHQ", tag, kind, 1) + struct.pack(order + {3: "H6x", 4: "I4x"}[kind], value)
            for tag, kind, value in tags
        )
    start = mark + struct.pack(order + "HIH", 42, 8, len(tags))
    return start + b"".join(
        struct.pack(order + "HHI", tag, kind, 1) + struct.pack(order + {3: "H2x", 4: "I"}[kind], value)
        for tag, kind, value in tags
    )


FILES = {
    "jpeg": by_opencv(".jpg"),
    "jpeg, progressive": by_pil("JPEG", progressive=True),
    "jpeg with EXIF, a profile and a comment": by_pil("JPEG", exif=bytes(60), icc_profile=bytes(3000), comment=b"hi"),
    "png": by_opencv(".png"),
    "png, grey, 16 bits": by_opencv(".png", PIXELS[..., 0].astype(np.uint16)),
    "gif": by_pil("GIF"),
    "bmp": by_opencv(".bmp"),
    "bmp, core": core_bmp(),
    "webp": by_pil("WEBP", quality=80),
    "webp, lossless": by_pil("WEBP", lossless=True),
    "webp, extended": by_pil("WEBP", exif=b"Exif\0\0" + bytes(60)),
    "tiff": by_opencv(".tiff"),
    "tiff, tiled": by_pil("TIFF", compression="jpeg"),
    "ppm": by_opencv(".ppm"),
    "pgm": by_opencv(".pgm", PIXELS[..., 0]),
    "pbm": by_pil("PPM"),
    "pam": by_opencv(".pam"),
    "pfm": by_opencv(".pfm", PIXELS.astype(np.float32)),
    "jpeg 2000": by_opencv(".jp2"),
    "jpeg 2000, codestream": by_pil("JPEG2000", no_jp2=True),
    "radiance": by_opencv(".hdr", PIXELS.astype(np.float32)),
    "sun raster": by_opencv(".sr"),
    "avif": by_opencv(".avif"),
}


@pytest.mark.parametrize("kind", FILES)
def test_the_size_is_that_which_decoding_gives(kind: str) -> None:
    assert picture_size(FILES[kind]) == (WIDTH, HEIGHT)
    assert decode(FILES[kind]).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("big", [False, True])
def test_tiff_of_either_order_and_width_of_offsets(order: str, big: bool) -> None:
    assert picture_size(tiff(order, big)) == (WIDTH, HEIGHT)


@pytest.mark.parametrize("kind", FILES)
def test_too_many_pixels_are_refused_before_decoding(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    most = WIDTH * HEIGHT - 1
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "imdecode", None)
        with pytest.raises(ImageError) as caught:
            decode(FILES[kind], most)
        assert str(caught.value) == (
            f"picture of {len(FILES[kind])} bytes: {WIDTH} x {HEIGHT} pixels are more than {most:,}; larger ones with"
            " max_pixels (--max-pixels)"
        )
    assert decode(FILES[kind], WIDTH * HEIGHT).shape == (HEIGHT, WIDTH, 3)


def test_the_limit_of_a_process_of_a_frame_and_of_pil(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(FILES["png"])
    with limited_pixels(1000), limited_pixels(None):
        with Image.open(path) as opened:
            for source in (path, str(path), FILES["png"], opened):
                with pytest.raises(ImageError, match="61 x 37 pixels are more than 1,000"):
                    decode(source)
        with pytest.raises(ImageError, match=r"a\.png: 61 x 37"):
            Frame(path, "a").pixels()
        assert Frame(path, "a").pixels(5000).shape == decode(path, 5000).shape == (HEIGHT, WIDTH, 3)
        assert decode(PIXELS).shape == (HEIGHT, WIDTH, 3)  # an array has its memory already
    assert decode(path).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("most", [0, -1, True, 1.5, "many"])
def test_a_limit_that_is_none(most: Any) -> None:
    with pytest.raises(ImageError, match=r"max_pixels: expected 1 or more, found "):
        decode(FILES["png"], expect_max_pixels(most))


def test_tiles_larger_than_the_picture_count() -> None:
    one = struct.pack("<HHII", 322, 4, 1, 1 << 20)
    data = b"II*\0" + struct.pack("<IH", 8, 3) + struct.pack("<HHIIHHII", 256, 4, 1, 5, 257, 4, 1, 7) + one
    assert picture_size(data) == (1 << 20, 7)


@pytest.mark.parametrize("kind", FILES)
def test_damaged_headers_have_a_size_or_none(kind: str) -> None:
    data = FILES[kind]
    for length in range(min(len(data), 200)):
        picture_size(data[:length])
    for number in range(2000):
        random = Random(f"{kind} {number}")
        changed = bytearray(data)
        for _ in range(random.choice([1, 1, 2, 5])):
            changed[random.randrange(min(len(data), 300))] = random.randrange(256)
        size = picture_size(bytes(changed))
        assert size is None or min(size) >= 0


def test_every_format_of_the_table_is_tested() -> None:
    used = {number for data in FILES.values() for number, (is_kind, _) in enumerate(header._KINDS) if is_kind(data)}
    assert used == set(range(len(header._KINDS)))
