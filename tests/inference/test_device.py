"""`Detector(device=)` reaches the runtime."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.errors import BackendError
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from tests.cli.support import CLASSIFIER, DETECTOR, write_toy


def test_a_device_that_is_there(tmp_path: Path) -> None:
    toy = write_toy(tmp_path, "toy", DETECTOR, [0] * 14)
    detector = Detector(toy.cfg, device="cpu", backend="torch")
    assert str(detector.runtime.device) == "cpu"  # type: ignore[attr-defined]
    classes = write_toy(tmp_path, "classes", CLASSIFIER, [0, 1, 2])
    assert Classifier(classes.cfg, device="cpu", backend="torch").choice.backend == "torch"
    assert Classifier(classes.cfg, device="cpu").choice.backend == "onnxruntime"


@pytest.mark.parametrize("device", ["tpu", "cuda:99"])
def test_a_device_that_is_not(device: str, tmp_path: Path) -> None:
    toy = write_toy(tmp_path, "toy", DETECTOR, [0] * 14)
    with pytest.raises(BackendError, match="device: ") as caught:
        Detector(toy.cfg, device=device)
    assert device in str(caught.value)
    assert "\n" not in str(caught.value)
