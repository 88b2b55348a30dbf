"""Pictures, read and fitted ahead of the network that waits for them."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from darknet_compat.errors import BackendError, ImageError
from darknet_compat.formats.arrays import Floats
from darknet_compat.runtime.base import Description
from darknet_compat.sources.base import Frame
from darknet_compat.vision.image import Placement, decode, letterbox, stretch
from darknet_compat.vision.opencv import opencv

if TYPE_CHECKING:
    from concurrent.futures import Future

_Result = TypeVar("_Result")
_FITTINGS = {"letterbox": letterbox, "stretch": stretch}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture as the network reads it, float32 [C, H, W], and where it lies in it."""

    source: Any
    pixels: Floats
    placement: Placement


@dataclass(frozen=True, eq=False)
class Failure:
    """A picture that could not be read, and why."""

    source: Any
    error: ImageError


def prepare(source: Any, description: Description, max_pixels: int | None = None) -> Prepared:
    """Decode a picture, or take a Frame's pixels, and fit it to the network. Raises ImageError.

    A network of one channel reads brightness, 0.299 R + 0.587 G + 0.114 B (original: `grayscale_image`; but its
    `detector` and `classifier` always load three planes, of which such a network reads the red one).
    """
    picture = source.pixels(max_pixels) if isinstance(source, Frame) else decode(source, max_pixels)  # [H, W, 3]
    if description.channels == 1:
        cv2 = opencv()
        picture = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None]  # [H, W, 1]
    pixels, placement = _FITTINGS[description.resize](picture, description.width, description.height)
    return Prepared(source, pixels, placement)


def attempt(source: Any, description: Description, max_pixels: int | None = None) -> Prepared | Failure:
    """`prepare`'s result, or the Failure that says why there is none."""
    try:
        return prepare(source, description, max_pixels)
    except ImageError as error:
        # Without its traceback, which would keep what was read of the file.
        return Failure(source, ImageError(str(error)))


def prepared_batches(
    sources: Iterable[Any], description: Description, batch: int = 1, max_pixels: int | None = None
) -> Iterator[list[Prepared | Failure]]:
    """Pictures in groups of `batch`, the last one smaller, in order, each read by threads while the one before is used.

    Up to twice `batch` sources are taken ahead of the picture that is being used. Raises BackendError for a batch of
    none.
    """
    _expect_some(batch)
    remaining = iter(sources)
    first = list(itertools.islice(remaining, 2))
    if len(first) < 2:  # one picture needs no threads
        yield from ([attempt(source, description, max_pixels)] for source in first)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        ahead: deque[Future[Prepared | Failure]] = deque()
        chained = itertools.chain(first, remaining)
        try:
            while True:
                wanted = 2 * batch - len(ahead)
                ahead.extend(
                    pool.submit(attempt, source, description, max_pixels)
                    for source in itertools.islice(chained, wanted)
                )
                if not ahead:
                    return
                yield [ahead.popleft().result() for _ in range(min(batch, len(ahead)))]
        finally:
            for future in ahead:  # of whoever stops listening
                future.cancel()


def map_batches(
    sources: Iterable[Any], work: Callable[[list[Any]], _Result], batch: int, workers: int
) -> Iterator[_Result]:
    """Apply `work` to batches of `batch` sources in a pool of `workers` threads; results come in order. The last batch
    may be smaller.

    At most one group more than there are threads is taken ahead of the one that is being used. A single group is worked
    on here: every new thread that enters a runtime leaves a kilobyte behind. Raises BackendError for a batch below 1.
    """
    _expect_some(batch)
    remaining = iter(sources)
    first, second = (list(itertools.islice(remaining, batch)) for _ in range(2))
    if not second:
        if first:
            yield work(first)
        return
    remaining = itertools.chain(first, second, remaining)
    from concurrent.futures import ThreadPoolExecutor  # here, since a single picture needs none

    with ThreadPoolExecutor(workers) as pool:
        ahead: deque[Future[_Result]] = deque()
        try:
            while True:
                while len(ahead) <= workers and (group := list(itertools.islice(remaining, batch))):
                    ahead.append(pool.submit(work, group))
                if not ahead:
                    return
                yield ahead.popleft().result()
        finally:
            for future in ahead:  # of whoever stops listening
                future.cancel()


def _expect_some(batch: int) -> None:
    if batch < 1:
        raise BackendError(f"batch: expected 1 or more pictures, found {batch}")
