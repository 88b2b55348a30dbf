"""What a detector or classifier answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from darknet_compat.inference.hierarchy import PathStep


class Detection(NamedTuple):
    """One box with one class; `box` is x1, y1, x2, y2 in pixels of the picture."""

    name: str
    score: float
    box: tuple[float, float, float, float]
    class_id: int


@dataclass(frozen=True, eq=False)
class Detections:
    """What was found in one picture, best first; a box that carries two classes is two detections.

    `boxes` float32 [N, 4]: x1, y1, x2, y2 in pixels of the given picture, which they may reach beyond, as the
    original's do (`clipped` cuts them). `scores` float32 [N], `class_ids` int64 [N], `names` one a detection.
    `width` and `height` are the picture's. With a WordTree `paths` has one a detection, from the root to its node, each
    step with its absolute probability, so that one sees where confidence ran out. `dropped` counts candidates above
    the threshold for which a head with many classes had no room; it is 0 unless thresholds are very low.

    `places` int64 [N] is where Darknet's programs have each detection: they print and count in the order in which
    their suppression leaves the boxes, which is that of the scores only within a class (`select.darknet_places`).
    """

    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int64]
    names: tuple[str, ...]
    width: int
    height: int
    paths: tuple[tuple[PathStep, ...], ...] = ()
    dropped: int = 0
    places: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def __iter__(self) -> Iterator[Detection]:
        for name, score, box, class_id in zip(self.names, self.scores, self.boxes, self.class_ids, strict=True):
            x1, y1, x2, y2 = box.tolist()
            yield Detection(name, float(score), (x1, y1, x2, y2), int(class_id))

    @property
    def finite(self) -> bool:
        """Whether all boxes are numbers, which those of weights that belong to another model may not be."""
        return bool(np.isfinite(self.boxes).all())

    def clipped(self) -> Detections:
        """The same with boxes cut to the picture."""
        limits = np.array([self.width, self.height, self.width, self.height], np.float32)
        boxes = np.clip(self.boxes, 0, limits)
        return replace(self, boxes=boxes)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        found: list[dict[str, Any]] = [
            {"class": d.name, "class_id": d.class_id, "score": round(d.score, 6), "box": [round(x, 2) for x in d.box]}
            for d in self
        ]
        for entry, path in zip(found, self.paths, strict=False):
            entry["path"] = [{"name": step.name, "probability": round(step.probability, 6)} for step in path]
        return {"width": self.width, "height": self.height, "detections": found}


class Guess(NamedTuple):
    """One class a classifier thinks of."""

    name: str
    probability: float
    class_id: int


@dataclass(frozen=True, eq=False)
class Classification:
    """A classifier's answer to one picture: every class's probability, float32 [classes], and all their names.

    With a WordTree a node's probability is absolute, the product down its path; `path` leads from the root to the node
    at which the way down stops, each step with its probability; and only `candidates`, its leaves, are for `top`.
    """

    probabilities: NDArray[np.float32]
    class_names: tuple[str, ...]
    candidates: NDArray[np.bool_] | None = None
    path: tuple[PathStep, ...] = ()

    def top(self, k: int = 5) -> list[Guess]:
        """The k most probable classes, best first; of a WordTree its leaves only, as the original."""
        scores = self.probabilities
        if self.candidates is not None:
            scores = np.where(self.candidates, scores, -1.0).astype(np.float32)
        best = np.argsort(-scores, kind="stable")[: max(k, 0)]
        return [Guess(self.class_names[i], float(self.probabilities[i]), int(i)) for i in best if scores[i] >= 0]

    def to_dict(self, k: int = 5) -> dict[str, Any]:
        """The top k, and the path, as plain numbers and strings, for JSON."""
        path = [{"name": step.name, "probability": round(step.probability, 6)} for step in self.path]
        return {"classes": [guess._asdict() for guess in self.top(k)]} | ({"path": path} if path else {})
