"""The random networks: of every kind of layer, and a difference is a fault."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from darknet_compat.definition.layers.table import LOWERINGS
from darknet_compat.network.load import load_network
from darknet_compat.network.network import Network
from tests.attack import networks
from tests.attack.definitions import ENDS, LAYERS, RECURRENT, network_text
from tests.attack.networks import Unexplained, attempt, rounding

SYNONYMS = {"conv", "deconv", "max", "local_avg", "avg", "conn", "lrn", "soft"}


def sections(fork: bool) -> Counter[str]:
    texts = (network_text(Random(number), fork) for number in range(1500))
    return Counter(kind for text in texts for kind in re.findall(r"^\[(\w+)\]", text, re.MULTILINE))


def test_every_kind_of_layer_comes_up() -> None:
    forks, originals = sections(fork=True), sections(fork=False)
    assert forks.keys() - {"net"} == LOWERINGS.keys() - SYNONYMS
    only = {kind for kind, (_, forks_only, _) in LAYERS.items() if forks_only} | {"conv_lstm"}
    assert not originals.keys() & (only | {"Gaussian_yolo", "contrastive"})
    assert {*ENDS, *RECURRENT} <= forks.keys()


def test_some_networks_without_the_original(tmp_path: Path) -> None:
    ends = [attempt(number, tmp_path, None, []) for number in range(12)]
    assert [fault for _, fault in ends if fault] == []
    assert sum("ONNX Runtime, OpenVINO" in how for how, _ in ends) > 2


CFG = "[net]\nwidth=8\nheight=8\nchannels=3\n[convolutional]\nfilters=4\nsize=3\npad=1\nactivation={}\n"


def made(folder: Path, activation: str = "leaky") -> tuple[Network, np.ndarray, list[torch.Tensor]]:
    (folder / "n.cfg").write_text(CFG.format(activation))
    network = load_network(folder / "n.cfg")
    images = np.random.default_rng(0).random((1, 3, 8, 8), np.float32)
    return network, images, network.layer_outputs(torch.from_numpy(images))


def test_another_network_is_no_rounding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network, images, found = made(tmp_path)
    other, write = made(tmp_path)[0], networks.export_onnx
    monkeypatch.setattr(networks, "export_onnx", lambda _, *arguments, **named: write(other, *arguments, **named))
    for exact in (False, True):
        with torch.no_grad():
            for mine, its in zip(network.parameters(), other.parameters(), strict=True):
                its.copy_(mine * (1 if exact else 1.001))
        if exact:
            assert networks._exported(network, tmp_path, images, lambda: rounding(network, images, found)) is None
        else:
            with pytest.raises(Unexplained, match="differs once exported"):
                networks._exported(network, tmp_path, images, lambda: rounding(network, images, found))


def test_how_far_rounding_goes(tmp_path: Path) -> None:
    """A few of a float32's last bits; all of a step where a value stands on it."""
    network, images, found = made(tmp_path)
    before = {name: values.clone() for name, values in network.state_dict().items()}
    assert 1e-8 < rounding(network, images, found)[0] < 1e-6
    assert all(bool((values == before[name]).all()) for name, values in network.state_dict().items())
    network, images, _ = made(tmp_path, "stair")  # floor(x), every other one: of 1 it may be 0 or 1
    with torch.no_grad():
        for values in network.parameters():
            values.zero_()
        network.layers[0].biases.fill_(1)
    assert rounding(network, images, network.layer_outputs(torch.from_numpy(images)))[0] > 0.1
