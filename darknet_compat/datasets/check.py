"""A look at labelled pictures before training on them: how much there is of what, and what is wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np

from darknet_compat.datasets.base import REPAIRS, CountProgress, Dataset, MissingPictureError, Repair, Rows
from darknet_compat.errors import ImageError
from darknet_compat.formats.arrays import Ints
from darknet_compat.formats.textfile import count
from darknet_compat.vision.image import decode

Wrong = Literal[
    "bad labels", "missing", "unreadable", "empty", "no area", "too small", "outside", "twice", "repeated", "other size"
]
FindingKind = Wrong | Repair
KINDS: dict[FindingKind, str] = {
    "bad labels": "pictures whose labels cannot be used",
    "missing": "pictures that are not there",
    "unreadable": "pictures that cannot be read",
    "other size": "pictures of another size than their annotation says",
    "repeated": "pictures that are listed more than once",
    "empty": "pictures without objects",
    "no area": "boxes without area",
    "too small": "boxes below a thousandth of the picture's side, which training leaves out",
    "outside": "boxes that reach out of the picture by more than a hundredth",
    "twice": "boxes that are there twice in a picture",
    "no labels": REPAIRS["no labels"],
    "left out": REPAIRS["left out"],
    "clipped": REPAIRS["clipped"],
    "turned": REPAIRS["turned"],
    "polygons": REPAIRS["polygons"],
    "beside": REPAIRS["beside"],
}
"""What is looked for, the worst first, and what readers do to labels."""

WRONG: tuple[FindingKind, ...] = ("bad labels", "missing", "unreadable")
"""What makes training refuse to start: malformed labels, pictures that are missing or cannot be read."""

SMALLEST = 0.001
"""Of the picture's side; below it the original leaves a box out (`fill_truth_detection`)."""

_OUTSIDE = 0.01
_WITH_PLACE = ("clipped", "left out")
_EXAMPLES = 5
_PER_CORE = 2
_AT_ONCE = 4096
"""Pictures whose labels are looked at together."""


@dataclass(frozen=True)
class Finding:
    """How often something was found, and the first few places."""

    count: int
    examples: tuple[str, ...]


@dataclass(frozen=True)
class Report:
    """What is in a data set. `objects` and `pictures_with` have one entry a class (none beyond the largest that occurs,
    where the classes have no names); `findings` what is worth a look. Objects that are `difficult` or a `crowd` count
    among the objects, `whole_pictures` are labels without a box."""

    title: str
    names: tuple[str, ...]
    pictures: int
    objects: tuple[int, ...]
    pictures_with: tuple[int, ...]
    whole_pictures: int
    difficult: int
    crowd: int
    findings: dict[FindingKind, Finding]
    decoded: bool
    hint: str = ""
    """What to do where no picture is there."""

    @property
    def never_seen(self) -> tuple[str, ...]:
        """The classes of which there is nothing."""
        return tuple(name for name, count in zip(self.names, self.objects, strict=True) if not count)

    @property
    def boxes(self) -> int:
        """How many objects have a box."""
        return sum(self.objects) - self.whole_pictures

    @property
    def highest(self) -> int:
        """The highest class that occurs; -1 where nothing does."""
        return max((number for number, count in enumerate(self.objects) if count), default=-1)

    @property
    def wrong(self) -> int:
        """How many pictures cannot be used."""
        return sum(self.findings[kind].count for kind in WRONG if kind in self.findings)

    @property
    def refusal(self) -> str:
        """Why it cannot be used, in words; empty where it can."""
        if not self.wrong:
            return ""
        if (missing := self.findings.get("missing")) is not None and missing.count >= self.pictures:
            return f"none of its {self.pictures:,} pictures is there{self.hint}"
        return f"{count(self.wrong, 'picture')} of {self.pictures:,} cannot be used"

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "title": self.title,
            "pictures": self.pictures,
            "objects": sum(self.objects),
            "classes": [
                {"class": name, "objects": objects, "pictures": pictures}
                for name, objects, pictures in zip(self.names, self.objects, self.pictures_with, strict=True)
            ],
            "never_seen": list(self.never_seen),
            "without_box": self.whole_pictures,
            "difficult": self.difficult,
            "crowd": self.crowd,
            "decoded": self.decoded,
            "findings": {
                kind: {"count": one.count, "examples": list(one.examples)} for kind, one in self.findings.items()
            },
        }


class _Tally:
    """Counts, and what was found."""

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self.objects, self.pictures_with = Counter[int](), Counter[int]()
        self.difficult = self.crowd = self.whole = 0
        self.counts, self.examples = Counter[FindingKind](), dict[FindingKind, list[str]]()
        self.hashes: list[Ints] = []

    def find(self, kind: FindingKind, place: str | Callable[[], str], times: int = 1) -> None:
        """Note that something was found somewhere; where exactly is only asked for the first few."""
        self.counts[kind] += times
        examples = self.examples.setdefault(kind, [])
        if (room := _EXAMPLES - len(examples)) > 0:
            examples += [place if isinstance(place, str) else place()] * min(times, room)

    def take(self, rows: Rows) -> None:
        """Count what these pictures' labels say, and look for what is wrong with them."""
        labels = rows.labels
        self.objects.update(labels.classes.tolist())
        self.pictures_with.update(np.unique(np.stack([rows.pictures, labels.classes]), axis=1)[1].tolist())
        self.difficult += int(labels.difficult.sum())
        self.crowd += int(labels.crowd.sum())
        self.whole += int((~labels.is_drawn).sum())
        refused = {index for index, _ in rows.refusals}
        for _, error in rows.refusals:
            missing = isinstance(error, MissingPictureError)
            kind: FindingKind = (
                "missing" if missing else "unreadable" if isinstance(error, ImageError) else "bad labels"
            )
            self.find(kind, str(error))
        empty = np.bincount(rows.pictures, minlength=len(rows.paths)) == 0
        for index in np.flatnonzero(empty).tolist():
            if rows.start + index not in refused:
                self.find("empty", partial(self._id, rows.start + index))
        for found, pictures in _box_findings(rows):
            for index, times in zip(*np.unique(pictures, return_counts=True), strict=True):
                self.find(found, partial(self._id, rows.start + int(index)), int(times))
        for index, repair, times in rows.repairs:
            self.counts[repair] += times - 1
            self.find(repair, partial(self.dataset.place if repair in _WITH_PLACE else self._id, index))
        for path in rows.paths:
            if path and not os.path.isfile(path):
                self.find("missing", path)
        self.hashes.append(np.array([hash(path) if path else 0 for path in rows.paths], np.int64))

    def find_repeated(self) -> None:
        """Look for pictures that are there more than once."""
        hashes = np.concatenate([np.empty(0, np.int64), *self.hashes])
        order = np.argsort(hashes, kind="stable")
        again = order[1:][(hashes[order][1:] == hashes[order][:-1]) & (hashes[order][1:] != 0)]
        for index in np.sort(again).tolist():
            self.find("repeated", partial(self._path, index))

    def report(self, decoded: bool) -> Report:
        """All of it."""
        dataset = self.dataset
        names = dataset.names or tuple(str(number) for number in range(max(self.objects, default=-1) + 1))
        return Report(
            title=dataset.title,
            names=names,
            pictures=len(dataset),
            objects=tuple(self.objects[number] for number in range(len(names))),
            pictures_with=tuple(self.pictures_with[number] for number in range(len(names))),
            whole_pictures=self.whole,
            difficult=self.difficult,
            crowd=self.crowd,
            findings={
                kind: Finding(self.counts[kind], tuple(self.examples[kind])) for kind in KINDS if self.counts[kind]
            },
            decoded=decoded,
            hint="; --pictures names their folder" if dataset.asks_for_pictures else "",
        )

    def _id(self, index: int) -> str:
        return self.dataset[index].id

    def _path(self, index: int) -> str:
        return str(self.dataset[index].image)


def check_dataset(dataset: Dataset, *, decode_pictures: bool = False, progress: CountProgress | None = None) -> Report:
    """Look at every picture's labels, and with `decode_pictures` at the pictures too, several at a time.

    Nothing that is wrong with a picture or its labels is raised, it stands in the report. `progress` is called with
    (pictures done, all).
    """
    tally = _Tally(dataset)
    at_once = 1 if dataset.is_composed or len(dataset) < 256 else 64 if decode_pictures else _AT_ONCE
    for start in range(0, len(dataset), at_once):
        stop = min(start + at_once, len(dataset))
        rows = dataset.rows(start, stop)
        tally.take(rows)
        if decode_pictures:
            _look_at_pictures(tally, rows)
        if progress:
            progress(stop, len(dataset))
    tally.find_repeated()
    return tally.report(decode_pictures)


def _box_findings(rows: Rows) -> Iterator[tuple[FindingKind, Ints]]:
    """What is wrong with boxes, and for each such box its picture."""
    drawn = rows.labels.is_drawn
    pictures, boxes, classes = rows.pictures[drawn], rows.labels.boxes[drawn], rows.labels.classes[drawn]
    centres, sides = boxes[:, :2], boxes[:, 2:]
    least = sides.min(axis=1, initial=np.inf)
    yield "no area", pictures[least <= 0]
    yield "too small", pictures[(least > 0) & (least < SMALLEST)]
    beyond = np.maximum(sides / 2 - centres, centres + sides / 2 - 1).max(axis=1, initial=0)
    yield "outside", pictures[beyond > _OUTSIDE]
    table = np.column_stack([pictures, classes, boxes])
    table = table[np.lexsort(table.T[::-1])]
    yield "twice", table[1:][(table[1:] == table[:-1]).all(axis=1), 0].astype(np.int64)


def _look_at_pictures(tally: _Tally, rows: Rows) -> None:
    """Read the pictures, several at a time."""
    indices = [index for index, path in enumerate(rows.paths) if path and os.path.isfile(path)]
    with ThreadPoolExecutor(_PER_CORE * (os.cpu_count() or 1)) as pool:
        looks = pool.map(lambda index: _look_at(tally.dataset, rows.start + index, rows.paths[index]), indices)
        for kind, place in filter(None, looks):
            tally.find(kind, place)


def _look_at(dataset: Dataset, index: int, path: str) -> tuple[FindingKind, str] | None:
    try:
        height, width, _ = decode(path).shape
    except ImageError as error:
        return "unreadable", str(error)
    stated = dataset.size(index)
    if stated is None or stated == (width, height):
        return None
    return "other size", f"{dataset[index].id}: {stated[0]}x{stated[1]} said, {width}x{height} found"
