"""The random networks: of every kind of layer, and a difference is a fault."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from darknet_compat.definition.layers.table import LOWERINGS
from darknet_compat.network.load import load_network
from darknet_compat.network.network import Network
from darknet_compat.parity.reference import Original
from tests.attack import networks
from tests.attack.definitions import ENDS, LAYERS, RECURRENT, network_text
from tests.attack.fuzz import CORPUS
from tests.attack.networks import Unexplained, attempt, ended, rounding
from tests.conftest import find_original

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


KEPT = json.loads((CORPUS / "networks.json").read_text())
"""Networks that once ended as nobody had explained: number → whose words, and the definition."""
KINDS = ("552", "585", "590", "654", "663", "1026", "1356", "1444", "1921", "2906", "3132", "3173", "3195", "4045")
"""One or two of what each was: a first [dropout], a [local], values that are no picture, nothing but a [cost]."""


@pytest.fixture(scope="module")
def running() -> Iterator[Original | None]:
    """The original, where there is one."""
    if find_original() is None:
        yield None
    else:
        with Original() as original:
            yield original


@pytest.mark.parametrize(
    "number", [pytest.param(one, marks=[] if one in KINDS else [pytest.mark.slow]) for one in KEPT]
)
def test_networks_that_once_were_faults(number: str, tmp_path: Path, running: Original | None) -> None:
    dialect, text = KEPT[number]
    (tmp_path / "n.cfg").write_text(text)
    how, fault = ended(int(number), tmp_path, dialect, None, running)
    assert fault is None and not how.startswith("refused"), how


@pytest.mark.reference
@pytest.mark.parametrize("end", ["SIGSEGV", "SIGFPE"])
def test_another_end_than_the_known_one_is_a_fault(
    end: str, tmp_path: Path, running: Original, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "DEATHS", {"batchnorm": (end, "known")})
    (tmp_path / "n.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[batchnorm]\n")
    how, fault = ended(0, tmp_path, "original", None, running)
    if end == "SIGSEGV":
        assert fault is None and "the original dies at [batchnorm]: known" in how
    else:
        assert fault is not None and "dies at layer 0 [batchnorm]" in fault


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
