"""From every candidate's probabilities to the few scores that count (original: `get_region_detections` and kin)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from darknet_compat.formats.arrays import Floats, Ints
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.inference.hierarchy import HierarchyRule, last_nodes, mapped, top_nodes
from darknet_compat.vision.boxes import nms_obj, xywh_to_xyxy


@dataclass(frozen=True)
class Criteria:
    """What a candidate has to exceed, and how a WordTree's classes are chosen.

    A score above `thresh` is an answer. With a tree it is the objectness, of the node that `hier_thresh`, `rule` and
    `level` lead to, or with `leaves_first` the probability of the last node that is likelier than not, as the fork has
    it; with a tree and a `map` it is objectness · absolute probability of each of the map's nodes.
    """

    thresh: float = 0.5
    hier_thresh: float = 0.5
    rule: HierarchyRule = "darknet"
    level: int | None = None
    map: tuple[int, ...] | None = None
    leaves_first: bool = False


def select(outputs: Mapping[str, Floats], criteria: Criteria, tree: WordTree | None) -> tuple[Ints, Floats, Ints]:
    """The candidates with a score above the threshold.

    `outputs` holds `objectness` [D] and `classes` [D, C]. Returns which candidates, [M]; their scores, [M, K], 0 where
    not above the threshold; and which classes these K columns are (of a map: its entries).
    """
    objectness, classes = outputs["objectness"], outputs["classes"]
    thresh = np.float32(criteria.thresh)
    if tree is not None and criteria.map is None:
        likely = np.flatnonzero(objectness > thresh)
        found = objectness[likely]
        if criteria.leaves_first:
            chosen, found = last_nodes(classes[likely], tree)
            likely, chosen, found = likely[chosen >= 0], chosen[chosen >= 0], found[chosen >= 0]
        else:
            chosen = top_nodes(classes[likely], tree, criteria.hier_thresh, criteria.rule, criteria.level)
        columns, column = np.unique(chosen, return_inverse=True)
        scores = np.zeros((len(likely), len(columns)), np.float32)
        scores[np.arange(len(likely)), column] = found
        return likely, scores, columns
    likely = np.flatnonzero(_best_possible(objectness, classes) > thresh)
    objectness, classes = objectness[likely], classes[likely]
    if tree is not None and criteria.map is not None:
        classes = mapped(classes, tree, criteria.map)
    scores = objectness[:, None] * classes
    scores[scores <= thresh] = 0
    rows, columns = np.flatnonzero(scores.any(1)), np.flatnonzero(scores.any(0))
    return likely[rows], scores[np.ix_(rows, columns)], columns


def darknet_places(scores: Floats) -> Ints:
    """Where each candidate stands after Darknet's suppression, [M], of the scores before it, [M, K].

    `do_nms_sort` sorts all candidates by one class after another and leaves them so: by the last class first, those
    with equal scores there (mostly none) by the one before, and so on.
    """
    places = np.arange(len(scores))
    if scores.size:
        places[np.lexsort(-scores.T)] = places.copy()
    return places


def surest(outputs: Mapping[str, Floats], thresh: float, limit: float) -> dict[str, Floats]:
    """`outputs` with an objectness of 0 where it does not exceed `thresh`, or a surer box of whatever class overlaps by
    more than `limit` (original: `do_nms_obj`). Boxes are as the network gives them."""
    likely = np.flatnonzero(outputs["objectness"] > np.float32(thresh))
    found = outputs["objectness"][likely]
    objectness = np.zeros_like(outputs["objectness"])
    objectness[likely] = nms_obj(xywh_to_xyxy(outputs["boxes"][likely]), found[:, None], found, limit)[1]
    return {**outputs, "objectness": objectness}


def _best_possible(objectness: Floats, classes: Floats) -> Floats:
    """What no score of a candidate exceeds, [D].

    Mostly its objectness. But nothing bounds the values of YOLO's first head: a probability may be above 1, and below 0
    as the objectness may, and then two negative values make a score.
    """
    most, least = max(1.0, float(classes.max(initial=0))), float(classes.min(initial=0))
    best: Floats = np.maximum(objectness * np.float32(most), objectness * np.float32(least))
    return best
