"""Networks of a few layers, made from the text of a cfg and filled with seeded weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.definition.lower import lower
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.words import Build
from darknet_compat.network.network import Network

MakeNetwork = Callable[..., Network]


def text_of(layers: str, shape: tuple[int, ...], net: str = "") -> str:
    """A cfg's text: `layers` after a [net] for inputs of `shape`, (c, h, w) or (inputs,)."""
    keys = ("channels", "height", "width") if len(shape) == 3 else ("inputs",)
    return "\n".join(["[net]", *(f"{key}={side}" for key, side in zip(keys, shape, strict=True)), net, layers])


def filled(network: Network, seed: int = 0) -> Network:
    """The network with seeded weights: normal, of variance 2 / fan-in, with statistics of batches around 0 and 1."""
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
        return filled(Network(lower(parse_cfg(text_of(layers, shape, net)), roots), batchnorm=batchnorm)).eval()

    return make_network


@pytest.fixture(scope="session")
def fill() -> Callable[[Network], Network]:
    """`fill(network)`: the network with seeded weights."""
    return filled


@pytest.fixture(scope="session")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`write(layers, shape, net="", name="small")`: the path of a cfg."""

    def write_cfg(layers: str, shape: tuple[int, ...], net: str = "", name: str = "small") -> Path:
        path = tmp_path_factory.mktemp("cfg") / f"{name}.cfg"
        path.write_text(text_of(layers, shape, net))
        return path

    return write_cfg
