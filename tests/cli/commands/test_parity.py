"""`parity`: every layer against the original's."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from darknet_compat.network import windows
from tests.cli.support import Command, Toy, paint


@pytest.mark.reference
def test_prints_a_row_a_layer_and_the_verdict(dc: Command, detector: Toy, tmp_path: Path) -> None:
    photo = paint(tmp_path / "grey.png")
    done = dc("parity", detector.cfg, "--image", photo, "--out", tmp_path / "out")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split()[:4] == ["layer", "output", "max", "abs"]
    assert [line.split()[:2] for line in lines[1:4]] == [["0", "maxpool"], ["1", "convolutional"], ["2", "region"]]
    assert "passed: 3 layers equal the original's" in done.out
    assert f"weights {detector.weights}, input {photo}" in done.out
    assert (tmp_path / "out" / "toy-parity.png").read_bytes().startswith(b"\x89PNG")
    document = json.loads((tmp_path / "out" / "toy-parity.json").read_text())
    assert document["passed"] and len(document["layers"]) == 3


@pytest.mark.reference
def test_without_weights_both_get_seeded_ones(dc: Command, detector: Toy) -> None:
    detector.weights.unlink()
    document = json.loads(dc("parity", detector.cfg, "--seed", "7", "--json").out)
    assert document["passed"]
    assert (document["weights"], document["input"]) == ("seed 7", "seed 7")
    assert [row["name"] for row in document["layers"]] == ["0 maxpool", "1 convolutional", "2 region"]
    assert all(row["scale"] > 0 for row in document["layers"])


@pytest.mark.reference
def test_a_layer_that_differs_fails_and_is_named(dc: Command, detector: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    forward = windows.Convolutional.forward
    monkeypatch.setattr(windows.Convolutional, "forward", lambda self, x: forward(self, x) * 1.001)
    done = dc("parity", detector.cfg)
    assert done.code == 1
    assert "FAILED: 2 of 3 layers differ, the first is 1 convolutional" in done.out
    marked = [line.split()[1] for line in done.out.splitlines() if line.endswith("DIFFERS")]
    assert marked == ["convolutional", "region"]


@pytest.mark.reference
def test_nothing_to_compare_is_no_pass(dc: Command, tmp_path: Path) -> None:
    cfg = tmp_path / "cost.cfg"
    cfg.write_text("[net]\nwidth=4\nheight=4\nchannels=3\n[cost]\n")
    done = dc("parity", cfg)
    assert done.code == 1
    assert "FAILED: nothing could be compared" in done.out


def test_a_missing_original_is_one_line(dc: Command, detector: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_ORIGINAL", "/nowhere")
    done = dc("parity", detector.cfg)
    assert done.code == 1
    assert done.err.count("\n") == 1 and "/nowhere" in done.err


@pytest.mark.reference
def test_a_size_the_network_cannot_take_names_one_it_can(dc: Command) -> None:
    done = dc("parity", "yolov2-voc", "--size", "40")
    assert done.code == 1
    assert "--size 40x40" in done.err and done.err.count("\n") == 1


@pytest.mark.reference
def test_stages_go_through_the_chain_and_write_a_page(dc: Command, detector: Toy, tmp_path: Path) -> None:
    photo = paint(tmp_path / "grey.png")
    done = dc("parity", detector.cfg, "--stages", "--layers", "--image", photo, "--out", tmp_path / "out")
    assert done.code == 0, done.err
    assert "passed: 3 stages" in done.out
    assert max(map(len, done.out.splitlines()[:9])) <= 80
    page = (tmp_path / "out" / "toy-stages.html").read_text()
    assert "data:image/png;base64," in page and "http://" not in page and "https://" not in page
    document = json.loads((tmp_path / "out" / "toy-stages.json").read_text())
    assert document["passed"] and [one["stage"] for one in document["stages"]] == ["torch", "onnxruntime", "openvino"]
    assert [one["answers"][0]["matched"] for one in document["stages"]] == [1, 1, 1]


@pytest.mark.reference
def test_stages_without_any_answer_fail(dc: Command, detector: Toy, tmp_path: Path) -> None:
    done = dc("parity", detector.cfg, "--stages", "--image", paint(tmp_path / "grey.png"), "--thresh", "0.99")
    assert done.code == 1
    assert "no answers to compare" in done.out
    done = dc("parity", detector.cfg, "--stages", "--image", tmp_path / "grey.png", "--thresh", "0.99", "--json")
    assert done.code == 1 and not json.loads(done.out)["passed"]


def test_options_of_stages_are_bad_usage_without_it(dc: Command, detector: Toy) -> None:
    done = dc("parity", detector.cfg, "--layers")
    assert done.code == 2 and "--stages" in done.err


def test_opencvs_reader_is_a_judge_too(dc: Command, detector: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    done = dc("parity", detector.cfg, "--reader", "opencv")
    assert done.code == 0 and "layers equal OpenCV 4" in done.out and "1e-6" in done.out
    forward = windows.Convolutional.forward
    monkeypatch.setattr(windows.Convolutional, "forward", lambda self, x: forward(self, x) * 1.001)
    done = dc("parity", detector.cfg, "--reader", "opencv")
    assert done.code == 1 and "FAILED: 1 of 3 layers differ, the first is 1 convolutional" in done.out
    assert dc("parity", detector.cfg, "--reader", "opencv", "--stages").code == 2


@pytest.mark.reference
def test_what_the_original_does_not_have_is_named(dc: Command, detector: Toy) -> None:
    text = detector.cfg.read_text().replace("activation=linear", "activation=mish")
    detector.cfg.write_text(text)
    done = dc("parity", detector.cfg)
    assert done.code == 0
    assert "the original does not have activation=mish of [convolutional] (layer 1)" in done.out
    assert "passed: 2 layers equal the original's" in done.out
    done = dc("parity", detector.cfg, "--stages", "--image", "/usr/share/darknet/data/dog.jpg")
    assert "not run: original: the original does not have activation=mish" in done.out
