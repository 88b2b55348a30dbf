"""Weights for a network that has none: seeded, and with statistics like those of trained ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from torch import Tensor

from darknet_compat.definition.spec import Shortcut
from darknet_compat.network.layers import Biased
from darknet_compat.network.network import Network
from darknet_compat.parity.picture import seeded_images

_RECURRENT_GAIN = 0.3
"""Below 1, so that a recurrent state forgets, and rounding does not grow from step to step."""

_BRANCH_GAIN = 0.3
"""In trained networks a residual block adds little to what it passes on; else depth would amplify rounding."""


@torch.no_grad()
def seed_weights(network: Network, seed: int = 0) -> None:
    """Fill a network with random values like those of a trained one; activations neither vanish nor explode.

    Weights are normal with variance 2 / fan-in, biases small, scales around 1. Rolling means and variances are those of
    the activations themselves, for a seeded picture that goes through the network once, as training would leave them.
    """
    random = np.random.default_rng(seed)
    branches = {layer.sources[0] for layer in network.spec.layers if isinstance(layer, Shortcut)}
    for slot, values in network.slots():
        part, _, name = slot.name.rpartition(".")
        if name == "weights":
            recurrent = part == "self_layer" or part.startswith("w")
            gain = _RECURRENT_GAIN if recurrent else 1.0
            new = random.standard_normal(values.shape, np.float32) * (gain * (2 / fan_in(slot.shape)) ** 0.5)
        elif name == "scales":
            new = random.uniform(0.5, 1.5, values.shape) * (_BRANCH_GAIN if slot.layer in branches else 1.0)
        elif name == "rolling_variance":
            new = np.ones(values.shape)
        else:
            new = random.normal(0, 0.1, values.shape)
        network.parameter(slot).copy_(torch.from_numpy(np.asarray(new, np.float32)))
    if network.spec.net.input.image:
        with _measuring(network):
            network(torch.from_numpy(seeded_images(network.spec, seed)))


def fan_in(shape: tuple[int, ...]) -> int:
    """How many inputs each output of weights of `shape` sums up."""
    return int(np.prod(shape[1:])) if len(shape) != 3 else shape[2]  # [locations, filters, inputs] in a local layer


@contextmanager
def _measuring(network: Network) -> Iterator[None]:
    """While open, each batch normalization takes its rolling statistics from what passes through it."""
    measured = [module for module in network.modules() if isinstance(module, Biased) and module.normalized]
    normalize = [module.normalize for module in measured]
    for module, original in zip(measured, normalize, strict=True):
        module.normalize = partial(_measure, module, original)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in measured:
            del module.normalize


def _measure(module: Biased, normalize: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    over = [dim for dim in range(x.dim()) if dim != 1]
    variance, mean = torch.var_mean(x, over, correction=0)
    if x.numel() > x.shape[1]:  # a single value has no variance; its channel keeps what it had
        module.rolling_mean.copy_(mean)
        module.rolling_variance.copy_(variance.clamp_min(1e-3))
    return normalize(x)
