"""Batch normalization as factors on the weights and summands, in numpy.

y = scales·(x - mean)/deviation + biases = factor·x + (biases - factor·mean), so that at inference it goes into the
linear operation before it. Computed in float64 and rounded once.
"""

from __future__ import annotations

import numpy as np

from darknet_compat.definition.builds import deviation
from darknet_compat.formats.arrays import Doubles, Floats
from darknet_compat.formats.words import Build

_ROWS = 2**20  # values at once, so that float64 copies stay small


def factors(scales: Floats, variance: Floats, build: Build) -> Doubles:
    """What each filter's weights are multiplied by, [filters]."""
    found: Doubles = scales.astype(np.float64) / deviation(variance.astype(np.float64), build)
    return found


def folded_weights(weights: Floats, factor: Doubles, axis: int = 0, out: Floats | None = None) -> Floats:
    """`weights` times the `factor` of their filter, which is their `axis`; in `out`, which may be `weights`, by default
    a new array."""
    out = np.empty(weights.shape, np.float32) if out is None else out
    shape = [1] * weights.ndim
    shape[axis] = -1
    spread = np.broadcast_to(factor.reshape(shape), weights.shape)
    rows = max(1, _ROWS * len(weights) // max(weights.size, 1))
    for start in range(0, len(weights), rows):
        np.multiply(weights[start : start + rows], spread[start : start + rows], out=out[start : start + rows])
    return out


def folded_biases(biases: Floats, mean: Floats, factor: Doubles) -> Floats:
    """What is left to add, [filters]."""
    found: Floats = (biases - mean * factor).astype(np.float32)
    return found


LEAST_SHARE = 0.001
"""What a weight of a sum counts for at least once the fork has prepared a network for inference."""


def shares(weights: Floats, normalization: str) -> Floats:
    """[layers, C or 1] weights of a sum (`spec.Sum`) → what each layer counts for, at inference."""
    softmax = normalization == "softmax"
    parts = np.exp(weights - weights.max(0)) if softmax else np.maximum(weights, LEAST_SHARE)
    found: Floats = (parts / (parts.sum(0) + 1e-4)).astype(np.float32)
    return found


def signs(weights: Floats) -> Floats:
    """The weights of a binary convolution: each filter's mean magnitude with its weights' signs, 0 counting as
    negative (original: `binarize_weights`)."""
    mean = np.abs(weights).mean(axis=tuple(range(1, weights.ndim)), keepdims=True, dtype=np.float32)
    found: Floats = np.where(weights > 0, mean, -mean)
    return found
