from __future__ import annotations

import json
from pathlib import Path

from tests.cli.support import Command, Toy, paint


def test_what_is_kept_is_shown_and_cleared(dc: Command, detector: Toy, tmp_path: Path) -> None:
    paint(tmp_path / "one.png")
    empty = json.loads(dc("cache", "--json").out)
    assert (empty["bytes"], empty["files"], empty["removed"]) == (0, [], False)
    assert dc("detect", detector.cfg, tmp_path / "one.png", "--backend", "onnxruntime").code == 0
    kept = json.loads(dc("cache", "--json").out)
    assert [Path(file["file"]).suffix for file in kept["files"]] == [".onnx"]
    assert kept["bytes"] == sum(file["bytes"] for file in kept["files"]) > 0
    shown = dc("cache", "onnx").out
    assert "onnx " in shown and "tensorrt" not in shown and str(Path(kept["folder"]).name) in shown
    assert dc("cache", "tensorrt", "--clear").out == "removed 0 files, 0 bytes\n"
    assert dc("cache", "--clear").out.startswith("removed 1 file, ")
    assert json.loads(dc("cache", "--json").out)["files"] == []


def test_a_kind_that_there_is_not_is_refused(dc: Command) -> None:
    done = dc("cache", "onix")
    assert done.code == 2 and "expected onnx, onnxruntime, tensorrt, found 'onix'" in done.err
