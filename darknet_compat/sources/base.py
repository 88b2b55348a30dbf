"""What every source yields: frames, each with a name, a place in the order, a time, and its pixels when asked for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sized
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, TypeVar

from darknet_compat.formats.arrays import Bytes
from darknet_compat.vision.image import decode

_Self = TypeVar("_Self", bound="Frames")


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a source. `name` is how messages and files call it, `index` its number in the source, from 0,
    `time` its seconds since the source's beginning, None where there is no clock, as in a folder of pictures, and
    `arrived` (`time.perf_counter`) when a live source had it.

    `picture` is whatever `vision.image.decode` reads (a path, a file's bytes, a PIL image, uint8 [H, W, 3] in BGR), or
    a function that gives uint8 [H, W, 3] in RGB when it is first asked, which a decoder converts only where needed.
    """

    picture: Any
    name: str
    index: int = 0
    time: float | None = None
    arrived: float | None = None

    def pixels(self, max_pixels: int | None = None) -> Bytes:
        """uint8 [H, W, 3], RGB. A file is read anew each time, a decoder's picture is kept. Raises ImageError, also for
        a file of more than `max_pixels` (`decode`)."""
        return self._converted if callable(self.picture) else decode(self.picture, max_pixels)

    @cached_property
    def _converted(self) -> Bytes:
        pixels: Bytes = self.picture()
        return pixels


class Frames(ABC):
    """A source: iterating over it opens it and yields its frames in order; closed when the iteration ends, or as a
    context.

    `name` is what a user named. `live` sources yield the newest frame there is and drop those nobody took in time, so
    that nothing is to be read ahead of what is used; all others drop nothing. `rate` is in frames a second and `count`
    the number of frames that are to be expected, each None where it is not known (a video's is an estimate).
    """

    name: str
    live: bool = False
    rate: float | None = None
    count: int | None = None
    remark: str | None = None
    """What a person should know of how it was opened, in one line."""

    @abstractmethod
    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None:  # noqa: B027 -- most have nothing to let go of
        """Close files, devices and connections; an iteration that is going on ends."""

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class GivenFrames(Frames):
    """What a Python iterable yields: pictures of any kind that `decode` reads, or Frames of another source."""

    def __init__(self, pictures: Iterable[Any], name: str = "pictures", *, live: bool = False) -> None:
        self.pictures, self.name, self.live = pictures, name, live
        self.count = len(pictures) if isinstance(pictures, Sized) else None

    def __iter__(self) -> Iterator[Frame]:
        for index, picture in enumerate(self.pictures):
            yield picture if isinstance(picture, Frame) else Frame(picture, f"{self.name}[{index}]", index)


Failed = Callable[[str, str], None]
"""Is told what was named and cannot be used, and why, in one line."""
