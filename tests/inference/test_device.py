"""`Detector(device=)` reaches the runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import Header, slots, write_weights
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


@pytest.mark.parametrize("backend", ["torch", "onnxruntime"])
def test_the_builds_batch_normalization_reaches_every_backend(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    text = CLASSIFIER.replace("[convolutional]", "[convolutional]\nbatch_normalize=1")
    toy = write_toy(tmp_path, "normal", text, [0, 1, 2])
    spec = load_spec(toy.cfg)
    values = {"scales": 1.0, "rolling_variance": 1e-4, "rolling_mean": 1e-2}
    ramp = np.arange(3, dtype=np.float32)
    arrays = (
        (slot, ramp if slot.name == "biases" else ramp * np.float32(values.get(slot.name, 0)) if slot.size == 3 else
         np.zeros(slot.shape, np.float32))
        for slot in slots(spec)
    )  # fmt: skip
    write_weights(toy.weights, Header(), arrays)
    picture = np.zeros((8, 8, 3), np.uint8)
    for build, deviation in (
        ("cuda", (np.arange(3) * 1e-4 + 1e-5) ** 0.5),
        ("cpu", (np.arange(3) * 1e-4) ** 0.5 + 1e-6),
    ):
        raw = np.arange(3) - np.arange(3) * np.arange(3) * 1e-2 / deviation
        expected = np.exp(raw) / np.exp(raw).sum()
        found = Classifier(toy.cfg, backend=backend, batchnorm=build)(picture).probabilities  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_build_that_there_is_not(tmp_path: Path) -> None:
    toy = write_toy(tmp_path, "toy", DETECTOR, [0] * 14)
    with pytest.raises(BackendError, match="batchnorm: expected one of cuda, cpu, found 'gpu'"):
        Detector(toy.cfg, batchnorm="gpu")  # type: ignore[arg-type]
