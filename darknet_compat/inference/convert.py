"""Detections as text and documents of other tools' kinds: CSV, YOLO labels, COCO's JSON, labelme's JSON."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from darknet_compat.inference.results import Detections

CSV_HEADERS = ("file", "class", "class_id", "score", "left", "top", "right", "bottom")


def rows(found: Detections) -> list[tuple[object, ...]]:
    """A row a detection, under CSV_HEADERS; boxes in pixels."""
    return [(found.name, one.name, one.class_id, _decimal(one.score), *map(_decimal, one.box)) for one in found]


def to_csv(several: Iterable[Detections], *, header: bool = True) -> str:
    """The rows of one or more pictures as text that spreadsheets read."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    if header:
        writer.writerow(CSV_HEADERS)
    for found in several:
        writer.writerows(rows(found))
    return text.getvalue()


def to_yolo(found: Detections, *, scores: bool = False) -> str:
    """Labels as Darknet reads them, a line each: class, centre x, centre y, width, height as fractions of the picture;
    with `scores` a sixth number, as validation tools take it."""
    whole = np.array([found.width, found.height], np.float64)
    boxes = found.boxes.astype(np.float64).reshape(-1, 2, 2)
    centres, sides = boxes.mean(1) / whole, (boxes[:, 1] - boxes[:, 0]) / whole
    lines = []
    for number, (centre, side) in enumerate(zip(centres.tolist(), sides.tolist(), strict=True)):
        values = [f"{value:.9g}" for value in (*centre, *side)]
        if scores:
            values.append(f"{found.scores[number]:.6g}")
        lines.append(f"{found.class_ids[number]} {' '.join(values)}\n")
    return "".join(lines)


def to_coco(
    several: Sequence[Detections], names: Sequence[str] | None = None, root: str | Path | None = None
) -> dict[str, Any]:
    """A document in COCO's form of labels, each annotation with its score: images are numbered from 1, and category
    `class_id + 1` has the name that stands at `class_id` in `names` (by default of the classes that were found). Files
    are named as they lie from `root`, the folder of the document, by default as they were given."""
    if names is None:
        known = {number: name for found in several for number, name in zip(found.class_ids.tolist(), found.names)}  # noqa: B905
    else:
        known = dict(enumerate(names))
    annotations: list[dict[str, Any]] = []
    for image, found in enumerate(several, start=1):
        for one in found:
            left, top, right, bottom = map(_decimal, one.box)
            box = [left, top, right - left, bottom - top]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": one.class_id + 1,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "score": _decimal(one.score),
                }
            )
    images = [
        {
            "id": image,
            "file_name": os.path.relpath(found.name, root) if root and found.name else found.name,
            "width": found.width,
            "height": found.height,
        }
        for image, found in enumerate(several, start=1)
    ]
    categories = [{"id": number + 1, "name": known[number]} for number in sorted(known)]
    return {"images": images, "annotations": annotations, "categories": categories}


def to_labelme(found: Detections) -> dict[str, Any]:
    """A document that labelme opens beside the picture."""
    shapes: list[dict[str, Any]] = []
    for one in found:
        left, top, right, bottom = map(_decimal, one.box)
        shapes.append(
            {
                "label": one.name,
                "points": [[left, top], [right, bottom]],
                "group_id": None,
                "description": f"{one.score:.6g}",
                "shape_type": "rectangle",
                "flags": {},
            }
        )
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": found.name,
        "imageData": None,
        "imageHeight": found.height,
        "imageWidth": found.width,
    }


def _decimal(value: float) -> float:
    """A float32's shortest decimal, which reads back as the same float32."""
    return float(str(np.float32(value)))
