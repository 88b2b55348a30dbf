"""COCO's `instances_*.json`: one file with all pictures, boxes and categories."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.datasets.files import inside
from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import plain, read_text, shown

MAX_JSON_BYTES = 1 << 30
"""instances_train2017.json has 448 MB."""

_DARKNETS_SPELLING = {
    "airplane": "aeroplane",
    "motorcycle": "motorbike",
    "couch": "sofa",
    "potted plant": "pottedplant",
    "dining table": "diningtable",
    "tv": "tvmonitor",
}
"""COCO's categories that are written otherwise in Darknet's coco.names."""

_NUMBER = (int, float)


class CocoInstances(Dataset):
    """The pictures of one JSON file; those without objects as well.

    `category_ids` are the categories' numbers in the file, one a class: COCO's 80 have numbers from 1 to 90.
    `image_ids` are the pictures'. Without `names` the classes are the file's categories in the file's order. With
    `names` they are those, each category is found by its name (also in the spelling of Darknet's coco.names), and one
    that is missing on either side is refused: an order of its own in the file mixes nothing up.

    The pictures are in `pictures`, else where COCO's own folders have them. Raises DatasetError.
    """

    def __init__(
        self, path: str | Path, *, names: Sequence[str] | None = None, pictures: str | Path | None = None
    ) -> None:
        self.path = Path(path)
        self.title = self.path.stem.removeprefix("instances_")
        document = _read(path)
        images, annotations, categories = (
            _rows(document, key, path) for key in ("images", "annotations", "categories")
        )
        of_category, self.names, self.category_ids = _classes(categories, names, path)
        self._files = tuple(
            _field(row, "file_name", str, f"{path}: image {n}") for n, row in enumerate(images, start=1)
        )
        self.image_ids = tuple(_field(row, "id", int, f"{path}: image {n}") for n, row in enumerate(images, start=1))
        self._sizes = np.array(
            [
                [
                    _bounded(_field(row, key, int, f"{path}: image {n}"), f"{path}: image {n}")
                    for key in ("width", "height")
                ]
                for n, row in enumerate(images, start=1)
            ],
            np.int64,
        ).reshape(-1, 2)
        self._take(annotations, of_category)
        self._folder = Path(pictures) if pictures is not None else self._find_pictures()

    def __len__(self) -> int:
        return len(self._files)

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for a picture's name that leaves the folder."""
        picture = inside(self._folder, self._files[index], str(self.path))
        rows = self._rows_of(index)
        x, y, w, h = self._boxes[rows].T
        labels = Labels.from_corners(
            np.stack([x, y, x + w, y + h], axis=1), self.size(index), self._classes[rows], crowd=self._crowd[rows]
        )
        return Sample(picture.stem, picture, labels)

    def size(self, index: int) -> tuple[int, int]:
        """Width and height as the file states them."""
        width, height = self._sizes[index].tolist()
        return width, height

    def areas(self, index: int) -> NDArray[np.float64]:
        """[N]: the area of each object of picture number `index` in pixels as the file states it, its mask's."""
        return self._areas[self._rows_of(index)]

    def _rows_of(self, index: int) -> slice:
        return slice(int(self._starts[index]), int(self._starts[index + 1]))

    def _take(self, annotations: Sequence[Mapping[str, Any]], of_category: Mapping[int, int]) -> None:
        """Boxes as flat arrays in the order of their pictures."""
        of_image = {image_id: index for index, image_id in enumerate(self.image_ids)}
        if len(of_image) < len(self.image_ids):
            raise DatasetError(f"{self.path}: two images have the same id")
        pictures, classes = np.empty(len(annotations), np.int64), np.empty(len(annotations), np.int64)
        boxes, areas, crowd = np.empty((len(annotations), 4)), np.empty(len(annotations)), []
        for n, row in enumerate(annotations):
            where = f"{self.path}: annotation {n + 1}"
            image_id, category = _field(row, "image_id", int, where), _field(row, "category_id", int, where)
            if image_id not in of_image:
                raise DatasetError(f"{where}: there is no image with the id {image_id}")
            if category not in of_category:
                raise DatasetError(f"{where}: there is no category with the id {category}")
            pictures[n], classes[n] = of_image[image_id], of_category[category]
            box = _field(row, "bbox", list, where)
            if len(box) != 4 or not all(_is_number(value) for value in box):
                raise DatasetError(f"{where}: expected a bbox of four numbers x, y, width, height")
            boxes[n] = box
            area = row.get("area", box[2] * box[3])
            areas[n] = area if _is_number(area) else box[2] * box[3]
            crowd.append(bool(row.get("iscrowd", 0)))
        order = np.argsort(pictures, kind="stable")
        self._boxes, self._areas, self._classes = boxes[order], areas[order], classes[order]
        self._crowd = np.array(crowd, bool)[order]
        self._starts = np.searchsorted(pictures[order], np.arange(len(self.image_ids) + 1))

    def _find_pictures(self) -> Path:
        """The folder with the first picture, of those usual; the first of them where none has it."""
        here = self.path.absolute().parent
        above = here.parent
        folders = [here, here / "images", above / self.title, above / "images" / self.title, above / "images", above]
        folders += [above / "JPEGImages", here / self.title]
        if self._files:
            for folder in folders:
                if os.path.isfile(inside(folder, self._files[0], f"{self.path}: image 1")):
                    return folder
        return above / self.title


def _read(path: str | Path) -> Mapping[str, Any]:
    try:
        document = json.loads(read_text(path, DatasetError, "COCO's instances (JSON)", MAX_JSON_BYTES))
    except json.JSONDecodeError as cause:
        raise DatasetError(
            f"{path}:{cause.lineno}: expected COCO's instances, found damaged JSON: {cause.msg}"
        ) from None
    except (RecursionError, ValueError):  # brackets without end; a number of more digits than Python reads
        raise DatasetError(f"{path}: expected COCO's instances, found JSON that is none") from None
    if not isinstance(document, dict):
        raise DatasetError(f"{path}: expected COCO's instances, an object with images, annotations and categories")
    return document


def _rows(document: Mapping[str, Any], key: str, path: str | Path) -> list[Mapping[str, Any]]:
    rows = document.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        found = ", ".join(plain(str(name), 20) for name in list(document)[:6]) or "nothing"
        raise DatasetError(f"{path}: expected a list of {key}; the file has {found}")
    return rows


def _field(row: Mapping[str, Any], key: str, kind: type, where: str) -> Any:
    value = row.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        found = "nothing" if value is None else shown(str(value), 30)
        raise DatasetError(f"{where}: {key}: expected {_IN_WORDS[kind]}, found {found}")
    return value


_IN_WORDS: dict[type, str] = {int: "a whole number", str: "text", list: "a list"}


def _bounded(side: int, where: str) -> int:
    if not 0 < side < 1 << 31:
        raise DatasetError(f"{where}: expected a width and a height in pixels, found {plain(str(side), 30)}")
    return side


def _is_number(value: object) -> bool:
    return isinstance(value, _NUMBER) and not isinstance(value, bool) and abs(value) < 1e15  # which nan is not


def _classes(
    categories: Sequence[Mapping[str, Any]], names: Sequence[str] | None, path: str | Path
) -> tuple[dict[int, int], tuple[str, ...], tuple[int, ...]]:
    """The class of each category's number, the classes' names, and their categories' numbers."""
    ids = [_field(row, "id", int, f"{path}: category {n}") for n, row in enumerate(categories, start=1)]
    own = [_field(row, "name", str, f"{path}: category {n}") for n, row in enumerate(categories, start=1)]
    for what, values in (("id", ids), ("name", own)):
        if len(set(values)) < len(values):
            raise DatasetError(f"{path}: two categories have the same {what}")
    if names is None:
        return {number: index for index, number in enumerate(ids)}, tuple(own), tuple(ids)
    spelt = [name if name in names else _DARKNETS_SPELLING.get(name, name) for name in own]
    unknown = next((name for name, spelling in zip(own, spelt, strict=True) if spelling not in names), None)
    if unknown is not None:
        raise DatasetError(f"{path}: the category {shown(unknown)} is none of the {len(names)} names")
    missing = next((name for name in names if name not in spelt), None)
    if missing is not None:
        raise DatasetError(f"{path}: there is no category {shown(missing)}, which is one of the {len(names)} names")
    number_of = dict(zip(spelt, ids, strict=True))
    ordered = tuple(number_of[name] for name in names)
    return {number: index for index, number in enumerate(ordered)}, tuple(names), ordered
