"""Ctrl-C and SIGTERM as a wish to end well: what was begun is finished."""

from __future__ import annotations

from collections.abc import Callable
from types import FrameType
from typing import Any

from darknet_compat.signals import wish_to_end


class Interruption:
    """A context in which the first of these signals is remembered and `ending` is called; the second ends at once."""

    def __init__(self, ending: Callable[[], None]) -> None:
        self.ending = ending
        self.signal: int | None = None
        self._hearing = wish_to_end(self._handle)

    def __enter__(self) -> Interruption:
        self._hearing.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hearing.__exit__(*error)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
        self.ending()
