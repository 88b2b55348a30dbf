"""Darknet's own data sets: a list of pictures, the labels in files beside them or in the paths, and `.data` files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from darknet_compat.datasets.base import (
    Dataset,
    Labels,
    Layout,
    MissingPictureError,
    Refusal,
    Repair,
    Repairs,
    Rows,
    Sample,
    Wanted,
)
from darknet_compat.datasets.files import Lines, pick_split
from darknet_compat.datasets.options import LabelRule
from darknet_compat.datasets.readers.labelfile import (
    label_path,
    label_places,
    plain_labels,
    plain_rows,
    read_labels,
    read_with_rule,
)
from darknet_compat.errors import DatasetError
from darknet_compat.formats.cfg import SectionOptions
from darknet_compat.formats.metadata import read_data, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import plain, read_lines, shown
from darknet_compat.formats.words import Task

__all__ = ["PictureList", "label_path", "read_data_file", "read_labels"]

MAX_PICTURE_LIST_BYTES = 1 << 30
"""ImageNet's 14 million pictures need about 0.8 GB."""

_NOT_LISTS = (
    *(".names", ".labels", ".cfg", ".weights", ".tree", ".map", ".onnx", ".engine"),
    *(".data", ".xml", ".json", ".csv", ".yaml", ".yml", ".py", ".md", ".zip"),
)
"""What a list of pictures is not called."""

_DEEPEST = 12
"""Folders of a path that are tried without those before them."""


class ListedFile(NamedTuple):
    """A file of a list: the folder from which it was found, and the path from there."""

    root: str
    rest: str

    @property
    def path(self) -> str:
        """Both."""
        return os.path.join(self.root, self.rest)


class Locator:
    """Finds the files that a list names: from the working directory, as the original does; from the list's folder; and
    where they are in neither, under the end of their path in the list's folder or the one above it, since lists are
    moved, come from Windows, or are unpacked elsewhere than their tool thought (CVAT's `data/…`, Roboflow's `../…`).
    """

    def __init__(self, folder: Path, *roots: Path) -> None:
        self._folder = str(folder.absolute())
        self._first = [*map(str, roots), self._folder]
        self._last: tuple[str, int] | None = None

    def find(self, text: str) -> ListedFile | None:
        """Where the file is; None where there is none."""
        for root in self._first:
            if os.path.isfile(os.path.join(root, text)):
                return ListedFile(root, text)
        parts = [part for part in PurePosixPath(text.replace("\\", "/")).parts if part not in (".", "/")]
        if parts and parts[0].endswith(":"):
            del parts[0]
        roots = (self._folder, os.path.dirname(self._folder))
        tries = [(root, drop) for drop in range(min(len(parts), _DEEPEST)) for root in roots]
        for root, drop in [*([self._last] if self._last else []), *tries]:
            rest = parts[drop:]
            if rest and ".." not in rest and os.path.isfile(os.path.join(root, *rest)):
                self._last = root, drop
                return ListedFile(root, "/".join(rest))
        return None

    def otherwise(self, text: str) -> ListedFile:
        """Where the original would look for what is nowhere."""
        return ListedFile(self._first[0], text)


class PictureList(Dataset):
    """A list of pictures, one path a line; blanks at the ends and empty lines do not count.

    A relative path is looked for from the working directory, as in the original, then as `Locator` does. Labels are
    where the original looks for them; where it has none, where the fork does, or with `beside` the other way about
    (`label_places`). Without `names` any class is accepted. With `strings`, one a class, the label of a picture is the
    one of them that occurs in its path as the list has it (original: `fill_truth`), otherwise labels are read by the
    rule `labels`.
    """

    is_numbered = True
    has_one_place = True
    """Whether labels that are not where the original looks first are worth a word."""
    keypoints = False
    """Whether points follow the box on each line."""

    def __init__(
        self,
        path: str | Path,
        names: Sequence[str] = (),
        *,
        strings: Sequence[str] | None = None,
        title: str = "",
        labels: LabelRule = "clip",
        pictures: Sequence[str] | None = None,
        beside: bool = False,
    ) -> None:
        self.path = Path(path)
        self.title = title or self.path.name
        self.names = tuple(names)
        self.strings = None if strings is None else tuple(strings)
        self.rule = labels
        self.beside = beside
        if pictures is None:
            pictures = read_lines(path, DatasetError, "a list of pictures", MAX_PICTURE_LIST_BYTES)
            self._numbers = np.array([n for n, line in enumerate(pictures, start=1) if line.strip()], np.int64)
            pictures = [line.strip() for line in pictures if line.strip()]
            if not pictures:
                raise DatasetError(f"{path}: expected one picture a line, found an empty file")
            self._locator = Locator(self.path.absolute().parent, Path.cwd())
        else:
            self._numbers = np.arange(1, len(pictures) + 1)
            self._locator = Locator(self.path)
        self._pictures = Lines(pictures)

    def __len__(self) -> int:
        return len(self._pictures)

    def sample(self, index: int) -> Sample:
        """Picture number `index`. Raises DatasetError for malformed labels, or labels and a picture that are not
        there."""
        text = self._pictures[index]
        found = self._locator.find(text)
        located = found or self._locator.otherwise(text)
        picture = Path(located.path)
        if self.strings is not None:
            return Sample(picture.stem, picture, self._class_in(text, index))
        place, is_beside = self._label_file(located)
        if place is None:
            self._expect_no_labels(index, found)
            return Sample(picture.stem, picture, Labels.drawn([], []), (("no labels", 1),))
        labels, repairs = read_with_rule(place, len(self.names) or None, self.rule, keypoints=self.keypoints)
        beside: Repairs = (("beside", 1),) if is_beside else ()
        return Sample(picture.stem, picture, labels, beside + repairs)

    def place(self, index: int) -> str:
        """The line that is not as it should be, else the picture's name."""
        found = self._locator.find(self._pictures[index])
        place = self._label_file(found)[0] if found else None
        if place is not None:
            try:
                read_labels(place, len(self.names) or None)
            except DatasetError as error:
                return str(error)
        return self.sample(index).id

    def has_label_file(self, index: int) -> bool:
        """Whether there is a file of labels for picture number `index`."""
        found = self._locator.find(self._pictures[index])
        return found is not None and self._label_file(found)[0] is not None

    def rows(self, start: int, stop: int) -> Rows:
        """As `Dataset.rows`; files in which nothing is out of the ordinary are read many at a time."""
        if self.strings is not None:
            return super().rows(start, stop)
        paths, counts, fields, slow, repairs = [], [], [], [], list[tuple[int, Repair, int]]()
        for index in range(start, stop):
            found = self._locator.find(self._pictures[index])
            data, is_beside = _read_first(self._label_places(found)) if found else (None, False)
            rows = None if data is None else plain_rows(data)
            paths.append(found.path if found else "")
            counts.append(0 if rows is None else len(rows) // 5)
            if rows is None:
                slow.append(index)
            else:
                fields += rows
                if is_beside and self.has_one_place:
                    repairs.append((index, "beside", 1))
        labels = plain_labels(fields)
        pictures = np.repeat(np.arange(stop - start), counts)
        wrong = (labels.boxes > 1).any(axis=1) | (labels.classes >= (len(self.names) or 1 << 62))
        again = sorted({*slow, *(pictures[wrong] + start).tolist()})
        return self._mended(Rows(start, paths, pictures, labels, repairs, []), again)

    def _mended(self, rows: Rows, again: Sequence[int]) -> Rows:
        """The rows with those of the pictures `again` read one by one."""
        if not again:
            return rows
        parts, numbers, refusals = [], [], list[Refusal]()
        repairs = [row for row in rows.repairs if row[0] not in set(again)]
        for index in again:
            single = super().rows(index, index + 1)
            rows.paths[index - rows.start] = single.paths[0]
            parts.append(single.labels)
            numbers += [index - rows.start] * len(single.labels)
            repairs += single.repairs
            refusals += single.refusals
        kept = ~np.isin(rows.pictures, np.array(again) - rows.start)
        pictures = np.concatenate([rows.pictures[kept], np.array(numbers, np.int64)])
        order = np.argsort(pictures, kind="stable")
        labels = Labels.joined([rows.labels.chosen(kept), *parts]).chosen(order)
        return Rows(rows.start, rows.paths, pictures[order], labels, repairs, refusals)

    def _label_places(self, picture: ListedFile) -> tuple[str, ...]:
        """Where a picture's labels may be. Nothing is replaced in the folders before the list's own path: what they are
        called says nothing of the data."""
        return tuple(os.path.join(picture.root, place) for place in label_places(picture.rest, self.beside))

    def _label_file(self, picture: ListedFile) -> tuple[str | None, bool]:
        """Where a picture's labels are, and whether that is not where they are looked for first."""
        places = self._label_places(picture)
        found = next((place for place in places if os.path.exists(place)), None)
        return found, found is not None and found != places[0] and self.has_one_place

    def _expect_no_labels(self, index: int, found: ListedFile | None) -> None:
        where, text = f"{self.path}:{self._numbers[index]}", self._pictures[index]
        if found is None:
            raise MissingPictureError(f"{where}: expected a picture, found no file {shown(text, 200)}")
        if self.rule == "strict":
            raise DatasetError(
                f"{where}: there is no {plain(self._label_places(found)[0], 400)}; a picture without objects needs an"
                " empty file there (--labels strict)"
            )

    def _class_in(self, text: str, index: int) -> Labels:
        strings = self.strings or ()
        found = [number for number, string in enumerate(strings) if string in text]
        if len(found) == 1:
            return Labels.whole_picture(found[0])
        if not found and len(strings) == 1:  # one class, and this picture is not of it
            return Labels.drawn([], [])
        several = " and ".join(shown(strings[number], 30) for number in found[:3])
        raise DatasetError(
            f"{self.path}:{self._numbers[index]}: expected one label string in the path {shown(text, 100)}, found"
            f" {several or 'none'}"
        )


def _read_first(places: Sequence[str]) -> tuple[bytes | None, bool]:
    """The first of the files that is there, and whether it is not the first of the places."""
    for place in places:
        try:
            with open(place, "rb", buffering=0) as file:
                return file.read(1 << 16), place != places[0]
        except (OSError, ValueError):
            continue
    return None, False


def read_data_file(
    path: str | Path,
    *,
    names: Sequence[str] | None = None,
    split: str | None = None,
    task: Task | None = None,
    labels: LabelRule = "clip",
    beside: bool = False,
) -> PictureList:
    """The list that a `.data` file gives for `split`: "train" (unless asked otherwise), "valid" or another of its keys.

    Files are looked for from the working directory, as in the original, then as `Locator` does from the `.data` file's
    folder and, if that is called `cfg`, the one above it; names and labels also among those of this package. `classes`
    cuts lists that are longer. Without `task` a `.data` with `labels=` is one for classification, unless its first
    picture has a file of labels beside it (`combine9k.data` is for detection). Raises DatasetError or MetadataError.
    """
    section = read_data(path)
    options = SectionOptions(section, str(path))
    there = [key for key in ("train", "valid", "val", "test") if key in section.counting]
    chosen = pick_split(split, there, ("train",), str(path))
    picture_list = _named(path, options, chosen)
    count = options.integer("classes", 0, minimum=1, maximum=1_000_000) if options.has("classes") else None
    strings = _cut(read_names(_named(path, options, "labels")), count, path) if options.has("labels") else None
    if names is None:
        if options.has("names"):
            names = _cut(read_names(_named(path, options, "names")), count, path)
        else:
            names = strings or tuple(str(number) for number in range(count or 0))
    title = f"{Path(path).stem} ({chosen})"
    drawn = PictureList(picture_list, names, title=title, labels=labels, beside=beside)
    drawn.split, drawn.splits = chosen, tuple(there)
    if strings is None or task == "detect" or (task is None and drawn.has_label_file(0)):
        if task == "classify":
            raise DatasetError(f"{path}: classification needs labels=, a file with one label string a class")
        return drawn
    if len(names) != len(strings):
        raise DatasetError(f"{path}: expected as many names as labels ({len(strings)}), found {len(names)}")
    pictures = PictureList(picture_list, names, strings=strings, title=title)
    pictures.split, pictures.splits = chosen, tuple(there)
    return pictures


def _named(path: str | Path, options: SectionOptions, key: str) -> Path:
    """The file that an option of a `.data` file names."""
    value = options.text(key)
    folder = Path(path).absolute().parent
    roots = [Path.cwd(), *([folder.parent] if folder.name == "cfg" else [])]
    if key in ("names", "labels"):
        roots.append(cfg_dir())
    found = Locator(folder, *roots).find(value)
    if found is None:
        raise DatasetError(f"{options.where(key)} {key}: there is no {shown(value, 200)}")
    return Path(found.path)


def _cut(names: tuple[str, ...], classes: int | None, path: str | Path) -> tuple[str, ...]:
    if classes is not None and len(names) < classes:
        raise DatasetError(f"{path}: classes={classes}, but there are only {len(names)} names")
    return names[:classes]


# ------------------------------------------------------------------------------------------- the recogniser


def claims(path: Path) -> str | None:
    """Why a file or folder is of this kind; None where it is not."""
    if path.is_file():
        return "a .data file" if path.suffix.lower() == ".data" else None
    files = _data_files(path)
    return f"there is {', '.join(str(file.relative_to(path)) for file in files[:3])}" if files else None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The `.data` file, or the one in a folder. Raises DatasetError, MetadataError."""
    files = [path] if path.is_file() else _data_files(path)
    if len(files) > 1:
        raise DatasetError(
            f"{path}: which of {', '.join(str(file.relative_to(path)) for file in files[:6])}? give that"
        )
    return read_data_file(
        files[0],
        names=wanted.names,
        split=wanted.split,
        task=wanted.task,
        labels=wanted.labels,
        beside=wanted.beside,
    )


def claims_list(path: Path) -> str | None:
    """Why a file is a list of pictures; None where it is not: any file of text of no other kind's suffix."""
    if not path.is_file():
        return None
    return None if path.suffix.lower() in _NOT_LISTS else f"a file of lines ({path.suffix or path.name})"


def open_list(path: Path, wanted: Wanted) -> Dataset:
    """The list. Raises DatasetError."""
    return PictureList(path, wanted.names or (), labels=wanted.labels, beside=wanted.beside)


def _data_files(folder: Path) -> list[Path]:
    """The `.data` files of a folder, else those in the folders where the original and the fork keep them."""
    for place in (folder, folder / "data", folder / "cfg"):
        if files := sorted(place.glob("*.data")):
            return files
    return []


LAYOUTS = {
    "darknet": Layout("a .data of Darknet's (also CVAT's YOLO 1.1)", 0, claims, open_layout, rule=True),
    "list": Layout("a list of pictures", 3, claims_list, open_list, rule=True),
}
"""See `datasets.base.Layout`."""
