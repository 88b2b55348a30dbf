"""OpenCV, imported when a picture first needs it: it is an extra, and too slow to load for `--help`."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from types import ModuleType

from darknet_compat.errors import BackendError


def opencv() -> ModuleType:
    """The module `cv2`. Raises BackendError where it is not installed."""
    try:
        import cv2
    except ImportError as cause:
        raise BackendError(f"pictures need OpenCV ({cause}): pip install 'darknet-compat[vision]'") from None
    return cv2


class _Silence:
    """A context in which what C libraries say on stderr is not heard, once `begin` has been called; Python's is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._stderr: int | None = None

    def begin(self) -> None:
        """Give Python's sys.stderr a descriptor of its own, so that the process's can be turned off at times."""
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or no file
            if self._stderr is None and sys.stderr.fileno() == 2:
                self._stderr = os.dup(2)
                old = sys.stderr
                old.flush()
                sys.stderr = open(  # noqa: SIM115
                    self._stderr, "w", buffering=1, encoding=old.encoding, errors=old.errors, closefd=False
                )

    @contextlib.contextmanager
    def __call__(self) -> Iterator[None]:
        """For the time of the block, which threads may be in at once."""
        if self._stderr is None:
            yield
            return
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                _point_stderr_at(os.open(os.devnull, os.O_WRONLY), close=True)
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0:
                    _point_stderr_at(self._stderr, close=False)


def _point_stderr_at(descriptor: int, close: bool) -> None:
    os.dup2(descriptor, 2)
    if close:
        os.close(descriptor)


quiet = _Silence()
"""libpng, libjpeg, libtiff and OpenCV print lines of their own about what is wrong with a picture, beside the one in
which we say it. A program (the command line) begins it; a library leaves a process's stderr alone."""
