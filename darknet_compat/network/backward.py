"""The original's ways back where they are not the derivatives of its ways forward, as autograd functions.

A network trained with other gradients is another network, so in training these are the CUDA build's, with which the
official weights were made, or the CPU build's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from darknet_compat.formats.words import Build

_EPSILON = 1e-5


class Rolling(NamedTuple):
    """The mean and variance [C] of all batches so far, which take the `share` of each new one's."""

    mean: Tensor
    variance: Tensor
    share: float

    def take(self, mean: Tensor, variance: Tensor) -> None:
        """Move towards a batch's own mean and variance, [channels] each."""
        self.mean.lerp_(mean.to(self.mean.dtype), self.share)
        self.variance.lerp_(variance.to(self.variance.dtype), self.share)


class _Normalization(torch.autograd.Function):
    """Batch normalization by the batch's own statistics (original: `backward_batchnorm_layer`).

    Forward, the variance is that over count - 1, but the gradient is the one of a variance over count; and both builds
    divide by sqrt(variance + 1e-5) there. That is what torch's own kernel gives for such an inverse deviation.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, scales: Tensor, biases: Tensor, rolling: Rolling, build: Build) -> Tensor:
        count = x.numel() // x.shape[1]
        if count < 2:
            raise ValueError(f"batch normalization needs more than one value a channel in training: {list(x.shape)}")
        if build == "cuda":
            # torch divides by the variance over `count`, the original by that over count - 1: the same up to a factor.
            # The rolling variance gets the one over count - 1 from both.
            ratio = (count - 1) / count
            y, mean, inverse = torch.native_batch_norm(
                x, scales * ratio**0.5, biases, rolling.mean, rolling.variance, True, rolling.share, _EPSILON * ratio
            )
            ctx.save_for_backward(x, scales, mean, inverse * ratio**0.5, None)
            return y
        over = [dim for dim in range(x.dim()) if dim != 1]
        variance, mean = torch.var_mean(x.to(scales.dtype), over, correction=1)  # [C]
        rolling.take(mean, variance)
        deviation, inverse = variance.sqrt() + 1e-6, (variance + _EPSILON).rsqrt()
        ctx.save_for_backward(x, scales, mean, inverse, 1 / (deviation * inverse))
        return F.batch_norm(x, mean, deviation.square(), scales, biases, eps=0.0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, scales, mean, inverse, ratio = ctx.saved_tensors
        dx, dscales, dbiases = torch.ops.aten.native_batch_norm_backward(
            gradients[0], x, scales, None, None, mean, inverse, True, _EPSILON, [True, True, True]
        )
        return dx, dscales if ratio is None else dscales * ratio, dbiases, None, None


class _Instead(torch.autograd.Function):
    """`value`, with the gradient that the first argument would have."""

    @staticmethod
    def forward(ctx: Any, gives_gradient: Tensor, value: Tensor) -> Tensor:
        return value.clone()  # what comes next may overwrite it

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return gradients[0], None


class _Constrained(torch.autograd.Function):
    """Its argument; gradients are cut off at ±1."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0].clamp(-1, 1)


def batch_normalize(x: Tensor, scales: Tensor, biases: Tensor, rolling: Rolling, build: Build) -> Tensor:
    """[N, C, …] normalized by its own mean and variance over N·spatial - 1, times `scales`, plus `biases`, both [C].

    Moves the `rolling` statistics. Raises ValueError for a single value a channel, which has no variance.
    """
    y: Tensor = _Normalization.apply(x, scales, biases, rolling, build)  # type: ignore[no-untyped-call]
    return y


def instead(value: Tensor, gives_gradient: Tensor) -> Tensor:
    """`value` where the gradient is to pass as if it were `gives_gradient`, of the same shape."""
    y: Tensor = _Instead.apply(gives_gradient, value.detach())  # type: ignore[no-untyped-call]
    return y


def constrain_gradient(x: Tensor) -> Tensor:
    """`x`, of any shape, whose gradient is cut off at ±1 (original: `constrain_gpu`)."""
    y: Tensor = _Constrained.apply(x)  # type: ignore[no-untyped-call]
    return y
