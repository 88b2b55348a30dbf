"""What a labelled picture is, and what a collection of them has to offer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np

from darknet_compat.datasets.options import LabelRule
from darknet_compat.errors import DatasetError, ImageError
from darknet_compat.formats.arrays import Bools, Bytes, Doubles, Ints
from darknet_compat.formats.textfile import count
from darknet_compat.formats.words import Task

Repair = Literal["no labels", "beside", "clipped", "left out", "polygons", "turned"]
REPAIRS: dict[Repair, str] = {
    "no labels": "pictures without a file of labels, taken for background",
    "beside": "pictures whose labels lie where only the other of original and fork looks",
    "clipped": "boxes that reached out of their picture, cut at its border",
    "left out": "labels that were left out: malformed, or outside of their picture",
    "polygons": "outlines of which the box around them was taken",
    "turned": "pictures that are turned by EXIF, labelled as they lie in the file: their boxes were turned along",
}
"""What readers do to labels, in words."""

Repairs = tuple[tuple[Repair, int], ...]


@dataclass(frozen=True)
class Wanted:
    """How a data set is to be read: the classes' `names` as the network has them, else its own; the `split`, else what
    one trains on; for what `task` where it serves two; the rule for `labels`; the folder of the `pictures` where its
    annotations do not say it right; whether Darknet's labels are looked for `beside` them first."""

    names: tuple[str, ...] | None = None
    split: str | None = None
    task: Task | None = None
    labels: LabelRule = "clip"
    pictures: Path | None = None
    beside: bool = False


class Layout(NamedTuple):
    """A way to lay a data set out, as its reader states it in `LAYOUTS`: what it is called; how specific its signs are,
    0 being the most; why a path is of this layout, None where it is not; the data set of it. `pictures`: its files have
    pictures' names only; `rule`: its labels are read by a LabelRule."""

    title: str
    rank: int
    claims: Callable[[Path], str | None]
    open: Callable[[Path, Wanted], Dataset]
    pictures: bool = False
    rule: bool = False


CountProgress = Callable[[int, int], None]
"""Called with (pictures done, all) while many are looked at."""


@dataclass(frozen=True, eq=False)
class Labels:
    """What is in one picture, one row an object.

    `boxes` float64 [N, 4]: centre x, centre y, width, height as fractions of the picture, as in Darknet's label files.
    A row of zeros is Darknet's own mark for a label of the whole picture: the class is in it, nobody drew where.
    `classes` int64 [N]: indices of the data set's names. `difficult` bool [N]: VOC's mark, counted neither way.
    `crowd` bool [N]: COCO's mark for a group of objects.
    """

    boxes: Doubles
    classes: Ints
    difficult: Bools
    crowd: Bools

    @classmethod
    def drawn(cls, boxes: Any, classes: Any, difficult: Any = None, crowd: Any = None) -> Labels:
        """Boxes as fractions with their classes; marks that are not given are False."""
        boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
        classes = np.asarray(classes, np.int64).reshape(-1)
        marks = [
            np.zeros(len(classes), bool) if mark is None else np.asarray(mark, bool).reshape(-1)
            for mark in (difficult, crowd)
        ]
        if {len(boxes), *map(len, marks)} != {len(classes)}:
            raise ValueError(f"expected as many boxes and marks as classes ({len(classes)}), found {len(boxes)} boxes")
        return cls(boxes, classes, *marks)

    @classmethod
    def from_corners(
        cls, corners: Any, size: tuple[int, int], classes: Any, difficult: Any = None, crowd: Any = None
    ) -> Labels:
        """The same from [N, 4] x1 y1 x2 y2 in pixels of a picture of `size` (width, height), x2 and y2 exclusive."""
        x1, y1, x2, y2 = np.asarray(corners, np.float64).reshape(-1, 4).T
        width, height = size
        boxes = np.stack([(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height], 1)
        return cls.drawn(boxes, classes, difficult, crowd)

    @classmethod
    def whole_picture(cls, class_id: int) -> Labels:
        """A label of the whole picture."""
        return cls.drawn(np.zeros((1, 4)), [class_id])

    @classmethod
    def joined(cls, parts: Sequence[Labels]) -> Labels:
        """The rows of several, in order."""
        if not parts:
            return cls.drawn([], [])
        return cls(
            np.concatenate([part.boxes for part in parts]),
            np.concatenate([part.classes for part in parts]),
            np.concatenate([part.difficult for part in parts]),
            np.concatenate([part.crowd for part in parts]),
        )

    def __len__(self) -> int:
        return len(self.classes)

    @property
    def is_drawn(self) -> Bools:
        """[N]: the rows that have a box."""
        drawn: Bools = np.logical_or.reduce(self.boxes != 0, axis=1)
        return drawn

    def chosen(self, rows: Bools | Ints) -> Labels:
        """The rows for which `rows` [N] is true, or of these numbers."""
        return Labels(self.boxes[rows], self.classes[rows], self.difficult[rows], self.crowd[rows])

    def corners(self, width: int, height: int) -> Doubles:
        """[N, 4] x1 y1 x2 y2 in pixels of a picture of `width` x `height`, x2 and y2 exclusive.

        Rounded to a millionth of a pixel: what was an integer in an annotation file is the same integer again.
        """
        x, y, w, h = self.boxes.T
        corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1) * [width, height, width, height]
        return np.round(corners, 6)


class Sample(NamedTuple):
    """One labelled picture: what results call it (a VOC id, a file's stem), what `vision.image.decode` reads (a path,
    or a composed picture, uint8 [H, W, 3] in BGR), what is in it, and how often the reader did what to its labels."""

    id: str
    image: Path | Bytes
    labels: Labels
    repairs: Repairs = ()


class MissingPictureError(DatasetError):
    """A picture is listed that is not there."""


class Refusal(NamedTuple):
    """The number of a picture whose labels cannot be used, and why."""

    picture: int
    error: DatasetError | ImageError


class Rows(NamedTuple):
    """The labels of the pictures `start` to `start` + N as columns.

    `paths` [N]: each picture's, "" for a composed one or where there is a refusal. `pictures` int64 [M]: of each object
    the picture, counted from 0. `labels` of all M objects. `repairs`: what was done to which picture's labels, and how
    often.
    """

    start: int
    paths: list[str]
    pictures: Ints
    labels: Labels
    repairs: list[tuple[int, Repair, int]]
    refusals: list[Refusal]


class Dataset(Sequence[Sample], ABC):
    """Labelled pictures in a fixed order. Labels are read when asked for: making one touches no picture.

    `title` is what people call it, `names` its classes. Safe to share between threads and processes.
    """

    title: str
    names: tuple[str, ...]
    is_composed = False
    """Whether pictures and labels are made on the fly, right by construction and slower than labels are read."""
    is_numbered = False
    """Whether labels are numbers of classes, which a list of names stands for, and not the names themselves."""
    made_of: Path | None = None
    """The file that pictures are composed from, where there is one."""
    split = ""
    splits: tuple[str, ...] = ()
    """Which part of several it is, and what parts there are."""
    notes: tuple[str, ...] = ()
    """What a person should know of how it was read."""
    asks_for_pictures = False
    """Whether it was read from a file of pictures' names, whose folder may have to be given."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def sample(self, index: int) -> Sample:
        """Picture number `index`, from 0. Raises DatasetError, naming file and line, for malformed labels."""

    def size(self, index: int) -> tuple[int, int] | None:
        """Width and height of picture number `index` as the annotations state them; None where they do not."""
        return None

    def place(self, index: int) -> str:
        """What a message calls picture number `index`, with what is wrong with its labels where it can be said."""
        return self.sample(index).id

    def rows(self, start: int, stop: int) -> Rows:
        """The labels of the pictures `start` to `stop` as columns; what `sample` raises stands in its refusals."""
        paths, parts, repairs, refusals = [], [], [], []
        for index in range(start, stop):
            try:
                sample = self.sample(index)
            except (DatasetError, ImageError) as error:
                refusals.append(Refusal(index, error))
                paths.append("")
                parts.append(Labels.drawn([], []))
                continue
            paths.append(str(sample.image) if isinstance(sample.image, Path) else "")
            parts.append(sample.labels)
            repairs += [(index, repair, count) for repair, count in sample.repairs]
        pictures = np.repeat(np.arange(stop - start), [len(part) for part in parts])
        return Rows(start, paths, pictures, Labels.joined(parts), repairs, refusals)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self.sample(number) for number in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(f"{self.title} has {count(len(self), 'picture')}, number {index} is not one of them")
        return self.sample(index % len(self))


class Joined(Dataset):
    """Several data sets with the same classes as one, in the order given (VOC 2007 and 2012, say).

    Raises DatasetError where their classes differ.
    """

    def __init__(self, parts: Sequence[Dataset], title: str | None = None) -> None:
        if not parts:
            raise DatasetError(f"{title or 'joined data sets'}: expected at least one")
        for part in parts[1:]:
            if part.names != parts[0].names:
                raise DatasetError(
                    f"{part.title}: its classes are not those of {parts[0].title}; give the names of both"
                )
        self.parts = tuple(parts)
        self.title = title or " + ".join(part.title for part in parts)
        self.names = parts[0].names
        self._ends = tuple(accumulate(len(part) for part in parts))

    def __len__(self) -> int:
        return self._ends[-1]

    def sample(self, index: int) -> Sample:
        """Picture number `index`, counted through all parts. Raises what the part's `sample` raises."""
        part, within = self._find(index)
        return part.sample(within)

    def size(self, index: int) -> tuple[int, int] | None:
        """What the part says."""
        part, within = self._find(index)
        return part.size(within)

    def _find(self, index: int) -> tuple[Dataset, int]:
        number = bisect_right(self._ends, index)
        return self.parts[number], index - (self._ends[number - 1] if number else 0)
