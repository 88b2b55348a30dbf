"""Whether EXIF turns a picture, and its size from the first bytes of its file."""

from __future__ import annotations

import os
import struct
from typing import NamedTuple

from darknet_compat.vision.header import picture_size

_FIRST = 1 << 16
"""Bytes that are read. A picture whose size stands behind more than that of metadata is left to `decode`."""
_ORIENTATION = 0x0112


class Stored(NamedTuple):
    """Width and height in pixels as they lie in the file, and EXIF's orientation, 1 for upright, up to 8."""

    width: int
    height: int
    orientation: int

    @property
    def seen(self) -> tuple[int, int]:
        """Width and height as `decode` gives them."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_stored(path: str | os.PathLike[str]) -> Stored | None:
    """Size and orientation of a JPEG or PNG; None for other files, damaged ones, and those that cannot be read."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(_FIRST)
    except (OSError, ValueError):
        return None
    of_kind = {b"\xff\xd8": _jpeg, b"\x89P": _png}.get(data[:2])
    size = picture_size(data) if of_kind else None
    if of_kind is None or size is None or not all(size):
        return None
    return Stored(*size, of_kind(data))


def _jpeg(data: bytes) -> int:
    """The orientation in the segment APP1, which stands before the pixels."""
    at = 2
    while data[at : at + 1] == b"\xff" and at + 4 <= len(data) and data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        if data[at + 1] == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0":
            return _orientation(data[at + 10 : at + 2 + length])
        at += 2 + length
    return 1


def _png(data: bytes) -> int:
    """The orientation in the chunk eXIf, where that stands before the pixels."""
    at = 8
    while at + 8 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind = data[at + 4 : at + 8]
        if kind == b"eXIf":
            return _orientation(data[at + 8 : at + 8 + length])
        if kind in (b"IDAT", b"IEND"):
            break
        at += 12 + length
    return 1


def _orientation(tiff: bytes) -> int:
    """The orientation in EXIF's first directory; 1 where it is not said or malformed."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for number in range(min(count, 512)):
            tag, kind, _, value = struct.unpack_from(f"{order}HHIH", tiff, start + 2 + 12 * number)
            if tag == _ORIENTATION and kind == 3:
                return value if 1 <= value <= 8 else 1
    except struct.error:
        pass
    return 1
