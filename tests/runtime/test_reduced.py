"""bf16 and int8 on trained networks: how far outputs may be from torch's, and that detections are still the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import openvino as ov
import pytest

from darknet_compat.evaluation.compare.agreement import LEAST, agreement, judge_of
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import quantize_onnx
from darknet_compat.inference.batch import prepare
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import load_network
from darknet_compat.parity.compare import TOLERANCES, compare

MODELS = (
    "yolo-lite-coco",
    pytest.param("yolo-lite-voc3", marks=pytest.mark.slow),
    pytest.param("yolo-fastest-1.1", marks=pytest.mark.slow),
)
HAS_BF16 = "BF16" in ov.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize("name", MODELS)
def test_reduced_precision_stays_within_its_row(
    name: str, shared_data: Path, photos: list[Path], tmp_path: Path
) -> None:
    cfg = next((shared_data / "models" / name).glob("*.cfg"))
    weights, fp32, int8 = cfg.with_suffix(".weights"), tmp_path / "m.onnx", tmp_path / "int8.onnx"
    export_onnx(load_network(cfg, weights), fp32)
    exact = Detector(cfg, weights, backend="torch", thresh=LEAST)
    images = np.stack([prepare(photo, exact.runtime.description).pixels for photo in photos])
    quantize_onnx(fp32, int8, [images], judge_of(fp32, photos), max_drop=5)
    expected, answers = exact.runtime.infer(images), exact(photos)
    for precision, path, backend, least in (
        ("bf16", fp32, "openvino", 99),
        ("int8", int8, "openvino", 95),
        ("int8", int8, "onnxruntime", 95),
    ):
        detector = Detector(path, backend=backend, precision=precision, thresh=LEAST)  # type: ignore[arg-type]
        found = detector.runtime.infer(images)
        tolerance = TOLERANCES["torch", backend, precision]
        for output in ("boxes", "objectness", "classes"):
            difference = compare(output, expected[output], found[output], tolerance)
            assert difference.verdict == "same", (precision, backend, difference)
            if precision == "int8" or HAS_BF16:
                assert difference.relative > 10 * TOLERANCES["torch", backend, "fp32"], "is it that precision at all?"
        accuracy = agreement(answers, detector(photos))
        assert accuracy.objects > 20 and accuracy.int8 >= least, (precision, backend, accuracy)
