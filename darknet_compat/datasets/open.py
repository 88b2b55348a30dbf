"""One door to every kind of data set."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from darknet_compat.datasets.base import Dataset, Joined
from darknet_compat.datasets.files import pick_split
from darknet_compat.datasets.readers.coco import CocoInstances
from darknet_compat.datasets.readers.darknet import PictureList, Task, read_data_file
from darknet_compat.datasets.readers.digits import is_digits, open_digits
from darknet_compat.datasets.readers.imagenet import ClassFolders, is_class_folders
from darknet_compat.datasets.readers.voc import VocFolder, find_layout
from darknet_compat.errors import DatasetError

_KINDS = "a list of pictures, a .data, a VOC folder, COCO's JSON or a folder of classes"
_NOT_LISTS = (".names", ".labels", ".cfg", ".weights", ".tree", ".map", ".xml", ".csv", ".onnx")


def open_dataset(
    source: str | Path, *, names: Sequence[str] | None = None, split: str | None = None, task: Task | None = None
) -> Dataset:
    """The labelled pictures in `source`, whatever kind it is.

    - `list.txt`: pictures, one path a line, labels in files beside them as the original looks for them. Its classes
      have only numbers unless `names` are given.
    - `x.data`: the list for `split`, "train" or "valid"; with `labels=` one for classification (`read_data_file`).
    - a VOC folder (VOCdevkit/VOC2007, or ImageNet DET's): the ids in its list `split`, "trainval" if there is one. A
      folder of several of them (VOCdevkit): all that have this list.
    - COCO's `instances_val2017.json`, or the folder above `annotations`, `split` being val2017.
    - a folder with a folder of pictures for each class, or with such in `split`.
    - "digits": scenes made of handwritten digits, nothing to download; "digit-pictures": pictures of one digit each,
      with a label and no box; "digits:01234", "digit-pictures:567": with these digits only.

    `names` are the classes to use, as the network has them: what is annotated is found among them by its name. `split`
    None is what one trains on; val, valid and validation are the same. Raises DatasetError or MetadataError, naming
    what was expected.
    """
    path = Path(source)
    if is_digits(source):
        return open_digits(str(source), split)
    if os.path.isdir(path):
        return _open_folder(path, names, split)
    if not os.path.isfile(path):
        raise DatasetError(f"{source}: no such file or folder; expected {_KINDS}")
    suffix = path.suffix.lower()
    if suffix == ".data":
        return read_data_file(path, names=names, split=split, task=task)
    if suffix == ".json":
        return CocoInstances(path, names=names)
    if suffix in _NOT_LISTS:
        raise DatasetError(f"{source}: expected {_KINDS}, found a {suffix} file")
    return PictureList(path, names or ())


def _open_folder(folder: Path, names: Sequence[str] | None, split: str | None) -> Dataset:
    if find_layout(folder):
        return VocFolder(folder, split, names)
    if jsons := sorted((folder / "annotations").glob("instances_*.json")):
        there = {path.stem.removeprefix("instances_"): path for path in jsons}
        by_kind = {name.rstrip("0123456789"): name for name in sorted(there)}
        chosen = (
            split if split in there else by_kind[pick_split(split, by_kind, ("train",), str(folder / "annotations"))]
        )
        return CocoInstances(there[chosen or ""], names=names)
    below = [path for path in sorted(folder.iterdir()) if path.is_dir() and find_layout(path)]
    if below:
        return _join_voc(folder, below, names, split)
    lists = sorted([*folder.glob("*.data"), *folder.glob("*.json")])
    if len(lists) == 1:
        return open_dataset(lists[0], names=names, split=split)
    if os.path.isdir(folder / "labels"):
        raise DatasetError(f"{folder}: pictures with a folder of labels beside them need a list; give that, or a .data")
    if is_class_folders(folder):
        return ClassFolders(folder, split, names)
    raise DatasetError(f"{folder}: expected {_KINDS}; none of them is in this folder")


def _join_voc(folder: Path, below: Sequence[Path], names: Sequence[str] | None, split: str | None) -> Dataset:
    """Those of several VOC folders that have the list (VOC 2012's test list was never published)."""
    parts, refusals = [], []
    for path in below:
        try:
            parts.append(VocFolder(path, split, names))
        except DatasetError as cause:
            refusals.append(cause)
    if not parts:
        raise refusals[0]
    return parts[0] if len(parts) == 1 else Joined(parts, f"{folder.name} ({parts[0].split})")
