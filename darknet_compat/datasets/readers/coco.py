"""COCO's `instances_*.json`: one file with all pictures, boxes and categories."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from darknet_compat.datasets.base import Dataset, Labels, Layout, Sample, Wanted
from darknet_compat.datasets.files import USUAL_SPLITS, inside, one_a_part, pick_split, split_word, subfolders
from darknet_compat.datasets.options import LabelRule
from darknet_compat.datasets.orientation import seen_size, turned_along
from darknet_compat.datasets.readers.coco_document import (
    Key,
    classes_of,
    columns,
    keys_of,
    one_by_one,
    read_document,
    rows_of,
    sizes_of,
    text_of,
    without_collector,
)
from darknet_compat.datasets.readers.labelme import is_labelme
from darknet_compat.errors import DatasetError
from darknet_compat.formats.arrays import Doubles
from darknet_compat.vision.image import decode
from darknet_compat.vision.orientation import read_stored

_SNIFFED = 1 << 18
_LISTS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')


class CocoInstances(Dataset):
    """The pictures of one JSON file; those without objects as well.

    `category_ids` are the categories' numbers in the file, one a class: COCO's 80 have numbers from 1 to 90.
    `image_ids` are the pictures'; both are counted from 1 where the file has other things than whole numbers. Without
    `names` the classes are the file's categories in the file's order, less the one that Roboflow puts before them to
    stand above them all. With `names` they are those, and each category is found by its name, also in the spelling of
    Darknet's coco.names: an order of its own in the file mixes nothing up, classes that the file does not have do no
    harm, and a category that is not among the names is refused only where something is annotated with it.

    An annotation without a box gets its outline's; without either, or for a picture that the file does not list, it is
    left out. Pictures are looked for in `pictures`, else where COCO's own folders and the labelling tools have them.
    Raises DatasetError.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        names: Sequence[str] | None = None,
        pictures: str | Path | None = None,
        labels: LabelRule = "clip",
    ) -> None:
        self.path = Path(path)
        self.title = self.split = split_of(self.path)
        self._strict = labels == "strict"
        with without_collector():
            self._read(names)
        self._folder = Path(pictures) if pictures is not None else self._find_pictures()

    def _read(self, names: Sequence[str] | None) -> None:
        document = read_document(self.path)
        images, annotations, categories = (
            rows_of(document, key, self.path) for key in ("images", "annotations", "categories")
        )
        of_category, self.names, self.category_ids = classes_of(categories, annotations, names, self.path)
        self._files = tuple(
            text_of(row.get("file_name"), f"{self.path}: image {n}") for n, row in enumerate(images, start=1)
        )
        keys = keys_of(images, "id", f"{self.path}: image")
        if len(set(keys)) < len(keys):
            raise DatasetError(f"{self.path}: two images have the same id")
        whole = [key for key in keys if isinstance(key, int)]
        self.image_ids = tuple(whole if len(whole) == len(keys) else range(1, len(keys) + 1))
        self._sizes = sizes_of(images, self.path)
        self._take(annotations, {key: index for index, key in enumerate(keys)}, of_category)

    def __len__(self) -> int:
        return len(self._files)

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for a picture's name that leaves the folder, ImageError where its
        size is not stated and it cannot be read either."""
        picture = self.picture(index)
        stated = self._stated(index)
        rows = self._rows_of(index)
        x, y, w, h = self._boxes[rows].T
        if stated is None and len(x):
            header = read_stored(picture)
            stated_or_read = header.seen if header else decode(picture).shape[1::-1]
        else:
            stated_or_read = stated or (1, 1)
        corners = np.stack([x, y, x + w, y + h], axis=1)
        labels = Labels.from_corners(corners, stated_or_read, self._classes[rows], crowd=self._crowd[rows])
        labels, repairs = turned_along(labels, picture, stated)
        if outlines := int(self._outlines[rows].sum()):
            repairs = (*repairs, ("polygons", outlines))
        if left_out := self._left_out.get(index):
            repairs = (*repairs, ("left out", left_out))
        return Sample(picture.stem, picture, labels, repairs)

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height as the file states them, as the picture is seen."""
        return seen_size(self.picture(index), self._stated(index))

    def picture(self, index: int) -> Path:
        """Where picture number `index` is; tools that write whole paths, addresses or paths from somewhere else have it
        under its last name. Never outside of the folder."""
        name = self._files[index]
        try:
            path = inside(self._folder, name, str(self.path))
        except DatasetError:
            return inside(self._folder, PurePath(name.replace("\\", "/")).name, str(self.path))
        if not os.path.isfile(path) and os.path.isfile(self._folder / path.name):
            return self._folder / path.name
        return path

    def areas(self, index: int) -> Doubles:
        """[N]: the area of each object of picture number `index` in pixels as the file states it, its mask's."""
        return self._areas[self._rows_of(index)]

    @property
    def used_names(self) -> tuple[str, ...]:
        """The classes with which something is annotated."""
        used = set(self._classes.tolist())
        return tuple(name for number, name in enumerate(self.names) if number in used)

    def _stated(self, index: int) -> tuple[int, int] | None:
        width, height = self._sizes[index].tolist()
        return (width, height) if width else None

    def _rows_of(self, index: int) -> slice:
        return slice(int(self._starts[index]), int(self._starts[index + 1]))

    def _take(
        self,
        annotations: Sequence[Mapping[str, Any]],
        of_image: Mapping[Key, int],
        of_category: Mapping[Key, int],
    ) -> None:
        """Boxes as flat arrays in the order of their pictures."""
        found = columns(annotations, of_image, of_category) or one_by_one(
            annotations, of_image, of_category, self.path, strict=self._strict
        )
        order = np.argsort(found.pictures, kind="stable")
        self._boxes, self._areas, self._classes = found.boxes[order], found.areas[order], found.classes[order]
        self._crowd, self._outlines = found.crowd[order], found.outlines[order]
        self._starts = np.searchsorted(found.pictures[order], np.arange(len(self._files) + 1))
        self._left_out = found.left_out

    def _find_pictures(self) -> Path:
        """The folder with the first picture, of those usual; the first of them where none has it."""
        here = self.path.absolute().parent
        above = here.parent
        parts = [self.title, here.name] if here.name != "annotations" else [self.title]
        folders = [here, here / "images", *(above / part for part in parts), *(above / "images" / p for p in parts)]
        folders += [above / "images", above, above / "JPEGImages", above / "data", here / self.title]
        folders += [above / part / "images" for part in parts] + [here / "data", here / "images" / self.title]
        for name in self._files[:3]:
            last = PurePath(name.replace("\\", "/")).name
            for folder in folders:
                if any(part and ".." not in part and os.path.isfile(folder / part) for part in (name, last)):
                    return folder
        return above / self.title


def split_of(path: Path) -> str:
    """What part of the data set a file of that name has: the word for one in it, the folder's where that is one
    (Roboflow), else the name."""
    name = path.stem.removeprefix("instances_")
    words = [word for word in re.split(r"[-_. ]+", name) if split_word(word)]
    return (
        name if split_word(name) else words[-1] if words else path.parent.name if split_word(path.parent.name) else name
    )


# ------------------------------------------------------------------------------------------- the recogniser


def claims(path: Path) -> str | None:
    """Why a file or folder is of this kind; None where it is not."""
    if path.is_file():
        return "a JSON file" if path.suffix.lower() == ".json" and not is_labelme(path) else None
    files = annotation_files(path)
    shown_files = ", ".join(str(file.relative_to(path)) for _, file in files[:3])
    return f"there is {shown_files}{', …' if len(files) > 3 else ''}" if files else None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The file, or the one for the split. Raises DatasetError."""
    files = {} if path.is_file() else one_a_part(path, annotation_files(path))
    chosen = pick_split(wanted.split, files, USUAL_SPLITS, str(path)) if files else None
    file = path if chosen is None else files[chosen]
    dataset = CocoInstances(file, names=wanted.names, pictures=wanted.pictures, labels=wanted.labels)
    if chosen is not None:
        dataset.split, dataset.splits = chosen, tuple(files)
    return dataset


def annotation_files(folder: Path) -> list[tuple[str, Path]]:
    """The files of a folder, each with its split: annotations/instances_*.json; other JSON files there, in the folder
    itself or in folders that are its parts, that look like COCO's."""
    for place in (folder / "annotations", folder):
        files = sorted(place.glob("instances_*.json")) or [
            file for file in sorted(place.glob("*.json")) if is_coco(file)
        ]
        if files:
            return [(split_of(file), file) for file in files]
    parts = [part for part in subfolders(folder) if split_word(part.name)]
    return [(part.name, file) for part in parts for file in sorted(part.glob("*.json")) if is_coco(file)]


def is_coco(path: Path) -> bool:
    """Whether a JSON file has two of the three lists of a COCO file, as its first and last bytes tell."""
    try:
        with open(path, "rb") as file:
            text = file.read(_SNIFFED)
            size = os.fstat(file.fileno()).st_size
            if size > len(text):
                file.seek(max(len(text), size - _SNIFFED))
                text += file.read(_SNIFFED)
    except OSError:
        return False
    found = set(_LISTS.findall(text))
    return len(found) >= 2 or (bool(found) and size > 2 * _SNIFFED)


LAYOUTS = {
    "coco": Layout(
        "COCO's JSON (also Roboflow's, CVAT's, Label Studio's)", 0, claims, open_layout, pictures=True, rule=True
    ),
}
"""See `datasets.base.Layout`."""
