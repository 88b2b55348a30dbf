"""From every candidate's probabilities to the few scores that count (original: `get_region_detections` and kin)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from darknet_compat.formats.wordtree import WordTree

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


def select(
    outputs: Mapping[str, Floats], thresh: float, hier_thresh: float, tree: WordTree | None
) -> tuple[Ints, Floats, Ints]:
    """The candidates with a score above `thresh`.

    `outputs` holds `objectness` [D] and `classes` [D, C]. Returns which candidates, [M]; their scores, [M, K], 0 where
    not above `thresh`; and which classes these K columns are. A score is objectness · probability; with a tree it is
    the objectness alone, of the class at which the way down from the root stops.
    """
    objectness, classes = outputs["objectness"], outputs["classes"]
    # A probability above 1 is possible only where nothing bounds it: YOLO's first head.
    likely = np.flatnonzero(objectness * max(1.0, float(classes.max(initial=0.0))) > thresh)
    objectness, classes = objectness[likely], classes[likely]
    if tree is not None:
        chosen = top_nodes(classes, tree, hier_thresh)
        columns, column = np.unique(chosen, return_inverse=True)
        scores = np.zeros((len(likely), len(columns)), np.float32)
        scores[np.arange(len(likely)), column] = objectness
        return likely, scores, columns
    scores = objectness[:, None] * classes
    scores[scores <= np.float32(thresh)] = 0
    rows, columns = np.flatnonzero(scores.any(1)), np.flatnonzero(scores.any(0))
    return likely[rows], scores[np.ix_(rows, columns)], columns


def top_nodes(conditional: Floats, tree: WordTree, hier_thresh: float) -> Ints:
    """The node each candidate stops at, [M] (original: `hierarchy_top_prediction`).

    `conditional` [M, nodes]: each node's probability given its parent. From the root's group down, the best child is
    taken while the running product stays above `hier_thresh`; the best root is the answer in any case.
    """
    nodes = np.zeros(len(conditional), np.int64)
    for number, probabilities in enumerate(conditional):
        group, running = 0, 1.0
        while True:
            offset, size = tree.group_offsets[group], tree.group_sizes[group]
            best = offset + int(probabilities[offset : offset + size].argmax())
            running *= float(probabilities[best])
            if group and running <= hier_thresh:
                nodes[number] = tree.parents[offset]
                break
            group = tree.child_groups[best]
            if group < 0 or running <= hier_thresh:
                nodes[number] = best
                break
    return nodes
