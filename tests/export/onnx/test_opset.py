"""Graphs of later opsets: valid, and the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.network_weights import StoredWeights
from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.onnx.options import OLDEST
from darknet_compat.formats.exported.onnxfile import OPSETS
from darknet_compat.heads.output_layouts import LAYOUTS
from darknet_compat.inference.detector import Detector
from tests.export.onnx.test_layers import CASES
from tests.export.support import ENGINES, assert_parsable, pictures, run_graph, small
from tests.export.targets.support import THRESH, detector, scene

LATER = range(OLDEST + 1, OPSETS[-1] + 1)


@pytest.mark.parametrize("name", sorted(CASES))
def test_every_kind_of_layer_in_every_opset(name: str, tmp_path: Path) -> None:
    shape = (8 if "reorg" in name else 4, 12, 16)
    network, path = small(CASES[name], shape), tmp_path / "m.onnx"
    images = 8 * pictures(shape[0], 16, 12) - 4
    export_onnx(network, path, outputs="heads")
    (expected,) = run_graph("onnxruntime", path, images).values()
    for opset in LATER:
        export_onnx(network, path, outputs="heads", opset=opset)
        model = onnx.load(path)
        assert [entry.version for entry in model.opset_import] == [opset]
        assert model.ir_version == onnx.helper.find_min_ir_version_for(model.opset_import)
        onnx.checker.check_model(model, full_check=True)
        assert_parsable(model)
        (found,) = run_graph("onnxruntime", path, images).values()
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


@pytest.mark.parametrize("layout", [*LAYOUTS, "heads"])
def test_every_layout_in_the_newest_has_the_boxes(layout: str, tmp_path: Path) -> None:
    cfg, weights = detector("yolov2-digits")
    path = tmp_path / "m.onnx"
    network = StoredWeights(load_spec(cfg), weights)
    for precision in ("fp32", "fp16"):
        export_onnx(network, path, layout=layout, opset=OPSETS[-1], precision=precision, thresh=THRESH)
        expected = Detector(cfg, weights, thresh=THRESH)(scene())
        for backend in ENGINES:
            found = Detector(path, backend=backend, thresh=THRESH)(scene())
            assert found.class_ids.tolist() == expected.class_ids.tolist() != []
            np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4 if precision == "fp32" else 5e-3)
            np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.05 if precision == "fp32" else 1)


def test_an_opset_that_the_onnx_package_does_not_know(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(onnx.defs, "onnx_opset_version", lambda: 20)
    network = small(CASES["l2norm"], (4, 12, 16))
    with pytest.raises(ExportError, match=r"^opset: onnx \S+ knows those up to 20, found 21$"):
        export_onnx(network, tmp_path / "m.onnx", outputs="heads", opset=21)
    for opset in (16, 27):
        with pytest.raises(ExportError, match=r"^opset: expected a whole number from 17 to 26, found"):
            export_onnx(network, tmp_path / "m.onnx", outputs="heads", opset=opset)
    assert not list(tmp_path.iterdir())
