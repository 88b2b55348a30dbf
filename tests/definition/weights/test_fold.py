from __future__ import annotations

import numpy as np
import pytest

from darknet_compat.definition.weights import fold
from darknet_compat.formats.words import Build


def floats(*shape: int, seed: int = 0) -> fold.Floats:
    values: fold.Floats = np.random.default_rng(seed).uniform(0.5, 1.5, shape).astype(np.float32)
    return values


@pytest.mark.parametrize("build", ["cuda", "cpu"])
def test_folding_is_batch_normalization_of_a_product_of_matrices(build: Build) -> None:
    x, weights = floats(5, 7), floats(3, 7, seed=1)
    scales, biases, mean, variance = (floats(3, seed=seed) for seed in range(2, 6))
    deviation = np.sqrt(variance + 1e-5) if build == "cuda" else np.sqrt(variance) + 1e-6
    expected = (x @ weights.T - mean) / deviation * scales + biases
    factor = fold.factors(scales, variance, build)
    found = x @ fold.folded_weights(weights, factor).T + fold.folded_biases(biases, mean, factor)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_a_zero_variance_divides_by_the_builds_own_epsilon() -> None:
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    assert fold.factors(one, zero, "cuda") == pytest.approx(1 / np.sqrt(1e-5))
    assert fold.factors(one, zero, "cpu") == pytest.approx(1e6)


@pytest.mark.parametrize("axis", [0, 1])
def test_filters_lie_along_an_axis(axis: int) -> None:
    weights, factor = floats(4, 3, 2, 2), np.arange(1.0, (4, 3)[axis] + 1)
    found = fold.folded_weights(weights, factor, axis)
    for filter, times in enumerate(factor):
        np.testing.assert_array_equal(found.take(filter, axis), weights.take(filter, axis) * np.float32(times))


def test_rows_are_multiplied_in_parts_as_if_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    weights, factor = floats(9, 4, 3, 3), np.arange(9.0)
    whole = fold.folded_weights(weights, factor)
    monkeypatch.setattr(fold, "_ROWS", 80)
    np.testing.assert_array_equal(fold.folded_weights(weights, factor), whole)


def test_signs_have_their_filters_mean_magnitude_and_zero_is_negative() -> None:
    weights = np.array([[[[1, -2, 0, 5]]], [[[-1, -1, 1, 1]]]], np.float32)
    np.testing.assert_array_equal(fold.signs(weights), [[[[2, -2, -2, 2]]], [[[-1, -1, 1, 1]]]])
