"""OpenCV as a peer: what ends its process is a reason, and not the end of ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.benchmark.peers import opencv_dnn
from darknet_compat.errors import BackendError
from darknet_compat.formats.packaged import cfg_dir, weights_dir

FILES = (str(cfg_dir() / "yolov2-digits.cfg"), str(weights_dir() / "yolov2-digits.weights"))


def test_a_net_that_ends_its_process_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opencv_dnn, "_TRIAL", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    with pytest.raises(BackendError, match=r"OpenCV [\d.]+: ends its process on this network \(signal 11\)"):
        opencv_dnn._expect_to_survive("readNetFromDarknet", FILES, (416, 416))


def test_one_that_runs_or_refuses_in_words_passes(tmp_path: Path) -> None:
    opencv_dnn._expect_to_survive("readNetFromDarknet", FILES, (416, 416))
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    opencv_dnn._expect_to_survive("readNetFromONNX", (str(tmp_path / "bad.onnx"),), (32, 32))
