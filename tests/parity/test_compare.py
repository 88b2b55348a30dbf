from __future__ import annotations

import numpy as np
import pytest

from darknet_compat.parity.compare import compare, verdict

ONES = np.ones((2, 3), np.float32)


def test_names_the_worst_element_and_what_stands_there() -> None:
    found = ONES.copy()
    found[1, 2] = 1.5
    found[0, 0] = 0.75
    row = compare("layer", 2 * ONES - 1, found, 0.1)
    assert (row.worst, row.expected, row.found) == ((1, 2), 1.0, 1.5)
    assert (row.max_abs, row.relative, row.verdict) == (0.5, 0.5, "differs")
    assert row.mean_abs == pytest.approx(0.75 / 6)


@pytest.mark.parametrize(("error", "expected"), [(0.99e-4, "same"), (1.01e-4, "differs")])
def test_the_tolerance_is_a_part_of_the_largest_value(error: float, expected: str) -> None:
    reference = np.array([0.0, -50.0])
    assert compare("layer", reference, reference + np.array([50 * error, 0]), 1e-4).verdict == expected


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_not_finite_on_one_side_is_an_infinite_difference(value: float) -> None:
    broken = ONES.copy()
    broken[0, 1] = value
    for expected, found in ((ONES, broken), (broken, ONES)):
        row = compare("layer", expected, found, 1e9)
        assert (row.verdict, row.max_abs, row.worst) == ("differs", np.inf, (0, 1))


def test_the_same_values_not_finite_on_both_sides_are_alike() -> None:
    broken = np.array([np.nan, np.inf, -np.inf, 1.0])
    assert compare("layer", broken, broken, 1e-9).verdict == "same"
    assert compare("layer", broken, np.array([np.nan, -np.inf, -np.inf, 1.0]), 1e-9).verdict == "differs"


def test_zeros_against_zeros_compare_nothing_but_against_anything_else_differ() -> None:
    zeros = np.zeros(4)
    assert compare("cost", zeros, zeros, 1e-4).verdict == "nothing to compare"
    assert compare("cost", zeros, zeros + 1e-30, 1e-4).verdict == "differs"
    assert compare("cost", np.empty(0), np.empty(0), 1e-4).verdict == "nothing to compare"


def test_nothing_but_nan_on_both_sides_is_no_agreement() -> None:
    nothing = np.full((2, 3), np.nan)
    found = compare("x", nothing, nothing, 1e-4)
    assert found.verdict == "differs" and "not a finite value" in found.note
    assert not verdict([compare("y", np.ones(3), np.ones(3), 1e-4), found])


def test_a_comparison_that_compared_nothing_is_a_failure() -> None:
    nothing = compare("cost", np.zeros(4), np.zeros(4), 1e-4)
    same = compare("layer", ONES, ONES, 1e-4)
    differs = compare("layer", ONES, 2 * ONES, 1e-4)
    assert not verdict([])
    assert not verdict([nothing])
    assert verdict([nothing, same])
    assert not verdict([same, differs])


def test_arrays_of_different_sizes_are_not_compared() -> None:
    with pytest.raises(ValueError, match="expected 6 values, found 4"):
        compare("layer", ONES, np.ones(4), 1e-4)
