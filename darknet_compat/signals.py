"""Ctrl-C and SIGTERM as a request to stop, which running work follows where it can stop well."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def wish_to_end(heard: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """A context in which SIGTERM and Ctrl-C call `heard` with the signal's number. Signals come to the main thread
    alone: in others nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, heard) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
