"""A look at labelled pictures before training on them: how much there is of what, and what is wrong with it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from darknet_compat.datasets.base import Dataset, Labels, Progress, Sample
from darknet_compat.errors import DatasetError, ImageError
from darknet_compat.vision.image import decode

Kind = Literal[
    "bad labels", "missing", "unreadable", "empty", "no area", "too small", "outside", "twice", "repeated", "other size"
]
KINDS: dict[Kind, str] = {
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
}
"""What is looked for, the worst first."""

WRONG: tuple[Kind, ...] = ("bad labels", "missing", "unreadable")
"""What one should not train with: labels that are none end it, pictures that cannot be read are left out."""

SMALLEST = 0.001
"""Of the picture's side; below it the original leaves a box out (`fill_truth_detection`)."""

_OUTSIDE = 0.01
_EXAMPLES = 5
_PER_CORE = 2


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
    findings: dict[Kind, Finding]
    decoded: bool

    @property
    def never_seen(self) -> tuple[str, ...]:
        """The classes of which there is nothing."""
        return tuple(name for name, count in zip(self.names, self.objects, strict=True) if not count)

    @property
    def wrong(self) -> int:
        """How many pictures cannot be used."""
        return sum(self.findings[kind].count for kind in WRONG if kind in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "title": self.title,
            "pictures": self.pictures,
            "objects": sum(self.objects),
            "classes": [
                {"class": name, "objects": objects, "pictures": pictures}
                for name, objects, pictures in zip(self.names, self.objects, self.pictures_with, strict=True)
            ],
            "never_seen": list(self.never_seen),
            "whole_pictures": self.whole_pictures,
            "difficult": self.difficult,
            "crowd": self.crowd,
            "decoded": self.decoded,
            "findings": {
                kind: {"count": one.count, "examples": list(one.examples)} for kind, one in self.findings.items()
            },
        }


class _Look(NamedTuple):
    """What one picture showed: its labels, unless they are none; what was found, as often as it was."""

    labels: Labels | None
    found: list[tuple[Kind, str]]
    path: str = ""


def check_dataset(dataset: Dataset, *, decode_pictures: bool = False, progress: Progress | None = None) -> Report:
    """Look at every picture's labels, and with `decode_pictures` at the pictures too, several at a time.

    Nothing that is wrong with a picture or its labels is raised, it stands in the report. `progress` is called with
    (pictures done, all).
    """
    counts, pictures_with, marks = Counter[int](), Counter[int](), Counter[str]()
    found: dict[Kind, list[str]] = {}
    seen: set[str] = set()
    for done, look in enumerate(_looks(dataset, decode_pictures), start=1):
        if look.path and look.path in seen:
            look.found.append(("repeated", look.path))
        seen.add(look.path)
        for kind, place in look.found:
            found.setdefault(kind, []).append(place)
        if look.labels is not None:
            counts.update(look.labels.classes.tolist())
            pictures_with.update(set(look.labels.classes.tolist()))
            marks["difficult"] += int(look.labels.difficult.sum())
            marks["crowd"] += int(look.labels.crowd.sum())
            marks["whole"] += int((~look.labels.is_drawn).sum())
        if progress:
            progress(done, len(dataset))
    names = dataset.names or tuple(str(number) for number in range(max(counts, default=-1) + 1))
    return Report(
        title=dataset.title,
        names=names,
        pictures=len(dataset),
        objects=tuple(counts[number] for number in range(len(names))),
        pictures_with=tuple(pictures_with[number] for number in range(len(names))),
        whole_pictures=marks["whole"],
        difficult=marks["difficult"],
        crowd=marks["crowd"],
        findings={kind: Finding(len(found[kind]), tuple(found[kind][:_EXAMPLES])) for kind in KINDS if kind in found},
        decoded=decode_pictures,
    )


def _looks(dataset: Dataset, decode_pictures: bool) -> Iterator[_Look]:
    """A look at each picture, in order; threads only pay where pictures are decoded."""
    if not decode_pictures:
        yield from (_look(dataset, index, False) for index in range(len(dataset)))
        return
    workers = _PER_CORE * (os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        for start in range(0, len(dataset), 64 * workers):  # no more at once: looks wait in memory
            indices = range(start, min(start + 64 * workers, len(dataset)))
            yield from pool.map(lambda index: _look(dataset, index, True), indices)


def _look(dataset: Dataset, index: int, decode_picture: bool) -> _Look:
    try:
        sample = dataset[index]
    except DatasetError as error:
        return _Look(None, [("bad labels", str(error))])
    except ImageError as error:  # an annotation that does not say how large the picture is
        return _Look(None, [("unreadable", str(error))])
    found = [(kind, sample.id) for kind in _label_findings(sample.labels)]
    path = str(sample.image) if isinstance(sample.image, Path) else ""
    if path and not os.path.isfile(path):
        found.append(("missing", path))
    elif decode_picture:
        found += _picture_findings(dataset, index, sample)
    return _Look(sample.labels, found, path)


def _label_findings(labels: Labels) -> Iterator[Kind]:
    if not len(labels):
        yield "empty"
    drawn = labels.is_drawn
    boxes, classes = labels.boxes[drawn], labels.classes[drawn]
    centres, sides = boxes[:, :2], boxes[:, 2:]
    for side in sides.min(axis=1):
        if side <= 0:
            yield "no area"
        elif side < SMALLEST:
            yield "too small"
    beyond = np.maximum(sides / 2 - centres, centres + sides / 2 - 1).max(axis=1, initial=0)
    for _ in range(int((beyond > _OUTSIDE).sum())):
        yield "outside"
    rows = np.column_stack([boxes, classes])
    for _ in range(len(rows) - len(np.unique(rows, axis=0))):
        yield "twice"


def _picture_findings(dataset: Dataset, index: int, sample: Sample) -> list[tuple[Kind, str]]:
    try:
        height, width, _ = decode(sample.image).shape
    except ImageError as error:
        return [("unreadable", str(error))]
    stated = dataset.size(index)
    if stated is None or stated == (width, height):
        return []
    return [("other size", f"{sample.id}: {stated[0]}x{stated[1]} said, {width}x{height} found")]
