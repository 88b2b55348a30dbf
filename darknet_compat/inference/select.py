"""From every candidate's probabilities to the few scores that count (original: `get_region_detections` and kin)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from darknet_compat.formats.wordtree import WordTree
from darknet_compat.inference.hierarchy import HierarchyRule, mapped, top_nodes

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Criteria:
    """What a candidate has to exceed, and how a WordTree's classes are chosen.

    A score above `thresh` is an answer. With a tree it is the objectness, of the node that `hier_thresh`, `rule` and
    `level` lead to; with a tree and a `map` it is objectness · absolute probability of each of the map's nodes.
    """

    thresh: float = 0.5
    hier_thresh: float = 0.5
    rule: HierarchyRule = "darknet"
    level: int | None = None
    map: tuple[int, ...] | None = None


def select(outputs: Mapping[str, Floats], criteria: Criteria, tree: WordTree | None) -> tuple[Ints, Floats, Ints]:
    """The candidates with a score above the threshold.

    `outputs` holds `objectness` [D] and `classes` [D, C]. Returns which candidates, [M]; their scores, [M, K], 0 where
    not above the threshold; and which classes these K columns are (of a map: its entries).
    """
    objectness, classes = outputs["objectness"], outputs["classes"]
    # A probability above 1 is possible only where nothing bounds it: YOLO's first head.
    likely = np.flatnonzero(objectness * max(1.0, float(classes.max(initial=0.0))) > criteria.thresh)
    objectness, classes = objectness[likely], classes[likely]
    if tree is not None and criteria.map is None:
        chosen = top_nodes(classes, tree, criteria.hier_thresh, criteria.rule, criteria.level)
        columns, column = np.unique(chosen, return_inverse=True)
        scores = np.zeros((len(likely), len(columns)), np.float32)
        scores[np.arange(len(likely)), column] = objectness
        return likely, scores, columns
    if tree is not None and criteria.map is not None:
        classes = mapped(classes, tree, criteria.map)
    scores = objectness[:, None] * classes
    scores[scores <= np.float32(criteria.thresh)] = 0
    rows, columns = np.flatnonzero(scores.any(1)), np.flatnonzero(scores.any(0))
    return likely[rows], scores[np.ix_(rows, columns)], columns
