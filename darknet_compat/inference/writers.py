"""What was found in many pictures, written in one of several forms: a file for all of them, or one beside another."""

from __future__ import annotations

import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from darknet_compat.errors import CannotWriteError, OptionError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.words import AnswersFormat
from darknet_compat.inference import convert
from darknet_compat.inference.results import Detections

_BY_SUFFIX: dict[str, AnswersFormat] = {".csv": "csv", ".jsonl": "jsonl", ".json": "json"}
FOLDERS: tuple[AnswersFormat, ...] = ("yolo", "labelme")
"""Those that write a file a picture."""
SUFFIX: dict[AnswersFormat, str] = {"yolo": ".txt", "labelme": ".json"}
"""Of the file that goes with a picture."""


def format_of(out: Path | None, asked: AnswersFormat | None) -> AnswersFormat | None:
    """The form that was asked for, else the one that a file's suffix means; None for a folder of drawn pictures.

    Raises OptionError where a form cannot go there.
    """
    if asked is None:
        return None if out is None or os.path.isdir(out) else _BY_SUFFIX.get(out.suffix.lower())
    if asked in FOLDERS and out is None:
        raise OptionError(f"{asked} writes a file a picture; --out names their folder", "format")
    if out is not None and asked not in FOLDERS and os.path.isdir(out):
        raise OptionError(f"{asked} writes one file, and {out} is a folder", "out")
    return asked


class Writer(ABC):
    """Takes what was found in one picture after another; used as a context, at whose end the files are there."""

    def __init__(self) -> None:
        self.stack = ExitStack()

    def __enter__(self) -> Writer:
        return self

    def __exit__(self, *error: Any) -> None:
        try:
            if error[0] is None:
                self.finish()
        except BaseException:
            self.stack.__exit__(*sys.exc_info())
            raise
        self.stack.__exit__(*error)  # after an error what has been written of a file does not become one

    @abstractmethod
    def add(self, picture: Path, found: Detections, entry: Mapping[str, Any]) -> None:
        """One picture: what was found, and the same as `--json` has it."""

    def fail(self, entry: Mapping[str, Any]) -> None:
        """A picture that could not be read."""
        return

    def finish(self) -> None:
        """All pictures have been added."""
        return


class _Text(Writer):
    """Lines into one file, which is there when all are, or onto standard output as they come."""

    def __init__(self, out: Path | None) -> None:
        super().__init__()
        self.file: BinaryIO = (
            sys.stdout.buffer if out is None else self.stack.enter_context(atomic_write(out, CannotWriteError))
        )

    def write(self, text: str) -> None:
        """Some of it."""
        self.file.write(text.encode())
        if self.file is sys.stdout.buffer:
            self.file.flush()


class _Csv(_Text):
    def __init__(self, out: Path | None) -> None:
        super().__init__(out)
        self.write(convert.to_csv([]))

    def add(self, picture: Path, found: Detections, entry: Mapping[str, Any]) -> None:
        self.write(convert.to_csv([found], header=False))


class _JsonLines(_Text):
    def add(self, picture: Path, found: Detections, entry: Mapping[str, Any]) -> None:
        self.fail(entry)

    def fail(self, entry: Mapping[str, Any]) -> None:
        self.write(json.dumps(entry, allow_nan=False) + "\n")


class _Json(_Text):
    def __init__(self, out: Path | None) -> None:
        super().__init__(out)
        self.entries: list[Mapping[str, Any]] = []

    def add(self, picture: Path, found: Detections, entry: Mapping[str, Any]) -> None:
        self.entries.append(entry)

    def fail(self, entry: Mapping[str, Any]) -> None:
        self.entries.append(entry)

    def finish(self) -> None:
        self.write(json.dumps({"images": self.entries}, indent=1, allow_nan=False) + "\n")


class _Coco(_Text):
    def __init__(self, out: Path | None, names: Sequence[str]) -> None:
        super().__init__(out)
        self.names, self.found = names, list[Detections]()
        self.root = None if out is None else out.parent

    def add(self, picture: Path, found: Detections, entry: Mapping[str, Any]) -> None:
        self.found.append(found)

    def finish(self) -> None:
        self.write(json.dumps(convert.to_coco(self.found, self.names, self.root), indent=1, allow_nan=False) + "\n")


class _Yolo(Writer):
    def __init__(self, places: Mapping[Path, Path], names: Sequence[str], out: Path) -> None:
        super().__init__()
        self.places = places
        with atomic_write(out / "classes.txt", CannotWriteError) as file:
            file.write("".join(f"{name}\n" for name in names).encode())

    def add(self, picture: Path, found: Detections, entry: Mapping[str, Any]) -> None:
        with atomic_write(self.places[picture], CannotWriteError) as file:
            file.write(convert.to_yolo(found).encode())


class _Labelme(Writer):
    def __init__(self, places: Mapping[Path, Path]) -> None:
        super().__init__()
        self.places = places

    def add(self, picture: Path, found: Detections, entry: Mapping[str, Any]) -> None:
        place = self.places[picture]
        document = convert.to_labelme(found) | {"imagePath": os.path.relpath(picture, place.parent)}
        with atomic_write(place, CannotWriteError) as file:
            file.write(json.dumps(document, indent=2, allow_nan=False).encode())


def open_writer(form: AnswersFormat, out: Path | None, names: Sequence[str], places: Mapping[Path, Path]) -> Writer:
    """The writer of a form into `out`; those of a file a picture write at the pictures' `places`.

    Raises CannotWriteError where that cannot be, before anything is computed.
    """
    if form == "coco":
        return _Coco(out, names)
    if form == "yolo":
        assert out is not None
        return _Yolo(places, names, out)
    if form == "labelme":
        return _Labelme(places)
    return _Csv(out) if form == "csv" else _Json(out) if form == "json" else _JsonLines(out)
