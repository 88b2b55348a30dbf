"""Messages of Protocol Buffers as they lie in a file (https://protobuf.dev/programming-guides/encoding)."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


@contextmanager
def mapped(path: str | Path) -> Iterator[bytes | mmap.mmap]:
    """A file's bytes, read where they are looked at. Raises OSError."""
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:  # which cannot be mapped
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            yield data


class MessageField(NamedTuple):
    """`value` of a number; where the content lies of anything else."""

    number: int
    value: int
    start: int
    end: int


def fields(data: bytes | mmap.mmap, at: int, end: int) -> Iterator[MessageField]:
    """The fields of the message from `at` to `end`. Raises ValueError for malformed ones."""
    while at < end:
        key, at = varint(data, at)
        number, kind = key >> 3, key & 7
        start, value = at, 0
        if kind == 0:
            value, at = varint(data, at)
            start = at
        elif kind == 2:
            length, start = varint(data, at)
            at = start + length
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError(f"its field {number} is of kind {kind}")
        if at > end:
            raise ValueError(f"a part of it ends at byte {end:,} and should have at least {at - end:,} more")
        yield MessageField(number, value, start, at)


def varint(data: bytes | mmap.mmap, at: int) -> tuple[int, int]:
    """A number, and where it ends. Raises ValueError."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ValueError("it ends in the middle of a number")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number in it is too long")
