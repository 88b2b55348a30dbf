"""PASCAL VOC's folders, and ImageNet DET's, which are of the same kind: one XML file of boxes a picture."""

from __future__ import annotations

import math
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.datasets.files import inside, names_among, pick_split, picture_called
from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import MAX_LIST_BYTES, plain, read_lines, shown
from darknet_compat.vision.image import decode

MAX_ANNOTATION_BYTES = 4 << 20
"""VOC's largest has 20 kB."""

MAX_SIDE = 1 << 20
"""Pixels of a picture's side: OpenCV's own limit."""


class Layout(NamedTuple):
    """The folders of annotations, lists of ids, and pictures."""

    annotations: str
    lists: str
    pictures: str


LAYOUTS = (
    Layout("Annotations", "ImageSets/Main", "JPEGImages"),
    Layout("Annotations/DET", "ImageSets/DET", "Data/DET"),
    Layout("Annotations/CLS-LOC", "ImageSets/CLS-LOC", "Data/CLS-LOC"),
)
"""VOC's, and ILSVRC's two."""

_USUAL_SPLITS = ("trainval", "train")


class Annotation(NamedTuple):
    """One XML file: the picture's `size` (width, height) if it is stated; for each object a name, xmin ymin xmax ymax
    as they stand (pixels counted from 1, the last one belongs to the box), and whether it is marked difficult."""

    size: tuple[int, int] | None
    objects: tuple[str, ...]
    corners: tuple[tuple[float, float, float, float], ...]
    difficult: tuple[bool, ...]


class _Builder(ET.TreeBuilder):
    """Refuses a document type, with which entities could be defined that expand without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called by the parser before it reads the definitions."""
        raise DatasetError("an annotation has no document type")


def read_annotation(path: str | Path) -> Annotation:
    """Read one XML file. Raises DatasetError, naming the file, for one that is no annotation."""
    text = "\n".join(read_lines(path, DatasetError, "a VOC annotation (XML)", MAX_ANNOTATION_BYTES))
    try:
        root = ET.fromstring(text.encode("utf-8", "surrogateescape"), ET.XMLParser(target=_Builder()))
    except DatasetError as cause:
        raise DatasetError(f"{path}: {cause}; expected <annotation> first") from None
    except (ET.ParseError, ValueError, LookupError) as cause:  # the last two: an encoding that nobody knows
        raise DatasetError(f"{path}: expected a VOC annotation, found damaged XML: {plain(str(cause))}") from None
    if root.tag != "annotation":
        raise DatasetError(f"{path}: expected <annotation>, found <{plain(root.tag)}>")
    names, corners, difficult = [], [], []
    for number, element in enumerate(root.findall("object"), start=1):
        where = f"{path}: object {number}"
        name = (element.findtext("name") or "").strip()
        if not name:
            raise DatasetError(f"{where}: it has no <name>")
        box = element.find("bndbox")
        if box is None:
            raise DatasetError(f"{where}: {shown(name)} has no <bndbox>")
        xmin, ymin, xmax, ymax = (_number(box.findtext(key), where, key) for key in ("xmin", "ymin", "xmax", "ymax"))
        names.append(name)
        corners.append((xmin, ymin, xmax, ymax))
        difficult.append((element.findtext("difficult") or "0").strip() not in ("0", ""))
    return Annotation(_size(root, path), tuple(names), tuple(corners), tuple(difficult))


def _number(text: str | None, where: str, key: str) -> float:
    try:
        value = float(text or "")
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_SIDE:
        raise DatasetError(f"{where}: {key}: expected pixels, found {shown(text or 'nothing')}")
    return value


def _size(root: ET.Element, path: str | Path) -> tuple[int, int] | None:
    """The stated size; some tools leave it out or write zeros."""
    where = f"{path}: size"
    width, height = (int(_number(root.findtext(f"size/{key}") or "0", where, key)) for key in ("width", "height"))
    return (width, height) if width > 0 and height > 0 else None


class VocFolder(Dataset):
    """The pictures that one of the folder's lists names (`split`, VOC's own lists are in ImageSets/Main); with no lists
    all that have an annotation.

    A box from the pixels xmin to xmax, which VOC counts from 1, has its corners at xmin-1 and xmax, as in VOC's own
    measure of overlap; the original's voc_label.py lets it end a pixel earlier. Nothing is clipped. Without `names` the
    classes are those of the one .names file in the folder, else all that occur in its annotations, by the alphabet,
    which is VOC's own order.
    """

    def __init__(self, folder: str | Path, split: str | None = None, names: Sequence[str] | None = None) -> None:
        self.folder = Path(folder)
        self._layout = find_layout(self.folder)
        if self._layout is None:
            raise DatasetError(f"{folder}: expected VOC's folders Annotations and JPEGImages")
        self._annotations = self.folder / self._layout.annotations
        self.ids, self.split = self._choose(split)
        self.title = f"{self.folder.name} ({self.split})"
        if names is None:
            files = sorted(self._annotations.rglob("*.xml"))
            names = names_among(self.folder, {name for file in files for name in read_annotation(file).objects})
        self.names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.ids)

    def annotation(self, index: int) -> Annotation:
        """The annotation of picture number `index` as it stands. Raises DatasetError."""
        return read_annotation(inside(self._annotations, f"{self.ids[index]}.xml", self.title))

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for an annotation that is none, or has a class that is none;
        ImageError where it states no size and the picture cannot be read either."""
        annotation = self.annotation(index)
        picture = self.picture(index)
        unknown = next((name for name in annotation.objects if name not in self._numbers), None)
        if unknown is not None:
            path = self._annotations / f"{self.ids[index]}.xml"
            raise DatasetError(f"{path}: {shown(unknown)} is none of the {len(self.names)} classes")
        size = annotation.size
        if size is None and annotation.objects:
            size = decode(picture).shape[1::-1]
        corners = [(xmin - 1, ymin - 1, xmax, ymax) for xmin, ymin, xmax, ymax in annotation.corners]
        classes = [self._numbers[name] for name in annotation.objects]
        return Sample(
            self.ids[index], picture, Labels.from_corners(corners, size or (1, 1), classes, annotation.difficult)
        )

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height as the annotation states them. Raises DatasetError."""
        return self.annotation(index).size

    def picture(self, index: int) -> Path:
        """Where picture number `index` is."""
        assert self._layout is not None
        return picture_called(inside(self.folder / self._layout.pictures, self.ids[index], self.title))

    def _choose(self, split: str | None) -> tuple[tuple[str, ...], str]:
        assert self._layout is not None
        lists = {path.stem: path for path in sorted((self.folder / self._layout.lists).glob("*.txt"))}
        if not lists and split is None:
            return tuple(_all_ids(self._annotations)), "all"
        chosen = pick_split(split, lists, _USUAL_SPLITS, f"{self.folder / self._layout.lists}")
        path = lists[chosen]
        # A list of one class says after each id whether it is in the picture.
        lines = read_lines(path, DatasetError, "a list of ids", 16 * MAX_LIST_BYTES)
        ids = tuple(line.split()[0] for line in lines if line.split())
        if not ids:
            raise DatasetError(f"{path}: expected one id a line, found an empty file")
        return ids, chosen


def find_layout(folder: Path) -> Layout | None:
    """How the folder is laid out; None if it is none of this kind."""
    there = (layout for layout in LAYOUTS if os.path.isdir(folder / layout.pictures))
    return next((layout for layout in there if os.path.isdir(folder / layout.annotations)), None)


def _all_ids(annotations: Path) -> Iterable[str]:
    ids = sorted(path.relative_to(annotations).with_suffix("").as_posix() for path in annotations.rglob("*.xml"))
    if not ids:
        raise DatasetError(f"{annotations}: expected annotations (.xml), found none")
    return ids
