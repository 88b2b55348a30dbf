"""Files that are either whole or not there: written beside their place, flushed to disk, then renamed.

What a killed process leaves behind (`.NAME.1a2b3c4d.part`) is removed by the next one that writes into the folder. A
file that is being written is locked, so that it is not taken for such a one.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO

from darknet_compat.errors import CannotWriteError, DarknetCompatError
from darknet_compat.formats.lock import is_open_file, try_lock
from darknet_compat.formats.textfile import plain

_PART = re.compile(r"\..+\.[0-9a-f]{8}\.part", re.DOTALL)

_swept: set[Path] = set()
"""Folders that this process has looked through; once is enough, and many files may be written into one."""


@contextlib.contextmanager
def atomic_write(
    path: str | Path, error: type[DarknetCompatError] = DarknetCompatError, *, previous: Path | None = None
) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends without an exception, and otherwise leaves no trace.

    A link keeps pointing where it points. The file that `path` was until then becomes `previous`, if that is named.
    Raises `error` where the folder is missing, not writable, or the disk is full, and where a folder or a device stands
    in the file's place.
    """
    temporary = None
    try:
        target = Path(os.path.realpath(path))
    except ValueError as cause:  # a NUL byte in the path
        raise error(f"{plain(str(path))}: cannot be written: {cause}") from None
    try:
        if target.exists() and not target.is_file():
            raise error(f"{path}: cannot be written: it is a {'folder' if target.is_dir() else 'device or pipe'}")
        if target.parent not in _swept:
            _swept.add(target.parent)
            remove_left_over(target.parent)
        handle, temporary = _part_of(target)
        with os.fdopen(handle, "wb") as file:
            yield file
            settle(file)
            if os.name == "posix":  # while it is locked; Windows renames no open file
                _put(temporary, target, previous)
                temporary = None
        if temporary is not None:
            _put(temporary, target, previous)
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


def remove_left_over(folder: Path) -> None:
    """Remove the unfinished files of processes that were killed; those that somebody is writing stay."""
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if _PART.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    _remove_if_unused(entry.path)


def _remove_if_unused(path: str) -> None:
    handle = os.open(path, os.O_RDWR | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    try:
        unused = try_lock(handle)
        if unused and os.name == "posix":
            os.unlink(path)
    finally:
        os.close(handle)
    if unused and os.name != "posix":
        os.unlink(path)


def _part_of(target: Path) -> tuple[int, Path]:
    """A new file beside `target`, open and locked. Raises OSError."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    while True:
        path = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        handle = os.open(path, flags, 0o666)
        if try_lock(handle) and is_open_file(path, handle):
            return handle, path
        os.close(handle)  # another process has taken it for one that was left over, in the moment before the lock


def _put(temporary: Path, target: Path, previous: Path | None) -> None:
    if previous is not None:
        with contextlib.suppress(FileNotFoundError):
            os.replace(target, previous)
    os.replace(temporary, target)


def expect_no_input(
    path: Path, inputs: Iterable[str | Path | None], error: type[DarknetCompatError], hint: str = "name another file"
) -> None:
    """Raise `error` where a result would take the place of something that it is made from."""
    for given in inputs:
        with contextlib.suppress(OSError, ValueError):  # one of them is not there
            if given is not None and os.path.samefile(path, given):
                raise error(f"{path}: would replace {given}, which it is made from; {hint}")


def results_folder(path: Path) -> None:
    """Make the folder that results are going to, before there are any. Raises CannotWriteError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except FileExistsError:
        raise CannotWriteError(f"{path}: expected a folder for the results, found a file") from None
    except OSError as error:
        raise CannotWriteError(f"{path}: cannot be written into: {error.strerror or error}") from None
