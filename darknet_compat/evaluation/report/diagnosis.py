"""Why a detector is wrong: kinds of false positives, what it takes for what, and whether its scores are honest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.scores.matching import Ranked, outcome_best, overlapping, rank
from darknet_compat.formats.arrays import Bools, Doubles, Ints
from darknet_compat.formats.metadata import read_map, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import WordTree, read_tree

Mistake = Literal["localisation", "duplicate", "similar", "other", "background"]

KINDS: dict[Mistake, str] = {
    "localisation": "the right class, but a box that overlaps its object too little",
    "duplicate": "an object that a better detection has found already",
    "similar": "an object of a related class",
    "other": "an object of an unrelated class",
    "background": "nothing that is annotated",
}
"""After Hoiem and others, Diagnosing error in object detectors (2012), with duplicates apart."""

TOUCHING = 0.1
"""The IoU from which a false positive has to do with an object."""

_RELATED_DEPTH = 5
"""Classes of VOC and COCO are related if they share their ancestor this deep in YOLO9000's WordTree: a wheeled vehicle,
a chordate, a piece of furniture."""


@dataclass(frozen=True, eq=False)
class FalsePositives:
    """How many of the `considered` best detections are right, and how many wrong in each way. Of every class as many
    detections are considered as it has objects."""

    considered: int
    right: int
    kinds: dict[Mistake, int]


@dataclass(frozen=True, eq=False)
class Confusion:
    """`counts` int64 [C + 1, C + 1], for the C classes that occur, `names`: objects of a row's class that were detected
    as the column's. The last column is for objects that were missed, the last row for detections of nothing.

    With a WordTree `above` counts objects that were called by an ancestor of their class, which is no mistake (a
    terrier called `dog`), `below` those called by a descendant, and `wrong` those called by any other class.
    """

    names: tuple[str, ...]
    counts: Ints
    right: int
    above: int
    below: int
    wrong: int

    def busiest(self, most: int = 12) -> list[tuple[str, str, int]]:
        """The mistakes between classes that occur most: the object's class, what it was called, how often."""
        mistakes = self.counts[:-1, :-1].copy()
        np.fill_diagonal(mistakes, 0)
        order = np.argsort(-mistakes, axis=None, kind="stable")[:most]
        rows, columns = np.unravel_index(order, mistakes.shape)
        return [
            (self.names[row], self.names[column], int(mistakes[row, column]))
            for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
            if mistakes[row, column]
        ]


@dataclass(frozen=True, eq=False)
class Calibration:
    """Detections by score, in ten equal bins: how many, their mean score, and the share of them that is right. `error`
    is the mean difference of the two, weighted by numbers (expected calibration error)."""

    counts: Ints
    scores: Doubles
    right: Doubles

    @property
    def error(self) -> float | None:
        """None where nothing was detected."""
        total = int(self.counts.sum())
        if not total:
            return None
        known = self.counts > 0
        return float(np.sum(self.counts[known] * np.abs(self.scores - self.right)[known]) / total)


def relations(names: Sequence[str], tree: WordTree | None = None) -> Ints:
    """A number a class, [classes]; classes with the same number are related. Siblings in the model's own `tree`, else
    by `_RELATED_DEPTH` for names of VOC and COCO, else every class is alone."""
    if tree is not None and len(tree) == len(names):
        return np.where(tree.parents < 0, -1 - np.arange(len(tree)), tree.parents).astype(np.int64)
    data = cfg_dir() / "data"
    nodes = dict(zip(read_names(data / "coco.names"), read_map(data / "coco9k.map"), strict=True))
    known = read_tree(data / "9k.tree")
    alone = [-1 - number for number in range(len(names))]
    ways = [known.path(nodes[name]) if name in nodes else [alone[number]] for number, name in enumerate(names)]
    return np.array([way[min(_RELATED_DEPTH, len(way) - 1)] for way in ways], np.int64)


def false_positives(
    found: Found, truths: Truths, names: Sequence[str], tree: WordTree | None = None, least: float = 0.5
) -> FalsePositives:
    """Of each class's best detections, as many as it has objects, which are wrong and how."""
    neither = truths.difficult | truths.crowd
    ranked = rank(found)
    outcome = outcome_best(ranked, truths, least, neither)
    positives = np.bincount(truths.classes[~neither], minlength=len(names))
    rows = _best_rows(ranked, ~outcome.ignored, positives)
    wrong = rows[~outcome.true[rows]]
    chosen = ranked.found.rows(wrong)
    group = relations(names, tree)
    pairs = overlapping(_one_class(chosen), _one_class(truths), TOUCHING)
    same = truths.classes[pairs.truth] == chosen.classes[pairs.found]
    akin = group[truths.classes[pairs.truth]] == group[chosen.classes[pairs.found]]
    order: list[Mistake] = ["duplicate", "localisation", "similar", "other", "background"]
    kind = np.full(len(wrong), 4)
    for number, which in ((3, ~akin), (2, akin & ~same), (1, same & (pairs.overlap < least))):
        kind[pairs.found[which]] = number
    kind[outcome.truth[wrong] >= 0] = 0
    counts = np.bincount(kind, minlength=5)
    return FalsePositives(len(rows), len(rows) - len(wrong), {name: int(counts[order.index(name)]) for name in KINDS})


def _best_rows(ranked: Ranked, counted: Bools, most: Ints) -> Ints:
    """Rows of each class's best detections, `most` [classes] of them, in no order."""
    bounds = np.searchsorted(ranked.found.classes, np.arange(len(most) + 1))
    parts = []
    for number in np.flatnonzero(most).tolist():
        rows = np.arange(bounds[number], bounds[number + 1])
        rows = rows[counted[rows]]
        parts.append(rows[np.argsort(-ranked.found.scores[rows], kind="stable")][: most[number]])
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def confusion(
    found: Found,
    truths: Truths,
    names: Sequence[str],
    tree: WordTree | None = None,
    *,
    thresh: float = 0.25,
    least: float = 0.5,
) -> Confusion:
    """What objects are detected as, by detections above `thresh`, whatever their class: each object by the best-scored
    detection that overlaps it by `least`."""
    shown = found.rows(found.scores > thresh)
    counted = truths.rows(~(truths.difficult | truths.crowd))
    ranked = rank(_one_class(shown))
    outcome = outcome_best(ranked, _one_class(counted), least, np.zeros(len(counted), bool))
    called = shown.classes[ranked.source]
    hit = np.flatnonzero(outcome.true)
    objects = counted.classes[outcome.truth[hit]]
    missed = np.ones(len(counted), bool)
    missed[outcome.truth[hit]] = False
    nothing = called[outcome.truth < 0]
    present = np.unique(np.concatenate([counted.classes, called]))  # of a tree's thousands the few that occur
    size = len(present) + 1
    rows = [objects, counted.classes[missed], np.full(len(nothing), -1)]
    columns = [called[hit], np.full(int(missed.sum()), -1), nothing]
    cells = [
        np.where(part >= 0, np.searchsorted(present, part), size - 1) for part in map(np.concatenate, (rows, columns))
    ]
    counts = np.bincount(cells[0] * size + cells[1], minlength=size * size).reshape(size, size)
    right = int((objects == called[hit]).sum())
    above = below = 0
    if tree is not None and len(tree) == len(names):
        for truth, guess in zip(objects.tolist(), called[hit].tolist(), strict=True):
            above += guess != truth and guess in tree.path(truth)
            below += guess != truth and truth in tree.path(guess)
    return Confusion(
        tuple(names[number] for number in present.tolist()),
        counts,
        right,
        above,
        below,
        len(hit) - right - above - below,
    )


def calibration(found: Found, truths: Truths, least: float = 0.5, bins: int = 10) -> Calibration:
    """How often a detection of a score is right; detections that count neither way are left out."""
    ranked = rank(found)
    outcome = outcome_best(ranked, truths, least, truths.difficult | truths.crowd)
    scores, true = ranked.found.scores[~outcome.ignored], outcome.true[~outcome.ignored]
    place = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    whole = np.maximum(counts, 1)
    sums = (np.bincount(place, weights, bins) / whole for weights in (scores, true.astype(np.float64)))
    return Calibration(counts, *sums)


def _one_class(table: Any) -> Any:
    """The same with all classes alike."""
    return replace(table, classes=np.zeros_like(table.classes))
