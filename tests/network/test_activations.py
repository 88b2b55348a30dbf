"""The activations, at numbers that can be checked by hand and in float64 on both sides of every kink."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition.spec import ActivationName
from darknet_compat.network.activations import ACTIVATIONS, IN_PLACE
from darknet_compat.network.network import Network

Array = NDArray[np.float64]


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def stair(x: Array) -> Array:
    return np.array([n // 2 + (v - n if n % 2 else 0) for v in x for n in [int(np.floor(v))]])


FORMULAS: dict[str, Callable[[Array], Array]] = {
    "linear": lambda x: x,
    "logistic": sigmoid,
    "loggy": lambda x: 2 * sigmoid(x) - 1,
    "relu": lambda x: np.maximum(x, 0),
    "elu": lambda x: np.where(x >= 0, x, np.exp(x) - 1),
    "selu": lambda x: np.where(x >= 0, 1.0507 * x, 1.0507 * 1.6732 * (np.exp(x) - 1)),
    "relie": lambda x: np.where(x > 0, x, 0.01 * x),
    "ramp": lambda x: np.where(x > 0, 1.1 * x, 0.1 * x),
    "leaky": lambda x: np.where(x > 0, x, 0.1 * x),
    "tanh": lambda x: (np.exp(2 * x) - 1) / (np.exp(2 * x) + 1),
    "plse": lambda x: np.where(x < -4, 0.01 * (x + 4), np.where(x > 4, 0.01 * (x - 4) + 1, 0.125 * x + 0.5)),
    "stair": stair,
    "hardtan": lambda x: np.minimum(np.maximum(x, -1), 1),
    "lhtan": lambda x: np.where(x < 0, 0.001 * x, np.where(x > 1, 0.001 * (x - 1) + 1, x)),
    "swish": lambda x: x * sigmoid(x),
    "mish": lambda x: x * np.tanh(np.log1p(np.exp(x))),
    "relu6": lambda x: np.minimum(np.maximum(x, 0), 6),
    "hard_mish": lambda x: np.where(x > 0, x, np.where(x > -2, x**2 / 2 + x, 0)),
    "gelu": lambda x: 0.5 * x * (1 + np.tanh(0.797885 * x + 0.035677 * x**3)),
}

BY_HAND = {
    "linear": (-3, -3),
    "logistic": (0, 0.5),
    "loggy": (0, 0),
    "relu": (-2, 0),
    "elu": (-1, np.expm1(-1)),
    "selu": (2, 2.1014),
    "relie": (-2, -0.02),
    "ramp": (-2, -0.2),
    "leaky": (-2, -0.2),
    "tanh": (0.5, 0.46211715726),
    "plse": (-8, -0.04),
    "stair": (3.25, 1.25),
    "hardtan": (7, 1),
    "lhtan": (3, 1.002),
    "swish": (1, 0.73105857863),
    "mish": (1, 0.86509838827),
    "relu6": (8, 6),
    "hard_mish": (-1, -0.5),
    "gelu": (1, 0.841192),
}

OVER_CHANNELS = {"normalize_channels", "normalize_channels_softmax", "normalize_channels_softmax_maxval"}
"""Those that look at all channels of a place."""

POINTS = np.concatenate([np.arange(-12, 12.25, 0.25), np.random.default_rng(0).uniform(-9, 9, 200)])


def test_every_activation_of_a_cfg_is_here() -> None:
    assert set(ACTIVATIONS) == set(get_args(ActivationName)) == set(FORMULAS) | OVER_CHANNELS
    assert set(FORMULAS) == set(BY_HAND)


@pytest.mark.parametrize("name", FORMULAS)
def test_formula(name: ActivationName) -> None:
    found = ACTIVATIONS[name](torch.from_numpy(POINTS)).numpy()
    # The fork writes gelu's constants, sqrt(2/pi) and that times 0.044715, with six digits.
    tolerance = 2e-6 if name == "gelu" else 1e-12
    np.testing.assert_allclose(found, FORMULAS[name](POINTS), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", BY_HAND)
def test_by_hand(name: ActivationName) -> None:
    x, expected = BY_HAND[name]
    assert ACTIVATIONS[name](torch.tensor(float(x))).item() == pytest.approx(expected, abs=1e-6)


def test_over_channels_by_hand() -> None:
    x = torch.tensor([[-1.0, 3.0, 1.0]]).reshape(1, 3, 1, 1)
    found = ACTIVATIONS["normalize_channels"](x).flatten()
    assert found.tolist() == pytest.approx([0, 3 / 4.0001, 1 / 4.0001])
    e = np.exp([-1.0, 3.0, 1.0])
    assert ACTIVATIONS["normalize_channels_softmax"](x).flatten().tolist() == pytest.approx(e / (e.sum() + 1e-4))
    e = np.exp([-4.0, 0.0, -2.0])
    found = ACTIVATIONS["normalize_channels_softmax_maxval"](x).flatten()
    assert found.tolist() == pytest.approx(e / (e.sum() + 1e-4))


@pytest.mark.parametrize("name", sorted(OVER_CHANNELS))
def test_a_local_normalizes_the_channels_of_each_place(name: ActivationName, make: Callable[..., Network]) -> None:
    """Not all of its values at once, which it has in one row before it activates them."""
    plain, other = (
        make(f"[local]\nfilters=3\nsize=1\nactivation={activation}", (4, 6, 5)) for activation in ("linear", name)
    )
    x = torch.rand(2, 4, 6, 5, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        values = plain(x)
        values = values - values.amax(1, keepdim=True) if "maxval" in name else values
        values = values.exp() if "softmax" in name else values.clamp_min(0)
        expected = values / (values.sum(1, keepdim=True) + 1e-4)
        torch.testing.assert_close(other(x), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", FORMULAS)
def test_keeps_type_and_stays_finite(name: ActivationName, dtype: torch.dtype) -> None:
    x = torch.tensor([-1e4, -100, 0, 100, 1e4], dtype=dtype)
    y = ACTIVATIONS[name](x)
    assert y.dtype == dtype
    assert y.isfinite().all()


@pytest.mark.parametrize("name", FORMULAS)
def test_gradient(name: ActivationName) -> None:
    """Away from the kinks, which lie at whole numbers."""
    x = (torch.arange(-9, 9, dtype=torch.float64) + 0.37).requires_grad_()
    assert torch.autograd.gradcheck(ACTIVATIONS[name], [x])


GRADIENTS: dict[ActivationName, Callable[[Array], Array]] = {
    "linear": np.ones_like,
    "logistic": lambda y: (1 - y) * y,
    "loggy": lambda y: 2 * (1 - (y + 1) / 2) * ((y + 1) / 2),
    "relu": lambda y: 1.0 * (y > 0),
    "elu": lambda y: 1.0 * (y >= 0) + (y < 0) * (y + 1),
    "selu": lambda y: (y >= 0) * 1.0507 + (y < 0) * (y + 1.0507 * 1.6732),
    "relie": lambda y: np.where(y > 0, 1, 0.01),
    "ramp": lambda y: (y > 0) + 0.1,
    "leaky": lambda y: np.where(y > 0, 1, 0.1),
    "tanh": lambda y: 1 - y * y,
    "plse": lambda y: np.where((y < 0) | (y > 1), 0.01, 0.125),
    "stair": lambda y: 1.0 * (np.floor(y) != y),
    "hardtan": lambda y: 1.0 * ((y > -1) & (y < 1)),
    "lhtan": lambda y: np.where((y > 0) & (y < 1), 1, 0.001),
}
"""The original's `gradient`, which sees the activation's result only."""


@pytest.mark.parametrize("name", GRADIENTS)
def test_gradient_is_the_originals_at_the_kinks_too(name: ActivationName) -> None:
    x = torch.arange(-6, 6.01, 0.5, dtype=torch.float64).requires_grad_()
    y = ACTIVATIONS[name](x)
    y.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), GRADIENTS[name](y.detach().numpy()), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_is_the_same(name: ActivationName) -> None:
    found = []
    for activate in (ACTIVATIONS[name], IN_PLACE[name]):
        x = torch.arange(-3, 3.01, 0.5, dtype=torch.float64).requires_grad_()
        y = activate(x * 1)
        y.square().sum().backward()
        assert x.grad is not None
        found.append(torch.stack([y.detach(), x.grad]))
    assert torch.equal(*found)


@pytest.mark.parametrize("name", FORMULAS)
def test_pickles(name: ActivationName) -> None:
    assert pickle.loads(pickle.dumps(ACTIVATIONS[name])) is ACTIVATIONS[name]
