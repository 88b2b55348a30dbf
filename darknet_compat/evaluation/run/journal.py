"""A file of detections that grows picture by picture, survives an interruption, and is there for a second look.

Each record stands for the next picture: a head, the arrays, and a checksum of both. What an interruption leaves behind
is read up to the last whole record. The file's name is a checksum of all that its content depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from darknet_compat import __version__
from darknet_compat.errors import DatasetError, ImageError
from darknet_compat.evaluation.material.entries import Composed, Entries
from darknet_compat.formats.lock import try_lock
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.results import Detections

_MAGIC = b"dcfound2"
_HEAD = struct.Struct("<5I")  # detections, width, height, dropped, bytes of the message of a failure
_CHECK = struct.Struct("<I")
_ROW = 4 * 4 + 4 + 4 + 4  # box, score, class, place

Detected = Detections | Failure


def pictures_key(sources: Iterable[Path | Composed]) -> str:
    """A checksum of pictures: paths with lengths and times of change; what a data set composes by its title and number,
    since it composes the same everywhere."""
    digest = hashlib.sha256()
    for source in sources:
        text = f"{source}\0missing\n"
        if isinstance(source, Composed):
            made_of = source.dataset.made_of
            what = "" if made_of is None else _state(made_of)
            text = f"{type(source.dataset).__qualname__}\0{len(source.dataset)}\0{source}{what}\n"
        else:
            with contextlib.suppress(OSError, ValueError):
                text = f"{_state(source)}\n"
        digest.update(text.encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def _state(path: Path) -> str:
    state = os.stat(path)
    return f"{os.path.realpath(path)}\0{state.st_size}\0{state.st_mtime_ns}"


def key(model: Mapping[str, Any], entries: Entries) -> str:
    """A checksum of the model with all its settings, the pictures, and this version."""
    pictures = pictures_key(row.source for row in entries.rows)
    parts = {"version": __version__, "format": _MAGIC.decode(), "model": model, "pictures": pictures}
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


class Journal:
    """Answers about the pictures of one evaluation, in order; a context that holds the file open.

    `answers` are those already there, up to `limit`. Raises DatasetError where the folder cannot be used.
    """

    def __init__(self, path: Path, names: Sequence[str], limit: int) -> None:
        self.path, self.names, self.limit = path, names, limit
        self.answers: list[Detected] = []
        self._file: BinaryIO | None = None

    def __enter__(self) -> Journal:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        except OSError as error:
            raise DatasetError(f"{self.path}: cannot be opened: {error.strerror or error}") from None
        file = os.fdopen(handle, "r+b")
        if not try_lock(file.fileno()):
            file.close()
            raise DatasetError(f"{self.path}: another evaluation of the same is under way; wait for it")
        self._file = file
        data = file.read()
        end = self._read(data) if data.startswith(_MAGIC) else 0
        if end == 0:
            file.seek(0)
            file.write(_MAGIC)
            end = len(_MAGIC)
        file.seek(end)
        file.truncate()
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def keep(self, count: int) -> None:
        """Forget all answers but the first `count`."""
        assert self._file is not None
        if count < len(self.answers):
            self._file.seek(len(_MAGIC) + sum(len(_record(answer)) for answer in self.answers[:count]))
            self._file.truncate()
            del self.answers[count:]

    def append(self, answer: Detected) -> None:
        """Keep the answer about the next picture."""
        assert self._file is not None
        self.answers.append(answer)
        try:
            self._file.write(_record(answer))
            self._file.flush()
        except OSError as error:
            raise DatasetError(f"{self.path}: cannot be written: {error.strerror or error}") from None

    def _read(self, data: bytes) -> int:
        """Take the whole records; where they end."""
        at = len(_MAGIC)
        for answer, end in _records(data, at, self.names):
            if len(self.answers) == self.limit:
                break
            self.answers.append(answer)
            at = end
        return at


def _record(answer: Detected) -> bytes:
    if isinstance(answer, Failure):
        message = str(answer.error).encode("utf-8", "surrogateescape")
        body = _HEAD.pack(0, 0, 0, 0, len(message)) + message
    else:
        body = _HEAD.pack(len(answer), answer.width, answer.height, answer.dropped, 0)
        body += answer.boxes.astype("<f4").tobytes() + answer.scores.astype("<f4").tobytes()
        places = np.arange(len(answer)) if answer.places is None else answer.places
        body += answer.class_ids.astype("<i4").tobytes() + places.astype("<i4").tobytes()
    return body + _CHECK.pack(zlib.crc32(body))


def _records(data: bytes, at: int, names: Sequence[str]) -> Iterator[tuple[Detected, int]]:
    """Answers and where each ends, as long as they are whole."""
    while at + _HEAD.size <= len(data):
        count, width, height, dropped, message = _HEAD.unpack_from(data, at)
        start = at + _HEAD.size
        end = start + count * _ROW + message
        if end + _CHECK.size > len(data) or _CHECK.unpack_from(data, end)[0] != zlib.crc32(data[at:end]):
            return
        at = end + _CHECK.size
        if message:
            yield Failure(None, ImageError(data[start:end].decode("utf-8", "surrogateescape"))), at
            continue
        boxes = np.frombuffer(data, "<f4", 4 * count, start).reshape(-1, 4).astype(np.float32)
        scores = np.frombuffer(data, "<f4", count, start + 16 * count).astype(np.float32)
        class_ids = np.frombuffer(data, "<i4", count, start + 20 * count).astype(np.int64)
        if count and not (class_ids.min() >= 0 and class_ids.max() < len(names)):
            return
        found = tuple(names[number] for number in class_ids.tolist())
        places = np.frombuffer(data, "<i4", count, start + 24 * count).astype(np.int64)
        yield Detections(boxes, scores, class_ids, found, width, height, dropped=dropped, places=places), at
