"""Locks between processes. The system lets go of them when a process ends, however it ends."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from darknet_compat.errors import DarknetCompatError

LOCK = ".lock"

_NO_LOCKS = (errno.ENOLCK, errno.EOPNOTSUPP)
"""Some network file systems know none. Then one process at a time is the user's care."""


def try_lock(descriptor: int) -> bool:
    """Whether the open file could be locked; the lock goes when the file is closed, also by those forked meanwhile."""
    try:
        import fcntl
    except ImportError:
        import msvcrt

        def lock() -> None:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
    else:

        def lock() -> None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)

    try:
        lock()
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        return error.errno in _NO_LOCKS
    return True


def is_open_file(path: Path, descriptor: int) -> bool:
    """Whether `path` still is the file that is open, and not a newer one of the same name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def alone_in(folder: str | Path, error: type[DarknetCompatError], what: str) -> Iterator[None]:
    """Make a folder and hold it for this process, by the file `.lock` in it, which goes at the end.

    Raises `error` where another process holds it (`what` says for which work), and where it cannot be written.
    """
    folder = Path(folder)
    path = folder / LOCK
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = path.open("ab")
        while not (locked := _lock_process(file.fileno())) or not is_open_file(path, file.fileno()):
            file.close()
            if not locked:
                raise error(f"{folder}: another {what} is under way here; wait for it, or name another folder")
            file = path.open("ab")
    except OSError as cause:
        raise error(f"{folder}: cannot be written: {cause.strerror or cause}") from None
    with file:
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows keeps open files
                path.unlink()


def _lock_process(descriptor: int) -> bool:
    """`try_lock` for this process alone: those that it forks and that outlive it, for a moment, do not hold it."""
    try:
        import fcntl
    except ImportError:
        return try_lock(descriptor)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    except OSError as error:
        return error.errno in _NO_LOCKS
    return True
