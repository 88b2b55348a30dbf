"""What coremltools is given computes what the file beside it does; `make test-interop` tries the conversion."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.network import coreml
from darknet_compat.network.load import load_network
from darknet_compat.network.network import Network
from tests.export.support import SHIPPED, pictures, run_graph, seeded
from tests.export.targets.support import detector, make


def trained(name: str) -> Network:
    return load_network(*detector(name)).eval()


@pytest.mark.parametrize("name", ["yolov2-digits", "yolo9000-digits", "yolov3-tiny", "yolov4-tiny"])
def test_it_gives_what_the_file_gives(name: str, tmp_path: Path) -> None:
    network = trained(name) if "digits" in name else seeded(SHIPPED / f"{name}.cfg", (96, 96))
    path = tmp_path / "m.onnx"
    artefact = export_onnx(network, path, layout="yolov8", sizes="fixed", batch=1)
    net = network.spec.net
    model = coreml.LaidOut(network, artefact).eval()
    for seed in range(2):
        images = pictures(3, net.width, net.height, 2)[seed : seed + 1]
        (expected,) = run_graph("onnxruntime", path, images).values()
        found = coreml.traced(model, artefact)(torch.from_numpy(images)).detach().numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_without_coremltools_it_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coreml, "find_spec", lambda name: None)
    _, artefact, _ = make("coreml", tmp_path)
    said = coreml.write_coreml(*detector("yolov2-digits"), tmp_path, artefact)
    assert said == "coremltools is not installed, which converts the network: pip install coremltools 'numpy<2.4'"
    assert not list(tmp_path.glob("*.mlpackage"))


def test_what_it_does_not_convert_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as with a numpy that coremltools 9.0 does not know."""

    def fails(*given: object, **options: object) -> None:
        raise TypeError("only 0-dimensional arrays\ncan be converted")

    monkeypatch.setattr(coreml, "find_spec", lambda name: True)
    monkeypatch.setattr(torch.jit, "trace", fails)
    monkeypatch.setitem(sys.modules, "coremltools", SimpleNamespace(convert=None, TensorType=tuple))
    _, artefact, _ = make("coreml", tmp_path)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(
        ExportError, match=r"^yolov2-digits.mlpackage: coremltools does not convert it: only 0-dim[^\n]*$"
    ):
        coreml.write_coreml(*detector("yolov2-digits"), tmp_path, artefact)
    assert sorted(tmp_path.iterdir()) == before
