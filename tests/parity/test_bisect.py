"""The first layer that departs, found by halving."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from darknet_compat.definition.lower import lower
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.network.network import Network
from darknet_compat.parity.picture import seeded_image
from darknet_compat.parity.seeded import seed_weights
from tests.parity.bisect import first_departing, first_true

LAYER = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"


@pytest.mark.parametrize("first", [*range(10), None])
def test_halving_asks_little(first: int | None) -> None:
    asked = []

    def holds(item: int) -> bool:
        asked.append(item)
        return first is not None and item >= first

    assert first_true(range(10), holds) == first
    assert len(asked) <= 5
    assert first_true([], holds) is None


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("wrong", [0, 3, 6, None])
def test_the_first_layer_that_departs_is_named(wrong: int | None, engine: str, tmp_path: Path) -> None:
    text = "[net]\nwidth=32\nheight=32\nchannels=3\n" + 7 * LAYER + "[avgpool]\n[softmax]\n"
    network = Network(lower(parse_cfg(text))).eval()
    seed_weights(network)
    export_onnx(network, tmp_path / "m.onnx")
    model = onnx.load(tmp_path / "m.onnx")
    for tensor in model.graph.initializer:
        if wrong is not None and tensor.name == f"{wrong}_convolutional/biases":
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) + np.float32(0.5), tensor.name))
    onnx.save(model, tmp_path / "m.onnx")
    found = first_departing(network, tmp_path / "m.onnx", seeded_image((3, 32, 32), 1)[None], engine)
    assert (found.name if found else None) == (None if wrong is None else f"{wrong} convolutional")
