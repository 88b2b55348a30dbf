"""What a classifier answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from darknet_compat.formats.arrays import Bools, Floats
from darknet_compat.inference.hierarchy import PathStep


class Guess(NamedTuple):
    """One class a classifier thinks of."""

    name: str
    probability: float
    class_id: int


@dataclass(frozen=True, eq=False)
class Classification:
    """A classifier's answer to one picture: every class's probability, float32 [classes], and all their names. Without
    a head such as [softmax] in the .cfg they are its last layer's values as they are, as in the original, and
    `are_probabilities` is False.

    With a WordTree a node's probability is absolute, the product down its path; `path` leads from the root to the node
    at which the way down stops, each step with its probability; and only `candidates`, its leaves, are for `top`.
    """

    probabilities: Floats
    class_names: tuple[str, ...]
    candidates: Bools | None = None
    path: tuple[PathStep, ...] = ()
    are_probabilities: bool = True

    def top(self, k: int = 5) -> list[Guess]:
        """The k most probable classes, best first; of a WordTree its leaves only, as the original."""
        scores = self.probabilities
        if self.candidates is not None:
            scores = np.where(self.candidates, scores, -np.inf).astype(np.float32)
        best = np.argsort(-scores, kind="stable")[: max(k, 0)]
        return [Guess(self.class_names[i], float(self.probabilities[i]), int(i)) for i in best if scores[i] > -np.inf]

    def to_dict(self, k: int = 5) -> dict[str, Any]:
        """The top k, and the path, as plain numbers and strings, for JSON."""
        answer: dict[str, Any] = {"classes": [guess._asdict() for guess in self.top(k)]}
        if not self.are_probabilities:
            answer["are_probabilities"] = False
        if self.path:
            answer["path"] = [{"name": step.name, "probability": round(step.probability, 6)} for step in self.path]
        return answer
