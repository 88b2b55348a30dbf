"""What comes through a pipe: its beginning, which stays to be read, and videos that have to be searched."""

from __future__ import annotations

import shutil
import struct
import tempfile
from contextlib import ExitStack
from typing import BinaryIO

from darknet_compat.errors import SourceError
from darknet_compat.vision.signature import NEEDED


def beginning_of(file: BinaryIO) -> bytes:
    """The first bytes, as many as have come, which stay to be read."""
    peek = getattr(file, "peek", None)
    return b"" if peek is None else bytes(peek(NEEDED))


def searchable_copy(file: BinaryIO, name: str) -> BinaryIO | None:
    """A temporary copy of a video that cannot be searched and has its index behind its pictures, as cameras leave them,
    which FFmpeg does not read so; None of any other. Raises SourceError where there is no room for it."""
    if file.seekable() or not index_is_last(beginning_of(file)):
        return None
    try:
        with ExitStack() as ends:
            copy = ends.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            ends.pop_all()
            return copy
    except OSError as error:
        raise SourceError(
            f"{name}: its index is at its end, and it cannot be kept in {tempfile.gettempdir()} until that comes: "
            f"{error.strerror}"
        ) from None


def index_is_last(beginning: bytes) -> bool:
    """Whether pictures come before the index, in .mp4, .mov and their like (ISO/IEC 14496-12, 4.2: boxes of a length,
    a type of four letters, and what they hold). So it is where much else comes first: streams begin with the index."""
    at, kind = 0, beginning[4:8]
    if kind not in (b"ftyp", b"mdat"):
        return False
    while at + 8 <= len(beginning):
        length, kind = struct.unpack_from(">I4s", beginning, at)
        if kind in (b"mdat", b"moov"):
            return bool(kind == b"mdat")
        if length < 8:
            return False
        at += length
    return at > len(beginning) and kind != b"ftyp"
