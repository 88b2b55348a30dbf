"""What ONNX Runtime has optimised is kept for the next start, and gives the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_compat.catalogue import cache
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import save_weights
from darknet_compat.runtime import optimized
from tests.export.support import seeded

CFG = (
    "[net]\nwidth=64\nheight=64\nchannels=3\n"
    "[convolutional]\nfilters=16\nsize=3\nstride=2\npad=1\nbatch_normalize=1\nactivation=leaky\n"
    "[convolutional]\nfilters=21\nsize=1\nactivation=linear\n"
    "[yolo]\nmask=0,1,2\nanchors=5,5, 20,20, 40,40\nnum=3\nclasses=2\n"
)


@pytest.fixture
def cfg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(optimized, "LARGE", 0)
    path = tmp_path / "small.cfg"
    path.write_text(CFG)
    save_weights(seeded(path), path.with_suffix(".weights"))
    return path


def kept() -> list[Path]:
    return [entry.path for entry in cache.entries(["onnxruntime"])]


def boxes(cfg: Path) -> object:
    detector = Detector(cfg, backend="onnxruntime")
    images = np.random.default_rng(0).random((1, 3, 64, 64), np.float32)
    return detector.runtime.infer(images)["boxes"]


def test_the_second_start_takes_what_the_first_has_optimised(cfg: Path) -> None:
    first = boxes(cfg)
    (file,) = kept()
    written = file.stat().st_ino
    np.testing.assert_array_equal(boxes(cfg), first)
    assert kept() == [file] and file.stat().st_ino == written


def test_a_damaged_one_is_made_again(cfg: Path) -> None:
    first = boxes(cfg)
    (file,) = kept()
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    np.testing.assert_array_equal(boxes(cfg), first)
    (again,) = kept()
    assert again == file
    np.testing.assert_array_equal(boxes(cfg), first)


def test_small_ones_and_what_is_not_of_the_cache_are_left_alone(
    cfg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(optimized, "LARGE", 10**9)
    boxes(cfg)
    assert kept() == []
    monkeypatch.setattr(optimized, "LARGE", 0)
    (exported,) = (entry.path for entry in cache.entries(["onnx"]))
    (tmp_path / "own.onnx").write_bytes(exported.read_bytes())
    Detector(tmp_path / "own.onnx", backend="onnxruntime")
    assert kept() == []
