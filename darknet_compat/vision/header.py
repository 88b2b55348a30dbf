"""How many pixels a picture's file claims to have, by its header, before anything is set aside for them.

A few bytes can claim billions. Read are the formats that OpenCV decodes; where a file could be read in two ways, the
larger size counts.
"""

from __future__ import annotations

import contextlib
import re
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from darknet_compat.errors import ImageError
from darknet_compat.formats.words import WidthHeight

MAX_PIXELS = 100_000_000
"""How many pixels a picture may have unless somebody says otherwise: 300 MB as bytes, 10,000 x 10,000."""


_limit = MAX_PIXELS


@contextlib.contextmanager
def limited_pixels(most: int | None) -> Iterator[None]:
    """While this lasts a picture may have so many pixels, in this process and those it forks, where no call says
    otherwise; None changes nothing. Raises ImageError for a number below 1."""
    global _limit
    before = _limit
    _limit = expect_max_pixels(most) or before
    try:
        yield
    finally:
        _limit = before


def max_pixels() -> int:
    """The limit where no call says otherwise."""
    return _limit


def expect_max_pixels(most: int | None) -> int | None:
    """`most` itself. Raises ImageError for what is no number of pixels."""
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise ImageError(f"max_pixels: expected 1 or more, found {most!r}")
    return most


def expect_few_pixels(size: WidthHeight | None, name: str, most: int | None = None) -> None:
    """Raise ImageError for a picture of more than `most` pixels, by default those of `limited_pixels`."""
    most = most or _limit
    if size is not None and size[0] * size[1] > most:
        raise ImageError(
            f"{name}: {size[0]} x {size[1]} pixels are more than {most:,}; larger ones with max_pixels (--max-pixels)"
        )


def picture_size(data: bytes) -> WidthHeight | None:
    """Width and height as the file claims them, before EXIF turns them; None where it is cut short, or no picture of a
    known format."""
    for is_kind, size_of in _KINDS:
        if is_kind(data):
            try:
                return size_of(data)
            except (struct.error, IndexError, ValueError):
                return None
    return None


# ------------------------------------------------------------------------------------------------- formats


def _at(layout: str, offset: int) -> Callable[[bytes], WidthHeight]:
    """A size that stands at a fixed place."""

    def read(data: bytes) -> WidthHeight:
        width, height = struct.unpack_from(layout, data, offset)
        return abs(width), abs(height)

    return read


def _jpeg(data: bytes) -> WidthHeight | None:
    at = 2
    while (at := data.find(b"\xff", at)) >= 0:
        marker = data[at + 1]
        if marker in (0x00, 0x01, 0xFF) or 0xD0 <= marker <= 0xD8:  # no marker, or one that stands alone
            at += 1 if marker == 0xFF else 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):  # start of frame
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        else:
            at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def _bmp(data: bytes) -> WidthHeight:
    (header,) = struct.unpack_from("<I", data, 14)
    return _at("<HH" if header == 12 else "<ii", 18)(data)


def _webp(data: bytes) -> WidthHeight | None:
    kind = data[12:16]
    if kind == b"VP8 ":
        width, height = _at("<HH", 26)(data)
        return width & 0x3FFF, height & 0x3FFF
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8X":
        canvas = data[24:30]
        return int.from_bytes(canvas[:3], "little") + 1, int.from_bytes(canvas[3:], "little") + 1
    return None


def _tiff(data: bytes) -> WidthHeight:
    """Of the first directory; tiles may be larger than the picture."""
    order = "<" if data[:2] == b"II" else ">"
    big = data[2:4] in (b"+\0", b"\0+")
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    at, step, value = (at + 8, 20, 12) if big else (at + 2, 12, 8)
    layouts = {1: "B", 3: "H", 4: "I", 16: "Q"}
    sides = {256: 0, 257: 0, 322: 0, 323: 0}
    for number in range(min(count, 1 << 16)):
        entry = at + number * step
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag in sides and kind in layouts:
            (sides[tag],) = struct.unpack_from(order + layouts[kind], data, entry + value)
    return max(sides[256], sides[322]), max(sides[257], sides[323])


def _netpbm(data: bytes) -> WidthHeight:
    """P1 to P6, and floats (PF, Pf)."""
    width, height, *_ = re.findall(rb"\d{1,10}", re.sub(rb"#[^\r\n]*", b"", data[2:4096]))
    return int(width), int(height)


def _pam(data: bytes) -> WidthHeight:
    return _number(rb"WIDTH\s+(\d{1,10})", data), _number(rb"HEIGHT\s+(\d{1,10})", data)


def _number(pattern: bytes, data: bytes) -> int:
    return max(int(found) for found in re.findall(pattern, data[:4096]))


def _jpeg2000(data: bytes) -> WidthHeight:
    """By the codestreams' SIZ; the area without what lies left of and above the picture."""
    places = [match.start() for match in re.finditer(rb"\xff\x4f\xff\x51", data)]
    return _largest(struct.unpack_from(">II", data, at + 8) for at in places)


def _radiance(data: bytes) -> WidthHeight:
    found = re.findall(rb"[-+][XY]\s+(\d{1,10})\s+[-+][XY]\s+(\d{1,10})", data[:65536])
    return _largest((int(b), int(a)) for a, b in found)


def _avif(data: bytes) -> WidthHeight:
    return _largest(struct.unpack_from(">II", data, match.end() + 4) for match in re.finditer(b"ispe", data))


def _largest(sizes: Iterable[tuple[Any, ...]]) -> WidthHeight:
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return width, height


def _begins(*starts: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(starts)


_KINDS: tuple[tuple[Callable[[bytes], bool], Callable[[bytes], WidthHeight | None]], ...] = (
    (_begins(b"\xff\xd8"), _jpeg),
    (_begins(b"\x89PNG"), _at(">II", 16)),
    (_begins(b"GIF8"), _at("<HH", 6)),
    (_begins(b"BM"), _bmp),
    (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp),
    (_begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), _tiff),
    (_begins(*(b"P%d" % number for number in range(1, 7)), b"PF", b"Pf"), _netpbm),
    (_begins(b"P7"), _pam),
    (_begins(b"\0\0\0\x0cjP", b"\xff\x4f\xff\x51"), _jpeg2000),
    (_begins(b"#?RADIANCE", b"#?RGBE"), _radiance),
    (_begins(b"\x59\xa6\x6a\x95"), _at(">II", 4)),  # Sun raster
    (lambda data: data[4:8] == b"ftyp", _avif),
)
"""Whether a file is of a format, and how its size is read."""
