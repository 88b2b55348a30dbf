"""PASCAL VOC: average precision by class, and the result files that its server and the original exchange."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material.columns import Found, Truths, from_corners, to_corners
from darknet_compat.evaluation.scores.average_precision import Curve, Interpolation, average_precision, curve
from darknet_compat.evaluation.scores.matching import Outcome, Ranked, outcome_best, outcome_free, rank
from darknet_compat.formats.arrays import Bools, Ints
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.textfile import read_lines, shown

DifficultRule = Literal["best", "free"]

PREFIX = "comp4_det_test_"
"""What the original puts before a class's name in its result files."""

_RULES: dict[DifficultRule, Callable[[Ranked, Truths, float, Bools], Outcome]] = {
    "best": outcome_best,
    "free": outcome_free,
}


@dataclass(frozen=True, eq=False)
class ClassScore:
    """One class: average precision (None where there is nothing to find), the objects to find, the detections that
    counted, and the curve."""

    name: str
    average_precision: float | None
    positives: int
    detections: int
    curve: Curve


@dataclass(frozen=True, eq=False)
class VocScores:
    """All classes. `mean` is over those that have objects, None where no class has."""

    form: Interpolation
    least_overlap: float
    classes: tuple[ClassScore, ...]

    @property
    def mean(self) -> float | None:
        """Mean average precision."""
        known = [one.average_precision for one in self.classes if one.average_precision is not None]
        return float(np.mean(known)) if known else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        classes = [
            {"name": c.name, "ap": c.average_precision, "objects": c.positives, "detections": c.detections}
            for c in self.classes
        ]
        return {"form": self.form, "iou": self.least_overlap, "mean_ap": self.mean, "classes": classes}


def score(
    found: Found,
    truths: Truths,
    names: Sequence[str],
    *,
    form: Interpolation = "area",
    least_overlap: float = 0.5,
    rule: DifficultRule = "best",
) -> VocScores:
    """Average precision of each class; difficult objects and crowds count neither way.

    `rule` "best" is VOC's own, "free" COCO's; they differ only for a detection that overlaps two objects of its class.
    Boxes are taken as they are: see `as_scored` for what VOC makes of a detector's.
    """
    neither = truths.difficult | truths.crowd
    ranked = rank(found)
    return collect(
        ranked, _RULES[rule](ranked, truths, least_overlap, neither), truths, neither, names, form, least_overlap
    )


def collect(
    ranked: Ranked,
    outcome: Outcome,
    truths: Truths,
    ignored: Bools,
    names: Sequence[str],
    form: Interpolation,
    least_overlap: float,
) -> VocScores:
    """Each class's curve and average precision, from what became of each detection."""
    positives = np.bincount(truths.classes[~ignored], minlength=len(names))
    bounds = np.searchsorted(ranked.found.classes, np.arange(len(names) + 1))
    scores = []
    for number, name in enumerate(names):
        rows = slice(int(bounds[number]), int(bounds[number + 1]))
        points = curve(outcome.true[rows], outcome.ignored[rows], ranked.found.scores[rows], int(positives[number]))
        value = average_precision(points, form)
        scores.append(ClassScore(name, value, points.positives, len(points.scores), points))
    return VocScores(form, least_overlap, tuple(scores))


def as_scored(found: Found, sizes: Ints) -> Found:
    """A detector's boxes as VOC sees them after the result file: the original adds 1 to all sides, for pixels that are
    counted from 1, and VOC counts the last pixel in, so that a box is one pixel wider and higher, cut to the picture.

    `sizes` int64 [pictures, 2]: width, height.
    """
    return found.clipped(sizes, extra=1.0)


def write_results(
    folder: str | Path, found: Found, ids: Sequence[str], sizes: Ints, names: Sequence[str], prefix: str = PREFIX
) -> list[Path]:
    """Write `comp4_det_test_CLASS.txt` for each class (original: `print_detector_detections`): a line a detection,
    `id score xmin ymin xmax ymax`, pixels counted from 1 and cut to the picture, pictures in order. An id may have
    blanks, as the original writes it: the last five fields are the numbers.

    Raises DatasetError for names or ids that no such file can hold (`expect_writable`).
    """
    expect_writable(ids, names)
    paths = _result_paths(Path(folder), names, prefix)
    x1, y1, x2, y2 = (to_corners(found.boxes) + 1).T
    width, height = sizes[found.images].T if len(found) else (x1, x1)
    corners = np.stack([np.maximum(x1, 1), np.maximum(y1, 1), np.minimum(x2, width), np.minimum(y2, height)], 1)
    for number, path in enumerate(paths):
        mine = np.flatnonzero(found.classes == number)
        mine = mine[np.argsort(found.images[mine], kind="stable")]
        with atomic_write(path, DatasetError) as file:
            for image, value, box in zip(found.images[mine], found.scores[mine], corners[mine].tolist(), strict=True):
                file.write(f"{ids[image]} {value:f} {box[0]:f} {box[1]:f} {box[2]:f} {box[3]:f}\n".encode())
    return paths


def expect_writable(ids: Sequence[str], names: Sequence[str]) -> None:
    """Raise DatasetError for pictures' ids or classes' names that VOC's result files cannot hold."""
    for text in ids:
        if not text or text != text.strip() or not text.isprintable():
            raise DatasetError(
                f"{shown(text)}: VOC's result files cannot hold a picture's name of this kind; rename it"
            )
    _result_paths(Path(), names, PREFIX)


def read_results(folder: str | Path, ids: Sequence[str], names: Sequence[str], prefix: str = PREFIX) -> Found:
    """Read such files again, ours or the original's, as VOC sees them (see `as_scored`): the sides in the files are the
    first and the last pixel, counted from 1.

    Raises DatasetError for a missing file, and with its line for an id that is not in `ids` and what is no detection.
    """
    number_of = {text: number for number, text in enumerate(ids)}
    images: list[int] = []
    values: list[Sequence[float]] = []
    classes: list[int] = []
    for class_id, path in enumerate(_result_paths(Path(folder), names, prefix)):
        for line_number, line in enumerate(read_lines(path, DatasetError, "a VOC result file", 1 << 31), start=1):
            fields = line.rsplit(maxsplit=5)
            numbers = _numbers(fields[1:]) if len(fields) == 6 else None
            if numbers is None:
                wanted = "id score xmin ymin xmax ymax"
                raise DatasetError(f"{path}:{line_number}: expected {wanted}, found {shown(line)}")
            if fields[0] not in number_of:
                alike = [text for text in ids if text.endswith(f"/{fields[0]}")]
                several = f"; several have that name and are told apart as {', '.join(alike[:3])}" if alike else ""
                raise DatasetError(f"{path}:{line_number}: {shown(fields[0])} is no picture of the data{several}")
            images.append(number_of[fields[0]])
            values.append(numbers)
            classes.append(class_id)
    table = np.array(values, np.float64).reshape(-1, 5)
    corners = table[:, 1:] - [1, 1, 0, 0]
    found = Found.of(images, classes, from_corners(corners), table[:, 0])
    return found.rows(np.argsort(found.images, kind="stable"))


def _numbers(fields: Iterable[str]) -> list[float] | None:
    """Finite numbers, or None."""
    try:
        numbers = [float(field) for field in fields]
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _may_name(letter: str) -> bool:
    """Whether a letter of a class's name may be one of a file's: none that does something to a terminal. Bytes that
    are no UTF-8 may, which are kept as surrogates."""
    return letter.isprintable() or "\udc80" <= letter <= "\udcff"


def _result_paths(folder: Path, names: Sequence[str], prefix: str) -> list[Path]:
    """Where each class's results lie; never outside the folder. Of several classes with one name, as a WordTree has
    them, all but the first have their number after it; the original writes them over each other."""
    paths: dict[str, Path] = {}
    for number, name in enumerate(names):
        if not name or not set("/\\").isdisjoint(name) or not all(map(_may_name, name)):
            raise DatasetError(f"{shown(name)}: a class of this name cannot have a result file; give other --names")
        own = f"{name}-{number}" if name in paths else name
        paths[own] = folder / f"{prefix}{own}.txt"
    return list(paths.values())
