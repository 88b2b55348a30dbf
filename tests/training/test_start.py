"""Where training begins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import cut_weights
from darknet_compat.errors import DarknetCompatError
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.training.start import start_training

CFG = """[net]
width=32
height=32
channels=3

[convolutional]
batch_normalize=1
filters=4
size=3
stride=2
pad=1
activation=leaky

[maxpool]
size=2
stride=2

[convolutional]
filters={filters}
size=1
activation=linear

[region]
anchors=1,1,2,2
num=2
classes={classes}
coords=4
softmax=1
"""


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "small.cfg"
    path.write_text(CFG.format(filters=16, classes=3))
    return path


@pytest.fixture
def weights(cfg: Path, tmp_path: Path) -> Path:
    network = load_network(cfg)
    network.header = replace(network.header, seen=640)
    save_weights(network, tmp_path / "small.weights")
    return tmp_path / "small.weights"


def test_from_nothing(cfg: Path, tmp_path: Path) -> None:
    start = start_training(cfg, out=tmp_path / "out")
    assert start.network.training
    assert start.notes == ()
    assert start.cfg == tmp_path / "out" / "small.cfg"
    assert load_network(start.cfg).spec.layers == start.network.spec.layers


def test_what_training_does_not_follow_is_said(cfg: Path, tmp_path: Path) -> None:
    (tmp_path / "m.cfg").write_text(cfg.read_text().replace("[net]", "[net]\nattention=1\nseq_scales=1", 1))
    start = start_training(tmp_path / "m.cfg", out=tmp_path / "out")
    assert start.notes == (f"{tmp_path}/m.cfg: training does not follow [net] attention (line 2), seq_scales (line 3)",)


def test_options_given_with_the_command_stand_in_the_definition(cfg: Path, tmp_path: Path) -> None:
    start = start_training(cfg, out=tmp_path / "out", options={"batch": 6, "width": 64})
    assert (start.network.spec.net.batch, start.network.spec.net.width) == (6, 64)
    assert "batch=6" in start.cfg.read_text()


def test_a_whole_file_goes_on_where_it_stopped(cfg: Path, weights: Path, tmp_path: Path) -> None:
    start = start_training(cfg, weights, out=tmp_path / "out")
    assert start.notes == ()
    assert start.network.header.seen == 640
    save_weights(start.network, tmp_path / "again.weights")
    assert (tmp_path / "again.weights").read_bytes() == weights.read_bytes()
    cleared = start_training(cfg, weights, out=tmp_path / "out", clear=True)
    assert cleared.network.header.seen == 0
    assert cleared.notes == ("640 images seen before do not count (clear)",)


def test_a_cut_file_gives_the_first_layers(cfg: Path, weights: Path, tmp_path: Path) -> None:
    whole = load_network(cfg, weights)
    cut_weights(weights, whole.spec, tmp_path / "small.conv.2", 2)
    start = start_training(cfg, tmp_path / "small.conv.2", out=tmp_path / "out")
    assert start.notes == ("small.conv.2 holds the first 2 of 4 layers; the others start at random",)
    assert torch.equal(start.network.layers[0].weights, whole.layers[0].weights)
    assert not torch.equal(start.network.layers[2].weights, whole.layers[2].weights)


def test_other_classes_keep_all_but_the_head(cfg: Path, weights: Path, tmp_path: Path) -> None:
    start = start_training(cfg, weights, out=tmp_path / "out", classes=20)
    assert start.network.spec.layers[-1].classes == 20
    assert torch.equal(start.network.layers[0].weights, load_network(cfg, weights).layers[0].weights)
    assert start.network.header.seen == 0
    assert start.notes == (
        "the cfg has 3 classes, the data 20: its heads are made anew for these",
        "layer 2 [convolutional] of small.weights is for other classes and starts at random",
        "so the 640 images seen before do not count",
    )
    save_weights(start.network, tmp_path / "twenty.weights")
    again = start_training(cfg, tmp_path / "twenty.weights", out=tmp_path / "out", classes=20)
    assert again.notes == start.notes[:1]


def test_the_files_that_a_definition_names_come_along(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "two.tree").write_text("thing -1\na 0\nb 0\n")
    cfg = tmp_path / "tree.cfg"
    cfg.write_text(CFG.format(filters=16, classes=3) + "tree=data/two.tree\n")
    start = start_training(cfg, out=tmp_path / "out")
    assert (tmp_path / "out" / "data" / "two.tree").is_file()
    assert start.network.spec.tree is not None


def test_nothing_of_the_users_is_overwritten(cfg: Path, tmp_path: Path) -> None:
    before = "# mine\n" + cfg.read_text()
    cfg.write_text(before)
    start_training(cfg, out=tmp_path)
    assert cfg.read_text() == before
    with pytest.raises(DarknetCompatError, match=r"small\.cfg: would be overwritten"):
        start_training(cfg, out=tmp_path, classes=5)
    assert cfg.read_text() == before


def test_weights_of_another_network(cfg: Path, tmp_path: Path) -> None:
    (tmp_path / "other.weights").write_bytes(b"\0\0\0\0\2\0\0\0" + bytes(12) + bytes(444))
    with pytest.raises(DarknetCompatError, match=r"other\.weights: has 464 bytes") as caught:
        start_training(cfg, tmp_path / "other.weights", out=tmp_path / "out")
    assert "\n" not in str(caught.value)


def test_a_dialect_that_was_asked_for_is_told_by_the_folders_cfg(tmp_path: Path) -> None:
    (tmp_path / "plain.cfg").write_text(
        "[net]\nwidth=8\nheight=8\nchannels=3\n[conv]\nfilters=18\n[yolo]\nnum=3\nclasses=1\n"
    )
    start = start_training(tmp_path / "plain.cfg", out=tmp_path / "out", dialect="fork")
    assert start.network.spec.dialect.name == "fork"
    assert load_spec(start.cfg).dialect.signs == ("letter_box in [net]",)
    assert not any("dialect" in note for note in start.notes)


def test_a_dialect_that_the_folders_cfg_cannot_tell_is_said(cfg: Path, tmp_path: Path) -> None:
    """The original's, asked for a cfg with the fork's words, which no word of the original's takes back."""
    net, layers = cfg.read_text().split("[net]", 1)
    (tmp_path / "m.cfg").write_text(f"{net}[net]\nmosaic=1{layers}")
    start = start_training(tmp_path / "m.cfg", out=tmp_path / "out", dialect="original")
    assert start.network.spec.dialect.name == "original" and load_spec(start.cfg).dialect.name == "fork"
    assert start.notes == (
        "the cfg has words that make it the fork's (mosaic in [net]): what is trained here has to be read with"
        " --dialect original, each time",
    )
    asked = start_training(tmp_path / "m.cfg", out=tmp_path / "again", dialect="fork")
    assert asked.notes == () and asked.network.spec.dialect.name == "fork"
    assert load_spec(start.cfg).resize == "stretch"
