"""Gradients that are the original's and no derivatives, by hand; trajectories hold the CPU build's to the original."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from darknet_compat.formats.words import Build
from darknet_compat.network.network import Network

Make = Callable[..., Network]
BUILDS: list[Build] = ["cuda", "cpu"]


def backward(network: Network, x: Tensor, gradient: Tensor) -> Tensor:
    """The images' gradient; `gradient` is the output's."""
    x = x.clone().requires_grad_()
    output = network.train()(x)
    assert isinstance(output, Tensor)
    output.backward(gradient.view_as(output))
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize(("build", "expected"), [("cuda", [1.0, -1.0, 0.5]), ("cpu", [7.0, -3.0, 0.5])])
def test_the_cuda_build_cuts_connected_layers_gradients(make: Make, build: Build, expected: list[float]) -> None:
    network = make("[connected]\noutput=3\nactivation=linear", (2,), batchnorm=build)
    backward(network, torch.ones(1, 2), torch.tensor([[7.0, -3.0, 0.5]]))
    assert network.layers[0].biases.grad.tolist() == expected


def test_gradients_pass_an_l2norm_as_they_are(make: Make) -> None:
    gradient = torch.randn(2, 3, 2, 2)
    network = make("[l2norm]", (3, 2, 2))
    assert torch.equal(backward(network, torch.rand(2, 3, 2, 2), gradient), gradient)


def test_normalization_takes_its_factor_for_a_constant(make: Make) -> None:
    network = make("[normalization]\nsize=3\nalpha=.5", (5, 2, 2)).double()
    x, gradient = torch.rand(2, 5, 2, 2, dtype=torch.float64) + 0.1, torch.randn(2, 5, 2, 2, dtype=torch.float64)
    factor = network.eval()(x) / x
    torch.testing.assert_close(backward(network, x, gradient), gradient * factor)


def test_signs_count_as_what_they_stand_for(make: Make) -> None:
    """One 1x1 filter of two channels: y = m·(sign(w0)·sign(x0) + sign(w1)·sign(x1)), m the mean of the |w|."""
    text = "[convolutional]\nfilters=1\nsize=1\nxnor=1\nactivation=linear"
    x = torch.tensor([0.5, -3.0]).view(1, 2, 1, 1)
    for build, image, weights in (("cuda", [0.5, 0.0], [1.0, -1.0]), ("cpu", [0.25, -0.75], [0.5, -3.0])):
        network = make(text, (2, 1, 1), batchnorm=build)
        layer = network.layers[0]
        layer.weights.data = torch.tensor([0.25, -0.75]).view(1, 2, 1, 1)
        assert network.train()(x).item() - layer.biases.item() == pytest.approx(1.0)
        assert backward(network, x, torch.ones(1)).flatten().tolist() == image  # 0: outside of ±1
        assert layer.weights.grad.flatten().tolist() == weights


RESIDUAL = """
[convolutional]
filters=2
size=3
pad=1
activation=linear
[convolutional]
filters=2
size=1
activation=linear
[shortcut]
from=-2
activation=linear
"""


@pytest.mark.parametrize(("build", "kept"), [("cuda", True), ("cpu", False)])
def test_the_cpu_build_forgets_who_else_read_a_1x1_convolutions_input(make: Make, build: Build, kept: bool) -> None:
    network = make(RESIDUAL, (1, 4, 4), batchnorm=build)
    network.layers[1].weights.data.zero_()
    found = backward(network, torch.rand(1, 1, 4, 4), torch.ones(1, 2, 4, 4))
    assert bool(found.any()) == kept


@pytest.mark.parametrize("layer", ["[reorg]\nstride=1", "[activation]\nactivation=linear"])
@pytest.mark.parametrize("build", BUILDS)
def test_layers_that_overwrite_in_both_builds(make: Make, build: Build, layer: str) -> None:
    conv = "[convolutional]\nfilters=2\nsize=3\npad=1\nactivation=linear\n"
    network = make(f"{conv}{layer}\n[route]\nlayers=-1,-2", (1, 4, 4), batchnorm=build)
    gradient = torch.zeros(1, 4, 4, 4)
    gradient[:, 2:] = 1  # what the route reads of the convolution itself
    assert not backward(network, torch.rand(1, 1, 4, 4), gradient).any()


def test_nothing_learns_below_stopbackward(make: Make) -> None:
    conv = "[convolutional]\nfilters=2\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    network = make(f"{conv}{conv}stopbackward=1\n{conv}[route]\nlayers=-1,0", (1, 4, 4)).train()
    before = network.layers[0].rolling_mean.clone()
    output = network(torch.rand(2, 1, 4, 4))
    output.square().sum().backward()
    assert [layer.weights.grad is not None for layer in network.layers[:3]] == [False, False, True]
    assert not torch.equal(network.layers[0].rolling_mean, before)  # statistics move all the same


def test_evaluation_has_plain_gradients(make: Make) -> None:
    network = make(RESIDUAL + "stopbackward=1\n[l2norm]", (1, 4, 4), batchnorm="cpu").double().eval()
    assert torch.autograd.gradcheck(network, [torch.rand(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)])
