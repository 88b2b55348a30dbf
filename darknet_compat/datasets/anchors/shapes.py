"""The widths and heights of all boxes as a network sees them: what anchors are chosen for."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from darknet_compat.datasets.base import CountProgress, Dataset
from darknet_compat.errors import DatasetError
from darknet_compat.formats.arrays import Doubles
from darknet_compat.formats.textfile import read_lines, shown
from darknet_compat.formats.words import Resize
from darknet_compat.vision.image import decode

MAX_CSV_BYTES = 1 << 30
_COLUMNS = ("image", "xmin", "ymin", "xmax", "ymax")
_DECODERS = 8
"""Threads: they read more than they compute."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """`sizes` float64 [N, 2]: width and height of each box in pixels of a network's input of `network` (width, height).

    `pictures` have them; `left_out` boxes have no area, are marked difficult or are crowds. `note` is what had to be
    assumed, for people.
    """

    sizes: Doubles
    network: tuple[int, int]
    pictures: int
    left_out: int = 0
    note: str = ""


def shapes_of(
    dataset: Dataset, network: tuple[int, int], fit: Resize = "letterbox", progress: CountProgress | None = None
) -> Shapes:
    """The boxes of a data set as the network sees them.

    A picture is letterboxed as the original does when it detects, and on average when it trains; `stretch` is what its
    older releases do. Where the annotations do not state a picture's size, letterboxing has to decode it; `progress` is
    called with (pictures done, all). Raises DatasetError for malformed labels, ImageError for unreadable pictures.
    """

    def look(index: int) -> tuple[Doubles, int]:
        sample = dataset[index]
        labels = sample.labels
        chosen = labels.is_drawn & ~labels.difficult & ~labels.crowd
        fractions = labels.boxes[chosen, 2:]
        chosen_boxes = fractions[(fractions > 0).all(axis=1)]
        if not len(chosen_boxes) or fit == "stretch":
            size = network
        else:
            size = dataset.size(index) or decode(sample.image).shape[1::-1]
        left_out = int(labels.is_drawn.sum()) - len(chosen_boxes)
        return fitted(chosen_boxes * size, np.broadcast_to(size, chosen_boxes.shape), network, fit), left_out

    sizes, left_out = [], 0
    # Threads only pay where pictures are decoded: label files are read faster by one.
    workers = 1 if fit == "stretch" or dataset.size(0) else min(_DECODERS, 2 * (os.cpu_count() or 1))
    with ThreadPoolExecutor(workers) as pool:
        for done, (found, unused) in enumerate(pool.map(look, range(len(dataset)), chunksize=16), start=1):
            sizes.append(found)
            left_out += unused
            if progress:
                progress(done, len(dataset))
    return Shapes(np.concatenate(sizes), network, len(dataset), left_out)


def read_csv(path: str | Path, network: tuple[int, int], fit: Resize = "letterbox") -> Shapes:
    """The boxes of a table with the columns image, xmin, ymin, xmax, ymax, in pixels, as the network sees them.

    A box is as wide as xmax - xmin, which is how VOC's boxes give the figures of the paper's Table 1.
    Its columns `width` and `height` are the picture's size. Without them every picture counts as a square whose side is
    the largest coordinate of all, which leaves the boxes their shape and relations: in VOC nearly every picture's
    longer side is 500 pixels, and its letterbox then is the same. Raises DatasetError with the line that is no box.
    """
    lines = read_lines(path, DatasetError, "a table of boxes (CSV)", MAX_CSV_BYTES)
    try:
        rows = csv.reader(lines)
        header = [name.strip().lower() for name in next(rows, [])]
        missing = [name for name in _COLUMNS if name not in header]
        if missing:
            raise DatasetError(f"{path}:1: expected the columns {','.join(_COLUMNS)}, {missing[0]} is missing")
        stated = "width" in header and "height" in header
        columns = [header.index(name) for name in _COLUMNS[1:] + (("width", "height") if stated else ())]
        image = header.index("image")
        names, table = set(), []
        for row in rows:
            if row:
                table.append(_numbers(row, columns, len(header), f"{path}:{rows.line_num}"))
                names.add(row[image])
    except csv.Error as cause:
        raise DatasetError(f"{path}: expected a table of boxes (CSV): {cause}") from None
    if not table:
        raise DatasetError(f"{path}: expected a box a line after the first, found none")
    numbers = np.array(table, np.float64)
    boxes = numbers[:, 2:4] - numbers[:, :2]
    side = numbers[:, 2:4].max()
    pictures = numbers[:, 4:] if stated else np.full_like(boxes, side)
    drawn = ((boxes > 0) & (pictures > 0)).all(axis=1)
    note = "" if stated else f"sizes of pictures not given: {side:g} pixels a side taken"
    sizes = fitted(boxes[drawn], pictures[drawn], network, fit)
    return Shapes(sizes, network, len(names), int((~drawn).sum()), note)


def _numbers(row: Sequence[str], columns: Sequence[int], width: int, where: str) -> list[float]:
    if len(row) != width:
        raise DatasetError(f"{where}: expected {width} columns, found {len(row)}")
    try:
        numbers = [float(row[column]) for column in columns]
    except ValueError:
        numbers = [math.nan]
    if not all(abs(number) < 1e9 for number in numbers):
        raise DatasetError(f"{where}: expected xmin, ymin, xmax, ymax in pixels, found {shown(','.join(row))}")
    return numbers


def fitted(boxes: ArrayLike, pictures: ArrayLike, network: tuple[int, int], fit: Resize) -> Doubles:
    """[N, 2] widths and heights in pixels of pictures of sizes [N, 2], as they are in the network's input."""
    scale = np.asarray(network, np.float64) / np.asarray(pictures, np.float64)
    if fit == "letterbox":
        scale = scale.min(axis=1, keepdims=True)
    return np.asarray(boxes, np.float64) * scale
