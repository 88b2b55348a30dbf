"""Random objects and detections in which everything happens that scores have to decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.formats.arrays import Ints


def random_results(
    seed: int, pictures: int = 12, classes: int = 5, objects: int = 60, detections: int = 400
) -> tuple[Found, Truths]:
    """Equal scores, duplicates, exact hits, boxes on the bounds of areas, crowds, difficult ones; the last class has no
    object, and the one before no detection."""
    rng = np.random.default_rng(seed)
    images, kinds = rng.integers(0, pictures, objects), rng.integers(0, classes - 1, objects)
    sides = rng.choice([8.0, 30, 32, 50, 96, 120, 200], (objects, 2))
    boxes = np.concatenate([rng.integers(0, 300, (objects, 2)).astype(float), sides], 1)
    crowd, difficult = rng.random(objects) < 0.1, rng.random(objects) < 0.15
    source, far = rng.integers(0, objects, detections), rng.random(detections) < 0.3
    strays = np.concatenate([rng.integers(0, 300, (detections, 2)), rng.integers(5, 200, (detections, 2))], 1)
    near = boxes[source] + rng.choice([0, 0, 0, 1, 4, 10], (detections, 4))
    where = np.where(far, rng.integers(0, pictures, detections), images[source])
    what = np.where(rng.random(detections) < 0.8, kinds[source], rng.integers(0, classes, detections))
    found = Found.of(where, what, np.where(far[:, None], strays, near), np.round(rng.random(detections), 1))
    return found.rows(found.classes != classes - 2), Truths.of(images, kinds, boxes, None, difficult, crowd)


def annotations_document(
    truths: Truths, image_ids: Sequence[int], files: Sequence[str], sizes: Ints, names: Sequence[str]
) -> dict[str, Any]:
    """Any data as a COCO annotation document, categories counted from 1."""
    images = [
        {"id": int(number), "file_name": file, "width": int(width), "height": int(height)}
        for number, file, (width, height) in zip(image_ids, files, sizes.tolist(), strict=True)
    ]
    annotations = [
        {
            "id": row + 1,
            "image_id": int(image_ids[truths.images[row]]),
            "category_id": int(truths.classes[row]) + 1,
            "bbox": truths.boxes[row].tolist(),
            "area": float(truths.areas[row]),
            "iscrowd": int(truths.crowd[row] or truths.difficult[row]),
        }
        for row in range(len(truths))
    ]
    categories = [{"id": number + 1, "name": name} for number, name in enumerate(names)]
    return {"images": images, "annotations": annotations, "categories": categories}
