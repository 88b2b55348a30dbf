"""Answers held against answers: small cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.parity.compare import Apart
from darknet_compat.parity.matching import PictureAnswers, match
from darknet_compat.parity.stages import all_match

NEAR = Apart(score=0.002, box=0.5)


def answers(*rows: tuple[int, float, float]) -> PictureAnswers:
    """(class, score, left side) each; boxes are 10 pixels wide and high."""
    boxes = [[left, 0, left + 10, 10] for _, _, left in rows]
    return PictureAnswers(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] for row in rows], np.float32),
        np.array(boxes, np.float32).reshape(-1, 4),
    )


def test_order_does_not_matter_and_the_largest_differences_are_told() -> None:
    found = match("p", answers((1, 0.9, 0), (2, 0.8, 50)), answers((2, 0.801, 50.25), (1, 0.9, 0)), NEAR)
    assert (found.matched, found.missing, found.extra, found.verdict) == (2, 0, 0, "same")
    assert found.score == pytest.approx(0.001, abs=1e-6)
    assert found.box == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("ours", "counts"),
    [
        (answers((1, 0.9, 0)), (1, 1, 0)),
        (answers((1, 0.9, 0), (2, 0.8, 50), (2, 0.7, 90)), (2, 0, 1)),
        (answers((1, 0.9, 0), (3, 0.8, 50)), (1, 1, 1)),
        (answers((1, 0.903, 0), (2, 0.8, 50)), (2, 0, 0)),
        (answers((1, 0.9, 0.75), (2, 0.8, 50)), (2, 0, 0)),
        (answers((1, float("nan"), 0), (2, 0.8, 50)), (2, 0, 0)),
    ],
    ids=["missing", "extra", "another class", "score", "box", "not a number"],
)
def test_what_differs_is_told(ours: PictureAnswers, counts: tuple[int, int, int]) -> None:
    found = match("p", answers((1, 0.9, 0), (2, 0.8, 50)), ours, NEAR)
    assert (found.matched, found.missing, found.extra) == counts
    assert found.verdict == "differs"
    assert not all_match([found])


def test_two_of_a_class_are_given_the_partners_that_suit_best() -> None:
    theirs, ours = answers((1, 0.9, 0), (1, 0.9, 0.4)), answers((1, 0.9, 0.4), (1, 0.9, 0.8))
    assert match("p", theirs, ours, NEAR).verdict == "differs"  # 0 is left with 0.8
    assert match("p", theirs, answers((1, 0.9, 0.4), (1, 0.9, 0)), NEAR).verdict == "same"


def test_matching_nothing_is_no_pass() -> None:
    empty = match("p", answers(), answers(), NEAR)
    assert empty.verdict == "nothing to compare"
    assert not all_match([empty])
    assert not all_match([])
    assert all_match([empty, match("q", answers((1, 0.9, 0)), answers((1, 0.9, 0)), NEAR)])


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1, width=32), st.floats(0, 100, width=32)), max_size=8))
def test_answers_match_themselves(rows: list[tuple[int, float, float]]) -> None:
    found = match("p", answers(*rows), answers(*rows[::-1]), NEAR)
    assert (found.matched, found.score, found.box) == (len(rows), 0, 0)
