"""Where the original's two builds compute different things: the CPU's, and CUDA's, with which weights were trained."""

from __future__ import annotations

from typing import Any

from darknet_compat.definition import spec as s
from darknet_compat.formats.words import Build

_LEAST_NORMAL = 2.0**-126
"""Of float32."""


def deviation(variance: Any, build: Build) -> Any:
    """What batch normalization divides by, of an array or tensor of variances (original: `normalize_cpu`,
    `normalize_delta_gpu`, cuDNN).

    Real files have variances of -7e-44, of channels that are always 0. As the CPU build is compiled, numbers so small
    count as 0; their root would be nan.
    """
    if build == "cuda":
        return (variance + 1e-5) ** 0.5
    return (variance * (abs(variance) >= _LEAST_NORMAL)) ** 0.5 + 1e-6


def binary_weights(layer: s.Convolutional, build: Build) -> bool:
    """Whether a convolution multiplies by its weights' signs: the CPU build reads `binary` and ignores it."""
    return layer.xnor or (layer.binary and build == "cuda")


def misread(layer: s.Convolutional, build: Build) -> bool:
    """Whether the build takes a strided 1x1 convolution's input for what it is not: the CPU build multiplies without
    im2col, and so reads a group's first values, one after another, for every stride-th cell."""
    return build == "cpu" and layer.size == 1 and max(layer.strides) > 1 and not layer.padding
