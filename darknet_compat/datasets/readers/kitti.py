"""KITTI's object data: pictures in `image_2`, and for each a file of fifteen columns in `label_2`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from darknet_compat.datasets.base import Dataset, Labels, Layout, Sample, Wanted
from darknet_compat.datasets.files import (
    USUAL_SPLITS,
    class_number,
    folder_called,
    names_in,
    pick_split,
    picture_called,
    subfolders,
)
from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import MAX_LIST_BYTES, read_lines, shown
from darknet_compat.vision.image import decode
from darknet_compat.vision.orientation import read_stored

_IMAGES = ("image_2", "images", "image")
_LABELS = ("label_2", "labels", "label")
_COLUMNS = (15, 16)
"""Type, truncated, occluded, alpha, left, top, right, bottom, three sizes, three places, rotation; and a score."""
_NOT_LABELLED = "DontCare"
_ROW = "a type and 14 numbers"


class KittiFolder(Dataset):
    """The pictures of one part that have labels. Corners are pixels, right and bottom exclusive. Regions marked
    DontCare are left out. Without `names` the classes are those of a file of names, else all that occur, by the
    alphabet."""

    def __init__(self, folder: Path, split: str | None = None, names: Sequence[str] | None = None) -> None:
        parts = _parts(folder)
        self.split = pick_split(split, parts, USUAL_SPLITS, str(folder)) if set(parts) != {""} or split else ""
        self.splits = tuple(name for name in parts if name)
        self.title = f"{folder.name} ({self.split})" if self.split else folder.name
        self._images, self._labels = parts[self.split]
        self._ids = sorted(path.stem for path in self._labels.glob("*.txt"))
        if names is None:
            names = names_in(folder) or tuple(
                sorted({name for _, labels in parts.values() for file in labels.glob("*.txt") for name in _names(file)})
            )
        self.names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self._ids)

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for a malformed line or an unknown class, ImageError where the
        picture cannot be read, whose size the labels do not state."""
        file = self._labels / f"{self._ids[index]}.txt"
        picture = picture_called(self._images / self._ids[index])
        corners, classes = [], []
        for line, (name, box) in _read(file):
            if name == _NOT_LABELLED:
                continue
            corners.append(box)
            classes.append(class_number(name, self._numbers, f"{file}:{line}"))
        size = (1, 1)
        if corners:
            header = read_stored(picture)
            size = header.seen if header else decode(picture).shape[1::-1]
        return Sample(self._ids[index], picture, Labels.from_corners(np.array(corners).reshape(-1, 4), size, classes))


def _read(path: Path) -> list[tuple[int, tuple[str, list[float]]]]:
    found = []
    for line, text in enumerate(read_lines(path, DatasetError, f"KITTI labels ({_ROW})", MAX_LIST_BYTES), start=1):
        fields = text.split()
        if not fields:
            continue
        try:
            box = [float(field) for field in fields[4:8]]
        except ValueError:
            box = []
        if len(fields) not in _COLUMNS or not box or not all(abs(value) < 1e9 for value in box):
            raise DatasetError(f"{path}:{line}: expected {_ROW}, found {shown(text)}")
        found.append((line, (fields[0], box)))
    return found


def _names(path: Path) -> set[str]:
    return {name for _, (name, _) in _read(path)} - {_NOT_LABELLED}


def _parts(folder: Path) -> dict[str, tuple[Path, Path]]:
    """The folders of pictures and labels by split; under "" those of the folder itself."""
    if not folder.is_dir():
        return {}
    pairs = {path.name: _pair(path) for path in subfolders(folder)}
    own = _pair(folder)
    if own is not None:
        return {"": own}
    return {name: pair for name, pair in pairs.items() if pair is not None}


def _pair(folder: Path) -> tuple[Path, Path] | None:
    images, labels = folder_called(folder, _IMAGES), folder_called(folder, _LABELS)
    return (images, labels) if images and labels and _is_kitti(labels) else None


def _is_kitti(labels: Path) -> bool:
    """Whether the first file of labels has lines of as many columns, or is empty in a folder of KITTI's own name."""
    file = min((entry.path for entry in os.scandir(labels) if entry.name.endswith(".txt")), default=None)
    if file is None:
        return False
    try:
        with open(file, "rb") as opened:
            fields = opened.readline(4096).split()
    except OSError:
        return False
    if not fields:
        return labels.name.lower() == _LABELS[0]
    return len(fields) in _COLUMNS and not fields[0].isdigit()


def claims(path: Path) -> str | None:
    """Why a folder is of this kind; None where it is not."""
    parts = _parts(path)
    images, labels = next(iter(parts.values()), (path, path))
    return f"there are {images.relative_to(path)}/ and {labels.relative_to(path)}/" if parts else None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The folder. Raises DatasetError."""
    return KittiFolder(path, wanted.split, wanted.names)


LAYOUTS = {
    "kitti": Layout("KITTI's folders", 1, claims, open_layout),
}
"""See `datasets.base.Layout`."""
