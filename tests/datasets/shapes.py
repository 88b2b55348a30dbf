"""Coloured squares and discs, 96 x 72 pixels, what is in them (`PARTS`), and that as the text of annotations."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

NAMES = ("square", "disc")
WIDTH, HEIGHT = 96, 72
COLOURS = {0: (40, 40, 220), 1: (220, 120, 30)}


class Box(NamedTuple):
    """A class and its corners in pixels, x2 and y2 exclusive."""

    class_id: int
    x1: int
    y1: int
    x2: int
    y2: int

    @property
    def fractions(self) -> tuple[float, float, float, float]:
        """Centre and size."""
        x, y = (self.x1 + self.x2) / 2 / WIDTH, (self.y1 + self.y2) / 2 / HEIGHT
        return x, y, (self.x2 - self.x1) / WIDTH, (self.y2 - self.y1) / HEIGHT


Part = dict[str, list[Box]]
"""The boxes of each picture by its stem."""


def _part(name: str, count: int, seed: int) -> Part:
    random = np.random.default_rng(seed)
    part: Part = {}
    for number in range(count):
        boxes = []
        for class_id in (0, 1) if number else (0, 1, 1):
            side = int(random.integers(14, 30))
            x, y = int(random.integers(0, WIDTH - side)), int(random.integers(0, HEIGHT - side))
            boxes.append(Box(class_id, x, y, x + side, y + side))
        part[f"{name}_{number}"] = boxes
    return part


PARTS = {"train": _part("train", 4, 1), "valid": _part("valid", 2, 2), "test": _part("test", 2, 3)}


@cache
def picture(stem: str) -> bytes:
    """The file of a picture, a PNG so that nothing is lost."""
    boxes = next(part[stem] for part in PARTS.values() if stem in part)
    pixels = np.full((HEIGHT, WIDTH, 3), 200, np.uint8)
    for box in boxes:
        if box.class_id == 0:
            cv2.rectangle(pixels, (box.x1, box.y1), (box.x2 - 1, box.y2 - 1), COLOURS[0], -1)
        else:
            centre = (box.x1 + box.x2) // 2, (box.y1 + box.y2) // 2
            cv2.circle(pixels, centre, (box.x2 - box.x1) // 2, COLOURS[1], -1)
    return cv2.imencode(".png", pixels)[1].tobytes()


BLANK = cv2.imencode(".png", np.full((HEIGHT, WIDTH, 3), 200, np.uint8))[1].tobytes()
"""The file of a picture of nothing."""


def put(path: Path, content: str | bytes) -> Path:
    """Write a file, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_pictures(folder: Path, part: Part, name: str = "{}.png") -> None:
    """A part's pictures."""
    for stem in part:
        put(folder / name.format(stem), picture(stem))


# ------------------------------------------------------------------------------------------- annotations


def yolo_lines(boxes: list[Box]) -> str:
    """Darknet's labels, with all digits."""
    return "".join(f"{box.class_id} {' '.join(map(repr, box.fractions))}\n" for box in boxes)


def put_labels(folder: Path, part: Part, name: str = "{}.txt") -> None:
    """A part's files of labels."""
    for stem, boxes in part.items():
        put(folder / name.format(stem), yolo_lines(boxes))


def voc_xml(stem: str, boxes: list[Box]) -> str:
    """An annotation as labelImg writes it, pixels from 1."""
    objects = "".join(
        f"<object><name>{NAMES[box.class_id]}</name><difficult>0</difficult><bndbox><xmin>{box.x1 + 1}</xmin>"
        f"<ymin>{box.y1 + 1}</ymin><xmax>{box.x2}</xmax><ymax>{box.y2}</ymax></bndbox></object>"
        for box in boxes
    )
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    return f"<annotation><filename>{stem}.png</filename>{size}{objects}</annotation>"


def put_xml(folder: Path, part: Part) -> None:
    """A part's annotations."""
    for stem, boxes in part.items():
        put(folder / f"{stem}.xml", voc_xml(stem, boxes))


def coco_json(part: Part, name: str = "{}.png", **more: Any) -> str:
    """A part as COCO's JSON, categories from 1."""
    images, annotations = [], []
    for number, (stem, boxes) in enumerate(part.items()):
        images.append({"id": number, "file_name": name.format(stem), "width": WIDTH, "height": HEIGHT})
        for box in boxes:
            sides = [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1]
            annotations.append(
                {
                    "id": len(annotations),
                    "image_id": number,
                    "category_id": box.class_id + 1,
                    "bbox": sides,
                    "area": sides[2] * sides[3],
                    "iscrowd": 0,
                }
            )
    categories = [{"id": number, "name": name, "supercategory": "none"} for number, name in enumerate(NAMES, start=1)]
    document = {"images": images, "annotations": annotations, "categories": categories} | more
    return json.dumps(document)


def cvat_xml(part: Part, subset: str = "") -> str:
    """The pictures of a part as CVAT for images has them."""
    return "".join(
        f'<image id="0" name="{stem}.png" {subset} width="{WIDTH}" height="{HEIGHT}">'
        + "".join(
            f'<box label="{NAMES[b.class_id]}" source="manual" occluded="0" xtl="{b.x1:.2f}" ytl="{b.y1:.2f}"'
            f' xbr="{b.x2:.2f}" ybr="{b.y2:.2f}" z_order="0"></box>'
            for b in boxes
        )
        + "</image>"
        for stem, boxes in part.items()
    )


def cvat_task(pictures: str) -> str:
    """A file of CVAT's with these pictures."""
    labels = "".join(f"<label><name>{name}</name><attributes></attributes></label>" for name in NAMES)
    meta = f"<meta><project><name>shapes</name><labels>{labels}</labels></project></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations><version>1.1</version>{meta}{pictures}</annotations>'
