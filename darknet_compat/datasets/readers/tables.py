"""Boxes in tables: one CSV file for all pictures, of its own columns or of Open Images'."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Literal, NamedTuple

import numpy as np

from darknet_compat.datasets.base import Dataset, Labels, Layout, Repair, Sample, Wanted
from darknet_compat.datasets.files import (
    PICTURE_SUFFIXES,
    USUAL_SPLITS,
    class_number,
    inside,
    names_in,
    one_a_part,
    pick_split,
    picture_called,
    split_word,
    subfolders,
)
from darknet_compat.datasets.orientation import seen_size, turned_along
from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import read_lines, shown
from darknet_compat.vision.image import decode
from darknet_compat.vision.orientation import read_stored

MAX_CSV_BYTES = 4 << 30
_MOST_PIXELS = 1e9

_WORDS = {
    "image": ("image", "filename", "file_name", "file", "path", "image_path", "image_id", "imageid", "img"),
    "xmin": ("xmin", "x_min", "x1", "left"),
    "ymin": ("ymin", "y_min", "y1", "top"),
    "xmax": ("xmax", "x_max", "x2", "right"),
    "ymax": ("ymax", "y_max", "y2", "bottom"),
    "class": ("class", "label", "class_name", "labelname", "name", "category"),
}
"""The columns that a table must have, and what people call them, in lower case."""
_MORE = {"width": ("width", "img_width"), "height": ("height", "img_height"), "split": ("split", "set", "subset")}
_OPEN_IMAGES = ("ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax")
_BBOX = "-annotations-bbox.csv"


class BoxRow(NamedTuple):
    """One box: the picture as the table names it, the class, x1 y1 x2 y2, whether it stands for a group, the picture's
    size where it is stated, its split, and what was done to the box; an empty class for a picture without objects."""

    image: str
    name: str
    corners: tuple[float, float, float, float]
    crowd: bool = False
    size: tuple[int, int] | None = None
    split: str = ""
    repair: Repair | Literal[""] = ""


@dataclass
class _Picture:
    corners: list[tuple[float, float, float, float]] = field(default_factory=list)
    classes: list[int] = field(default_factory=list)
    crowd: list[bool] = field(default_factory=list)
    size: tuple[int, int] | None = None
    repairs: Counter[Repair] = field(default_factory=Counter)


class BoxTable(Dataset):
    """The pictures of a table, in its order. Corners are pixels with x2 and y2 exclusive, or with `fractions` those of
    the picture. Pictures lie in one of `folders`. Raises DatasetError."""

    def __init__(
        self,
        title: str,
        rows: Sequence[BoxRow],
        names: Sequence[str],
        folders: Sequence[Path],
        *,
        fractions: bool = False,
    ) -> None:
        self.title, self.names, self._fractions = title, tuple(names), fractions
        number_of = {name: number for number, name in enumerate(self.names)}
        self._pictures: dict[str, _Picture] = {}
        for row in rows:
            picture = self._pictures.get(row.image) or self._pictures.setdefault(row.image, _Picture(size=row.size))
            if row.repair:
                picture.repairs[row.repair] += 1
            if not row.name:
                continue
            picture.corners.append(row.corners)
            picture.classes.append(class_number(row.name, number_of, title))
            picture.crowd.append(row.crowd)
        if not self._pictures:
            raise DatasetError(f"{title}: expected boxes, found none")
        self._images = tuple(self._pictures)
        self._folder = _folder_of(self._images[:3], folders)

    def __len__(self) -> int:
        return len(self._images)

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for a name that leaves the folder; ImageError where its size is
        not stated and it cannot be read either."""
        picture, path = self._pictures[self._images[index]], self._path(index)
        size = (1, 1) if self._fractions else picture.size
        if size is None:
            header = read_stored(path)
            size = header.seen if header else decode(path).shape[1::-1]
        labels = Labels.from_corners(
            np.array(picture.corners).reshape(-1, 4), size, picture.classes, crowd=picture.crowd
        )
        labels, turned = turned_along(labels, path, picture.size)
        return Sample(path.stem, path, labels, (*turned, *picture.repairs.items()))

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height as the table states them, as the picture is seen."""
        stated = self._pictures[self._images[index]].size
        return seen_size(self._path(index), stated) if stated else None

    def _path(self, index: int) -> Path:
        name = self._images[index]
        return _picture(self._folder, name) or inside(self._folder, PurePath(name.replace("\\", "/")).name, self.title)


def _picture(folder: Path, name: str) -> Path | None:
    """The picture of that name, with or without suffix and folders."""
    parts = [part for part in PurePath(name.replace("\\", "/")).parts if part not in ("..", ".", "/")]
    for rest in (parts, parts[-1:]):
        path = folder.joinpath(*rest)
        if rest and path.suffix.lower() not in PICTURE_SUFFIXES:
            path = picture_called(path)
        if rest and os.path.isfile(path):
            return path
    return None


def _folder_of(names: Sequence[str], folders: Sequence[Path]) -> Path:
    return next((folder for name in names for folder in folders if _picture(folder, name)), folders[0])


def _places(folder: Path, split: str) -> list[Path]:
    """Where the pictures of a table in this folder may be."""
    found = []
    for above in (folder, folder.parent):
        found += [above / "images" / split, above / split, above / split / "images", above / "images", above]
        found += [above / "JPEGImages", above / "data" / split]
    return list(dict.fromkeys(found))


# ---------------------------------------------------------------------------------------------------- CSV


def table_columns(header: Sequence[str]) -> dict[str, int] | None:
    """Where a table has the columns that are needed and those of use; None where some are missing."""
    there = {name.strip().lower(): place for place, name in reversed(list(enumerate(header)))}
    columns = {
        key: next((there[word] for word in words if word in there), None) for key, words in {**_WORDS, **_MORE}.items()
    }
    if any(columns[key] is None for key in _WORDS):
        return None
    return {key: place for key, place in columns.items() if place is not None}


def read_table(path: Path) -> Iterator[BoxRow]:
    """The boxes of a table with the columns image, xmin, ymin, xmax, ymax, class, by these or usual other names, in any
    order, and width, height, split where it has them; without a line of names `image,x1,y1,x2,y2,class`. Commas,
    semicolons or tabs part them. A row with empty coordinates is a picture without objects. Raises DatasetError with
    the line that is malformed."""
    lines = read_lines(path, DatasetError, "a table of boxes (CSV)", MAX_CSV_BYTES)
    try:
        between = _separator(lines[0] if lines else "")
        rows = csv.reader(lines, delimiter=between)
        header = next(rows, [])
        columns = table_columns(header)
        if columns is None and len(header) == 6 and _corners(header[1:5]) is not None:
            columns = {key: place for place, key in enumerate(_WORDS)}
            rows = csv.reader(lines, delimiter=between)
        if columns is None:
            raise DatasetError(f"{path}:1: expected the columns {','.join(_WORDS)}, found {shown(','.join(header))}")
        for row in rows:
            if row:
                yield _row(row, columns, f"{path}:{rows.line_num}")
    except csv.Error as cause:
        raise DatasetError(f"{path}: expected a table of boxes (CSV): {cause}") from None


def _separator(line: str) -> str:
    """What stands between columns: a comma; a semicolon where spreadsheets of half of the world write one; a tab."""
    return max(",;\t", key=line.count)


def _row(row: Sequence[str], columns: Mapping[str, int], where: str) -> BoxRow:
    if len(row) <= max(columns.values()):
        raise DatasetError(f"{where}: expected {max(columns.values()) + 1} columns, found {len(row)}")
    texts = [row[columns[key]].strip() for key in ("xmin", "ymin", "xmax", "ymax")]
    split = row[columns["split"]].strip() if "split" in columns else ""
    size = None
    if "width" in columns and "height" in columns:
        sides = _corners([row[columns["width"]], row[columns["height"]]])
        size = (int(sides[0]), int(sides[1])) if sides and min(sides) >= 1 else None
    image = row[columns["image"]].strip()
    if not any(texts):
        return BoxRow(image, "", (0, 0, 0, 0), size=size, split=split)
    corners, name = _corners(texts), row[columns["class"]].strip()
    if corners is None or not image or not name:
        raise DatasetError(
            f"{where}: expected xmin, ymin, xmax, ymax in pixels and a class, found {shown(','.join(row))}"
        )
    return BoxRow(image, name, (corners[0], corners[1], corners[2], corners[3]), size=size, split=split)


def _corners(texts: Sequence[str]) -> tuple[float, ...] | None:
    try:
        values = tuple(map(float, texts))
    except ValueError:
        return None
    return values if all(abs(value) < _MOST_PIXELS for value in values) else None


def claims(path: Path) -> str | None:
    """Why a file or folder is of this kind; None where it is not."""
    if path.is_file():
        return "a CSV file" if path.suffix.lower() == ".csv" else None
    files = _tables(path)
    return f"there is {', '.join(str(file.relative_to(path)) for file in files[:3])}" if files else None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The table; of a folder the one for the split; of a table with a column split those rows. Raises DatasetError."""

    def read(file: Path) -> tuple[list[BoxRow], tuple[str, ...]]:
        return list(read_table(file)), names_in(file.parent) or ()

    return open_rows(path, _tables(path) if path.is_dir() else [path], wanted, read)


def open_rows(
    path: Path, files: Sequence[Path], wanted: Wanted, read: Callable[[Path], tuple[list[BoxRow], tuple[str, ...]]]
) -> Dataset:
    """Of several files the one for the split; of one file with splits those rows. `read` gives a file's rows and names;
    without names the classes are those that occur, by the alphabet. Raises DatasetError."""
    of_name = one_a_part(path, ((_part_of(file, path), file) for file in files))
    splits = {name: file for name, file in of_name.items() if split_word(name)}
    chosen = ""
    if len(of_name) > 1:
        chosen = pick_split(wanted.split, splits, USUAL_SPLITS, str(path))
        file = of_name[chosen]
    else:
        (file,) = of_name.values()
    rows, own = read(file)
    names = wanted.names or own or tuple(sorted({row.name for row in rows if row.name}))
    inner = sorted({row.split for row in rows if row.split})
    if inner and not chosen:
        chosen = pick_split(wanted.split, inner, USUAL_SPLITS, str(file))
        rows = [row for row in rows if row.split == chosen]
    elif splits and not chosen:
        chosen = pick_split(wanted.split, splits, USUAL_SPLITS, str(path))
    elif wanted.split is not None and not chosen:
        pick_split(wanted.split, (), (), str(path))
    folders = [wanted.pictures] if wanted.pictures else _places(file.parent.absolute(), chosen or file.stem)
    title = file.stem if chosen in ("", file.stem) else f"{file.stem if inner else path.name} ({chosen})"
    dataset = BoxTable(title, rows, names, folders)
    dataset.split, dataset.splits = chosen, tuple(inner or splits)
    return dataset


def _part_of(file: Path, path: Path) -> str:
    """The part that a file's name says, else its folder's below `path` (Roboflow's train/_annotations.csv), else its
    name."""
    of_folder = file.parent != path and split_word(file.parent.name) and not split_word(file.stem)
    return file.parent.name if of_folder else file.stem


def _tables(folder: Path) -> list[Path]:
    """The tables of boxes in a folder and in those of its parts."""
    places = [folder, *(part for part in subfolders(folder) if split_word(part.name))]
    return [file for place in places for file in sorted(place.glob("*.csv")) if _is_table(file)]


def _is_table(path: Path) -> bool:
    header = _header(path)
    return table_columns(header) is not None and not set(_OPEN_IMAGES) <= set(header)


def _header(path: Path) -> list[str]:
    try:
        with open(path, encoding="utf-8-sig", errors="replace", newline="") as file:
            line = file.readline(4096)
            return next(csv.reader([line], delimiter=_separator(line)), [])
    except (OSError, csv.Error):
        return []


# --------------------------------------------------------------------------------------------- Open Images


def claims_open_images(path: Path) -> str | None:
    """Why a file or folder is of this kind; None where it is not."""
    if path.is_file():
        return "a CSV file of Open Images' columns" if set(_OPEN_IMAGES) <= set(_header(path)) else None
    files = _open_images_files(path)
    return f"there is {', '.join(file.name for _, file in files[:3])}" if files else None


def open_open_images(path: Path, wanted: Wanted) -> Dataset:
    """The boxes of one split, pictures in `images/SPLIT` or `SPLIT`. Classes are those with which something is
    annotated in any split, in the order of class-descriptions and by its names; groups count as crowds. Raises
    DatasetError."""
    files = {_split_of(path): path} if path.is_file() else one_a_part(path, _open_images_files(path))
    chosen = pick_split(wanted.split, files, USUAL_SPLITS, str(path))
    file = files[chosen]
    described = _descriptions(file.parent) or _descriptions(file.parent.parent)
    rows = list(_open_images_rows(file, described))
    names = wanted.names
    if names is None:
        used = {row.name for row in rows}
        used |= {row.name for other in files.values() if other != file for row in _open_images_rows(other, described)}
        order = {name: place for place, name in enumerate(described.values())}
        names = tuple(sorted(used, key=lambda name: (order.get(name, len(order)), name)))
    folders = [wanted.pictures] if wanted.pictures else _places(file.parent.absolute(), chosen)
    dataset = BoxTable(f"{path.stem} ({chosen})", rows, names, folders, fractions=True)
    dataset.split, dataset.splits = chosen, tuple(files)
    return dataset


def _open_images_rows(path: Path, described: Mapping[str, str]) -> Iterator[BoxRow]:
    lines = read_lines(path, DatasetError, "Open Images' boxes (CSV)", MAX_CSV_BYTES)
    rows = csv.reader(lines)
    header = next(rows, [])
    image, label, *sides = (header.index(key) for key in _OPEN_IMAGES)
    group = header.index("IsGroupOf") if "IsGroupOf" in header else None
    for row in rows:
        corners = _corners([row[side] for side in sides]) if len(row) == len(header) else None
        if corners is None:
            raise DatasetError(f"{path}:{rows.line_num}: expected {len(header)} columns with XMin, XMax, YMin, YMax")
        x1, x2, y1, y2 = corners
        crowd = group is not None and row[group].strip() == "1"
        yield BoxRow(row[image], described.get(row[label], row[label]), (x1, y1, x2, y2), crowd)


def _descriptions(folder: Path) -> dict[str, str]:
    """The names of labels such as /m/01g317."""
    for file in sorted(folder.glob("*class-descriptions*.csv")):
        rows = csv.reader(read_lines(file, DatasetError, "descriptions of classes (CSV)", MAX_CSV_BYTES))
        return {row[0]: row[1] for row in rows if len(row) == 2 and row[0] != "LabelName"}
    return {}


def _split_of(path: Path) -> str:
    return path.name.removesuffix(_BBOX).rpartition("-")[2] if path.name.endswith(_BBOX) else path.stem


def _open_images_files(folder: Path) -> list[tuple[str, Path]]:
    for place in (folder, folder / "annotations", folder / "boxes"):
        files = [file for file in sorted(place.glob("*.csv")) if set(_OPEN_IMAGES) <= set(_header(file))]
        if files:
            return [(_split_of(file), file) for file in files]
    return []


LAYOUTS = {
    "open-images": Layout("Open Images' CSV", 0, claims_open_images, open_open_images, pictures=True),
    "csv": Layout("a table of boxes (CSV)", 2, claims, open_layout, pictures=True),
}
"""See `datasets.base.Layout`."""
