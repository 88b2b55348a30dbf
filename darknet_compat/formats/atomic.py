"""Files that are either whole or not there: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from darknet_compat.errors import DarknetCompatError
from darknet_compat.formats.textfile import plain


@contextlib.contextmanager
def atomic_write(path: str | Path, error: type[DarknetCompatError] = DarknetCompatError) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends without an exception, and otherwise leaves no trace.

    A link keeps pointing where it points. Raises `error` where the folder is missing, not writable, or the disk is
    full, and where a folder or a device stands in the file's place.
    """
    temporary = None
    try:
        target = Path(os.path.realpath(path))
    except ValueError as cause:  # a NUL byte in the path
        raise error(f"{plain(str(path))}: cannot be written: {cause}") from None
    try:
        if target.exists() and not target.is_file():
            raise error(f"{path}: cannot be written: it is a {'folder' if target.is_dir() else 'device or pipe'}")
        beside = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        temporary = beside
        with os.fdopen(handle, "wb") as file:
            yield file
            settle(file)
        os.replace(temporary, target)
        temporary = None
    except OSError as cause:
        raise error(f"{path}: cannot be written: {cause.strerror or cause}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def settle(file: BinaryIO) -> None:
    """Bring all that was written to the disk, or find out now that there is no room: before the other file of a pair is
    put in its place, which would stay alone."""
    file.flush()
    os.fsync(file.fileno())
