"""The original's activations as torch functions (original: activations.h), and those of its best-known fork."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from darknet_compat.definition.spec import ActivationName


def _linear(x: Tensor) -> Tensor:
    return x


def _loggy(x: Tensor) -> Tensor:
    return 2 * torch.sigmoid(x) - 1


def _relie(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.01)


def _ramp(x: Tensor) -> Tensor:
    return F.relu(x) + 0.1 * x


def _leaky(x: Tensor) -> Tensor:
    return F.leaky_relu(x, 0.1)


def _leaky_(x: Tensor) -> Tensor:
    return F.leaky_relu_(x, 0.1)


def _plse(x: Tensor) -> Tensor:
    """A piecewise linear sigmoid."""
    outside = torch.where(x < -4, 0.01 * (x + 4), 0.01 * (x - 4) + 1)
    return torch.where(x.abs() <= 4, 0.125 * x + 0.5, outside)


def _stair(x: Tensor) -> Tensor:
    """Flat over even unit steps, rising over odd ones."""
    whole = x.floor()
    return torch.where((whole % 2 == 0) | (x == whole), (x / 2).floor(), (x - whole) + (x / 2).floor())


def _lhtan(x: Tensor) -> Tensor:
    """Linear in 0..1 and almost flat outside."""
    return torch.where(x <= 0, 0.001 * x, torch.where(x >= 1, 0.001 * (x - 1) + 1, x))


def _gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def _selu(x: Tensor) -> Tensor:
    return 1.0507 * torch.where(x >= 0, x, 1.6732 * torch.expm1(x))


def _hard_mish(x: Tensor) -> Tensor:
    return torch.where(x > 0, x, torch.where(x > -2, x * x / 2 + x, 0))


def _normalize_channels(x: Tensor) -> Tensor:
    """Each place's positive values by their sum."""
    positive = F.relu(x)
    return positive / (positive.sum(1, keepdim=True) + 1e-4)


def _normalize_channels_softmax(x: Tensor) -> Tensor:
    exponentials = x.exp()
    return exponentials / (exponentials.sum(1, keepdim=True) + 1e-4)


def _normalize_channels_softmax_maxval(x: Tensor) -> Tensor:
    return _normalize_channels_softmax(x - x.amax(1, keepdim=True))


ACTIVATIONS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "linear": _linear,
    "logistic": torch.sigmoid,
    "loggy": _loggy,
    "relu": F.relu,
    "elu": F.elu,
    "selu": _selu,
    "relie": _relie,
    "ramp": _ramp,
    "leaky": _leaky,
    "tanh": torch.tanh,
    "plse": _plse,
    "stair": _stair,
    "hardtan": F.hardtanh,
    "lhtan": _lhtan,
    "swish": F.silu,
    "mish": F.mish,
    "relu6": F.relu6,
    "hard_mish": _hard_mish,
    "gelu": _gelu,
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_channels_softmax,
    "normalize_channels_softmax_maxval": _normalize_channels_softmax_maxval,
}
"""An activation's name in a cfg → its function; no lambdas, so that the modules that hold one can be pickled."""

IN_PLACE: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "linear": _linear,
    "relu": F.relu_,
    "leaky": _leaky_,
}
"""The same, overwriting their argument, of those whose gradient can be told from their result."""
