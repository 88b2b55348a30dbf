"""What stands in a COCO file: its three lists read into arrays, tolerant of what labelling tools write."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from darknet_compat.errors import DatasetError
from darknet_compat.formats.arrays import Bools, Doubles, Ints
from darknet_compat.formats.jsonfile import read_json
from darknet_compat.formats.textfile import plain, shown

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
_LARGEST = 1e15

Key = int | str
"""An id; some tools write text."""


class Columns(NamedTuple):
    """Annotations: of each the picture's place [N], class [N], x y width height [N, 4], area [N], whether it is a crowd
    and whether its box comes from an outline; how many of which picture were left out."""

    pictures: Ints
    classes: Ints
    boxes: Doubles
    areas: Doubles
    crowd: Bools
    outlines: Bools
    left_out: Mapping[int, int]


def columns(
    annotations: Sequence[Mapping[str, Any]], of_image: Mapping[Key, int], of_category: Mapping[Key, int]
) -> Columns | None:
    """All annotations at once, as nearly every file allows; None where one has to be looked at."""
    try:
        lists = [row["bbox"] for row in annotations]
        pictures = np.array([of_image[row["image_id"]] for row in annotations], np.int64)
        classes = np.array([of_category[row["category_id"]] for row in annotations], np.int64)
        if not all(len(box) == 4 for box in lists) or any(type(v) not in _NUMBER for box in lists for v in box):
            return None
        boxes = np.array(lists, np.float64).reshape(-1, 4)
        areas = np.array([row["area"] for row in annotations], np.float64)
        crowd = np.array([row.get("iscrowd", 0) for row in annotations], bool)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if not (np.abs(boxes) < _LARGEST).all() or not (np.abs(areas) < _LARGEST).all() or areas.ndim != 1:
        return None
    return Columns(pictures, classes, boxes, areas, crowd, np.zeros(len(boxes), bool), {})


def one_by_one(
    annotations: Sequence[Mapping[str, Any]],
    of_image: Mapping[Key, int],
    of_category: Mapping[Key, int],
    path: str | Path,
    *,
    strict: bool,
) -> Columns:
    """The same one by one. Raises DatasetError, naming the annotation."""
    rows: list[tuple[Any, ...]] = []
    left_out = Counter[int]()
    for n, row in enumerate(annotations, start=1):
        where = f"{path}: annotation {n}"
        image, category = _key(row.get("image_id"), where, "image_id"), _key(row.get("category_id"), where)
        if image not in of_image:
            raise DatasetError(f"{where}: there is no image with the id {plain(str(image), 30)}")
        if category not in of_category:
            raise DatasetError(f"{where}: there is no category with the id {plain(str(category), 30)}")
        box, is_outline = _box(row, where)
        if box is None:
            if strict:
                raise DatasetError(f"{where}: it has neither a bbox nor an outline")
            left_out[of_image[image]] += 1
            continue
        area = row.get("area")
        area = area if _is_number(area) else box[2] * box[3]
        rows.append((of_image[image], of_category[category], box, area, bool(row.get("iscrowd", 0)), is_outline))
    pictures, classes, boxes, areas, crowd, outlines = zip(*rows, strict=True) if rows else ((),) * 6
    return Columns(
        np.array(pictures, np.int64),
        np.array(classes, np.int64),
        np.array(boxes, np.float64).reshape(-1, 4),
        np.array(areas, np.float64),
        np.array(crowd, bool),
        np.array(outlines, bool),
        left_out,
    )


@contextmanager
def without_collector() -> Iterator[None]:
    """While millions of small objects are made, none of them garbage, looking for some takes a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_document(path: str | Path) -> Mapping[str, Any]:
    """The file. Raises DatasetError."""
    document = read_json(path, DatasetError, "COCO's instances", MAX_JSON_BYTES)
    first = document[0] if isinstance(document, list) and document else None
    if isinstance(first, dict) and "data" in first and "annotations" in first:
        raise DatasetError(f"{path}: this is Label Studio's own JSON; export it once more as YOLO, COCO or VOC")
    if not isinstance(document, dict):
        raise DatasetError(f"{path}: expected COCO's instances, an object with images, annotations and categories")
    return document


def rows_of(document: Mapping[str, Any], key: str, path: str | Path) -> list[Mapping[str, Any]]:
    """One of its lists. Raises DatasetError."""
    rows = document.get(key)
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        found = ", ".join(plain(str(name), 20) for name in list(document)[:6]) or "nothing"
        raise DatasetError(f"{path}: expected a list of {key}; the file has {found}")
    return rows


def text_of(value: object, where: str, key: str = "file_name") -> str:
    """A value that has to be text. Raises DatasetError."""
    if not isinstance(value, str):
        raise DatasetError(f"{where}: {key}: expected text, found {_found(value)}")
    return value


def _key(value: object, where: str, key: str = "category_id") -> Key:
    """A whole number, also one written as text or with a point; any other text."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise DatasetError(f"{where}: {key}: expected a whole number, found {_found(value)}")
    is_whole = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 19
    return int(value) if is_whole else value


def keys_of(rows: Sequence[Mapping[str, Any]], key: str, where: str) -> list[Key]:
    """The ids of a list. Raises DatasetError."""
    return [_key(row.get(key), f"{where} {n}", key) for n, row in enumerate(rows, start=1)]


def _found(value: object) -> str:
    return "nothing" if value is None else shown(str(value), 30)


def sizes_of(images: Sequence[Mapping[str, Any]], path: str | Path) -> Ints:
    """[N, 2] widths and heights; 0 0 where they are not stated: Label Studio leaves them out of pictures without boxes.
    Raises DatasetError."""
    sizes = np.zeros((len(images), 2), np.int64)
    for n, row in enumerate(images):
        sides = [row.get(key) for key in ("width", "height")]
        if all(side is None or side == 0 for side in sides):
            continue
        for column, side in enumerate(sides):
            if side is None or not _is_number(side) or not 0 < side < 1 << 31 or side != int(side):
                found = plain(str(side), 30) if side is not None else "nothing"
                raise DatasetError(f"{path}: image {n + 1}: expected a width and a height in pixels, found {found}")
            sizes[n, column] = int(side)
    return sizes


def _box(row: Mapping[str, Any], where: str) -> tuple[list[float] | None, bool]:
    """x y width height, and whether they are those of the outline."""
    box = row.get("bbox")
    if isinstance(box, list) and len(box) == 4 and all(map(_is_number, box)):
        return box, False
    outline = row.get("segmentation")
    if (box is None or box == []) and isinstance(outline, list):
        points = [value for part in outline if isinstance(part, list) for value in part]
        if len(points) < 4 or not all(map(_is_number, points)):
            return None, False
        left, top = min(points[::2]), min(points[1::2])
        return [left, top, max(points[::2]) - left, max(points[1::2]) - top], True
    if box is None or box == []:
        return None, False
    raise DatasetError(f"{where}: expected a bbox of four numbers x, y, width, height")


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBER and abs(value) < _LARGEST  # which nan is not


def classes_of(
    categories: Sequence[Mapping[str, Any]],
    annotations: Sequence[Mapping[str, Any]],
    names: Sequence[str] | None,
    path: str | Path,
) -> tuple[dict[Key, int], tuple[str, ...], tuple[int, ...]]:
    """The class of each category's number, the classes' names, and their categories' numbers."""
    ids = keys_of(categories, "id", f"{path}: category")
    own = [text_of(row.get("name"), f"{path}: category {n}", "name") for n, row in enumerate(categories, start=1)]
    if len(set(ids)) < len(ids):
        raise DatasetError(f"{path}: two categories have the same id")
    used = {row.get("category_id") for row in annotations if isinstance(row.get("category_id"), int | str)}
    used |= {int(key) for key in used if isinstance(key, str) and key.isascii() and key.isdigit() and len(key) < 19}
    above = {row.get("supercategory") for row in categories if row.get("supercategory") != row.get("name")}
    kept = [n for n, name in enumerate(own) if ids[n] in used or name not in above or n > 0]
    if names is not None:
        spelt = {n: own[n] if own[n] in names else _DARKNETS_SPELLING.get(own[n], own[n]) for n in range(len(own))}
        unknown = next((n for n in kept if spelt[n] not in names and ids[n] in used), None)
        if unknown is not None:
            raise DatasetError(f"{path}: the category {shown(own[unknown])} is not one of the {len(names)} names")
        of_category = {ids[n]: list(names).index(spelt[n]) for n in kept if spelt[n] in names}
    else:
        names = [own[n] for n in kept]
        if len(set(names)) < len(names):
            raise DatasetError(f"{path}: two categories have the same name")
        of_category = {ids[n]: number for number, n in enumerate(kept)}
    number_of = {number: key for key, number in of_category.items()}
    numbers = [number_of.get(number) for number in range(len(names))]
    whole = all(type(key) is int for key in number_of.values())
    taken = max((key for key in ids if isinstance(key, int)), default=0) if whole else 0
    spare = iter(range(taken + 1, taken + 1 + len(names)))  # for classes that the file does not have
    return (
        of_category,
        tuple(names),
        tuple(key if whole and isinstance(key, int) else next(spare) for key in numbers),
    )
