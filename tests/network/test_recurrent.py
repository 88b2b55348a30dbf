"""Recurrent layers in float64 against their equations, sequence by sequence and step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.network.network import Network

Array = NDArray[np.float64]
Make = Callable[..., Network]
STEPS, SEQUENCES, INPUTS, OUTPUTS = 3, 2, 7, 5


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def leaky(x: Array) -> Array:
    return np.where(x > 0, x, 0.1 * x)


class Part:
    """A connected part of a layer: weights · x + biases, or with batch normalization what that makes of weights · x."""

    def __init__(self, module: Any) -> None:
        names = ("weights", "biases", "scales", "rolling_mean", "rolling_variance")
        self.values = {name: getattr(module, name).detach().double().numpy() for name in names if hasattr(module, name)}

    def __call__(self, x: Array) -> Array:
        v = self.values
        y = v["weights"] @ x
        if "scales" in v:
            y = v["scales"] * (y - v["rolling_mean"]) / np.sqrt(v["rolling_variance"] + 1e-5)
        return np.asarray(y + v["biases"])


def check(network: Network, step: Callable[[Array, Any], tuple[Array, Any]], zero: Any) -> None:
    """Run `step` (input, state) → (output, state) over each sequence, and compare with the network's last layer.

    All sequences' first steps stand before all second ones, as the original takes them.
    """
    x = np.random.default_rng(0).standard_normal((STEPS, SEQUENCES, INPUTS))
    expected = np.zeros((STEPS, SEQUENCES, OUTPUTS))
    for n in range(SEQUENCES):
        state = zero
        for t in range(STEPS):
            expected[t, n], state = step(x[t, n], state)
    found = network.double().layer_outputs(torch.from_numpy(x.reshape(-1, INPUTS)))[-1].numpy()
    np.testing.assert_allclose(found, expected.reshape(-1, OUTPUTS), rtol=1e-12, atol=1e-12)


def layer(make: Make, text: str) -> tuple[Network, dict[str, Part]]:
    network = make(f"{text}\noutput={OUTPUTS}", (INPUTS,), net=f"time_steps={STEPS}\nbatch={SEQUENCES}")
    return network, {name: Part(part) for name, part in network.layers[0].named_children()}


@pytest.mark.parametrize("shortcut", [0, 1])
@pytest.mark.parametrize("normalize", [0, 1])
def test_rnn(make: Make, normalize: int, shortcut: int) -> None:
    """state = input(x) + self(state) (+ state), output = output(state)."""
    network, p = layer(make, f"[rnn]\nactivation=leaky\nbatch_normalize={normalize}\nshortcut={shortcut}")

    def step(x: Array, state: Array) -> tuple[Array, Array]:
        new = leaky(p["input_layer"](x)) + leaky(p["self_layer"](state)) + shortcut * state
        return leaky(p["output_layer"](new)), new

    check(network, step, np.zeros(OUTPUTS))


@pytest.mark.parametrize("tanh", [0, 1])
@pytest.mark.parametrize("normalize", [0, 1])
def test_gru(make: Make, normalize: int, tanh: int) -> None:
    """z keeps the state, r is what the candidate sees of it."""
    network, p = layer(make, f"[gru]\nbatch_normalize={normalize}\ntanh={tanh}")

    def step(x: Array, state: Array) -> tuple[Array, Array]:
        z = sigmoid(p["uz"](x) + p["wz"](state))
        r = sigmoid(p["ur"](x) + p["wr"](state))
        h = (np.tanh if tanh else sigmoid)(p["uh"](x) + p["wh"](r * state))
        state = z * state + (1 - z) * h
        return state, state

    check(network, step, np.zeros(OUTPUTS))


@pytest.mark.parametrize("normalize", [0, 1])
def test_lstm(make: Make, normalize: int) -> None:
    network, p = layer(make, f"[lstm]\nbatch_normalize={normalize}")

    def step(x: Array, state: tuple[Array, Array]) -> tuple[Array, tuple[Array, Array]]:
        output, cell = state
        f, i, o, g = (p["u" + gate](x) + p["w" + gate](output) for gate in "fiog")
        cell = sigmoid(f) * cell + sigmoid(i) * np.tanh(g)
        output = sigmoid(o) * np.tanh(cell)
        return output, (output, cell)

    check(network, step, (np.zeros(OUTPUTS), np.zeros(OUTPUTS)))


@pytest.mark.parametrize("shortcut", [0, 1])
@pytest.mark.parametrize("normalize", [0, 1])
def test_crnn(make: Make, normalize: int, shortcut: int) -> None:
    """As rnn, with convolutions of size 3; the original swaps width and height: [C, H, W] is read as [C, W, H]."""
    text = f"[crnn]\nhidden_filters=4\noutput_filters=3\nactivation=leaky\nbatch_normalize={normalize}"
    network = make(f"{text}\nshortcut={shortcut}", (2, 5, 3), net=f"time_steps={STEPS}").double()
    parts = dict(network.layers[0].named_children())
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((STEPS * SEQUENCES, 2, 5, 3)))
    found = network.layer_outputs(x)[0]
    assert network.spec.layers[0].output[:3] == found.shape[1:] == (3, 3, 5)
    read = x.reshape(STEPS, SEQUENCES, 2, 3, 5)
    with torch.no_grad():
        for n in range(SEQUENCES):
            state = torch.zeros(1, 4, 3, 5, dtype=torch.float64)
            for t in range(STEPS):
                new = parts["input_layer"](read[t, n : n + 1]) + parts["self_layer"](state)
                state = new + state if shortcut else new
                expected = parts["output_layer"](state)[0]
                torch.testing.assert_close(found[t * SEQUENCES + n], expected, rtol=1e-12, atol=1e-12)


def test_rnn_by_hand(make: Make) -> None:
    """One value: input doubles, self halves, output adds one; two steps of 1 and 0."""
    network = make("[rnn]\noutput=1\nactivation=linear", (1,), net="time_steps=2")
    rnn = network.layers[0]
    for name, weight, bias in (("input_layer", 2.0, 0.0), ("self_layer", 0.5, 0.0), ("output_layer", 1.0, 1.0)):
        part = rnn.get_submodule(name)
        part.weights.data, part.biases.data = torch.tensor([[weight]]), torch.tensor([bias])
    assert network.layer_outputs(torch.tensor([[1.0], [0.0]]))[0].tolist() == [[3.0], [2.0]]


@pytest.mark.parametrize("text", ["[rnn]\noutput=4\nactivation=tanh", "[gru]\noutput=4\ntanh=1", "[lstm]\noutput=4"])
def test_every_call_starts_from_zero_and_gradients_reach_every_weight(make: Make, text: str) -> None:
    network = make(text, (3,), net="time_steps=4").train()
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((8, 3))).float()
    first = network(x)
    assert torch.equal(first, network(x))
    first.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


def test_an_image_is_read_as_plain_values(make: Make) -> None:
    network = make("[lstm]\noutput=4", (3, 2, 2), net="time_steps=2")
    x = torch.from_numpy(np.random.default_rng(0).standard_normal((4, 3, 2, 2))).float()
    assert network(x).shape == (4, 4)
