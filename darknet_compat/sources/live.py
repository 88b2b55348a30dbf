"""Cameras and streams: always the newest frame, and on again where one breaks."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from time import perf_counter

from darknet_compat.errors import SourceError
from darknet_compat.sources.base import Failed, Frame, Frames
from darknet_compat.sources.kind import hidden

_LONGEST_PAUSE = 30.0
"""Seconds between two tries to connect again, which begin with 1 and double."""


class Live(Frames):
    """The newest frame of what `connect` yields, whenever one is asked for; those nobody took in time are dropped.

    A frame's `time` is when it arrived, in seconds since the first one, its `index` how many arrived before it, so that
    gaps tell what was dropped. Where the connection breaks or ends, `failed` is told and it is tried again after 1, 2,
    4 … seconds, `retries` times in a row. Raises SourceError where the first connection fails, and after the last try.
    """

    live = True

    def __init__(
        self,
        connect: Callable[[], Iterator[Frame]],
        name: str,
        *,
        retries: int = 5,
        failed: Failed | None = None,
        pause: float = 1.0,
    ) -> None:
        self.connect, self.name, self.retries, self.pause = connect, hidden(name), retries, pause
        self.failed = failed
        self.dropped = 0
        self._changed = threading.Condition()
        self._newest: Frame | None = None
        self._error: BaseException | None = None
        self._stop = threading.Event()
        self._ended = False

    def __iter__(self) -> Iterator[Frame]:
        thread = threading.Thread(target=self._receive, name="live", daemon=True)
        thread.start()
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._newest is not None or self._ended)
                    frame, self._newest = self._newest, None
                if frame is None:
                    break
                yield frame
            if self._error is not None:
                raise self._error
        finally:
            self.close()
            thread.join(timeout=1)  # one that waits for a connection ends with its time-out

    def close(self) -> None:
        """End; a connection that is being waited for is given up in its own time."""
        self._stop.set()
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _receive(self) -> None:
        began: float | None = None
        index = tries = 0
        try:
            while not self._stop.is_set():
                problem = SourceError(f"{self.name}: the stream has ended")
                try:
                    for frame in self.connect():
                        now = perf_counter()
                        began = now if began is None else began
                        self._offer(Frame(frame.picture, f"{self.name}[{index}]", index, now - began, now))
                        index, tries = index + 1, 0
                        if self._stop.is_set():
                            return
                except SourceError as error:
                    problem = error
                if not index or tries >= self.retries:
                    self._error = problem
                    return
                pause = min(self.pause * 2**tries, _LONGEST_PAUSE)
                tries += 1
                if self.failed:
                    self.failed(self.name, f"{problem}; trying again in {pause:g} s ({tries} of {self.retries})")
                self._stop.wait(pause)
        except BaseException as error:  # a fault of ours, for whoever listens
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _offer(self, frame: Frame) -> None:
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = frame
            self._changed.notify_all()
