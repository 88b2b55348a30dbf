"""Networks of a few layers, made from the text of a cfg and filled with seeded weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.lower import lower
from darknet_compat.network.layers import Build
from darknet_compat.network.network import Network

MakeNetwork = Callable[..., Network]


def text_of(layers: str, shape: tuple[int, ...], net: str = "") -> str:
    """A cfg's text: `layers` after a [net] for inputs of `shape`, (c, h, w) or (inputs,)."""
    keys = ("channels", "height", "width") if len(shape) == 3 else ("inputs",)
    return "\n".join(["[net]", *(f"{key}={side}" for key, side in zip(keys, shape, strict=True)), net, layers])


def fill(network: Network, seed: int = 0) -> Network:
    """Give a network seeded weights: normal, of variance 2 / fan-in, with statistics of batches around 0 and 1."""
    random = np.random.default_rng(seed)
    for slot, _ in network.slots():
        name = slot.name.rpartition(".")[2]
        if name in ("scales", "rolling_variance"):
            values = random.uniform(0.5, 1.5, slot.shape)
        else:
            fan_in = max(slot.size // slot.shape[0], 1) if name == "weights" else 100
            values = random.normal(0, (2 / fan_in) ** 0.5, slot.shape)
        with torch.no_grad():
            network.parameter(slot).copy_(torch.from_numpy(values))
    return network


@pytest.fixture(scope="session")
def make() -> MakeNetwork:
    """`make(layers, shape, net="", batchnorm="cuda", roots=None)`: a filled network in evaluation mode."""

    def make_network(
        layers: str,
        shape: tuple[int, ...],
        net: str = "",
        *,
        batchnorm: Build = "cuda",
        roots: list[Path] | None = None,
    ) -> Network:
        return fill(Network(lower(parse_cfg(text_of(layers, shape, net)), roots), batchnorm=batchnorm)).eval()

    return make_network
