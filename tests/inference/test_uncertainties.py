"""A [Gaussian_yolo]'s uncertainties go out with the boxes they belong to, on every runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from darknet_compat.definition.lower import lower
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.inference.batch import Prepared
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.results import Detections
from darknet_compat.network.load import save_weights
from darknet_compat.network.network import Network
from darknet_compat.vision.image import Placement
from tests.network import golden
from tests.network.conftest import filled
from tests.network.golden import TOLERANCE, Case, cases_with

BACKENDS = ("torch", "onnxruntime", "openvino")
TOY = """[net]
channels=3
height=32
width=32
[conv]
filters=22
size=3
stride=4
pad=1
activation=linear
[Gaussian_yolo]
classes=2
num=2
anchors=8,9,16,12
scale_x_y=1.1
"""


def detector_of(case: Network, folder: Path, backend: str, cfg: Path) -> Detector:
    model = cfg
    if backend != "torch":
        model = folder / "m.onnx"
        export_onnx(case, model, sizes="fixed", names=())
    else:
        save_weights(case, cfg.with_suffix(".weights"))
    classes = case.spec.heads[-1].classes  # type: ignore[attr-defined]
    return Detector(model, backend=backend, names=[f"class {k}" for k in range(classes)])


@pytest.mark.parametrize("backend", BACKENDS)
@cases_with("uc_before_nms")
def test_they_are_the_forks(name: str, backend: str, tmp_path: Path) -> None:
    """Of each candidate, and of each detection that its suppression leaves."""
    case = golden.load(name, tmp_path)
    detector = detector_of(case.network, tmp_path, backend, tmp_path / f"{name}.cfg")
    outputs = detector.runtime.infer(case.images)
    likely = outputs["objectness"][0] > case.answers["thresh"]
    expected = case.answers["uc_before_nms"]
    assert np.abs(outputs["uncertainties"][0][likely] - expected).max() <= TOLERANCE
    assert not unmatched(case, found_in(case, detector))


def found_in(case: Case, detector: Detector) -> Detections:
    """What a detector makes of the case's input, as of a picture of that size."""
    (pixels,) = case.images
    _, height, width = pixels.shape
    whole = Placement(width, height, width, height, width, height, "stretch")
    asked = detector._asked({"thresh": float(case.answers["thresh"]), "nms": float(case.answers["nms"])})
    ((_, found),) = detector._answers([Prepared("case", pixels, whole)], asked)
    assert isinstance(found, Detections)
    return found


def unmatched(case: Case, found: Detections) -> list[NDArray[np.float32]]:
    """The fork's answers, each a box, its class's score and its uncertainties, that are not among ours."""
    _, _, height, width = case.images.shape
    corners = found.boxes / np.array([width, height] * 2, np.float32)
    centres = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
    assert found.uncertainties is not None
    ours = np.concatenate([centres, found.class_ids[:, None], found.scores[:, None], found.uncertainties], 1)
    boxes, sure = case.answers["boxes"], case.answers["uc"]
    rows, classes = np.nonzero(boxes[:, 5:])
    theirs = np.concatenate(
        [boxes[rows, :4], classes[:, None], boxes[rows, 5 + classes][:, None], sure[rows]], 1, dtype=np.float32
    )
    assert len(theirs) == len(ours) > 0
    apart = [np.abs(ours - row) / np.maximum(np.abs(row), 1) for row in theirs]
    return [row for row, gap in zip(theirs, apart, strict=True) if gap.max(1).min() > TOLERANCE]


@pytest.mark.parametrize("backend", BACKENDS)
def test_with_each_detection(backend: str, tmp_path: Path) -> None:
    """Those of the candidate it came of, whatever is sorted, suppressed, cut out or written afterwards."""
    cfg = tmp_path / "toy.cfg"
    cfg.write_text(TOY)
    network = filled(Network(lower(parse_cfg(TOY, str(cfg))))).eval()
    detector = detector_of(network, tmp_path, backend, cfg)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    found = detector(picture, thresh=0.02, nms=0.9)
    planes = np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1))
    outputs = detector.runtime.infer(planes[None] / np.float32(255))
    assert found.uncertainties is not None and found.uncertainties.shape == (len(found), 4) and len(found) > 5
    for one in found:
        (x1, y1, x2, y2), centre = one.box, outputs["boxes"][0] * 32
        gaps = np.abs(centre - [(x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1]).max(1)
        np.testing.assert_allclose(one.uncertainty, outputs["uncertainties"][0][gaps.argmin()], rtol=1e-6)
    weakest = found[[len(found) - 1]]
    assert weakest.uncertainties is not None and (weakest.uncertainties == found.uncertainties[-1:]).all()
    written = json.loads(found.to_json())["detections"]
    np.testing.assert_allclose([one["uncertainty"] for one in written], found.uncertainties, atol=1e-6)


def test_models_without_them_say_nothing_of_them(tmp_path: Path) -> None:
    cfg = tmp_path / "toy.cfg"
    text = TOY.replace("filters=22", "filters=14").replace("Gaussian_yolo", "yolo")
    cfg.write_text(text)
    network = filled(Network(lower(parse_cfg(text, str(cfg))))).eval()
    found = detector_of(network, tmp_path, "torch", cfg)(np.zeros((32, 32, 3), np.uint8), thresh=0.01)
    assert len(found) and found.uncertainties is None and found[0].uncertainty is None
    assert "uncertainty" not in found.to_json()
