"""COCO's results, `coco_results.json`, as the original writes it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material.columns import Found
from darknet_compat.formats.arrays import Ints
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.jsonfile import read_json
from darknet_compat.formats.textfile import plain, shown

RESULTS = "coco_results.json"

CATEGORIES = (*range(1, 12), *range(13, 26), 27, 28, *range(31, 45), *range(46, 66), 67, 70, *range(72, 83))
CATEGORIES += tuple(range(84, 91))
"""The 80 classes' numbers among COCO's 91 categories (original: `coco_ids`)."""

_LIMIT = 4 << 30


def image_id(path: str | Path) -> int:
    """The number that the original takes from a picture's name: digits after the last `_` or `/`, else 0."""
    name = str(path).rpartition("/")[2].rpartition("_")[2]
    match = re.match(r"\s*[+-]?\d{1,18}", name)
    return int(match[0]) if match else 0


def write_results(
    path: str | Path, found: Found, image_ids: Sequence[int], sizes: Ints, category_ids: Sequence[int] = CATEGORIES
) -> None:
    """Write detections in the original's format, a line each, cut to the picture (original: `print_cocos`).

    Raises DatasetError where there are more classes than `category_ids`, or the file cannot be written.
    """
    if len(found) and int(found.classes.max()) >= len(category_ids):
        raise DatasetError(f"{path}: class {found.classes.max()} has no category; there are {len(category_ids)}")
    cut = found.clipped(sizes)
    lines = [
        f'{{"image_id":{image_ids[image]}, "category_id":{category_ids[class_id]}, '
        f'"bbox":[{box[0]:f}, {box[1]:f}, {box[2]:f}, {box[3]:f}], "score":{value:f}}}'
        for image, class_id, box, value in zip(
            cut.images.tolist(), cut.classes.tolist(), cut.boxes.tolist(), cut.scores.tolist(), strict=True
        )
    ]
    with atomic_write(path, DatasetError) as file:
        file.write(("[\n" + ",\n".join(lines) + "\n]\n").encode())


def read_results(path: str | Path, image_ids: Sequence[int], category_ids: Sequence[int] = CATEGORIES) -> Found:
    """Read such a file, anybody's. Raises DatasetError naming the entry that is malformed, or of an unknown picture."""
    document = read_json(path, DatasetError, "COCO results", _LIMIT)
    if not isinstance(document, list):
        raise DatasetError(f"{path}: expected COCO results, a list of detections, found {type(document).__name__}")
    number = {value: place for place, value in enumerate(image_ids)}
    class_of = {value: place for place, value in enumerate(category_ids)}
    columns: tuple[list[Any], ...] = ([], [], [], [])
    for place, entry in enumerate(document):
        try:
            row = (number[entry["image_id"]], class_of[entry["category_id"]])
            box, value = [float(side) for side in entry["bbox"]], float(entry["score"])
            left, top, width, height = box
        except KeyError as error:
            named = plain(str(error))
            raise DatasetError(f"{path}: entry {place}: {named} is missing, or no picture or category") from None
        except (TypeError, ValueError, OverflowError):
            wanted = "image_id, category_id, bbox [left, top, width, height] and score"
            raise DatasetError(f"{path}: entry {place}: expected {wanted}, found {shown(str(entry))}") from None
        if not np.isfinite([left, top, width, height, value]).all():
            raise DatasetError(f"{path}: entry {place}: has numbers that are not finite")
        for column, item in zip(columns, (*row, box, value), strict=True):
            column.append(item)
    images, classes, boxes, scores = columns
    return Found.of(images, classes, boxes, scores)
