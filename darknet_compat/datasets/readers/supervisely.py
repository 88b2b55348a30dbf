"""Supervisely's projects: `meta.json`, and for each data set in it pictures in `img` and a JSON of each in `ann`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darknet_compat.datasets.base import Dataset, Layout, Sample, Wanted
from darknet_compat.datasets.files import USUAL_SPLITS, pick_split, split_word, subfolders
from darknet_compat.datasets.orientation import seen_size
from darknet_compat.datasets.readers.polygons import Drawn, around, drawn_labels
from darknet_compat.errors import DatasetError
from darknet_compat.formats.jsonfile import read_json

_MOST_BYTES = 64 << 20


class SuperviselyProject(Dataset):
    """The pictures of one data set of a project that is called like a split, else of all. Rectangles are taken from
    corner to corner; outlines give the box around them; what else is drawn is left out."""

    def __init__(self, folder: Path, split: str | None = None, names: Sequence[str] | None = None) -> None:
        own = _class_titles(folder / "meta.json")
        self.names = tuple(names if names is not None else own)
        self._numbers = {name: number for number, name in enumerate(self.names)}
        sets = {path.name: path for path in subfolders(folder) if os.path.isdir(path / "ann")}
        self.splits = tuple(name for name in sets if split_word(name))
        if self.splits or split is not None:
            self.split = pick_split(split, self.splits, USUAL_SPLITS, str(folder))
            sets = {self.split: sets[self.split]}
        self.title = f"{folder.name} ({self.split})" if self.split else folder.name
        self._files = [file for path in sets.values() for file in sorted((path / "ann").glob("*.json"))]
        if not self._files:
            raise DatasetError(f"{folder}: expected pictures with annotations in its folders img and ann, found none")

    def __len__(self) -> int:
        return len(self._files)

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for a malformed annotation or an unknown class."""
        file, picture = self._files[index], self._picture(index)
        document = _read(file)
        objects = document.get("objects")
        drawn = [
            _object(one, f"{file}: object {number}")
            for number, one in enumerate(objects if isinstance(objects, list) else (), start=1)
        ]
        return Sample(
            picture.stem, picture, *drawn_labels(drawn, self._numbers, picture, _size(document, file), str(file))
        )

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height as the annotation states them, as the picture is seen. Raises DatasetError."""
        return seen_size(self._picture(index), _size(_read(self._files[index]), self._files[index]))

    def _picture(self, index: int) -> Path:
        file = self._files[index]
        return file.parent.parent / "img" / file.name.removesuffix(".json")


def _class_titles(path: Path) -> tuple[str, ...]:
    document = _read(path)
    classes = document.get("classes")
    titles = [one.get("title") if isinstance(one, dict) else None for one in classes or () if isinstance(classes, list)]
    if not titles or not all(isinstance(title, str) for title in titles):
        raise DatasetError(f"{path}: expected classes with titles")
    return tuple(titles)  # type: ignore[arg-type]


def _read(path: Path) -> Mapping[str, Any]:
    document = read_json(path, DatasetError, "a Supervisely annotation", _MOST_BYTES)
    if not isinstance(document, dict):
        raise DatasetError(f"{path}: expected a Supervisely annotation, an object with size and objects")
    return document


def _size(document: Mapping[str, Any], path: Path) -> tuple[int, int]:
    size = document.get("size")
    sides = [size.get(key) if isinstance(size, dict) else None for key in ("width", "height")]
    if not all(type(side) is int and 0 < side < 1 << 31 for side in sides):
        raise DatasetError(f"{path}: expected a size with width and height in pixels")
    return sides[0], sides[1]  # type: ignore[return-value]


def _object(one: object, where: str) -> Drawn:
    if not isinstance(one, dict) or not isinstance(one.get("classTitle"), str):
        raise DatasetError(f"{where}: expected an object with a classTitle")
    kind, points = one.get("geometryType"), one.get("points")
    if kind not in ("rectangle", "polygon"):
        return Drawn(one["classTitle"], None)
    exterior = points.get("exterior") if isinstance(points, dict) else None
    return Drawn(one["classTitle"], around(exterior, f"{where}: exterior"), kind == "polygon")


def claims(path: Path) -> str | None:
    """Why a folder is of this kind; None where it is not."""
    if not path.is_dir() or not os.path.isfile(path / "meta.json"):
        return None
    sets = [part.name for part in subfolders(path) if os.path.isdir(part / "ann")]
    return f"there are meta.json and {sets[0]}/ann/" if sets else None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The project. Raises DatasetError."""
    return SuperviselyProject(path, wanted.split, wanted.names)


LAYOUTS = {
    "supervisely": Layout("Supervisely's project", 0, claims, open_layout),
}
"""See `datasets.base.Layout`."""
