"""Any data set as Ultralytics reads it: `data.yaml`, `images/SPLIT` and `labels/SPLIT`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path

from darknet_compat.datasets.base import CountProgress, Dataset
from darknet_compat.datasets.writers.darknet import format_labels
from darknet_compat.datasets.writers.folder import OutFolder
from darknet_compat.errors import DatasetError

_KEYS = {"train": "train", "valid": "val", "test": "test"}


def write_yolo(folder: str | Path, parts: Mapping[str, Dataset], progress: CountProgress) -> Path:
    """Write data sets in `folder`; the path of its `data.yaml`, which has no `path`, so that the folder can be moved.

    Objects that are difficult or a crowd are left out. Raises DatasetError where the folder cannot be written.
    """
    out = OutFolder(folder)
    if (out.path / "images").is_dir() and any((out.path / "images").rglob("*.*")):
        raise DatasetError(
            f"{folder}: has pictures in its images/, which would count as this data set's; choose another"
        )
    names = next(iter(parts.values())).names
    lines = []
    number = 0
    for key, dataset in parts.items():
        split = _KEYS[key]
        for sample in dataset:
            number += 1
            name = out.place(sample, f"images/{split}", number)
            out.write_label(f"labels/{split}/{os.path.splitext(name)[0]}.txt", format_labels(sample.labels))
            progress(number, sum(map(len, parts.values())))
        lines.append(f"{split}: images/{split}\n")
    lines += [f"nc: {len(names)}\n", "names:\n"]
    lines += [f"  {number}: {json.dumps(name, ensure_ascii=False)}\n" for number, name in enumerate(names)]
    return out.write("data.yaml", "".join(lines))
