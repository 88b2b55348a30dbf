"""Files that are either whole or not there: written beside their place, flushed to disk, then renamed."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from darknet_compat.errors import DarknetCompatError


@contextlib.contextmanager
def atomic_write(path: str | Path, error: type[DarknetCompatError] = DarknetCompatError) -> Iterator[BinaryIO]:
    """A binary file that becomes `path` when the block ends without an exception, and otherwise leaves no trace.

    Raises `error` where the folder is missing, not writable, or the disk is full.
    """
    path = Path(path)
    temporary = None
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
    except OSError as cause:
        raise error(f"{path}: cannot be written: {cause.strerror or cause}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                os.unlink(temporary)


def _umask() -> int:
    """The process's file mode mask, which can only be read by setting it."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
