"""What a worker can be asked about training pictures."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from darknet_compat.formats.arrays import Floats, Ints
from darknet_compat.parity._original.session import Session


def random_numbers(session: Session, seed: int, count: int) -> Ints:
    session.lib.srand(seed)
    return np.array([session.lib.rand() for _ in range(count)], np.int64)


def load_detection(
    session: Session,
    path: str,
    width: int,
    height: int,
    boxes: int,
    jitter: float,
    colours: Sequence[float],
    seed: int,
) -> tuple[Floats, Floats]:
    return _loaded(
        session, path, seed, (3, height, width), (boxes, 5),
        lambda lib, paths: lib.load_data_detection(1, paths, 1, width, height, boxes, 1, jitter, *colours),
    )  # fmt: skip


def load_region(
    session: Session,
    path: str,
    width: int,
    height: int,
    side: int,
    classes: int,
    jitter: float,
    colours: Sequence[float],
    seed: int,
) -> tuple[Floats, Floats]:
    return _loaded(
        session, path, seed, (3, height, width), (side, side, 5 + classes),
        lambda lib, paths: lib.load_data_region(1, paths, 1, width, height, side, classes, jitter, *colours),
    )  # fmt: skip


def load_classification(
    session: Session,
    path: str,
    labels: Sequence[str],
    sides: tuple[int, int, int],
    angle: float,
    aspect: float,
    colours: Sequence[float],
    center: bool,
    seed: int,
) -> tuple[Floats, Floats]:
    low, high, size = sides
    texts = [session.ffi.new("char[]", label.encode()) for label in labels]
    return _loaded(
        session, path, seed, (3, size, size), (len(texts),),
        lambda lib, paths: lib.load_data_augment(
            paths, 1, 1, session.ffi.new("char *[]", texts), len(texts), session.ffi.NULL,
            low, high, size, angle, aspect, *colours, center,
        ),
    )  # fmt: skip


def _loaded(
    session: Session,
    path: str,
    seed: int,
    picture: tuple[int, ...],
    truth: tuple[int, ...],
    load: Callable[[Any, Any], Any],
) -> tuple[Floats, Floats]:
    """The one picture, and its truth, that `load(library, paths)` makes of a list of one path."""
    name = session.ffi.new("char[]", os.fsencode(path))  # which the list points into
    session.lib.srand(seed)
    loaded = load(session.lib, session.ffi.new("char *[]", [name]))
    found = session.floats(loaded.X.vals[0], *picture), session.floats(loaded.y.vals[0], *truth)
    session.lib.free_data(loaded)
    return found
