"""Darknet's files of labels: where they lie, and what their lines say."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from darknet_compat.datasets.base import Labels, Repair, Repairs
from darknet_compat.datasets.options import LabelRule
from darknet_compat.errors import DatasetError
from darknet_compat.formats.arrays import Bools, Doubles
from darknet_compat.formats.textfile import MAX_LIST_BYTES, read_lines, shown

_TO_LABEL = (
    ("images", "labels"),
    ("JPEGImages", "labels"),
    ("raw", "labels"),
    (".jpg", ".txt"),
    (".png", ".txt"),
    (".JPG", ".txt"),
    (".JPEG", ".txt"),
)
"""What the original replaces, each once, in this order (`fill_truth_detection`)."""

_FORKS_FOLDERS = re.compile(r"/(?:images/(?=(?:train|val)20(?:14|17)/)|JPEGImages/)")

_FRACTION = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_PLAIN = re.compile(rb"(?:[ \t]*(?:\d{1,9}(?:[ \t]+(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?){4}[ \t]*)?\r?\n)*")
"""A whole file of lines `class x y w h` without a sign: what nearly all files are, told in one go."""
_ROW = "class x y w h"
_SIDES = ("x", "y", "w", "h")


# ------------------------------------------------------------------------------------------------- places


def label_path(picture: str) -> str:
    """Where the labels of a picture are (original: `fill_truth_detection`).

    It replaces the first `images`, then the first `JPEGImages` and the first `raw` anywhere in the path by `labels`,
    and the first .jpg, .png, .JPG and .JPEG by .txt. For a suffix that it does not know it would read the picture
    itself as labels; here .txt takes that suffix' place.
    """
    path = picture
    for old, new in _TO_LABEL:
        path = path.replace(old, new, 1)
    return path if path.endswith(".txt") else os.path.splitext(path)[0] + ".txt"


def fork_label_path(picture: str) -> str:
    """Where the fork looks (`replace_image_to_label`): beside the picture, except that COCO's folders images/train2014
    and the like, and JPEGImages, are called labels."""
    return os.path.splitext(_FORKS_FOLDERS.sub("/labels/", picture))[0] + ".txt"


def label_places(picture: str, beside: bool = False) -> tuple[str, ...]:
    """All places where a picture's labels may be: the original's, the fork's (`beside`: in the other order), and
    Ultralytics', which replaces the last folder called images."""
    above, images, below = picture.rpartition("/images/")
    last = f"{above}/labels/{below}" if images else picture
    first, second = label_path(picture), fork_label_path(picture)
    return *((second, first) if beside else (first, second)), os.path.splitext(last)[0] + ".txt"


# -------------------------------------------------------------------------------------------------- files


def read_labels(path: str | Path, classes: int | None = None) -> Labels:
    """The labels in a file, one a line: `class x y w h`, centre and size as fractions of the picture.

    A box whose centre is 0 0 is a label of the whole picture, as in the original (`read_boxes`, `correct_boxes`). An
    empty file is a picture without objects. Raises DatasetError with the line that is malformed, is beyond 0 to 1, or
    whose class is not below `classes`; the original stops reading there, clips the box, or writes beside its memory.
    """
    return read_with_rule(path, classes, "strict")[0]


def read_with_rule(
    path: str | Path, classes: int | None, rule: LabelRule, *, keypoints: bool = False
) -> tuple[Labels, Repairs]:
    """The same by a rule, and what was done to the labels. Outlines, more than two points x y after the class as
    segmentation has them, become the boxes around them; with `keypoints` what follows a box is not a polygon. Raises
    DatasetError unless the rule is `skip`."""
    boxes: list[list[float]] = []
    numbers: list[int] = []
    repairs = Counter[Repair]()
    for line, text in enumerate(read_lines(path, DatasetError, f"labels ({_ROW})", MAX_LIST_BYTES), start=1):
        fields = text.split()
        if not fields:
            continue
        if keypoints:
            fields = fields[:5]
        try:
            number, box, is_outline = _parsed(fields, text, classes)
            if rule != "clip":
                _expect_fractions(box, fields[1:])
        except DatasetError as error:
            if rule == "skip":
                repairs["left out"] += 1
                continue
            raise DatasetError(f"{path}:{line}: {error}") from None
        repairs["polygons"] += is_outline
        boxes.append(box)
        numbers.append(number)
    labels = Labels.drawn(boxes, numbers)
    labels.boxes[(labels.boxes[:, :2] == 0).all(axis=1)] = 0
    if rule == "clip" and len(labels):
        labels = _clip(labels, repairs)
    return labels, tuple((repair, count) for repair, count in repairs.items() if count)


def _parsed(fields: Sequence[str], text: str, classes: int | None) -> tuple[int, list[float], bool]:
    """Class, box and whether it came from an outline. Raises DatasetError, without the place."""
    is_outline = len(fields) >= 7 and len(fields) % 2 == 1
    if (len(fields) != 5 and not is_outline) or not all(map(_FRACTION.fullmatch, fields[1:])):
        raise DatasetError(f"expected {_ROW}, found {shown(text)}")
    if not (fields[0].isascii() and fields[0].isdigit() and len(fields[0]) < 10):
        raise DatasetError(f"expected the number of a class first, found {shown(fields[0])}")
    number = int(fields[0])
    if classes is not None and number >= classes:
        known = "is 1 class, 0" if classes == 1 else f"are {classes} classes, from 0 to {classes - 1}"
        raise DatasetError(f"class {number}, but there {known}")
    values = [float(field) for field in fields[1:]]
    if is_outline:
        x1, y1, x2, y2 = min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])
        values = [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]
    return number, values, is_outline


def _expect_fractions(box: Sequence[float], fields: Sequence[str]) -> None:
    for name, value, field in zip(_SIDES, box, fields, strict=False):
        if not 0 <= value <= 1:
            hint = "; in pixels?" if value > 2 else ""
            raise DatasetError(
                f"expected {name} as a fraction of the picture from 0 to 1, found {shown(field, 20)}{hint}"
            )


def _clip(labels: Labels, repairs: Counter[Repair]) -> Labels:
    """Boxes with numbers beyond 0 to 1 cut at the picture's border (original: `correct_boxes`); those of which nothing
    remains are left out."""
    beyond = ((labels.boxes < 0) | (labels.boxes > 1)).any(axis=1)
    if not beyond.any():
        return labels
    boxes = labels.boxes
    boxes[beyond] = clipped(boxes[beyond])
    gone: Bools = beyond & ~np.logical_and.reduce(boxes[:, 2:] > 0, axis=1)
    repairs["clipped"] += int((beyond & ~gone).sum())
    repairs["left out"] += int(gone.sum())
    return labels.chosen(~gone)


def clipped(boxes: Doubles) -> Doubles:
    """[N, 4] centre x, centre y, width, height as fractions, cut at the picture's border."""
    centres, half = boxes[:, :2], boxes[:, 2:] / 2
    low, high = np.clip(centres - half, 0, 1), np.clip(centres + half, 0, 1)
    return np.concatenate([(low + high) / 2, high - low], axis=1)


# --------------------------------------------------------------------------------------------------- many


def plain_rows(data: bytes) -> list[bytes] | None:
    """The fields of a file in which every line is `class x y w h`, five of each; None for any other file."""
    if not data.endswith(b"\n"):
        data += b"\n"
    return data.split() if len(data) < 1 << 16 and _PLAIN.fullmatch(data) else None


def plain_labels(fields: Sequence[bytes]) -> Labels:
    """The labels of such fields; their values may be beyond 0 to 1."""
    values = np.array(list(map(float, fields)), np.float64).reshape(-1, 5)
    labels = Labels.drawn(values[:, 1:], values[:, 0].astype(np.int64))
    labels.boxes[(labels.boxes[:, :2] == 0).all(axis=1)] = 0
    return labels
