"""Where the pictures and lists of a data set lie."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath

from darknet_compat.errors import DatasetError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.textfile import shown

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
"""In lower case."""

_MOST_LETTERS = 255
"""In a file's name, on every usual file system."""

_SAME_SPLIT = ({"train", "training"}, {"valid", "val", "validation"}, {"test", "testing"})


def pick_split(wanted: str | None, there: Collection[str], usual: Iterable[str], where: str) -> str:
    """The one of the splits `there` that is meant: by its name, by another word for the same (valid and val), or with
    None the first of `usual` that there is.

    Raises DatasetError, beginning with `where` and naming those there are.
    """
    alike = next((words for words in _SAME_SPLIT if wanted in words), {wanted})
    for name in [wanted, *sorted(word for word in alike if word)] if wanted is not None else usual:
        if name in there:
            return name
    if wanted is None and len(there) == 1:
        return next(iter(there))
    found = ", ".join(shown(name, 30) for name in sorted(there)[:12]) or "none"
    asked = "say which split is meant" if wanted is None else f"there is no split {shown(wanted)}"
    raise DatasetError(f"{where}: {asked}; there are {found}")


def inside(folder: Path, name: str, where: str) -> Path:
    """`folder` / `name`, a name from an annotation file. Raises DatasetError where that would leave the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    leaves = path.is_absolute() or ".." in path.parts or ":" in name.partition("/")[0]
    if not path.parts or leaves or max(map(len, path.parts)) > _MOST_LETTERS or min(name) < " ":
        raise DatasetError(f"{where}: expected a file inside {folder}, found {shown(name)}")
    return folder / path


def picture_called(stem: Path) -> Path:
    """The picture of this path without its suffix; with .jpg where there is none (whoever opens it will say so)."""
    for suffix in PICTURE_SUFFIXES:
        for path in (f"{stem}{suffix}", f"{stem}{suffix.upper()}"):
            if os.path.isfile(path):
                return Path(path)
    return Path(f"{stem}.jpg")


def names_among(folder: Path, found: Collection[str]) -> tuple[str, ...]:
    """An order for the classes `found`: that of the one .names file in `folder`, else the alphabet, VOC's own order.

    Raises DatasetError for a .names file that lacks one of them.
    """
    files = sorted(folder.glob("*.names"))
    if len(files) == 1:
        names = read_names(files[0])
        missing = sorted(set(found) - set(names))
        if missing:
            raise DatasetError(f"{files[0]}: {shown(missing[0])} is missing, it occurs in the annotations")
        return names
    return tuple(sorted(found))
