"""The pictures of a data set as they are scored: each once, with its labels, and a line for whatever is wrong with one.

The rules, so that a damaged data set never scores better than a whole one:

- a picture that is missing or cannot be read stays: its objects count as not found;
- one whose file is there under a name of other case is read, and said so;
- one that occurs again is left out: it counts once;
- one whose labels are malformed is left out, since nobody knows what is in it; what else was done to labels, and that
  pictures without any were taken for background (`datasets.options.LabelRule`), is said.

Pictures of the same name in different folders are told apart by their folders, in result files too.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from darknet_compat.datasets.base import REPAIRS, CountProgress, Dataset, Labels, Repair
from darknet_compat.datasets.readers.coco import CocoInstances
from darknet_compat.errors import DatasetError, ImageError
from darknet_compat.evaluation.material.coco_files import image_id
from darknet_compat.evaluation.material.columns import Truths
from darknet_compat.formats.arrays import Doubles, Ints
from darknet_compat.formats.textfile import count, shown

ProblemKind = Literal["missing", "unreadable", "case", "duplicate", "labels"]

RULES: dict[ProblemKind, str] = {
    "missing": "its objects count as not found",
    "unreadable": "its objects count as not found",
    "case": "read under that name",
    "duplicate": "counted once",
    "labels": "left out",
}
LOSING: tuple[ProblemKind, ...] = ("missing", "unreadable", "labels")
"""Those for which something cannot be scored as it should."""


@dataclass(frozen=True)
class Problem:
    """Something wrong with an entry of the data, counted from 1."""

    entry: int
    kind: ProblemKind
    message: str

    def __str__(self) -> str:
        return f"entry {self.entry}: {self.message}; {RULES[self.kind]}"


@dataclass(frozen=True)
class Composed:
    """A picture that is no file: its data set makes it anew whenever it is looked at, so that nobody holds them all."""

    dataset: Dataset
    number: int

    def __str__(self) -> str:
        return f"{self.dataset.title}, picture {self.number + 1}"

    def pixels(self) -> Any:
        """What `decode` reads."""
        return self.dataset[self.number].image


@dataclass(frozen=True, eq=False)
class Example:
    """A picture to be scored: what files call it, its number in the data set and in COCO's files, where it is, what is
    in it, its size (width, height) and its objects' areas where the annotations state them.

    Outside of COCO the `image_id` is the one that the original takes from the picture's name. Where these are not all
    different, since it is 0 for names without a number, it is the picture's place counted from 1.
    """

    id: str
    number: int
    image_id: int
    source: Path | Composed
    labels: Labels
    size: tuple[int, int] | None
    areas: Doubles | None

    @property
    def image(self) -> Any:
        """What `decode` reads: a path, or the pixels of a picture that has no file."""
        return self.source.pixels() if isinstance(self.source, Composed) else self.source


@dataclass(frozen=True, eq=False)
class Entries:
    """A data set's pictures in the order of their COCO numbers if it has such, else in its own. `notes` are what a
    person should know of how they were read."""

    title: str
    names: tuple[str, ...]
    rows: tuple[Example, ...]
    problems: tuple[Problem, ...] = ()
    category_ids: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def images(self, start: int = 0) -> Iterator[Any]:
        """What `decode` reads, one a picture, from row `start` on."""
        return (row.image for row in self.rows[start:])

    def expect_pictures(self) -> None:
        """Raise DatasetError where not one picture is there: one line, not one for each of them."""
        missing = sum(problem.kind == "missing" for problem in self.problems)
        if missing == len(self.rows):
            raise DatasetError(
                f"{self.title}: none of its {missing:,} pictures is there, not even {self.rows[0].source}; --pictures"
                " names their folder"
            )

    def expect_objects(self) -> None:
        """Raise DatasetError where there is nothing to find, so that no score is defined."""
        if not any(row.labels.is_drawn.any() for row in self.rows):
            raise DatasetError(
                f"{self.title}: there is no box in its {count(len(self.rows), 'picture')}, so nothing to score"
            )

    @property
    def ids(self) -> list[str]:
        """What result files call the pictures."""
        return [row.id for row in self.rows]

    def truths(self, sizes: Ints) -> Truths:
        """All objects, for pictures of `sizes` int64 [pictures, 2] (width, height)."""
        areas = None
        if any(row.areas is not None for row in self.rows):
            areas = [row.areas if row.areas is not None else np.zeros(len(row.labels)) for row in self.rows]
        return Truths.from_labels([row.labels for row in self.rows], map(tuple, sizes.tolist()), areas)

    def with_classes(self, names: Sequence[str], number_of: Ints) -> Entries:
        """The same with other classes: class k becomes `number_of`[k]."""
        rows = [
            replace(row, labels=replace(row.labels, classes=number_of[row.labels.classes])) if len(row.labels) else row
            for row in self.rows
        ]
        return replace(self, names=tuple(names), rows=tuple(rows))


def read_entries(dataset: Dataset, progress: CountProgress | None = None) -> Entries:
    """Every picture of a data set with its labels; `progress` is called with (pictures done, all).

    Raises DatasetError where nothing is left to score.
    """
    rows: list[Example] = []
    problems: list[Problem] = []
    repairs = Counter[Repair]()
    seen: dict[str, int] = {}
    for index in range(len(dataset)):
        if progress is not None:
            progress(index, len(dataset))
        try:
            sample = dataset[index]
            size = dataset.size(index)
        except (DatasetError, ImageError) as error:
            problems.append(Problem(index + 1, "labels", str(error)))
            continue
        source: Path | Composed = Composed(dataset, index)
        if isinstance(sample.image, Path):
            source, problem = _existing(sample.image, index + 1)
            problems += [problem] if problem else []
            key = os.path.realpath(source)
            if key in seen:
                problems.append(Problem(index + 1, "duplicate", f"{source} is entry {seen[key]}, too"))
                continue
            seen[key] = index + 1
        else:
            height, width = sample.image.shape[:2]
            size = width, height
        repairs.update(dict(sample.repairs))
        number, areas = _as_coco(dataset, index, sample.image)
        rows.append(Example(sample.id, index, number, source, sample.labels, size, areas))
    if not rows:
        first = f"; the first: {problems[0]}" if problems else ""
        raise DatasetError(f"{dataset.title}: no picture is left to be scored{first}")
    notes = [f"{REPAIRS[repair]}: {count:,}" for repair, count in repairs.items()]
    rows, shared = _told_apart(rows)
    if shared:
        notes.append(f"pictures that share their name with others, called by their folders too in results: {shared:,}")
    if len({row.image_id for row in rows}) < len(rows):
        rows = [replace(row, image_id=place) for place, row in enumerate(rows, start=1)]
    category_ids = None
    if isinstance(dataset, CocoInstances):
        rows.sort(key=lambda row: row.image_id)
        category_ids = dataset.category_ids
    return Entries(dataset.title, tuple(dataset.names), tuple(rows), tuple(problems), category_ids, tuple(notes))


def _told_apart(rows: list[Example]) -> tuple[list[Example], int]:
    """The entries with ids of their own, and how many had one that others have too."""
    often = Counter(row.id for row in rows)
    if len(often) == len(rows):
        return rows, 0
    folders = [str(row.source.parent) for row in rows if isinstance(row.source, Path)]
    above = os.path.commonpath(folders) if folders else ""
    apart = []
    for place, row in enumerate(rows, start=1):
        if often[row.id] > 1:
            own = f"{row.id}-{place}"
            if isinstance(row.source, Path):
                own = os.path.relpath(os.path.splitext(row.source)[0], above).replace(os.sep, "/")
            row = replace(row, id=own)
        apart.append(row)
    if len({row.id for row in apart}) < len(rows):  # a.jpg and a.png of one folder
        apart = [replace(row, id=f"{row.id}-{place}") for place, row in enumerate(apart, start=1)]
    return apart, sum(count for count in often.values() if count > 1)


def _existing(picture: Path, entry: int) -> tuple[Path, Problem | None]:
    """The picture's file, also under a name of other case."""
    if os.path.exists(picture):
        return picture, None
    try:
        alike = sorted(name for name in os.listdir(picture.parent) if name.casefold() == picture.name.casefold())
    except OSError:
        alike = []
    if alike:
        there = picture.with_name(alike[0])
        return there, Problem(entry, "case", f"there is no {picture}, but {shown(alike[0])}")
    return picture, Problem(entry, "missing", f"there is no {picture}")


def _as_coco(dataset: Dataset, index: int, image: Any) -> tuple[int, Doubles | None]:
    """The picture's number in COCO's files, and its objects' areas if they are stated."""
    if isinstance(dataset, CocoInstances):
        return dataset.image_ids[index], dataset.areas(index)
    return (image_id(image) if isinstance(image, Path) else index + 1), None
