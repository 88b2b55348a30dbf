"""`partial`: the first layers of a weights file."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.support import Command, Toy


def test_writes_the_first_layers_and_says_so(dc: Command, detector: Toy, tmp_path: Path) -> None:
    out = tmp_path / "toy.conv.2"
    done = dc("partial", detector.cfg, out, "2")
    assert done.code == 0
    assert done.out.startswith(f"{out}: 244 bytes, layers 0 to 1 [convolutional] of 3, from {detector.weights}")
    assert out.read_bytes()[20:] == detector.weights.read_bytes()[20:]
    assert json.loads(dc("partial", detector.cfg, out, "1", "--json").out) == {
        "file": str(out),
        "bytes": 20,
        "layers": 1,
        "of": 3,
    }


def test_never_replaces_the_weights_it_cuts(dc: Command, detector: Toy) -> None:
    before = detector.weights.read_bytes()
    done = dc("partial", detector.cfg, detector.weights, "2")  # the original's order, but for OUT
    assert done.code == 1 and "MODEL OUT N --weights" in done.err
    assert detector.weights.read_bytes() == before


def test_nothing_that_is_read_is_replaced(dc: Command, detector: Toy, tmp_path: Path) -> None:
    link = tmp_path / "link.cfg"
    link.symlink_to(detector.cfg)
    before = detector.cfg.read_bytes(), detector.weights.read_bytes()
    for out, given in ((detector.cfg, detector.cfg), (detector.weights, detector.weights), (link, detector.cfg)):
        done = dc("partial", detector.cfg, out, "2")
        assert done.code == 1
        assert done.err.startswith(f"darknet-compat: {out}: would replace {given}, which it is made from; ")
        assert (detector.cfg.read_bytes(), detector.weights.read_bytes()) == before


def test_bad_input_is_one_line_and_leaves_nothing(dc: Command, detector: Toy, classifier: Toy, tmp_path: Path) -> None:
    out = tmp_path / "out"
    cases = {
        (detector.cfg, out, "9"): "expected 1 to 3 layers",
        (detector.cfg, out, "2", "--weights", classifier.weights): "needs 244",
        (detector.cfg, tmp_path / "no" / "folder", "2"): "cannot be written",
        (detector.cfg, tmp_path, "2"): "cannot be written",
        ("yolov2", out, "2", "--weights", "absent.weights"): "absent.weights",
    }
    for arguments, reason in cases.items():
        done = dc("partial", *arguments)
        assert (done.code, done.out) == (1, "")
        assert reason in done.err and done.err.count("\n") == 1
    detector.weights.unlink()
    assert "--weights" in dc("partial", detector.cfg, out, "2").err
    assert not out.exists()


@pytest.mark.reference
def test_the_bytes_are_the_originals(dc: Command, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "models" / "yolo-lite-voc3"
    cfg, weights = folder / "yolo-lite-voc3.cfg", folder / "yolo-lite-voc3.weights"
    subprocess.run(["darknet", "partial", cfg, weights, tmp_path / "theirs", "7"], check=True, capture_output=True)
    assert dc("partial", cfg, tmp_path / "ours", "7", "--weights", weights).code == 0
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()
