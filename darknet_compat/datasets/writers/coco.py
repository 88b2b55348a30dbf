"""Any data set as COCO's: `annotations/instances_SPLIT.json` and `images/SPLIT`."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from darknet_compat.datasets.base import CountProgress, Dataset
from darknet_compat.datasets.writers.folder import OutFolder, make_folder, size_of
from darknet_compat.errors import DatasetError
from darknet_compat.formats.atomic import atomic_write

_SPLITS = {"train": "train", "valid": "val", "test": "test"}


def write_coco(folder: str | Path, parts: Mapping[str, Dataset], progress: CountProgress) -> Path:
    """Write data sets in `folder`; its path.

    Categories are the classes counted from 1, ids count from 1 too. Difficult objects are marked as crowds, which count
    neither way as well. Raises DatasetError where the folder cannot be written, ImageError where a picture's size
    cannot be read.
    """
    out = OutFolder(folder)
    make_folder(out.path / "annotations")
    names = next(iter(parts.values())).names
    categories = [{"id": number, "name": name, "supercategory": "none"} for number, name in enumerate(names, start=1)]
    image_id, objects, total = 0, 0, sum(map(len, parts.values()))
    for key, dataset in parts.items():
        split = _SPLITS[key]
        path = out.path / f"annotations/instances_{split}.json"
        # Annotations come after the pictures in the file, so they wait in one of their own.
        with atomic_write(path, DatasetError) as file, tempfile.TemporaryFile() as later:
            head = f'{{"info": {{}}, "licenses": [],\n"categories": {json.dumps(categories)},\n"images": ['
            file.write(head.encode())
            for index, sample in enumerate(dataset):
                image_id += 1
                width, height = size_of(dataset, index, sample)
                name = out.place(sample, f"images/{split}", image_id)
                _row(file, index, {"id": image_id, "file_name": name, "width": width, "height": height})
                marks = sample.labels.crowd | sample.labels.difficult
                boxes = sample.labels.corners(width, height).tolist()
                for class_id, mark, (x1, y1, x2, y2) in zip(
                    sample.labels.classes.tolist(), marks.tolist(), boxes, strict=True
                ):
                    objects += 1
                    box = [x1, y1, round(x2 - x1, 6), round(y2 - y1, 6)]
                    area = round(box[2] * box[3], 6)
                    row = {"id": objects, "image_id": image_id, "category_id": class_id + 1, "bbox": box, "area": area}
                    _row(later, later.tell(), row | {"iscrowd": int(mark), "segmentation": []})
                progress(image_id, total)
            file.write(b'],\n"annotations": [')
            later.seek(0)
            while block := later.read(1 << 20):
                file.write(block)
            file.write(b"]}\n")
    return out.path


def _row(file: IO[bytes], before: int, row: dict[str, Any]) -> None:
    file.write((",\n" if before else "\n").encode() + json.dumps(row, ensure_ascii=False).encode("utf-8", "replace"))
