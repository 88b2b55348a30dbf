"""Any data set as PASCAL VOC's folders: an XML file a picture, lists of ids, and the names in their order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape

import numpy as np

from darknet_compat.datasets.base import CountProgress, Dataset, Labels
from darknet_compat.datasets.writers.folder import OutFolder, size_of

_LISTS = {"train": "train", "valid": "val", "test": "test"}


def write_voc(folder: str | Path, parts: Mapping[str, Dataset], progress: CountProgress) -> Path:
    """Write data sets in `folder`; its path.

    Pixels count from 1 and the last one belongs to the box; what does not lie on whole pixels is written with decimals.
    Crowds are marked difficult, which counts neither way as well. Raises DatasetError where the folder cannot be
    written, ImageError where a picture's size cannot be read.
    """
    out = OutFolder(folder)
    names = next(iter(parts.values())).names
    number = 0
    for key, dataset in parts.items():
        ids = []
        for index, sample in enumerate(dataset):
            number += 1
            name = out.place(sample, "JPEGImages", number)
            stem = os.path.splitext(name)[0]
            text = _annotation(name, size_of(dataset, index, sample), sample.labels, names)
            out.write_label(f"Annotations/{stem}.xml", text)
            ids.append(f"{stem}\n")
            progress(number, sum(map(len, parts.values())))
        out.write(f"ImageSets/Main/{_LISTS[key]}.txt", "".join(ids))
    name, text = _names_file(names)
    out.write(name, text)
    return out.path


def _names_file(names: tuple[str, ...]) -> tuple[str, str]:
    """The names in their order, which VOC's own files do not tell: as datumaro and CVAT read them, else one a line."""
    if any(":" in name or name.startswith("#") or name == "background" for name in names):
        return "classes.names", "".join(f"{name}\n" for name in names)
    return "labelmap.txt", "# label:color_rgb:parts:actions\nbackground:::\n" + "".join(
        f"{name}:::\n" for name in names
    )


def _annotation(name: str, size: tuple[int, int], labels: Labels, names: tuple[str, ...]) -> str:
    width, height = size
    corners = labels.corners(width, height) + np.array([1, 1, 0, 0])
    marks = labels.difficult | labels.crowd
    objects = "".join(
        f"  <object>\n    <name>{escape(names[class_id])}</name>\n    <pose>Unspecified</pose>\n"
        f"    <truncated>0</truncated>\n    <difficult>{int(mark)}</difficult>\n    <bndbox>"
        + "".join(f"<{key}>{_pixels(value)}</{key}>" for key, value in zip(_SIDES, box, strict=True))
        + "</bndbox>\n  </object>\n"
        for class_id, mark, box in zip(labels.classes.tolist(), marks.tolist(), corners.tolist(), strict=True)
    )
    return (
        f"<annotation>\n  <folder>JPEGImages</folder>\n  <filename>{escape(name)}</filename>\n"
        f"  <size><width>{width}</width><height>{height}</height><depth>3</depth></size>\n"
        f"  <segmented>0</segmented>\n{objects}</annotation>\n"
    )


_SIDES = ("xmin", "ymin", "xmax", "ymax")


def _pixels(value: float) -> str:
    """Whole where it is."""
    return str(int(value)) if value == int(value) else repr(value)
