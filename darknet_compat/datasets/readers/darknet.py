"""Darknet's own data sets: a list of pictures, the labels in files beside them or in the paths, and `.data` files."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.datasets.files import pick_split
from darknet_compat.errors import DatasetError
from darknet_compat.formats.cfg import Options
from darknet_compat.formats.metadata import read_data, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import MAX_LIST_BYTES, plain, read_lines, shown

Task = Literal["detection", "classification"]

MAX_PICTURE_LIST_BYTES = 1 << 30
"""ImageNet's 14 million pictures need about 0.8 GB."""

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

_FRACTION = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_ROW = "class x y w h"


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


def read_labels(path: str | Path, classes: int | None = None) -> Labels:
    """The labels in a file, one a line: `class x y w h`, centre and size as fractions of the picture.

    A box whose centre is 0 0 is a label of the whole picture, as in the original (`read_boxes`, `correct_boxes`). An
    empty file is a picture without objects. Raises DatasetError with the line that is no label, is beyond 0 to 1, or
    whose class is not below `classes`; the original stops reading there, clips the box, or writes beside its memory.
    """
    boxes, numbers = [], []
    for line, text in enumerate(read_lines(path, DatasetError, f"labels ({_ROW})", MAX_LIST_BYTES), start=1):
        fields = text.split()
        if not fields:
            continue
        if len(fields) != 5 or not all(map(_FRACTION.fullmatch, fields[1:])):
            raise DatasetError(f"{path}:{line}: expected {_ROW}, found {shown(text)}")
        if not (fields[0].isascii() and fields[0].isdigit() and len(fields[0]) < 10):
            raise DatasetError(f"{path}:{line}: expected the number of a class first, found {shown(fields[0])}")
        if classes is not None and int(fields[0]) >= classes:
            raise DatasetError(
                f"{path}:{line}: class {int(fields[0])}, but there are {classes} classes, from 0 to {classes - 1}"
            )
        box = [float(field) for field in fields[1:]]
        for name, value, field in zip(_ROW.split()[1:], box, fields[1:], strict=True):
            if not 0 <= value <= 1:
                hint = "; in pixels?" if value > 2 else ""
                raise DatasetError(
                    f"{path}:{line}: expected {name} as a fraction of the picture from 0 to 1, found"
                    f" {shown(field, 20)}{hint}"
                )
        boxes.append(box if box[0] or box[1] else [0.0, 0.0, 0.0, 0.0])
        numbers.append(int(fields[0]))
    return Labels.drawn(boxes, numbers)


class PictureList(Dataset):
    """A list of pictures, one path a line; blanks at the ends and empty lines do not count.

    A relative path is looked for from the working directory, as in the original, then from the list's folder; its
    labels in the same one of the two. Without `names` any class is accepted. With `strings`, one a class, the label of
    a picture is the one of them that occurs in its path as the list has it (original: `fill_truth`), otherwise
    labels are read from the file beside it.
    """

    def __init__(
        self, path: str | Path, names: Sequence[str] = (), *, strings: Sequence[str] | None = None, title: str = ""
    ) -> None:
        self.path = Path(path)
        self.title = title or self.path.name
        self.names = tuple(names)
        self.strings = None if strings is None else tuple(strings)
        lines = read_lines(path, DatasetError, "a list of pictures", MAX_PICTURE_LIST_BYTES)
        self._lines = [number for number, line in enumerate(lines, start=1) if line.strip()]
        self._pictures = [lines[number - 1].strip() for number in self._lines]
        if not self._pictures:
            raise DatasetError(f"{path}: expected one picture a line, found an empty file")
        self._roots = (Path.cwd(), self.path.absolute().parent)

    def __len__(self) -> int:
        return len(self._pictures)

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for labels that are none, or that are not there."""
        text = self._pictures[index]
        root = self._root(text)
        picture = root / text
        if self.strings is None:
            return Sample(picture.stem, picture, self._labels(root / label_path(text), index))
        return Sample(picture.stem, picture, self._class_in(text, index))

    def has_label_file(self, index: int) -> bool:
        """Whether there is a file of labels beside picture number `index`."""
        text = self._pictures[index]
        return os.path.isfile(self._root(text) / label_path(text))

    def _root(self, text: str) -> Path:
        return next((root for root in self._roots if os.path.isfile(root / text)), self._roots[0])

    def _labels(self, path: Path, index: int) -> Labels:
        if not os.path.exists(path):
            where, picture = f"{self.path}:{self._lines[index]}", self._pictures[index]
            if not os.path.isfile(self._root(picture) / picture):
                raise DatasetError(f"{where}: expected a picture, found no file {shown(picture, 200)}")
            raise DatasetError(
                f"{where}: there is no {plain(str(path), 400)}; a picture without objects needs an empty file there"
            )
        return read_labels(path, len(self.names) or None)

    def _class_in(self, text: str, index: int) -> Labels:
        strings = self.strings or ()
        found = [number for number, string in enumerate(strings) if string in text]
        if len(found) == 1:
            return Labels.whole_picture(found[0])
        if not found and len(strings) == 1:  # one class, and this picture is not of it
            return Labels.drawn([], [])
        several = " and ".join(shown(strings[number], 30) for number in found[:3])
        raise DatasetError(
            f"{self.path}:{self._lines[index]}: expected one label string in the path {shown(text, 100)}, found"
            f" {several or 'none'}"
        )


def read_data_file(
    path: str | Path, *, names: Sequence[str] | None = None, split: str | None = None, task: Task | None = None
) -> PictureList:
    """The list that a `.data` file gives for `split`: "train" (unless asked otherwise), "valid" or another of its keys.

    Files are looked for from the working directory, as in the original, then from the `.data` file's folder and, if
    that is called `cfg`, the one above it; names and labels also among those of this package. `classes` cuts lists that
    are longer. Without `task` a `.data` with `labels=` is one for classification, unless its first picture has a file
    of labels beside it (`combine9k.data` is for detection). Raises DatasetError or MetadataError.
    """
    section = read_data(path)
    options = Options(section, str(path))
    chosen = pick_split(split, {"train", "valid", "test"} & section.counting.keys(), ("train",), str(path))
    picture_list = _named(path, options, chosen)
    count = options.integer("classes", 0, minimum=1, maximum=1_000_000) if options.has("classes") else None
    strings = _cut(read_names(_named(path, options, "labels")), count, path) if options.has("labels") else None
    if names is None:
        if options.has("names"):
            names = _cut(read_names(_named(path, options, "names")), count, path)
        else:
            names = strings or tuple(str(number) for number in range(count or 0))
    title = f"{Path(path).stem} ({chosen})"
    drawn = PictureList(picture_list, names, title=title)
    if strings is None or task == "detection" or (task is None and drawn.has_label_file(0)):
        if task == "classification":
            raise DatasetError(f"{path}: classification needs labels=, a file with one label string a class")
        return drawn
    if len(names) != len(strings):
        raise DatasetError(f"{path}: expected as many names as labels ({len(strings)}), found {len(names)}")
    return PictureList(picture_list, names, strings=strings, title=title)


def _named(path: str | Path, options: Options, key: str) -> Path:
    """The file that an option of a `.data` file names."""
    value = options.text(key)
    folder = Path(path).absolute().parent
    roots = [Path.cwd(), folder, *([folder.parent] if folder.name == "cfg" else [])]
    if key in ("names", "labels"):
        roots.append(cfg_dir())
    for root in roots:
        if os.path.isfile(root / value):
            return root / value
    raise DatasetError(f"{options.where(key)} {key}: there is no {shown(value, 200)}")


def _cut(names: tuple[str, ...], classes: int | None, path: str | Path) -> tuple[str, ...]:
    if classes is not None and len(names) < classes:
        raise DatasetError(f"{path}: classes={classes}, but there are only {len(names)} names")
    return names[:classes]
