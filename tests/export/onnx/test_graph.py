"""How a graph in the making names things."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.graph import Graph, layer_of
from tests.export.support import small


def test_no_name_has_a_space() -> None:
    graph = Graph()
    with graph.layer("30 region"):
        names = [graph.add("Conv", "x"), graph.add("Conv", "x"), graph.constant([[1.5, 2, 3, 4, 5]])]
        names += [graph.constant([[1.5, 2, 3, 4, 6]]), graph.constant([]), graph.constant(np.int64(7))]
        names += [graph.weight("box weights", (1,), lambda: np.zeros(1, np.float32))]
    assert names == [
        "30_region/Conv",
        "30_region/Conv_2",
        "constant_float32_1x5_1.5_2.0_3.0_4.0_etc",
        "constant_float32_1x5_1.5_2.0_3.0_4.0_etc_1",
        "constant_float32_0_none",
        "constant_int64_7",
        "30_region/box_weights",
    ]


@pytest.mark.parametrize("name", ["30_region/Conv_2", "30 region/Conv 2", "30_region/box_weights"])
def test_a_name_tells_its_layer(name: str) -> None:
    assert layer_of(name) == (30, "region")
    assert layer_of(name.replace("region", "local_avgpool")) == (30, "local_avgpool")


@pytest.mark.parametrize("name", ["input/Cast", "boxes", "constant_int64_7", ""])
def test_other_names_tell_none(name: str) -> None:
    assert layer_of(name) is None


@pytest.mark.parametrize(
    ("layers", "sizes"),
    [
        ("[convolutional]\nfilters=6\nsize=1\n[route]\nlayers=-1\ngroups=3\ngroup_id=1\n", [2, 2, 2]),
        ("[convolutional]\nfilters=6\nsize=1\n[maxpool]\nmaxpool_depth=1\nout_channels=3\n", [3, 3]),
    ],
)
def test_a_split_says_its_parts_sizes(layers: str, sizes: list[int], tmp_path: Path) -> None:
    """pnnx, on the way to ncnn, passes over one that does not."""
    export_onnx(small(layers, (3, 8, 8)), tmp_path / "m.onnx", outputs="heads")
    model = onnx.load(tmp_path / "m.onnx")
    constants = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in model.graph.initializer}
    (split,) = (node for node in model.graph.node if node.op_type == "Split")
    assert constants[split.input[1]] == sizes
