"""What simplifiers do to a graph before it is converted must leave it right."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import numpy_helper

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.network_weights import StoredWeights
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.heads.output_layouts import LAYOUTS
from tests.export.targets.support import detector


@pytest.mark.parametrize("layout", [name for name in LAYOUTS if name != "detections"])
@pytest.mark.parametrize("name", ["yolov2-digits", "yolo9000-digits"])
def test_of_two_reshapes_the_second_is_enough(name: str, layout: str, tmp_path: Path) -> None:
    """onnxsim 0.6.5, by which onnx2tf begins, drops the first of two: a 0 of the second, which keeps the side there,
    must then still keep the same one."""
    cfg, weights = detector(name)
    export_onnx(StoredWeights(load_spec(cfg), weights), tmp_path / "m.onnx", layout=layout, sizes="fixed", batch=1)
    graph = onnx.load(tmp_path / "m.onnx").graph
    constants = {tensor.name: numpy_helper.to_array(tensor).tolist() for tensor in graph.initializer}
    asked = {node.output[0]: constants.get(node.input[1], []) for node in graph.node if node.op_type == "Reshape"}
    for node in graph.node:
        if node.op_type == "Reshape" and node.input[0] in asked:
            first, second = asked[node.input[0]], asked[node.output[0]]
            kept = [place for place, side in enumerate(second) if side == 0]
            assert all(place < len(first) and first[place] == 0 for place in kept), (node.name, first, second)
