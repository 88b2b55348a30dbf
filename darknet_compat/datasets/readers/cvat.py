"""CVAT's own XML ("CVAT for images 1.1", also datumaro's): one file of all pictures and what is drawn in them."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darknet_compat.datasets.base import Dataset, Layout, Wanted
from darknet_compat.datasets.readers.polygons import Corners, around
from darknet_compat.datasets.readers.tables import MAX_CSV_BYTES, BoxRow, open_rows
from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import plain, shown

_SNIFFED = 4096
_CHUNK = 1 << 20
_OTHERS = ("polyline", "points", "cuboid", "skeleton", "tag")
"""What has no box, or none that is meant."""


class Events:
    """Takes the parser's events: elements above, text so far, and the classes in the order of the task."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self._above: list[str] = []
        self._text = ""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        """Called before definitions, with which entities could be made that expand without end."""
        raise DatasetError("CVAT's XML has no document type")

    def data(self, text: str) -> None:
        """Text between elements."""
        self._text += text

    def close(self) -> None:
        """The end of the file."""


class _Reader(Events):
    """A row for each object and for each picture without one."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[BoxRow] = []
        self._image: BoxRow | None = None
        self._is_empty = True

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        """An element begins."""
        if not self._above and tag != "annotations":
            raise DatasetError(f"expected <annotations>, found <{plain(tag, 30)}>")
        inside = self._above[-1:] == ["image"]
        self._above.append(tag)
        self._text = ""
        if tag == "track":
            raise DatasetError("has tracks of a video; export the task once more as CVAT for images")
        if tag == "image":
            self._image, self._is_empty = _picture(attributes), True
        elif inside and self._image is not None and (tag in BOXES or tag in _OTHERS):
            self._take(tag, attributes, self._image)

    def end(self, tag: str) -> None:
        """An element ends."""
        self._above.pop()
        if tag == "name" and self._above[-2:] == ["labels", "label"]:
            self.names.append(self._text.strip())
        elif tag == "image" and self._image is not None:
            if self._is_empty:
                self.rows.append(self._image)
            self._image = None

    def _take(self, tag: str, attributes: Mapping[str, str], image: BoxRow) -> None:
        name = attributes.get("label", "").strip()
        where = f"image {shown(image.image)}: {tag}"
        self._is_empty = False
        if tag in _OTHERS:
            self.rows.append(image._replace(repair="left out"))
            return
        if not name:
            raise DatasetError(f"{where}: it has no label")
        corners = BOXES[tag](attributes, where)
        is_box = tag == "box" and not attributes.get("rotation", "").strip("0.")
        self.rows.append(image._replace(name=name, corners=corners, repair="" if is_box else "polygons"))


def _picture(attributes: Mapping[str, str]) -> BoxRow:
    name = attributes.get("name", "").strip()
    where = f"image {shown(name or attributes.get('id', '?'))}"
    if not name:
        raise DatasetError(f"{where}: it has no name")
    width, height = _numbers(attributes, ("width", "height"), where)
    if min(width, height) < 1:
        raise DatasetError(f"{where}: expected a width and a height in pixels")
    return BoxRow(name, "", (0, 0, 0, 0), size=(int(width), int(height)), split=attributes.get("subset", "").strip())


def _numbers(attributes: Mapping[str, str], keys: tuple[str, ...], where: str) -> list[float]:
    found = []
    for key in keys:
        try:
            value = float(attributes.get(key, ""))
        except ValueError:
            value = math.nan
        if not abs(value) < 1e9:
            raise DatasetError(f"{where}: {key}: expected pixels, found {shown(attributes.get(key, 'nothing'), 40)}")
        found.append(value)
    return found


def _box(attributes: Mapping[str, str], where: str) -> Corners:
    x1, y1, x2, y2 = _numbers(attributes, ("xtl", "ytl", "xbr", "ybr"), where)
    if not attributes.get("rotation"):
        return x1, y1, x2, y2
    (degrees,) = _numbers(attributes, ("rotation",), where)
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width, height = x2 - x1, y2 - y1
    return _about((x1 + x2) / 2, (y1 + y2) / 2, (width * cos + height * sin) / 2, (width * sin + height * cos) / 2)


def _ellipse(attributes: Mapping[str, str], where: str) -> Corners:
    x, y, across, down = _numbers(attributes, ("cx", "cy", "rx", "ry"), where)
    (degrees,) = _numbers({"rotation": attributes.get("rotation") or "0"}, ("rotation",), where)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _about(x, y, math.hypot(across * cos, down * sin), math.hypot(across * sin, down * cos))


def _about(x: float, y: float, half_width: float, half_height: float) -> Corners:
    return x - half_width, y - half_height, x + half_width, y + half_height


def _polygon(attributes: Mapping[str, str], where: str) -> Corners:
    return around([pair.split(",") for pair in attributes.get("points", "").split(";")], where, 3)


def _mask(attributes: Mapping[str, str], where: str) -> Corners:
    left, top, width, height = _numbers(attributes, ("left", "top", "width", "height"), where)
    return left, top, left + width, top + height


BOXES = {"box": _box, "polygon": _polygon, "ellipse": _ellipse, "mask": _mask}
"""What is drawn → the corners of the box around it, from an element's attributes. Each raises DatasetError."""


def read_cvat(path: Path) -> tuple[list[BoxRow], tuple[str, ...]]:
    """The objects of a file, polygons, ellipses, masks and turned boxes as the box around them, and the names of its
    classes in the task's order. Raises DatasetError, naming file and picture."""
    reader = _Reader()
    parse(path, reader)
    return reader.rows, tuple(dict.fromkeys(reader.names))


def parse(path: Path, target: Any) -> None:
    """Tell `target` the elements of a file. Raises DatasetError, naming the file."""
    parser = ET.XMLParser(target=target)
    try:
        with open(path, "rb") as file:
            if path.stat().st_size > MAX_CSV_BYTES:
                raise DatasetError("is larger than 4 GiB")
            while chunk := file.read(_CHUNK):
                parser.feed(chunk)
        parser.close()
    except DatasetError as cause:
        raise DatasetError(f"{path}: {cause}") from None
    except OSError as cause:
        raise DatasetError(f"{path}: cannot be read: {cause.strerror or cause}") from None
    except (ET.ParseError, ValueError, LookupError) as cause:  # the last two: an encoding that nobody knows
        raise DatasetError(f"{path}: expected CVAT's XML, found damaged XML: {plain(str(cause))}") from None


def claims(path: Path) -> str | None:
    """Why a file or folder is of this kind; None where it is not."""
    if path.is_file():
        return "a file of CVAT's" if is_cvat(path) and not has_tracks(path) else None
    files = _files(path)
    return f"there is {', '.join(file.name for file in files[:3])}" if files else None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The file; of a folder the one for the split; of a file with subsets those pictures. Raises DatasetError."""
    return open_rows(path, _files(path) if path.is_dir() else [path], wanted, read_cvat)


def _files(folder: Path) -> list[Path]:
    return [file for file in sorted(folder.glob("*.xml")) if is_cvat(file) and not has_tracks(file)]


def has_tracks(path: Path) -> bool:
    """Whether what comes first behind the words about the task is a track, and not a picture."""
    with open(path, "rb") as file:
        before = b""
        while chunk := file.read(_CHUNK):
            if found := re.search(rb"<(track|image)[\s>/]", before + chunk):
                return found[1] == b"track"
            before = chunk[-8:]
    return False


def is_cvat(path: Path) -> bool:
    """Whether a file begins as CVAT's do."""
    try:
        with open(path, "rb") as file:
            return path.suffix.lower() == ".xml" and b"<annotations>" in file.read(_SNIFFED)
    except OSError:
        return False


LAYOUTS = {"cvat": Layout("CVAT's XML for images (also datumaro's)", 0, claims, open_layout, pictures=True)}
"""See `datasets.base.Layout`."""
