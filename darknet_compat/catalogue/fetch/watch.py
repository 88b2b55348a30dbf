"""An end to answers that drip: sockets time out only where nothing at all arrives."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from darknet_compat.catalogue.fetch.http import Interrupted

_Result = TypeVar("_Result")


def within(seconds: float, action: Callable[[], _Result]) -> _Result:
    """What `action` gives or raises. Raises Interrupted where it takes longer; it is left to itself then."""
    results: list[Callable[[], _Result]] = []

    def run() -> None:
        try:
            result = action()
        except BaseException as error:
            results.append(lambda error=error: _raise(error))  # type: ignore[misc]
        else:
            results.append(lambda: result)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if not results:
        raise Interrupted("no data arrived in time")
    return results[0]()


def _raise(error: BaseException) -> Any:
    raise error


class SpeedWatch:
    """Whether an answer comes fast enough. `arrived` is for whoever reads it to count up, in bytes; `slow` is set when
    the connection has been ended."""

    def __init__(self) -> None:
        self.arrived = 0
        self.slow = False

    @contextlib.contextmanager
    def over(self, response: Any, seconds: float, least: float) -> Iterator[None]:
        """While this lasts, the connection is ended as soon as fewer than `least` bytes arrive in so many seconds."""
        done = threading.Event()

        def watch() -> None:
            before = self.arrived
            while not done.wait(seconds):
                if self.arrived - before < least:
                    self.slow = True
                    _end(response)
                    return
                before = self.arrived

        thread = threading.Thread(target=watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _end(response: Any) -> None:
    """Whoever waits for the answer's data finds its end."""
    with contextlib.suppress(OSError, ValueError), socket.socket(fileno=os.dup(response.fileno())) as connection:
        connection.shutdown(socket.SHUT_RDWR)
