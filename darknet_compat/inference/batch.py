"""Pictures, read and fitted ahead of the network that waits for them."""

from __future__ import annotations

import itertools
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darknet_compat.errors import ImageError
from darknet_compat.runtime.base import Description
from darknet_compat.vision.image import Placement, decode, letterbox, stretch

_FITTINGS = {"letterbox": letterbox, "stretch": stretch}


@dataclass(frozen=True, eq=False)
class Prepared:
    """A picture as the network reads it, float32 [C, H, W], and where it lies in it."""

    source: Any
    pixels: NDArray[np.float32]
    placement: Placement


@dataclass(frozen=True, eq=False)
class Failure:
    """A picture that could not be read, and why."""

    source: Any
    error: ImageError


def prepare(source: Any, description: Description) -> Prepared:
    """Decode a picture and fit it to the network. Raises ImageError."""
    pixels, placement = _FITTINGS[description.resize](decode(source), description.width, description.height)
    if description.channels == 1:
        pixels = pixels.mean(0, keepdims=True, dtype=np.float32)
    return Prepared(source, pixels, placement)


def prepared_batches(
    sources: Iterable[Any], description: Description, batch: int = 1
) -> Iterator[list[Prepared | Failure]]:
    """Pictures in groups of up to `batch`, in order, each group read by threads while the last one is being used."""

    def attempt(source: Any) -> Prepared | Failure:
        try:
            return prepare(source, description)
        except ImageError as error:
            return Failure(source, error)

    remaining = iter(sources)
    first = list(itertools.islice(remaining, 2))
    if len(first) < 2:  # one picture needs no threads
        yield from ([attempt(source)] for source in first)
        return
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        ahead: deque[Future[Prepared | Failure]] = deque()
        chained = itertools.chain(first, remaining)
        while True:
            ahead.extend(pool.submit(attempt, source) for source in itertools.islice(chained, 2 * batch - len(ahead)))
            if not ahead:
                return
            yield [ahead.popleft().result() for _ in range(min(batch, len(ahead)))]
