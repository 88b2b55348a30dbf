"""Kinds of mistakes, confusion and calibration, on cases that can be counted by hand."""

from __future__ import annotations

import numpy as np
import pytest

from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.report import diagnosis
from darknet_compat.formats.wordtree import from_parents

NAMES = ("dog", "cat", "car")
BOXES = [[0, 0, 10, 10], [30, 0, 10, 10], [60, 0, 10, 10], [0, 0, 10, 10], [50, 50, 9, 9]]
TRUTHS = Truths.of([0, 0, 0, 1, 1], [0, 0, 1, 2, 0], BOXES)


def test_every_kind_of_mistake() -> None:
    found = Found.of(
        [0, 0, 0, 0, 1],
        [0, 0, 1, 2, 0],
        [[0, 0, 10, 10], [0, 1, 10, 10], [30, 0, 10, 10], [60, 0, 10, 10], [50, 55, 9, 9]],
        [0.9, 0.8, 0.7, 0.6, 0.5],
    )
    counted = diagnosis.false_positives(found, TRUTHS, NAMES)
    # dog: right, a duplicate, too far off; cat: on a dog, which is related; car: on a cat, which is not
    assert (counted.considered, counted.right) == (5, 1)
    assert counted.kinds == {"localisation": 1, "duplicate": 1, "similar": 1, "other": 1, "background": 0}
    nothing = Found.of([1], [2], [[80, 80, 5, 5]], [0.9])
    assert diagnosis.false_positives(nothing, TRUTHS, NAMES).kinds["background"] == 1


def test_classes_are_related_by_the_tree() -> None:
    groups = diagnosis.relations(("dog", "horse", "car", "truck", "sofa", "gizmo", "whatsit"))
    assert groups[0] == groups[1] and groups[2] == groups[3] and len(set(groups.tolist())) == 5
    tree = from_parents(["thing", "dog", "cat", "terrier"], [-1, 0, 0, 1])
    groups = diagnosis.relations(tree.names, tree)
    assert groups[1] == groups[2] and len(set(groups.tolist())) == 3


def test_confusion_counts_each_object_once() -> None:
    boxes = [[0, 0, 10, 10], [0, 0, 10, 10], [30, 0, 10, 10], [20, 20, 5, 5], [0, 0, 9, 9]]
    found = Found.of([0, 0, 0, 1, 1], [0, 1, 1, 0, 2], boxes, [0.9, 0.8, 0.7, 0.6, 0.1])
    table = diagnosis.confusion(found, TRUTHS, NAMES)
    assert table.names == NAMES
    assert table.counts.tolist() == [[1, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 1], [1, 0, 0, 0]]
    assert table.busiest() == [("dog", "cat", 1)] and (table.right, table.wrong) == (1, 1)


def test_a_terrier_called_dog_is_not_a_cat() -> None:
    tree = from_parents(["animal", "dog", "cat", "terrier"], [-1, 0, 0, 1])
    truths = Truths.of([0, 1, 2, 3], [3, 3, 1, 3], [[0, 0, 10, 10]] * 4)
    found = Found.of([0, 1, 2, 3], [1, 2, 3, 3], [[0, 0, 10, 10]] * 4, [0.9] * 4)
    table = diagnosis.confusion(found, truths, tree.names, tree)
    assert (table.right, table.above, table.below, table.wrong) == (1, 1, 1, 1)


def test_of_nine_thousand_classes_only_those_that_occur_take_room() -> None:
    names = tuple(map(str, range(9418)))
    found = Found.of([0], [9417], [[0, 0, 10, 10]], [0.9])
    table = diagnosis.confusion(found, Truths.of([0], [7], [[0, 0, 10, 10]]), names)
    assert table.names == ("7", "9417") and table.counts.tolist() == [[0, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_calibration() -> None:
    truths = Truths.of([0, 1, 2], [0, 0, 0], [[0, 0, 10, 10]] * 3, None, [False, False, True])
    found = Found.of([0, 1, 2, 3], [0] * 4, [[0, 0, 10, 10]] * 4, [0.95, 0.95, 0.95, 0.25])
    honest = diagnosis.calibration(found, truths)
    assert honest.counts.tolist() == [0, 0, 1, 0, 0, 0, 0, 0, 0, 2]  # the difficult one counts neither way
    assert honest.right[9] == 1 and honest.right[2] == 0
    assert honest.error == pytest.approx((2 * 0.05 + 0.25) / 3)
    assert diagnosis.calibration(Found.of([], [], [], []), truths).error is None


def test_nothing_at_all() -> None:
    nothing = Found.of([], [], [], [])
    assert diagnosis.false_positives(nothing, TRUTHS, NAMES).considered == 0
    empty = Truths.of([], [], [])
    table = diagnosis.confusion(nothing, empty, NAMES)
    assert np.array_equal(table.counts, [[0]]) and table.busiest() == []
