"""labelme's folders, and AnyLabeling's: a JSON file of shapes for each picture, beside it as a rule."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from darknet_compat.datasets.base import Dataset, Layout, Sample, Wanted
from darknet_compat.datasets.files import (
    USUAL_SPLITS,
    folder_called,
    inside,
    names_among,
    pick_split,
    picture_called,
    split_word,
    subfolders,
)
from darknet_compat.datasets.orientation import seen_size
from darknet_compat.datasets.readers.polygons import Drawn, around, drawn_labels
from darknet_compat.errors import DatasetError
from darknet_compat.formats.jsonfile import read_json

_MOST_BYTES = 256 << 20
"""With the picture in it, as labelme writes it unless it is told not to."""
_SNIFFED_BYTES = 1 << 16
_SNIFFED = 20
"""Files that are looked into."""
_SHAPES = re.compile(rb'"shapes"\s*:\s*\[')
_PICTURES = ("images", "image", "imgs", "img", "jpegimages")
_LEAST_POINTS = {"rectangle": 2, "polygon": 3, "oriented_rectangle": 4, "rotation": 4, "mask": 2}
"""Of a shape that has a box around it; a circle is its centre and a point on it."""


class LabelmeFolder(Dataset):
    """The pictures of a folder, or of one of its parts, that have an annotation.

    Rectangles are taken from corner to corner, whichever was drawn first; polygons, circles, masks and turned
    rectangles give the box around them; points and lines are left out. Without `names` the classes are those of the
    file of names in the folder, else all that occur, by the alphabet.
    """

    def __init__(self, folder: Path, wanted: Wanted) -> None:
        parts = _parts(folder)
        self.splits = tuple(parts)
        root = folder
        if parts or wanted.split is not None:
            self.split = pick_split(wanted.split, parts, USUAL_SPLITS, str(folder))
            root = parts[self.split]
        self.title = f"{folder.name} ({self.split})" if self.split else folder.name
        self._folder, self._pictures = folder, wanted.pictures
        self._files = tuple(sorted(root.rglob("*.json")))
        names = wanted.names
        if names is None:
            found = (
                name for part in parts.values() or [root] for file in part.rglob("*.json") for name in _names(file)
            )
            names = names_among(folder, set(found))
        self.names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self._files)

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for a malformed annotation or an unknown class; ImageError where
        it states no size and the picture cannot be read either."""
        file = self._files[index]
        document = _read(file)
        picture = self._picture(file, document)
        labels = drawn_labels(_drawn(document, file), self._numbers, picture, _size(document), str(file))
        return Sample(picture.stem, picture, *labels)

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height as the annotation states them, as the picture is seen. Raises DatasetError."""
        document = _read(self._files[index])
        return seen_size(self._picture(self._files[index], document), _size(document))

    def _picture(self, file: Path, document: Mapping[str, Any]) -> Path:
        """Where the picture is that an annotation names: from the annotation, where that stays in the folder; by its
        name beside the annotation or in a folder of pictures; else by the annotation's own name."""
        called = document.get("imagePath")
        called = called.replace("\\", "/") if isinstance(called, str) else ""
        name = PurePath(called).name or file.stem
        inside(file.parent, name, str(file))  # a name that no file can have
        if self._pictures is not None:
            return self._pictures / name
        path = Path(os.path.normpath(file.parent / called))
        beside = folder_called(file.parent.parent, _PICTURES) if file.parent != self._folder else None
        places = [path] if path.is_relative_to(self._folder) else []
        places += [folder / name for folder in (file.parent, file.parent / "images", beside) if folder]
        return next((place for place in places if os.path.isfile(place)), picture_called(file.with_suffix("")))


def _read(path: Path) -> Mapping[str, Any]:
    document = read_json(path, DatasetError, "a labelme annotation", _MOST_BYTES)
    if not isinstance(document, dict) or not isinstance(document.get("shapes"), list):
        raise DatasetError(f"{path}: expected a labelme annotation, an object with shapes")
    return document


def _size(document: Mapping[str, Any]) -> tuple[int, int] | None:
    width, height = (document.get(key) for key in ("imageWidth", "imageHeight"))
    stated = all(type(side) is int and 0 < side < 1 << 31 for side in (width, height))
    return (width, height) if stated else None  # type: ignore[return-value]


def _drawn(document: Mapping[str, Any], path: Path) -> Iterator[Drawn]:
    for number, shape in enumerate(document["shapes"], start=1):
        where = f"{path}: shape {number}"
        if not isinstance(shape, dict) or not isinstance(shape.get("label"), str):
            raise DatasetError(f"{where}: expected an object with a label")
        kind, points = shape.get("shape_type", "polygon"), shape.get("points")
        if not isinstance(kind, str):
            raise DatasetError(f"{where}: expected a word for its shape_type, found {kind!r:.60}")
        if kind == "circle":
            x1, y1, x2, y2 = around(points, where)
            radius = math.hypot(x2 - x1, y2 - y1)
            x, y = points[0]  # type: ignore[index]
            yield Drawn(shape["label"], (x - radius, y - radius, x + radius, y + radius), is_outline=True)
        elif kind in _LEAST_POINTS:
            yield Drawn(shape["label"], around(points, where, _LEAST_POINTS[kind]), kind != "rectangle")
        else:
            yield Drawn(shape["label"], None)


def _names(file: Path) -> set[str]:
    return {one.name for one in _drawn(_read(file), file) if one.corners is not None}


# ------------------------------------------------------------------------------------------- the recogniser


def is_labelme(path: Path) -> bool:
    """Whether a JSON file begins as labelme's do."""
    try:
        with open(path, "rb") as file:
            return _SHAPES.search(file.read(_SNIFFED_BYTES)) is not None
    except OSError:
        return False


def claims(path: Path) -> str | None:
    """Why a folder is of this kind; None where it is not."""
    if not path.is_dir():
        return None
    if _has_annotations(path):
        return "there are .json files of shapes"
    parts = _parts(path)
    return f"there are .json files of shapes in {', '.join(f'{name}/' for name in parts)}" if parts else None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The folder, or the part of it that is asked for. Raises DatasetError."""
    return LabelmeFolder(path.absolute(), wanted)


def _parts(folder: Path) -> dict[str, Path]:
    """The folders that are parts of the data set; none where the folder itself has annotations."""
    if _has_annotations(folder):
        return {}
    return {path.name: path for path in subfolders(folder) if split_word(path.name) and _has_annotations(path)}


def _has_annotations(folder: Path) -> bool:
    """Whether they are in the folder itself, or in one in it that is no part."""
    places = [folder, *(path for path in subfolders(folder) if not split_word(path.name))]
    return any(is_labelme(file) for place in places for file in islice(sorted(place.glob("*.json")), _SNIFFED))


LAYOUTS = {"labelme": Layout("labelme's JSON files (also AnyLabeling's)", 1, claims, open_layout, pictures=True)}
"""See `datasets.base.Layout`."""
