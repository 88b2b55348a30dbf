"""From what a user names (files, folders, globs, lists of them) to pictures."""

from __future__ import annotations

import glob
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from darknet_compat.errors import ImageError
from darknet_compat.formats.textfile import read_lines
from darknet_compat.sources.base import Failed, Frame, Frames

SUFFIXES = frozenset(
    {".bmp", ".gif", ".jpe", ".jpeg", ".jpg", ".jp2", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
)
"""What is taken for a picture inside a folder; a file that is named itself may be called anything."""

MAX_LIST_BYTES = 1 << 30
"""A list of ImageNet's 14 million pictures has about 0.8 GB."""


class Pictures(Frames):
    """Picture files, one frame each, read when its pixels are asked for."""

    def __init__(self, paths: Sequence[Path], name: str = "pictures", *, rate: float | None = None) -> None:
        self.paths, self.name, self.rate = paths, name, rate
        self.count = len(paths)

    def __iter__(self) -> Iterator[Frame]:
        for index, path in enumerate(self.paths):
            yield Frame(path, str(path), index, index / self.rate if self.rate else None)


def find_pictures(files: Iterable[str], failed: Failed) -> list[Path]:
    """The pictures that `files` mean, in order and each once: files as they are, folders' pictures, globs' matches, and
    the lines of a list (.txt).

    Whatever means none (an empty folder, a glob without a match) is handed to `failed`, and not raised.
    """
    found: dict[Path, None] = {}
    for file in files:
        try:
            found |= dict.fromkeys(pictures_of(file))
        except ImageError as error:
            failed(file, str(error))
        except OSError as error:  # a name too long, a folder that is closed
            failed(file, f"{file}: cannot be read: {error.strerror or error}")
    return list(found)


def pictures_of(file: str) -> list[Path]:
    """The pictures that one name means. Raises ImageError where there are none; whether a file is a picture, its reader
    says."""
    if not file:  # a variable of a script that is not set, and to Path the folder we are in
        raise ImageError("an empty name is no picture")
    path = Path(file)
    if path.is_dir():
        return _in_folder(path)
    if path.suffix.lower() == ".txt" and path.is_file():
        return listed(read_lines(path, ImageError, "a list of pictures", MAX_LIST_BYTES), path)
    if path.exists() or not glob.has_magic(file):
        return [path]
    matches = [Path(match) for match in sorted(glob.glob(file, recursive=True))]
    pictures = [match for match in matches if match.is_file()]
    if not pictures:
        raise ImageError(f"{file}: no file has a name like this")
    return pictures


def listed(lines: Iterable[str], path: Path) -> list[Path]:
    """The pictures of a list at `path`, one a line: looked for from the working directory, as by the original, then
    from the list's folder. Raises ImageError for a list without any."""
    names = [Path(line.strip()) for line in lines if line.strip()]
    if not names:
        raise ImageError(f"{path}: expected one picture a line, found an empty file")
    return [name if name.exists() or not (path.parent / name).exists() else path.parent / name for name in names]


def _in_folder(folder: Path) -> list[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise ImageError(f"{folder}: cannot be read: {error.strerror or error}") from None
    pictures = [entry for entry in entries if entry.suffix.lower() in SUFFIXES and entry.is_file()]
    if not pictures:
        below = next((entry.name for entry in entries if entry.is_dir()), None)
        hint = f"; its folders are not searched, '{folder}/**/*.jpg' would do that" if below else ""
        raise ImageError(f"{folder}: no pictures (.jpg, .png, .bmp, .tif, .webp, ...) in this folder{hint}")
    return pictures
