"""Which of a source's frames are looked at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from darknet_compat.errors import SourceError
from darknet_compat.sources.base import Frame, Frames


@dataclass(frozen=True)
class Span:
    """Every `every`-th frame between `start` and `stop` seconds, `most` of them, at most `fps` in each second.

    Raises SourceError for numbers that leave nothing.
    """

    every: int = 1
    start: float = 0.0
    stop: float | None = None
    most: int | None = None
    fps: float | None = None

    def __post_init__(self) -> None:
        if self.every < 1 or (self.most is not None and self.most < 1):
            raise SourceError("every and most: expected 1 or more frames")
        if not 0 <= self.start < float("inf"):
            raise SourceError(f"from: expected seconds from 0 on, found {self.start:g}")
        if self.stop is not None and not self.stop > self.start:
            raise SourceError(f"to: expected seconds after {self.start:g}, found {self.stop:g}")
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise SourceError(f"fps: expected frames a second, up to 1000, found {self.fps:g}")


class Spanned(Frames):
    """Those frames of a source that a Span has. Frames without a time are within any seconds."""

    def __init__(self, frames: Frames, span: Span) -> None:
        self.frames, self.span = frames, span
        self.name, self.live, self.remark = frames.name, frames.live, frames.remark
        self.rate = _rate(frames.rate, span)
        self.count = self._expected()

    def _expected(self) -> int | None:
        count, rate, span = self.frames.count, self.frames.rate, self.span
        if count is not None and rate and span.stop is not None:
            count = min(count, round((span.stop - span.start) * rate))
        if count is not None:
            count = -(-count // span.every)
        if count is not None and rate and self.rate and span.fps:
            count = min(count, round(count * self.rate * span.every / rate))
        return count if span.most is None else span.most if count is None else min(count, span.most)

    def __iter__(self) -> Iterator[Frame]:
        span, taken, slot = self.span, 0, -1
        within = -1
        for frame in self.frames:
            time = frame.time
            if time is not None and time < span.start - 1e-6:
                continue
            if time is not None and span.stop is not None and time >= span.stop:
                return
            within += 1
            if within % span.every:
                continue
            if span.fps is not None and time is not None:
                last, slot = slot, int((time - span.start) * span.fps + 1e-6)
                if slot == last:
                    continue
            yield frame
            taken += 1
            if taken == span.most:
                return

    def close(self) -> None:
        """Close the source."""
        self.frames.close()


def _rate(rate: float | None, span: Span) -> float | None:
    if rate is None:
        return span.fps
    return min(rate / span.every, span.fps or float("inf"))
