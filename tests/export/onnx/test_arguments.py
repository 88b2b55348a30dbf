"""What `export_onnx` is told: the names of the classes, and arguments that are refused."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import numpy as np
import pytest

import darknet_compat as dc
from darknet_compat.errors import DarknetCompatError, ExportError, MetadataError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.network.load import save_weights
from darknet_compat.network.network import Network
from darknet_compat.runtime.exported import read_artefact
from tests.export.support import seeded

LAYERS = """[net]
width=32
height=32
channels=3
[convolutional]
filters={}
size=1
stride=16
activation=linear
[region]
num=1
classes={}
anchors=1,2
softmax=1
"""
MINE = tuple(f"mine {number}" for number in range(20))


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of as many classes as VOC has, but others, which the `.names` beside it names."""
    path = tmp_path_factory.mktemp("mine") / "mine.cfg"
    path.write_text(LAYERS.format(25, 20))
    save_weights(seeded(path), path.with_suffix(".weights"))
    path.with_suffix(".names").write_text("\n".join(MINE))
    return path


@pytest.fixture(scope="module")
def network(cfg: Path) -> Network:
    return dc.load_network(cfg, cfg.with_suffix(".weights"))


def unnamed(folder: Path, classes: int) -> Path:
    """The cfg of a detector without names beside it."""
    path = folder / "unnamed.cfg"
    path.write_text(LAYERS.format(5 + classes, classes))
    return path


# --------------------------------------------------------------------------------------------------------------- names


def test_the_names_beside_the_cfg_travel_inside(cfg: Path, network: Network, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    assert export_onnx(network, path).names == MINE
    assert dc.Detector(path).names == dc.Detector(cfg).names == MINE
    assert dc.Detector(path, names=MINE[::-1]).names == MINE[::-1]


def test_names_are_found_beside_the_cfg_that_is_named(cfg: Path, tmp_path: Path) -> None:
    assert export_onnx(seeded(unnamed(tmp_path, 20)), tmp_path / "m.onnx", cfg=cfg).names == MINE


def test_names_are_a_list_a_file_or_none(network: Network, tmp_path: Path) -> None:
    given = tuple(f"given {number}" for number in range(20))
    (tmp_path / "its.names").write_text("\n".join(given))
    path = tmp_path / "m.onnx"
    for names in (given, list(given), tmp_path / "its.names", str(tmp_path / "its.names")):
        assert export_onnx(network, path, names=names).names == given == read_artefact(path).names
    assert export_onnx(network, path, names=()).names is None is read_artefact(path).names


@pytest.mark.parametrize(("classes", "first"), [(20, "aeroplane"), (3, "class 0")])
def test_without_names_it_has_the_usual_ones(classes: int, first: str, tmp_path: Path) -> None:
    names = export_onnx(seeded(unnamed(tmp_path, classes)), tmp_path / "m.onnx").names
    assert names is not None and len(names) == classes and names[0] == first


def test_names_in_another_encoding_travel_too(tmp_path: Path) -> None:
    """What is no UTF-8 is text all the same (`formats.textfile.read_words`)."""
    cfg = unnamed(tmp_path, 2)
    cfg.with_suffix(".names").write_bytes("Bär\nKuh\n".encode("latin-1"))
    names = export_onnx(seeded(cfg), tmp_path / "m.onnx").names
    assert names == read_artefact(tmp_path / "m.onnx").names == ("Bär", "Kuh")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["a"], "names: has 1 name, but the network has 20 classes"),
        ([7] * 20, "names: expected a list of text, found [7, 7, "),
        (7, "names: expected a list of text, found 7"),
        ("none.names", "none.names: cannot be read as a list of names: No such file or directory"),
    ],
)
def test_names_that_do_not_fit(names: object, message: str, network: Network, tmp_path: Path) -> None:
    refused(MetadataError, message, network, tmp_path, names=names)


def test_a_file_of_names_that_does_not_fit(tmp_path: Path) -> None:
    cfg = unnamed(tmp_path, 3)
    cfg.with_suffix(".names").write_text("one\ntwo\n")
    message = f"{cfg.with_suffix('.names')}: has 2 names, but the network has 3 classes"
    refused(MetadataError, message, seeded(cfg), tmp_path / "out")


# ----------------------------------------------------------------------------------------------------------- arguments


def refused(kind: type[DarknetCompatError], message: str, network: Network, folder: Path, **options: object) -> None:
    with pytest.raises(kind, match="^" + re.escape(message)) as caught:
        export_onnx(network, folder / "m.onnx", **options)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert not (folder / "m.onnx").exists()


SIZES = "sizes: expected the least and the most pixels of a side such as 320-608 or (320, 608), or fixed, found "
FRACTION = "expected a number from 0 to 1 such as 0.25, found "
BATCH = "batch: expected a whole number from 1 to 1024, found "
CANDIDATES = "candidates: expected a whole number from 1 on, found "


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("sizes", "foo", SIZES + "'foo'"),
        ("sizes", (32,), SIZES + "(32,)"),
        ("sizes", 416, SIZES + "416"),
        ("sizes", (32, "64"), SIZES + "(32, '64')"),
        ("sizes", (True, 64), SIZES + "(True, 64)"),
        ("batch", 0, BATCH + "0"),
        ("batch", -2, BATCH + "-2"),
        ("batch", "x", BATCH + "'x'"),
        ("batch", True, BATCH + "True"),
        ("batch", 1.5, BATCH + "1.5"),
        ("batch", 1 << 70, BATCH + "11805"),
        ("thresh", 5, "thresh: " + FRACTION + "'5'"),
        ("thresh", float("nan"), "thresh: " + FRACTION + "'nan'"),
        ("nms", "x", "nms: " + FRACTION + "'x'"),
        ("hier_thresh", [1], "hier_thresh: " + FRACTION + "'[1]'"),
        ("candidates", -1, CANDIDATES + "-1"),
        ("candidates", 0, CANDIDATES + "0"),
        ("candidates", None, CANDIDATES + "None"),
        ("outputs", "foo", "outputs: expected one of heads, boxes, detections, found 'foo'"),
        ("input", "half", "input: expected one of float, uint8, found 'half'"),
        ("resize", "foo", "resize: expected one of letterbox, stretch, found 'foo'"),
        ("resize", 7, "resize: expected one of letterbox, stretch, found '7'"),
        ("batch", np.arange(3000).reshape(-1, 2), BATCH),
        ("colour", 1, "colour: no such option; there are outputs, layout, max_detections"),
    ],
)
def test_arguments_that_are_refused(option: str, value: object, message: str, network: Network, tmp_path: Path) -> None:
    refused(ExportError, message, network, tmp_path, **{option: value})


def test_arguments_of_other_kinds_of_number(network: Network, tmp_path: Path) -> None:
    artefact = export_onnx(network, tmp_path / "m.onnx", thresh=np.float32(0.25), nms=1, sizes=[32, 64])  # type: ignore[arg-type]
    assert (artefact.thresh, artefact.nms, artefact.sizes) == (0.25, 1.0, (32, 64))
    assert read_artefact(tmp_path / "m.onnx") == artefact


def test_the_checksum_is_the_named_cfgs(cfg: Path, network: Network, tmp_path: Path) -> None:
    assert export_onnx(network, tmp_path / "m.onnx").cfg_sha256 == hashlib.sha256(cfg.read_bytes()).hexdigest()
