"""Updates against their definition in float64, and which parameter takes part in what."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition.dialects import DialectName
from darknet_compat.definition.lower import lower
from darknet_compat.errors import TrainingError
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.words import Build
from darknet_compat.network.network import Network
from darknet_compat.training.update.optimizer import DarknetAdam, DarknetSGD, expect_learning, freeze, make_optimizer

Array = NDArray[np.float64]
LAYERS = """
[convolutional]
filters=4
size=3
batch_normalize=1
activation=leaky
[convolutional]
filters=5
size=1
learning_rate=2
activation=linear
[avgpool]
[connected]
output=3
activation=linear
[softmax]
"""
RATES = (0.1, 0.05, 0.2, 0.1, 0.3)


def make(net: str, layers: str = LAYERS, build: Build = "cuda") -> Network:
    shape = "width=6\nheight=6\nchannels=3\n"
    network = Network(lower(parse_cfg(f"[net]\n{shape}batch=4\nsubdivisions=2\n{net}\n{layers}")), batchnorm=build)
    random = np.random.default_rng(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.from_numpy(random.normal(0, 1, parameter.shape)))
    return network


def gradients(network: Network, seed: int) -> None:
    """Two parts of a batch, added up."""
    random = np.random.default_rng(seed)
    for parameter in network.parameters():
        parameter.grad = torch.from_numpy(random.normal(0, 3, parameter.shape)).float()


def sgd(w: Array, g: Array, buffer: Array, rate: float, momentum: float, decay: float) -> None:
    """`update_convolutional_layer`; the original's buffers gather minus the gradient."""
    buffer -= g
    buffer -= decay * 4 * w
    w += rate / 4 * buffer
    buffer *= momentum


def adam(w: Array, g: Array, m: Array, v: Array, rate: float, t: int, decay: float) -> None:
    """`adam_update_gpu`."""
    d = -g - decay * 4 * w
    m += (1 - 0.8) * (d - m)
    v += (1 - 0.99) * (d * d - v)
    w += rate * (m / (1 - 0.8**t)) / (np.sqrt(v / (1 - 0.99**t)) + 0.001)


def factor(name: str) -> float:
    return 2.0 if name.startswith("layers.1.") else 1.0


def test_sgd_is_its_definition() -> None:
    network = make("momentum=0.7\ndecay=0.01")
    optimizer = make_optimizer(network)
    assert type(optimizer) is DarknetSGD
    expected = {name: p.detach().double().numpy().copy() for name, p in network.named_parameters()}
    buffers = {name: np.zeros_like(w) for name, w in expected.items()}
    for step, rate in enumerate(RATES):
        gradients(network, step)
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None
            decay = 0.01 if name.endswith(".weights") else 0.0
            g = parameter.grad.double().numpy()
            sgd(expected[name], g, buffers[name], rate * factor(name), 0.7, decay)
        optimizer.step(rate)
    for name, parameter in network.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), expected[name], rtol=1e-5, atol=1e-6)


def test_adam_is_its_definition() -> None:
    network = make("adam=1\nB1=0.8\nB2=0.99\neps=0.001\ndecay=0.01")
    optimizer = make_optimizer(network)
    assert type(optimizer) is DarknetAdam
    expected = {name: p.detach().double().numpy().copy() for name, p in network.named_parameters()}
    moments = {name: (np.zeros_like(w), np.zeros_like(w)) for name, w in expected.items()}
    for step, rate in enumerate(RATES):
        gradients(network, step)
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None
            g = parameter.grad.double().numpy()
            adam(expected[name], g, *moments[name], rate * factor(name), step + 1, 0.01)  # biases and scales decay too
        optimizer.step(rate)
    for name, parameter in network.named_parameters():
        np.testing.assert_allclose(parameter.detach().numpy(), expected[name], rtol=1e-5, atol=1e-6)


def test_the_cpu_build_knows_no_adam() -> None:
    assert type(make_optimizer(make("adam=1", build="cpu"))) is DarknetSGD


@pytest.mark.parametrize("net", ["momentum=0.9", "adam=1"])
def test_what_has_no_gradient_decays_all_the_same(net: str) -> None:
    network = make(f"{net}\ndecay=0.1")
    before = copy.deepcopy(network.state_dict())
    make_optimizer(network).step(1e-4)
    after = network.state_dict()
    assert (after["layers.0.weights"].abs() < before["layers.0.weights"].abs()).all()
    assert torch.equal(after["layers.0.biases"], before["layers.0.biases"]) == (net != "adam=1")


@pytest.mark.parametrize("build", ["cuda", "cpu"])
def test_clip_bounds_convolutions_weights_in_the_cuda_build(build: Build) -> None:
    network = make("clip=0.25", build=build)
    gradients(network, 0)
    make_optimizer(network).step(0.1)
    largest = {name: float(p.detach().abs().max()) for name, p in network.named_parameters()}
    for name, value in largest.items():
        clipped = build == "cuda" and name in ("layers.0.weights", "layers.1.weights")
        assert (value <= 0.25) == clipped, name


@pytest.mark.parametrize("net", ["momentum=0.9", "adam=1"])
def test_goes_on_from_its_state_bit_for_bit(net: str) -> None:
    network = make(net)
    optimizer = make_optimizer(network)
    for step in range(2):
        gradients(network, step)
        optimizer.step(0.1)
    twin = make(net)
    twin.load_state_dict(network.state_dict())
    resumed = make_optimizer(twin)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for one, by in ((network, optimizer), (twin, resumed)):
        gradients(one, 7)
        by.step(0.3)
    for ours, theirs in zip(network.parameters(), twin.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_what_the_original_never_updates() -> None:
    network = make("", "[batchnorm]\n[crnn]\nhidden_filters=2\noutput_filters=3\n[connected]\noutput=2\n[softmax]\n")
    before = copy.deepcopy(network.state_dict())
    gradients(network, 0)
    make_optimizer(network).step(0.1)
    moved = {name.split(".")[1] for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {"2"}


@pytest.mark.parametrize(
    ("net", "layers", "message"),
    [
        ("batch=1\nsubdivisions=8", LAYERS, "batch=1 in subdivisions=8 leaves no image for each; lower subdivisions"),
        ("momentum=-1", LAYERS, r"<cfg>: \[net\] momentum must be from 0 on, found -1"),
        ("decay=-.5", LAYERS, r"<cfg>: \[net\] decay must be from 0 on, found -0.5"),
        ("", "[conv]\nclip=-1\n[softmax]\n", r"<cfg>:\d+: layer 0 \[conv\] clip must be from 0 on, found -1"),
        ("clip=-2", LAYERS, r"<cfg>: \[net\] clip must be from 0 on, found -2"),
        ("", "[conv]\nsmooth=.1\n[softmax]\n", r"<cfg>:\d+: layer 0 \[conv\] smooth= cannot be trained with"),
        ("", "[avgpool]\n[softmax]\n", "<cfg>: no layer has anything to learn"),
        ("adam=1", "[local]\nfilters=2\nsize=3\n[softmax]\n", r"<cfg>:\d+: layer 0 \[local\] cannot be trained with"),
    ],
)
def test_what_cannot_be_trained(net: str, layers: str, message: str) -> None:
    shape = "width=6\nheight=6\nchannels=3\n"
    network = Network(lower(parse_cfg(f"[net]\n{shape}{net}\n{layers}")))
    with pytest.raises(TrainingError, match=message):
        make_optimizer(network)


@pytest.mark.parametrize("layers", ["[conv]\nstopbackward=1\n[softmax]\n", "[conv]\n[softmax]\nstopbackward=1\n"])
def test_nothing_behind_the_last_stop_learns(layers: str) -> None:
    network = Network(lower(parse_cfg(f"[net]\nwidth=6\nheight=6\nchannels=3\n{layers}")))
    with pytest.raises(TrainingError, match=r"<cfg>:\d: layer \d \[\w+\] stopbackward: expected layers with weights"):
        expect_learning(network)
    expect_learning(Network(lower(parse_cfg(f"[net]\nwidth=6\nheight=6\nchannels=3\n{LAYERS}"))))


# --------------------------------------------------------------------------------------------------- the fork's


THREE = """
[convolutional]
filters=4
size=3
batch_normalize=1
activation=leaky
{first}
[convolutional]
filters=4
size=3
batch_normalize=1
activation=leaky
{second}
[convolutional]
filters=3
size=1
activation=linear
[avgpool]
[softmax]
"""


def moved(network: Network, batch: int | None = None) -> list[bool]:
    """Which layers an update without any gradient moves: decay alone does."""
    before = [parameter.detach().clone() for parameter in network.parameters()]
    make_optimizer(network).step(0.1, batch)
    layers = {0: False, 1: False, 2: False}
    for (name, parameter), old in zip(network.named_parameters(), before, strict=True):
        layers[int(name.split(".")[1])] |= not torch.equal(parameter, old)
    return list(layers.values())


def test_dont_update_and_burnin_update_wait_for_their_batch() -> None:
    text = THREE.format(first="dont_update=5", second="burnin_update=2")
    net = "decay=0.1\nburn_in=4\n"
    assert moved(make(net, text), 4) == [False, False, True]
    assert moved(make(net, text), 5) == [True, False, True]
    assert moved(make(net, text), 8) == [True, True, True]
    assert moved(make(net, text)) == [True, True, True]


def test_train_only_bn_moves_nothing_but_statistics_up_to_its_layer() -> None:
    network = make("decay=0.1\nmosaic=0\n", THREE.format(first="", second="train_only_bn=1")).train()
    assert moved(network, 1) == [False, False, True]
    statistics = network.layers[1].rolling_mean.clone()
    network(torch.rand(4, 3, 6, 6))
    assert not torch.equal(network.layers[1].rolling_mean, statistics)


@pytest.mark.parametrize("dialect", ["original", "fork"])
def test_before_stopbackward_the_original_decays_and_the_fork_stands_still(dialect: DialectName) -> None:
    text = THREE.format(first="", second="stopbackward=1")
    cfg = parse_cfg(f"[net]\nwidth=6\nheight=6\nchannels=3\nbatch=4\ndecay=0.1\n{text}")
    network = Network(lower(cfg, dialect=dialect)).train()
    freeze(network)
    original = dialect == "original"
    assert moved(network) == [original, True, True]
    statistics = network.layers[0].rolling_mean.clone()
    network(torch.rand(4, 3, 6, 6))
    assert torch.equal(network.layers[0].rolling_mean, statistics) is not original


def test_a_layers_own_clip_bounds_it() -> None:
    network = make("", THREE.format(first="clip=0.5", second=""))
    make_optimizer(network).step(0.0)
    largest = [float(network.layers[number].weights.detach().abs().max()) for number in range(3)]
    assert largest[0] == 0.5 and min(largest[1:]) > 0.5
