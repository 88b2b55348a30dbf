"""What was found in many pictures, and what is in them, as columns: what all scores are computed from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import repeat
from typing import Any, TypeVar

import numpy as np

from darknet_compat.datasets.base import Labels
from darknet_compat.formats.arrays import Bools, Doubles, Ints
from darknet_compat.inference.results import Detections

_Table = TypeVar("_Table", bound="_Columns")
_FAR = 1e9


@dataclass(frozen=True, eq=False)
class _Columns:
    """Columns of equal length."""

    images: Ints
    classes: Ints
    boxes: Doubles

    def __len__(self) -> int:
        return len(self.images)

    def rows(self: _Table, which: Any) -> _Table:
        """The rows that `which` (numbers, flags or a slice) names."""
        return type(self)(**{field.name: getattr(self, field.name)[which] for field in fields(self)})


@dataclass(frozen=True, eq=False)
class Found(_Columns):
    """Detections: `images` int64 [N], the number of the picture; `classes` int64 [N]; `scores` float64 [N]; `boxes`
    float64 [N, 4], left, top, width and height in pixels, as in COCO's files; `places` int64 [N], in which order
    Darknet's programs go through a picture's (`Detections.places`)."""

    scores: Doubles
    places: Ints

    @classmethod
    def of(cls, images: Any, classes: Any, boxes: Any, scores: Any, places: Any = None) -> Found:
        """From anything like arrays; without `places` the rows' own order."""
        images = _ints(images)
        places = np.arange(len(images)) if places is None else _ints(places)
        return cls(images, _ints(classes), _boxes(boxes), np.asarray(scores, np.float64).reshape(-1), places)

    @classmethod
    def from_detections(cls, answers: Sequence[Detections | None]) -> Found:
        """From a detector's answers, one a picture, None where it could not be read.

        Sides that are not finite, as wrong weights give them, become very long or 0, so that every score can go on.
        """
        parts = [(number, answer) for number, answer in enumerate(answers) if answer is not None]
        if not parts:
            return cls.of([], [], [], [])
        corners = np.concatenate([answer.boxes for _, answer in parts]).astype(np.float64)
        corners = np.nan_to_num(corners, nan=0.0, posinf=_FAR, neginf=-_FAR)
        return cls.of(
            np.repeat([number for number, _ in parts], [len(answer) for _, answer in parts]),
            np.concatenate([answer.class_ids for _, answer in parts]),
            from_corners(corners),
            np.concatenate([answer.scores for _, answer in parts]),
            np.concatenate([_places(answer) for _, answer in parts]),
        )

    def clipped(self, sizes: Ints, extra: float = 0.0) -> Found:
        """Boxes cut to their pictures, `sizes` int64 [pictures, 2] (width, height), as all of the original's result
        files have them: the left and top at 0, the right and bottom, after `extra` is added to them, at the size."""
        x1, y1, x2, y2 = to_corners(self.boxes).T
        width, height = sizes[self.images].T
        corners = np.stack(
            [np.maximum(x1, 0), np.maximum(y1, 0), np.minimum(x2 + extra, width), np.minimum(y2 + extra, height)], 1
        )
        return replace(self, boxes=from_corners(corners))


@dataclass(frozen=True, eq=False)
class Truths(_Columns):
    """Objects: as `Found`, and `areas` float64 [M] in square pixels (COCO's are those of outlines, not of boxes),
    `difficult` and `crowd` bool [M] (`datasets.base.Labels`)."""

    areas: Doubles
    difficult: Bools
    crowd: Bools

    @classmethod
    def of(
        cls, images: Any, classes: Any, boxes: Any, areas: Any = None, difficult: Any = None, crowd: Any = None
    ) -> Truths:
        """From anything like arrays; without `areas` the boxes', and without marks none."""
        boxes = _boxes(boxes)
        count = len(boxes)
        return cls(
            _ints(images),
            _ints(classes),
            boxes,
            boxes[:, 2] * boxes[:, 3] if areas is None else np.asarray(areas, np.float64).reshape(-1),
            np.zeros(count, bool) if difficult is None else np.asarray(difficult, bool).reshape(-1),
            np.zeros(count, bool) if crowd is None else np.asarray(crowd, bool).reshape(-1),
        )

    @classmethod
    def from_labels(
        cls, labels: Iterable[Labels], sizes: Iterable[tuple[int, int]], areas: Iterable[Doubles] | None = None
    ) -> Truths:
        """From each picture's labels, size (width, height) and, where they are not the boxes', areas.

        Labels of whole pictures are left out. Sides are rounded to a millionth of a pixel, so that what was written in
        a file is the same number again.
        """
        parts = []
        stated = repeat(None) if areas is None else areas
        for number, (label, (width, height), area) in enumerate(zip(labels, sizes, stated, strict=areas is not None)):
            drawn = label.is_drawn
            boxes = np.round(from_corners(label.corners(width, height)), 6)
            area = boxes[:, 2] * boxes[:, 3] if area is None else area
            row = (np.full(len(boxes), number), label.classes, boxes, area, label.difficult, label.crowd)
            parts.append([values[drawn] for values in row])
        if not parts:
            return cls.of([], [], [])
        return cls.of(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _places(answer: Detections) -> Ints:
    return np.arange(len(answer)) if answer.places is None else answer.places


def from_corners(corners: Any) -> Doubles:
    """From [N, 4] x1 y1 x2 y2 to [N, 4] left, top, width, height, float64."""
    x1, y1, x2, y2 = _boxes(corners).T
    return np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)


def to_corners(boxes: Any) -> Doubles:
    """From [N, 4] left, top, width, height to [N, 4] x1 y1 x2 y2, float64."""
    left, top, width, height = _boxes(boxes).T
    return np.stack([left, top, left + width, top + height], axis=1)


def _ints(values: Any) -> Ints:
    return np.asarray(values, np.int64).reshape(-1)


def _boxes(values: Any) -> Doubles:
    return np.asarray(values, np.float64).reshape(-1, 4)
