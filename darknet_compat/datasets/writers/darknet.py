"""Any data set as Darknet's own: a list of pictures, a file of labels beside each, names and a `.data`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from darknet_compat.datasets.base import CountProgress, Dataset, Labels
from darknet_compat.datasets.readers.labelfile import clipped, label_path
from darknet_compat.datasets.writers.folder import OutFolder, make_folder

_KEYS = {"train": "train", "valid": "valid", "test": "test"}


def write_darknet(folder: str | Path, parts: Mapping[str, Dataset], progress: CountProgress) -> Path:
    """Write data sets in `folder` such that the original and its fork train on them; the `.data` file's path.

    As CVAT lays it out: pictures in `obj_train_data/` with their labels beside them, where original, fork and other
    libraries look alike. Objects that are difficult or a crowd are left out, as by the original's voc_label.py. Numbers
    are written such that they read back the same. Paths are from the folder, so start Darknet there. Raises
    DatasetError where the folder cannot be written.
    """
    out = OutFolder(folder, _is_name)
    names = next(iter(parts.values())).names
    options = {"classes": str(len(names))}
    number = 0
    for key, dataset in parts.items():
        lines = []
        for sample in dataset:
            number += 1
            picture = f"obj_{key}_data/{out.place(sample, f'obj_{key}_data', number)}"
            out.write_label(os.path.splitext(picture)[0] + ".txt", format_labels(sample.labels))
            lines.append(picture + "\n")
            progress(number, sum(map(len, parts.values())))
        out.write(f"{key}.txt", "".join(lines))
        options[_KEYS[key]] = f"{key}.txt"
    out.write("obj.names", "".join(f"{name}\n" for name in names))
    make_folder(out.path / "backup")
    options |= {"names": "obj.names", "backup": "backup/"}
    return out.write(f"{out.path.name}.data", "".join(f"{key} = {value}\n" for key, value in options.items()))


def format_labels(labels: Labels) -> str:
    """`class x y w h` lines, without what is difficult, a crowd or a box without area; boxes that reach beyond the
    picture's border are cut there, the others are as they were."""
    centres, half = labels.boxes[:, :2], labels.boxes[:, 2:] / 2
    beyond = ((centres - half < 0) | (centres + half > 1)).any(axis=1, keepdims=True)
    boxes = np.where(beyond, clipped(labels.boxes), labels.boxes)
    kept = ~(labels.difficult | labels.crowd) & (~labels.is_drawn | (boxes[:, 2:] > 0).all(axis=1))
    rows = zip(labels.classes[kept].tolist(), boxes[kept].tolist(), strict=True)
    return "".join(f"{class_id} {' '.join(map(repr, box))}\n" for class_id, box in rows)


def _is_name(name: str) -> bool:
    """Whether the original finds the labels of a picture of that name beside it."""
    return label_path(f"obj_train_data/{name}") == f"obj_train_data/{os.path.splitext(name)[0]}.txt"
