"""Scales that TensorRT is given in float32 beside layers in float16."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.half import QUANTIZING, to_half
from darknet_compat.export.quantize.quantize import quantize_onnx
from darknet_compat.export.tensorrt.engine import planned, prepared
from darknet_compat.export.tensorrt.precision import keep_scales
from darknet_compat.export.tensorrt.settings import Settings
from tests.export.support import SHIPPED, pictures, seeded, small

SQUEEZE = "".join(
    f"[convolutional]\nfilters={filters}\nactivation={activation}\n{after}"
    for filters, activation, after in (
        (8, "leaky", ""),
        (8, "leaky", "[avgpool]\n"),
        (4, "leaky", ""),
        (8, "logistic", "[scale_channels]\nfrom=1\n"),
        (8, "leaky", ""),
        (21, "linear", "[region]\nnum=3\nclasses=2\nanchors=1,2,3,4,.5,.7\nsoftmax=1\n"),
    )
)
"""A convolution in int8 reads a mean, which stays in float32: its scale is there in both types."""


def test_scales_that_are_there_in_both_types_keep_their_numbers(tmp_path: Path) -> None:
    export_onnx(small(SQUEEZE, (3, 32, 48)), tmp_path / "m.onnx", sizes="fixed")
    quantize_onnx(tmp_path / "m.onnx", tmp_path / "q.onnx", [pictures(3, 48, 32, 2)], None)
    model = onnx.load(tmp_path / "q.onnx")
    half = to_half(model)
    keep_scales(half, model)
    onnx.checker.check_model(half)
    before = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    after = {tensor.name: numpy_helper.to_array(tensor) for tensor in half.graph.initializer}
    assert len(after) == len(half.graph.initializer)
    scales = {node.input[1] for node in half.graph.node if node.op_type in QUANTIZING}
    assert any(name.endswith("_in_half") for name in scales)
    for name in scales:
        np.testing.assert_array_equal(after[name], before[name.removesuffix("_in_half")], strict=True)


def test_a_file_in_fp16_is_handed_over_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    artefact = export_onnx(seeded(SHIPPED / "yolov2-digits.cfg"), path, precision="fp16")
    for precision in ("fp32", "fp16"):
        settings = Settings(precision=precision, candidates=0)  # type: ignore[arg-type]
        profiles = planned(artefact, settings, str(path))
        if precision == "fp32":
            with pytest.raises(ExportError, match="is in fp16; build it with precision fp16"):
                prepared(path, settings, profiles, typed=True)
        else:
            assert onnx.load_from_string(prepared(path, settings, profiles, typed=True)) == onnx.load(path)
