"""The weights of a file, slot by slot, and of a torch network: the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import Header, read_weights, slots, write_weights
from darknet_compat.definition.weights.network_weights import LayerArrays, StoredWeights, load_weights, weights_sha256
from darknet_compat.errors import ExportError, WeightsError
from tests.formats.making import NEW, file_with

LAYERS = (
    "[convolutional]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n{}"
    "[batchnorm]\n[connected]\noutput=5\nbatch_normalize=1\nactivation=linear\n"
)
NET = "[net]\nwidth=6\nheight=6\nchannels=3\n"


@pytest.fixture
def stored(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """`stored(option="", header=NEW)`: a cfg and its weights, 1, 2, 3, …"""

    def make(option: str = "", header: Header = NEW) -> tuple[Path, Path]:
        cfg, weights = tmp_path / "m.cfg", tmp_path / "m.weights"
        cfg.write_text(NET + LAYERS.format(option))
        wanted = slots(load_spec(cfg), transposed=header.transposed)
        count = sum(slot.size for slot in wanted)
        file_with(weights, header.to_bytes() + np.arange(1, count + 1, dtype="<f4").tobytes())
        return cfg, weights

    return make


@pytest.mark.parametrize("header", [Header(), Header(0, 1, 0, 7), Header(0, 1001, 0, 5)])
def test_slots_are_those_of_the_mapped_file(stored: Callable[..., tuple[Path, Path]], header: Header) -> None:
    cfg, weights = stored(header=header)
    found = load_weights(cfg, weights)
    assert found.header == header
    for slot, values in read_weights(weights, found.spec).arrays:
        np.testing.assert_array_equal(found.array(slot), values)


@pytest.mark.parametrize("header", [Header(), Header(0, 1, 0, 7), Header(0, 1001, 0, 5)])
def test_the_checksum_is_the_files(stored: Callable[..., tuple[Path, Path]], header: Header) -> None:
    import hashlib

    cfg, weights = stored(header=header)
    assert weights_sha256(load_weights(cfg, weights)) == hashlib.sha256(weights.read_bytes()).hexdigest()


def test_what_no_file_holds_is_as_in_a_new_network(stored: Callable[..., tuple[Path, Path]]) -> None:
    found = load_weights(*stored("dontloadscales=1\n"))
    first, second = (LayerArrays(found, found.spec.layers[index]) for index in (0, 1))
    assert (first["scales"] == 1).all() and (first["rolling_variance"] == 1).all()
    assert (first["rolling_mean"] == 0).all() and (second["biases"] == 0).all()
    assert second["scales"].any() and (second["scales"] != 1).all()


@pytest.mark.parametrize("option", ["dontload=1\n", "numload=2\n"])
def test_weights_left_to_chance_are_refused(option: str, stored: Callable[..., tuple[Path, Path]]) -> None:
    with pytest.raises(ExportError, match=r"m\.cfg:5: layer 0 \[convolutional\] is not loaded as a whole"):
        load_weights(*stored(option))


def test_a_file_cut_meanwhile_is_an_error(stored: Callable[..., tuple[Path, Path]]) -> None:
    cfg, weights = stored()
    found = load_weights(cfg, weights)
    weights.write_bytes(weights.read_bytes()[:40])
    with pytest.raises(WeightsError, match="became shorter while it was read"):
        weights_sha256(found)


def test_a_network_of_torch_gives_the_same(stored: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    torch_load = pytest.importorskip("darknet_compat.network.load")
    cfg, weights = stored()
    found, network = load_weights(cfg, weights), torch_load.load_network(cfg, weights)
    assert weights_sha256(network) == weights_sha256(found)
    for layer in found.spec.layers:
        ours, theirs = LayerArrays(found, layer), LayerArrays(network, layer)
        assert ours.normalized == theirs.normalized
        np.testing.assert_array_equal(ours.folded_biases(), theirs.folded_biases())
        if layer.type != "batchnorm":
            np.testing.assert_array_equal(ours.folded_weights(), theirs.folded_weights())


def test_a_saved_network_is_read_as_it_was(stored: Callable[..., tuple[Path, Path]], tmp_path: Path) -> None:
    cfg, weights = stored()
    found = load_weights(cfg, weights)
    again = tmp_path / "again.weights"
    write_weights(again, found.header, [(slot, found.array(slot)) for slot in slots(found.spec)])
    assert again.read_bytes() == weights.read_bytes()
    assert isinstance(StoredWeights(found.spec, again), StoredWeights)
