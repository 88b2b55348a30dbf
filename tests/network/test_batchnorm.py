"""Batch normalization: the two builds' forms, what training does to the rolling statistics, and its gradients."""

from __future__ import annotations

import pickle
from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from darknet_compat.definition.dialects import DialectName
from darknet_compat.definition.lower import lower
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.words import Build
from darknet_compat.network.layers import Biased
from darknet_compat.network.network import Network

Array = NDArray[np.float64]
Make = Callable[..., Network]
BUILDS: list[Build] = ["cuda", "cpu"]
SHAPES = [(2, 4, 5, 3), (7, 4)]
"""An image's and a connected layer's."""


def divisor(variance: Array, build: str) -> Array:
    """What the build divides by."""
    return np.sqrt(variance + 1e-5) if build == "cuda" else np.sqrt(variance) + 1e-6


def normalized(layer: Biased, x: Array, mean: Array, variance: Array) -> Array:
    shape = (1, -1) + (1,) * (x.ndim - 2)
    scales, biases = (p.detach().numpy().reshape(shape) for p in (layer.scales, layer.biases))
    return scales * (x - mean.reshape(shape)) / divisor(variance, layer.build).reshape(shape) + biases


def module(build: Build, smallest: float = 0.01) -> Biased:
    """Batch normalization of 4 filters, in float64; the first one's variance is tiny, where builds differ."""
    layer = Biased(4, "linear", True, build).double()
    random = np.random.default_rng(0)
    layer.scales.data = torch.from_numpy(random.uniform(0.5, 1.5, 4))
    layer.biases.data = torch.from_numpy(random.normal(0, 1, 4))
    layer.rolling_mean = torch.from_numpy(random.normal(0, 1, 4))
    layer.rolling_variance = torch.tensor([smallest, 0.5, 1, 2], dtype=torch.float64)
    return layer


def random(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(1).normal(0.3, 2, shape)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("build", BUILDS)
def test_evaluation_uses_the_rolling_statistics(build: Build, shape: tuple[int, ...]) -> None:
    layer, x = module(build).eval(), random(shape)
    mean, variance = layer.rolling_mean.numpy().copy(), layer.rolling_variance.numpy().copy()
    found = layer.finish(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, normalized(layer, x, mean, variance), rtol=1e-12)
    assert (layer.rolling_mean.numpy() == mean).all()
    assert (layer.rolling_variance.numpy() == variance).all()


@pytest.mark.parametrize(("build", "expected"), [("cuda", 1e-3 / (1e-8 + 1e-5) ** 0.5), ("cpu", 1e-3 / (1e-4 + 1e-6))])
def test_builds_differ_by_hand(build: Build, expected: float) -> None:
    layer = Biased(1, "linear", True, build).eval()
    layer.rolling_variance.fill_(1e-8)
    assert layer.finish(torch.tensor([[1e-3]])).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("dialect", "build", "share"),
    [("original", "cuda", 0.01), ("original", "cpu", 0.01), ("fork", "cuda", 0.01), ("fork", "cpu", 0.1)],
)
def test_what_the_rolling_statistics_take_of_a_batch(dialect: DialectName, build: Build, share: float) -> None:
    text = "[net]\nwidth=2\nheight=2\nchannels=1\n[conv]\nbatch_normalize=1\nactivation=linear\n"
    network = Network(lower(parse_cfg(text), dialect=dialect), batchnorm=build).train()
    with torch.no_grad():
        network.layers[0].weights.fill_(1)
    network(torch.tensor([[[[1.0, 2], [3, 6]]]]))  # mean 3, variance 14/3
    assert network.layers[0].rolling_mean.item() == pytest.approx(share * 3)
    assert network.layers[0].rolling_variance.item() == pytest.approx(1 + share * (14 / 3 - 1))


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("build", BUILDS)
def test_training_uses_the_batch_and_moves_the_rolling_statistics(build: Build, shape: tuple[int, ...]) -> None:
    layer, x = module(build).train(), random(shape)
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    mean, variance = x.mean(axes), x.var(axes, ddof=1)  # over batch·spatial - 1
    rolling = [0.99 * layer.rolling_mean.numpy() + 0.01 * mean, 0.99 * layer.rolling_variance.numpy() + 0.01 * variance]
    found = layer.finish(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(found, normalized(layer, x, mean, variance), rtol=1e-11)
    np.testing.assert_allclose(layer.rolling_mean.numpy(), rolling[0], rtol=1e-12)
    np.testing.assert_allclose(layer.rolling_variance.numpy(), rolling[1], rtol=1e-12)


@pytest.mark.parametrize("build", BUILDS)
def test_gradients_in_evaluation(build: Build) -> None:
    layer = module(build).eval()

    def function(x: Tensor, scales: Tensor, biases: Tensor) -> Tensor:
        return torch.func.functional_call(layer, {"scales": scales, "biases": biases}, (x,))

    layer.forward = layer.finish  # type: ignore[method-assign]
    inputs = [torch.from_numpy(random((2, 4, 3, 2))), layer.scales.detach().clone(), layer.biases.detach().clone()]
    assert torch.autograd.gradcheck(function, [x.requires_grad_() for x in inputs])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("build", BUILDS)
def test_gradients_in_training_are_the_originals_and_not_the_derivative(build: Build, shape: tuple[int, ...]) -> None:
    """The variance is that over count - 1, what goes back through it that over count (`normalize_delta_kernel`)."""
    layer = module(build).train()
    x, delta = torch.from_numpy(random(shape)).requires_grad_(), np.random.default_rng(2).normal(0, 1, shape)
    layer.finish(x).backward(torch.from_numpy(delta))
    axes = tuple(axis for axis in range(len(shape)) if axis != 1)
    count = delta.size // shape[1]
    values = random(shape)
    centred = values - values.mean(axes, keepdims=True)
    variance = values.var(axes, ddof=1, keepdims=True)
    scales = layer.scales.detach().numpy().reshape((1, -1) + (1,) * (len(shape) - 2))
    inner = delta * scales
    mean_delta = -inner.sum(axes, keepdims=True) / np.sqrt(variance + 1e-5)
    variance_delta = -0.5 * (inner * centred).sum(axes, keepdims=True) * (variance + 1e-5) ** -1.5
    expected = inner / np.sqrt(variance + 1e-5) + variance_delta * 2 * centred / count + mean_delta / count
    assert x.grad is not None and layer.scales.grad is not None and layer.biases.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), expected, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        layer.scales.grad.numpy(), (delta * centred / divisor(variance, build)).sum(axes), rtol=1e-9
    )
    np.testing.assert_allclose(layer.biases.grad.numpy(), delta.sum(axes), rtol=1e-12)


@pytest.mark.parametrize("build", BUILDS)
def test_a_single_value_has_no_variance(build: Build) -> None:
    with pytest.raises(ValueError, match=r"needs more than one value a channel in training: \[1, 4\]"):
        module(build).train().finish(torch.zeros(1, 4, dtype=torch.float64))


@pytest.mark.parametrize("build", BUILDS)
def test_a_layer_with_it_computes_activation_of_normalized_convolution(make: Make, build: Build) -> None:
    text = "[convolutional]\nfilters=4\nsize=1\nbatch_normalize=1\nactivation=leaky\n[batchnorm]"
    network = make(text, (3, 5, 2), batchnorm=build).double()
    first, second = network.layers
    x = random((2, 3, 5, 2))
    linear = np.einsum("nchw,fc->nfhw", x, first.weights.detach().numpy()[:, :, 0, 0])
    inner = normalized(first, linear, first.rolling_mean.numpy(), first.rolling_variance.numpy())
    inner = np.where(inner > 0, inner, 0.1 * inner)
    outer = normalized(second, inner, second.rolling_mean.numpy(), second.rolling_variance.numpy())
    for found, expected in zip(network.layer_outputs(torch.from_numpy(x)), (inner, outer), strict=True):
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-11)


@pytest.mark.parametrize("build", BUILDS)
def test_a_new_layer_changes_nothing_but_the_scale_of_rounding(build: Build) -> None:
    """The original starts with rolling variances of 0, with which an untrained network overflows; ours are 1."""
    layer, x = Biased(4, "linear", True, build).double().eval(), torch.from_numpy(random((2, 4, 3, 3)))
    torch.testing.assert_close(layer.finish(x), x, rtol=1e-5, atol=0)


@pytest.mark.parametrize("build", BUILDS)
def test_statistics_stay_float32_where_a_network_is_trained_in_bfloat16(make: Make, build: Build) -> None:
    text = "[convolutional]\nfilters=4\nbatch_normalize=1\nactivation=linear"
    network = make(text, (3, 8, 8), batchnorm=build).train()
    before = network.layers[0].rolling_mean.clone()
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.from_numpy(random((2, 3, 8, 8))).float())
    assert network.layers[0].rolling_mean.dtype == torch.float32
    assert not torch.equal(network.layers[0].rolling_mean, before)


def test_pickles() -> None:
    assert isinstance(pickle.loads(pickle.dumps(module("cuda"))), Biased)
