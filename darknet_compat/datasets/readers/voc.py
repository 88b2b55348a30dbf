"""PASCAL VOC's folders, and ImageNet DET's, which are of the same kind: one XML file of boxes a picture."""

from __future__ import annotations

import math
import os
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

from darknet_compat.datasets.base import Dataset, Joined, Labels, Layout, Sample, Wanted
from darknet_compat.datasets.files import (
    USUAL_SPLITS,
    class_number,
    folder_called,
    inside,
    names_among,
    pick_split,
    picture_called,
    split_word,
    subfolders,
    suffixes_in,
)
from darknet_compat.datasets.orientation import seen_size, turned_along
from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import MAX_LIST_BYTES, plain, read_lines, shown
from darknet_compat.vision.image import decode

MAX_ANNOTATION_BYTES = 4 << 20
"""VOC's largest has 20 kB."""

MAX_SIDE = 1 << 20
"""Pixels of a picture's side: OpenCV's own limit."""


class Folders(NamedTuple):
    """The folders of annotations, lists of ids, and pictures; "" is the folder itself."""

    annotations: str
    lists: str
    pictures: str


_USUAL = (
    Folders("Annotations", "ImageSets/Main", "JPEGImages"),
    Folders("Annotations/DET", "ImageSets/DET", "Data/DET"),
    Folders("Annotations/CLS-LOC", "ImageSets/CLS-LOC", "Data/CLS-LOC"),
)
"""VOC's, and ILSVRC's two."""

_ANNOTATIONS = ("annotations", "annotation", "xmls", "xml", "labels")
_PICTURES = ("jpegimages", "images", "image", "imgs", "img")
"""What Kaggle, Label Studio and others call them, in lower case."""


class Annotation(NamedTuple):
    """One XML file: the picture's `size` (width, height) if it is stated, and its file's name; for each object a name,
    xmin ymin xmax ymax (pixels counted from 1, the last one belongs to the box), and whether it is marked difficult.
    Label Studio counts the first ones from 0, which is made good."""

    size: tuple[int, int] | None
    picture: str
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
    from_zero = root.findtext("owner/name") == "Label Studio"
    for number, element in enumerate(root.findall("object"), start=1):
        where = f"{path}: object {number}"
        name = (element.findtext("name") or "").strip()
        if not name:
            raise DatasetError(f"{where}: it has no <name>")
        box = element.find("bndbox")
        if box is None:
            raise DatasetError(f"{where}: {shown(name)} has no <bndbox>")
        xmin, ymin, xmax, ymax = (_number(box.findtext(key), where, key) for key in ("xmin", "ymin", "xmax", "ymax"))
        if from_zero:
            xmin, ymin = xmin + 1, ymin + 1
        names.append(name)
        corners.append((xmin, ymin, xmax, ymax))
        difficult.append((element.findtext("difficult") or "0").strip() not in ("0", ""))
    picture = (root.findtext("filename") or "").strip()
    return Annotation(_size(root, path), picture, tuple(names), tuple(corners), tuple(difficult))


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
    all that have an annotation. Where the parts are folders (Roboflow), the annotations of one of them.

    A box from the pixels xmin to xmax, which VOC counts from 1, has its corners at xmin-1 and xmax, as in VOC's own
    measure of overlap; the original's voc_label.py lets it end a pixel earlier. Nothing is clipped. Without `names` the
    classes are those of the file of names in the folder, else all that occur in its annotations, by the alphabet,
    which is VOC's own order. A picture that EXIF turns and whose annotation states the size before that was labelled
    unturned: its boxes are turned along.
    """

    def __init__(self, folder: str | Path, split: str | None = None, names: Sequence[str] | None = None) -> None:
        self.folder = Path(folder)
        parts = _parts(self.folder)
        chosen = pick_split(split, parts, USUAL_SPLITS, str(folder)) if parts else None
        root = self.folder if chosen is None else parts[chosen]
        layout = find_layout(root)
        if layout is None:
            raise DatasetError(f"{folder}: expected VOC's folders Annotations and JPEGImages")
        self._annotations, self._pictures = root / layout.annotations, root / layout.pictures
        self.splits = tuple(parts)
        self.ids, self.split = self._choose(root / layout.lists, split, chosen)
        self.title = f"{self.folder.name} ({self.split})"
        if names is None:
            roots = [part / (find_layout(part) or layout).annotations for part in parts.values()]
            found = {name for root in roots or [self._annotations] for name in _classes(root)}
            names = names_among(self.folder, found)
        self.names = tuple(names)
        self._numbers = {name: number for number, name in enumerate(self.names)}

    def __len__(self) -> int:
        return len(self.ids)

    def annotation(self, index: int) -> Annotation:
        """The annotation of picture number `index` as it stands. Raises DatasetError."""
        return read_annotation(inside(self._annotations, f"{self.ids[index]}.xml", self.title))

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for a malformed annotation or an unknown class; ImageError where
        it states no size and the picture cannot be read either."""
        annotation = self.annotation(index)
        picture = self.picture(index, annotation.picture)
        path = str(self._annotations / f"{self.ids[index]}.xml")
        classes = [class_number(name, self._numbers, path) for name in annotation.objects]
        size = annotation.size
        if size is None and annotation.objects:
            size = decode(picture).shape[1::-1]
        corners = [(xmin - 1, ymin - 1, xmax, ymax) for xmin, ymin, xmax, ymax in annotation.corners]
        labels = Labels.from_corners(corners, size or (1, 1), classes, annotation.difficult)
        return Sample(self.ids[index], picture, *turned_along(labels, picture, annotation.size))

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height as the annotation states them, as the picture is seen. Raises DatasetError."""
        annotation = self.annotation(index)
        return seen_size(self.picture(index, annotation.picture), annotation.size)

    def picture(self, index: int, called: str = "") -> Path:
        """Where picture number `index` is; where none has its id, that which its annotation names."""
        path = picture_called(inside(self._pictures, self.ids[index], self.title))
        other = PurePath(called.replace("\\", "/")).name
        if other and not os.path.isfile(path) and os.path.isfile(self._pictures / other):
            return self._pictures / other
        return path

    def _choose(self, folder: Path, split: str | None, chosen: str | None) -> tuple[tuple[str, ...], str]:
        if chosen is not None:
            return tuple(_all_ids(self._annotations)), chosen
        lists = {path.stem: path for path in sorted(folder.glob("*.txt"))}
        self.splits = tuple(name for name in lists if split_word(name))
        if not lists and split is None:
            return tuple(_all_ids(self._annotations)), "all"
        chosen = pick_split(split, lists, USUAL_SPLITS, str(folder))
        path = lists[chosen]
        # A list of one class says after each id whether it is in the picture.
        lines = read_lines(path, DatasetError, "a list of ids", 16 * MAX_LIST_BYTES)
        ids = tuple(_id_on(line, self._annotations) for line in lines if line.split())
        if not ids:
            raise DatasetError(f"{path}: expected one id a line, found an empty file")
        return ids, chosen


def _id_on(line: str, annotations: Path) -> str:
    """The id on a line of a list; ids may have blanks where what stands before them is no id."""
    first, whole = line.split()[0], line.strip()
    return whole if first != whole and os.path.isfile(annotations / f"{whole}.xml") else first


def find_layout(folder: Path) -> Folders | None:
    """How the folder is laid out; None if it is not of this kind: VOC's own folders; folders of other names, one with
    annotations and one with pictures; annotations beside the pictures."""
    for layout in _USUAL:
        if os.path.isdir(folder / layout.pictures) and os.path.isdir(folder / layout.annotations):
            return layout
    if not os.path.isdir(folder):
        return None
    annotations, pictures = folder_called(folder, _ANNOTATIONS), folder_called(folder, _PICTURES)
    if annotations and pictures and ".xml" in suffixes_in(annotations):
        return Folders(annotations.name, "ImageSets/Main", pictures.name)
    there = suffixes_in(folder)
    beside = there.get(".xml", set()) & there.get(".jpg", set())
    return Folders("", "ImageSets/Main", "") if beside else None


def _parts(folder: Path) -> dict[str, Path]:
    """The folders that are parts of the data set, each laid out like one; none where the folder itself is."""
    if not os.path.isdir(folder) or find_layout(folder):
        return {}
    return {path.name: path for path in subfolders(folder) if split_word(path.name) and find_layout(path)}


def _classes(annotations: Path) -> set[str]:
    return {name for file in annotations.rglob("*.xml") for name in read_annotation(file).objects}


def _all_ids(annotations: Path) -> Iterable[str]:
    ids = sorted(path.relative_to(annotations).with_suffix("").as_posix() for path in annotations.rglob("*.xml"))
    if not ids:
        raise DatasetError(f"{annotations}: expected annotations (.xml), found none")
    return ids


# ------------------------------------------------------------------------------------------- the recogniser


def claims(path: Path) -> str | None:
    """Why a folder is of this kind; None where it is not."""
    if not path.is_dir():
        return None
    if (layout := find_layout(path)) is not None:
        if not layout.annotations:
            return "there are .xml files beside the pictures"
        return f"there are {layout.annotations}/ and {layout.pictures}/"
    if parts := _parts(path):
        return f"there are .xml files in {', '.join(f'{name}/' for name in parts)}"
    if below := _years(path):
        return f"there are VOC folders in it: {', '.join(part.name for part in below[:4])}"
    return None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The folder; of a folder of several of them (VOCdevkit) all that have this list (VOC 2012's test list was never
    published). Raises DatasetError."""
    below = [] if find_layout(path) or _parts(path) else _years(path)
    if not below:
        return VocFolder(path, wanted.split, wanted.names)
    parts, refusals = [], []
    for part in below:
        try:
            parts.append(VocFolder(part, wanted.split, wanted.names))
        except DatasetError as cause:
            refusals.append(cause)
    if not parts:
        raise refusals[0]
    if len(parts) == 1:
        return parts[0]
    joined = Joined(parts, f"{path.name} ({parts[0].split})")
    joined.split, joined.splits = parts[0].split, parts[0].splits
    return joined


def _years(folder: Path) -> list[Path]:
    return [path for path in subfolders(folder) if find_layout(path)]


LAYOUTS = {
    "voc": Layout("VOC's XML files (also labelImg's, Kaggle's, ImageNet DET's)", 1, claims, open_layout),
}
"""See `datasets.base.Layout`."""
