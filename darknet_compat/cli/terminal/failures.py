"""What all command lines do about errors: one line on standard error for what is wrong with a user's input."""

from __future__ import annotations

import os
import select
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from typing import Any

from darknet_compat.cli.terminal.output import say
from darknet_compat.errors import CfgWarning, DarknetCompatError
from darknet_compat.formats.textfile import first_line
from darknet_compat.runtime.registry import ROWS
from darknet_compat.vision.opencv import quiet

_BROUGHT_BY = {
    **{package: row.extra for row in ROWS for package in row.packages},
    "av": "video",
    "cffi": "parity",
    "cv2": "vision",
    "fastapi": "serve",
    "matplotlib": "eval",
    "onnx": "onnx",
    "prometheus_client": "serve",
    "pyarrow": "ray",
    "python_multipart": "serve",
    "ray": "ray",
    "sklearn": "digits",
    "trackers": "track",
    "uvicorn": "serve",
}
"""Packages that not every installation has → the extra that brings them."""

INTERRUPTED = 130
"""The exit code of a program that Ctrl-C ended, as shells count it."""


def exit_code(error: BaseException) -> int:
    """Say what is wrong in one line, and give the exit code. Raises the error itself where it is a bug of ours."""
    if isinstance(error, DarknetCompatError):
        say(str(error))
    elif isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        if package not in _BROUGHT_BY:
            raise error
        absent = isinstance(error, ModuleNotFoundError) and error.name == package
        what = "is not installed" if absent else f"cannot be loaded: {first_line(error)}"
        say(f"{package} {what}; pip install 'darknet-compat[{_BROUGHT_BY[package]}]' brings it")
    elif isinstance(error, BrokenPipeError) and _unread():
        raise error  # to `standard_streams`
    elif isinstance(error, OSError):
        say(f"{error.filename or 'output'}: {error.strerror or error}")
    elif isinstance(error, MemoryError):
        say("not enough memory; a smaller --size or --batch needs less")
    elif isinstance(error, KeyboardInterrupt):
        say("interrupted")
        return INTERRUPTED
    else:
        raise error
    return 1


@contextmanager
def standard_streams() -> Iterator[None]:
    """Around all that a command line does: whatever is written is taken, and written out before the end.

    Where nobody reads it any more (`… | head`), the program ends in silence with code 1; where it cannot be written, as
    on a full disk, with a line.
    """
    _ready_streams()
    try:
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
    except OSError as error:
        code = 1 if isinstance(error, BrokenPipeError) and _unread() else exit_code(error)
        for descriptor in _STREAMS:  # or Python tries again, and complains
            os.dup2(os.open(os.devnull, os.O_WRONLY), descriptor)
        raise SystemExit(code) from None


_STREAMS = (1, 2)
"""The descriptors of standard output and error."""


def _unread() -> bool:
    """Whether whoever read what is written here has gone."""
    if not hasattr(select, "poll"):
        return True  # on Windows, where nothing tells it from other broken pipes
    poll = select.poll()
    for descriptor in _STREAMS:
        poll.register(descriptor, 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in poll.poll(0))


def _ready_streams() -> None:
    """Have standard output and error take whatever is written, also where the shell has closed them, and C libraries
    silent where they are to be."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal of another encoding shows \\xe9 for a letter it lacks, instead of a UnicodeEncodeError.
            stream.reconfigure(errors="backslashreplace")
    quiet.begin()


@contextmanager
def remarks_said_once() -> Iterator[None]:
    """While open, what a definition says to no effect is told as one line on stderr, however often it is read."""
    said: set[str] = set()
    with warnings.catch_warnings():
        show = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *where: Any, **named: Any) -> None:
            if not issubclass(category, CfgWarning):
                show(message, category, *where, **named)
            elif str(message) not in said:
                said.add(str(message))
                say(str(message))

        warnings.simplefilter("always", CfgWarning)
        warnings.showwarning = tell
        yield
