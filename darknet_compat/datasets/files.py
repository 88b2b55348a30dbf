"""Where the pictures, names and lists of a data set lie."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import overload

import numpy as np

from darknet_compat.errors import DatasetError, MetadataError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.textfile import MAX_LIST_BYTES, count, read_lines, shown

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm")
"""In lower case."""

_MOST_IN_ALL = 1000
_MOST_LETTERS = 255
"""In a file's name, on every usual file system."""

_SPLIT_WORDS = (
    ("trainval",),
    ("train", "training"),
    ("valid", "val", "validation", "dev", "minival"),
    ("test", "testing", "test-dev"),
    ("default",),
)
"""What people call the parts of a data set; words on one line mean the same. CVAT calls the only part default."""

USUAL_SPLITS = ("trainval", "train")
"""What one trains on."""

_NAME_FILES = ("obj.names", "classes.txt", "_darknet.labels", "labelmap.txt", "classes.names")


# ------------------------------------------------------------------------------------------------- splits


def split_word(name: str) -> str | None:
    """What people call a part of that name (train for train2017, valid for val); None for a name that is no part's."""
    word = re.sub(r"[-_ ]?\d+$", "", name).lower()
    return next((words[0] for words in _SPLIT_WORDS if word in words), None)


def pick_split(wanted: str | None, there: Collection[str], usual: Iterable[str], where: str) -> str:
    """The one of the splits `there` that is meant: by its name, by another word for the same (valid and val, train and
    train2017), or with None the first of `usual` that there is.

    Raises DatasetError, beginning with `where` and naming those there are.
    """
    by_word: dict[str, str] = {}
    for name in sorted(there):
        by_word[split_word(name) or name] = name  # the latest year
    for name in [wanted] if wanted is not None else usual:
        if name in there:
            return name
        if (found := by_word.get(split_word(name) or name)) is not None:
            return found
    if wanted is None and len(there) == 1:
        return next(iter(there))
    found = ", ".join(shown(name, 30) for name in sorted(there)[:12]) or "none"
    asked = "say which split is meant" if wanted is None else f"there is no split {shown(wanted)}"
    raise DatasetError(f"{where}: {asked}; there are {found}")


def one_a_part(folder: Path, files: Iterable[tuple[str, Path]]) -> dict[str, Path]:
    """Files of annotations by the part that they have. Raises DatasetError for two that have the same: which one counts
    is for the user to say."""
    found: dict[str, Path] = {}
    for part, file in files:
        if part in found:
            both = f"{found[part].relative_to(folder)} and {file.relative_to(folder)}"
            raise DatasetError(f"{folder}: which of {both} is meant? give that")
        found[part] = file
    return found


# ------------------------------------------------------------------------------------------------ folders


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted; hidden ones left out. Raises DatasetError."""
    return sorted(Path(entry.path) for entry in _entries(folder) if entry.is_dir() and entry.name[0] != ".")


def is_picture(name: str) -> bool:
    """Whether a file of that name is a picture; hidden files are not."""
    return name.lower().endswith(PICTURE_SUFFIXES) and name[0] != "."


def pictures_in(folder: Path) -> list[str]:
    """The paths of the pictures in a folder, sorted. Raises DatasetError."""
    return sorted(entry.path for entry in _entries(folder) if is_picture(entry.name))


def pictures_below(folder: Path) -> Iterator[str]:
    """The paths of the pictures in a folder and in the folders below it, sorted. Raises DatasetError."""
    yield from pictures_in(folder)
    for path in subfolders(folder):
        yield from pictures_below(path)


def suffixes_in(folder: Path) -> dict[str, set[str]]:
    """The stems of the files in a folder by suffix in lower case, those of pictures under ".jpg"."""
    found: dict[str, set[str]] = {}
    for entry in _entries(folder) if folder.is_dir() else ():
        stem, suffix = os.path.splitext(entry.name)
        found.setdefault(".jpg" if is_picture(entry.name) else suffix.lower(), set()).add(stem)
    return found


def folder_called(folder: Path, names: Sequence[str]) -> Path | None:
    """The folder of one of these names, given in lower case, first names first; capital letters do not matter."""
    there = {path.name.lower(): path for path in subfolders(folder)} if folder.is_dir() else {}
    return next((there[name] for name in names if name in there), None)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as cause:
        raise DatasetError(f"{folder}: cannot be read: {cause.strerror or cause}") from None


def inside(folder: Path, name: str, where: str) -> Path:
    """`folder` / `name`, a name from an annotation file. Raises DatasetError where that would leave the folder."""
    path = PurePosixPath(name.replace("\\", "/"))
    leaves = path.is_absolute() or ".." in path.parts or ":" in name.partition("/")[0]
    long = len(name) > _MOST_IN_ALL or max(map(len, path.parts), default=0) > _MOST_LETTERS
    if not path.parts or leaves or long or min(name) < " ":
        raise DatasetError(f"{where}: expected a file inside {folder}, found {shown(name)}")
    return folder / path


def picture_called(stem: Path) -> Path:
    """The picture of this path without its suffix; with .jpg where there is none (whoever opens it will say so)."""
    for suffix in PICTURE_SUFFIXES:
        for path in (f"{stem}{suffix}", f"{stem}{suffix.upper()}"):
            if os.path.isfile(path):
                return Path(path)
    return Path(f"{stem}.jpg")


# -------------------------------------------------------------------------------------------------- names


def names_file(*folders: Path) -> Path | None:
    """The file of names that a labelling tool left in one of the folders: labelImg's classes.txt, Roboflow's
    _darknet.labels, CVAT's labelmap.txt, or the one .names file there is."""
    for folder in folders:
        for name in _NAME_FILES:
            if os.path.isfile(folder / name):
                return folder / name
        if len(files := sorted(folder.glob("*.names"))) == 1:
            return files[0]
    return None


def names_in(*folders: Path) -> tuple[str, ...] | None:
    """The names in that file; None without one. Raises MetadataError for a file without names."""
    path = names_file(*folders)
    if path is None:
        return None
    return _label_map(path) if path.name == "labelmap.txt" else read_names(path)


def class_number(name: str, numbers: Mapping[str, int], where: str) -> int:
    """The number of a class that an annotation names. Raises DatasetError, beginning with `where`, for another."""
    if name not in numbers:
        raise DatasetError(f"{where}: {shown(name)} is not one of the {count(len(numbers), 'class')}")
    return numbers[name]


def _label_map(path: Path) -> tuple[str, ...]:
    """CVAT's and datumaro's `label:color_rgb:parts:actions`, without VOC's background."""
    lines = read_lines(path, MetadataError, "a map of labels", MAX_LIST_BYTES)
    names = [line.partition(":")[0].strip() for line in lines if line.strip() and line[0] != "#"]
    return tuple(name for name in names if name != "background")


def names_among(folder: Path, found: Collection[str]) -> tuple[str, ...]:
    """An order for the classes `found`: that of the file of names in `folder`, else the alphabet, VOC's own order.

    Raises DatasetError for a file of names that lacks one of them.
    """
    names = names_in(folder)
    if names is None:
        return tuple(sorted(found))
    missing = sorted(set(found) - set(names))
    if missing:
        raise DatasetError(f"{names_file(folder)}: {shown(missing[0])} is missing, it occurs in the annotations")
    return names


# -------------------------------------------------------------------------------------------------- lines


class Lines(Sequence[str]):
    """Many lines of text in as much memory as the text needs, safe to share with forked processes."""

    def __init__(self, lines: Iterable[str]) -> None:
        encoded = [line.encode("utf-8", "surrogateescape") for line in lines]
        self._text = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        if not 0 <= index < len(self):
            raise IndexError(index)
        return self._text[self._ends[index] : self._ends[index + 1]].decode("utf-8", "surrogateescape")


def first_words(names: Mapping[str, object] | Iterable[str], most: int = 6) -> str:
    """Some names for a message."""
    names = list(names)
    return ", ".join(shown(name, 30) for name in names[:most]) + (", …" if len(names) > most else "")
