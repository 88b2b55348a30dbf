"""Which sizes one file serves, and that it is right at each of them, also where grids do not divide the input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.sides import layer_sides
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.input_sizes import free_sizes
from darknet_compat.runtime.torch import TorchRuntime
from tests.conftest import Original
from tests.export.onnx.test_layers import CASES, CONV, UP, VALID
from tests.export.support import assert_answers_same, assert_raw_same, pictures, small

HALF = CONV.format(4, 3, 2)
HEAD = CONV.format(18, 1, 1) + "[yolo]\nclasses=1\nmask={}\nanchors=10,13, 16,30, 33,23, 30,61, 62,45, 59,119\nnum=6\n"

GRIDS = {
    "that does not divide": (HALF * 5 + HEAD.format("0,1,2"), (3, 200, 200)),
    "wider than high": (HALF * 3 + HEAD.format("0,1,2"), (3, 40, 52)),
    "larger than the input": (CONV.format(4, 3, 1) + UP + HEAD.format("0,1,2"), (3, 24, 40)),
    "less an edge": (VALID + HEAD.format("0,1,2"), (3, 32, 32)),
    "halved by its kernel": (VALID.replace("size=3", "size=17") + HEAD.format("0,1,2"), (3, 32, 32)),
    "two of them": (
        HALF * 3 + HEAD.format("3,4,5") + "[route]\nlayers=-3\n" + UP + HEAD.format("0,1,2"),
        (3, 64, 64),
    ),
}


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("sizes", [None, "fixed"])
def test_boxes_are_fractions_of_the_true_input(name: str, sizes: str | None, tmp_path: Path) -> None:
    layers, (channels, height, width) = GRIDS[name]
    network, path = small(layers, (channels, height, width)), tmp_path / "m.onnx"
    artefact = export_onnx(network, path, sizes=sizes)  # type: ignore[arg-type]
    step = 2 * artefact.step
    others = [(width + step, height + 2 * step), (2 * width, height)] if artefact.sizes else []
    for across, down in [(width, height), *others]:
        for count in (1, 3):
            assert_answers_same(TorchRuntime(network), path, pictures(channels, across, down, count))


def test_pixels_as_bytes_have_the_same_boxes(tmp_path: Path) -> None:
    network, path = small(*GRIDS["two of them"]), tmp_path / "m.onnx"
    export_onnx(network, path, input="uint8")
    for height, width in ((64, 64), (80, 128)):
        images = np.rint(pictures(3, width, height, 3) * 255).astype(np.float32) / np.float32(255)
        assert_answers_same(TorchRuntime(network), path, images)


END = "[connected]\noutput=5\nactivation=linear\n[softmax]\n"
POOL = "[maxpool]\nsize=2\nstride=2\n"
HALVING = "[convolutional]\nfilters=4\nsize=33\nactivation=linear\n"
"""By its size: a side of 64 pixels to 32, but one of 128 to 96."""

FIXED = {
    "connected": (CONV.format(4, 3, 1) + END, r"layer 1 \[connected\] needs 64 x 64 x 4"),
    "flat route": (POOL + HALF + "[route]\nlayers=-1,0\n" + END, r"layer 2 \[route\] needs 16 x 16 x 4"),
    "flat route, softmax": (
        POOL + HALF + "[route]\nlayers=-1,0\n[softmax]\n",
        r"layer 2 \[route\] needs 16 x 16 x 4",
    ),
    "one cell": (HALF * 6 + END, r"layer 6 \[connected\] needs 1 x 1 x 4"),
    "one cell, softmax": (HALF * 6 + "[softmax]\n", r"layer 6 \[softmax\] needs 1 x 1 x 4"),
    "mean enlarged": (
        HALF * 3 + "[avgpool]\n[upsample]\nstride=8\n[route]\nlayers=-1,2\n",
        r"layer 5 \[route\] reads layers with sides of 8 and 16 at 128 pixels",
    ),
    "mean enlarged, added": (
        HALF * 3 + "[avgpool]\n[upsample]\nstride=8\n[shortcut]\nfrom=2\n",
        r"layer 5 \[shortcut\] reads layers with sides of 8 and 16 at 128 pixels",
    ),
    "halved in two ways": (
        CONV.format(4, 3, 1) + HALF + "[route]\nlayers=0\n" + HALVING + "[route]\nlayers=-1,1\n",
        r"layer 4 \[route\] reads layers with sides of 96 and 64 at 128 pixels",
    ),
    "added in part": (
        CONV.format(4, 3, 1) + VALID + "[shortcut]\nfrom=0\n",
        r"layer 2 \[shortcut\] reads layers with sides of 62 and 64 at 64 pixels",
    ),
}


@pytest.mark.parametrize("name", FIXED)
def test_what_no_other_size_suits_has_its_own(name: str, tmp_path: Path) -> None:
    layers, why = FIXED[name]
    network, path = small(layers, (3, 64, 64)), tmp_path / "m.onnx"
    assert export_onnx(network, path, outputs="heads").sizes is None
    for count in (1, 3):
        assert_raw_same(network, path, pictures(3, 64, 64, count))
    with pytest.raises(ExportError, match=why):
        free_sizes(network.spec, (128, 192))


FREE = {
    "after the mean": HALF * 3 + "[avgpool]\n" + END,
    "flat route after the mean": HALF * 3
    + "[avgpool]\n[connected]\noutput=5\nactivation=linear\n[upsample]\n[route]\nlayers=-1,-3\n"
    + END,
    "route of edges": VALID + VALID + "[deconvolutional]\nfilters=4\nsize=3\nstride=1\n[route]\nlayers=-1,0\n",
    "shortcut sampled": HALF + HALF + CONV.format(6, 3, 1) + UP + UP + "[shortcut]\nfrom=1\nalpha=.5\n",
    "shortcut strided": CONV.format(6, 3, 1) + HALF + HALF + "[shortcut]\nfrom=0\nalpha=.5\n",
}


@pytest.mark.parametrize("name", FREE)
def test_what_other_sizes_suit_has_them(name: str, tmp_path: Path) -> None:
    network, path = small(FREE[name], (3, 64, 64)), tmp_path / "m.onnx"
    assert export_onnx(network, path, outputs="heads").sizes is not None
    for width, height in ((64, 64), (64, 128), (192, 96)):
        for count in (1, 3):
            assert_raw_same(network, path, pictures(3, width, height, count))


def test_a_size_of_which_a_kernel_leaves_nothing_is_none() -> None:
    spec = small(HALVING, (3, 64, 64)).spec
    assert free_sizes(spec, None) == (64, 608, 2)
    with pytest.raises(
        ExportError, match=r"sizes from 32 to 64: layer 0 \[convolutional\] leaves nothing of 32 pixels"
    ):
        free_sizes(spec, (32, 64))


PLACED = "connected", "local", "crop", "reorg extra"
FOUR_CHANNELS = "share_index"


@pytest.mark.parametrize("name", [name for name in CASES if not name.startswith((*PLACED, FOUR_CHANNELS))])
def test_sides_are_torchs(name: str) -> None:
    network = small(CASES[name], (8, 12, 12))
    for side in (12, 13, 16, 24):
        if side % 2 and ("reorg" in name or "reverse" in name):
            continue
        sides = [own for _, _, own in layer_sides(network.spec, 2, side)]
        found = network.outputs_of(torch.zeros(1, 8, 12, side), range(len(sides)))
        assert sides == [x.shape[3] for x in found]


def test_sides_are_those_that_the_original_gives(original: Original) -> None:
    for cfg in sorted(original.cfg.glob("*.cfg")):
        spec = load_spec(cfg)
        for axis in (1, 2):
            for layer, _, own in layer_sides(spec, axis, spec.net.input[axis]):
                assert own == layer.output[axis] or not layer.output.image, cfg.name
