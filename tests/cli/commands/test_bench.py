"""`bench`: what it measures and says; how fast that is, is nobody's promise here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import REPOSITORY, Command, Toy, paint

MEASURES = {"network", "picture"}


@pytest.mark.reference
def test_load_is_measured_against_numpy_and_the_original(dc: Command, detector: Toy) -> None:
    document = json.loads(dc("bench", detector.cfg, "--load", "--runs", "2", "--json").out)
    rows = {row["what"]: row for row in document["rows"]}
    assert rows["load_network"]["against"] == "numpy.fromfile"
    assert rows["letterbox 768x576 to 416x416"]["against"] == "the original"
    for row in rows.values():
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["max_ms"] and row["runs"] >= 2
        assert (row["ratio"] is None) == (row["against"] == "")
    assert document["weights_bytes"] == detector.weights.stat().st_size
    assert document["machine"]


def rows_of(document: dict) -> set[tuple]:  # type: ignore[type-arg]
    return {(row["measure"], row["label"], row["width"], row["height"], row["batch"]) for row in document["rows"]}


@pytest.mark.reference
def test_everything_asked_for_is_measured_or_said_not_to_be(dc: Command, detector: Toy, tmp_path: Path) -> None:
    photo = paint(tmp_path / "grey.png")
    done = dc(
        "bench", detector.cfg, "--sizes", "32,64x32", "--batches", "1,2", "--precisions", "fp32,bf16,int8", "--peers",
        "--stream", "3", "--image", photo, "--runs", "1", "--warmup", "1", "--baseline", "opencv", "--json",
        "--out", tmp_path / "out",
    )  # fmt: skip
    assert done.code == 0, done.err
    document = json.loads(done.out)
    found = rows_of(document)
    ours = {"torch", "torch-bf16", "onnxruntime", "openvino", "openvino-bf16", "opencv"}
    for measure in (*MEASURES, "stream"):
        for width, height in ((32, 32), (64, 32)):
            labels = {label for what, label, *rest in found if (what, *rest) == (measure, width, height, 1)}
            assert labels == ours | {"opencv-onnx", "original"}
            labels = {label for what, label, *rest in found if (what, *rest) == (measure, width, height, 2)}
            assert labels == ours
    reasons = {one["what"]: one["why"] for one in document["not_run"]}
    assert "onnxruntime-bf16, 32x32" in reasons and "--artefact" in reasons["openvino-int8, 64x32"]
    assert "original, 32x32, batch 2" in reasons
    for row in document["rows"]:
        assert 0 < row["p50_ms"] <= row["p90_ms"] <= row["p99_ms"] and row["ratio"] > 0
        assert row["ratio"] == 1 or row["label"] != "opencv"
    assert document["machine"]["cores"] >= 1 and document["protocol"]["runs"] == 1
    assert (tmp_path / "out" / "toy-speed.png").read_bytes().startswith(b"\x89PNG")
    assert json.loads((tmp_path / "out" / "toy-speed.json").read_text()) == document


def test_peers_can_be_left_out(dc: Command, detector: Toy) -> None:
    few = ("--backends", "onnxruntime", "--runs", "1", "--warmup", "1", "--json")
    document = json.loads(dc("bench", detector.cfg, "--peers", "--without", "original,opencv-onnx", *few).out)
    assert {row["label"] for row in document["rows"]} == {"onnxruntime", "opencv"} and not document["not_run"]


def test_without_weights_they_are_seeded_and_the_table_fits(dc: Command, detector: Toy) -> None:
    detector.weights.unlink()
    done = dc("bench", detector.cfg, "--runs", "1", "--warmup", "1")
    assert done.code == 0, done.err
    lines = done.out.splitlines()
    assert max(map(len, lines)) <= 80
    assert any(line.split() == ["weights", "seeded"] for line in lines)
    assert [line.split()[0] for line in lines[2:5]] == ["torch", "onnxruntime", "openvino"]


def test_an_exported_file_runs_alone_or_beside_its_network(dc: Command, classifier: Toy, tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    assert dc("export", classifier.cfg, "--out", file).code == 0
    alone = json.loads(dc("bench", file, "--runs", "1", "--json").out)
    assert {row["label"] for row in alone["rows"]} == {"onnxruntime", "openvino"}
    beside = dc("bench", classifier.cfg, "--artefact", file, "--backends", "openvino", "--runs", "1", "--json")
    assert {row["label"] for row in json.loads(beside.out)["rows"]} == {"openvino", "openvino m"}


def test_an_exported_file_is_measured_without_torch(dc: Command, detector: Toy) -> None:
    path = detector.weights.with_suffix(".onnx")  # beside weights, of which it takes none
    assert dc("export", detector.cfg, "--out", path).code == 0
    hidden = "import sys; sys.modules['torch'] = None\nfrom darknet_compat.cli.main import main\n"
    arguments = ["bench", str(path), "--runs", "1", "--warmup", "1", "--json"]
    command = [sys.executable, "-c", f"{hidden}sys.argv[1:] = {arguments!r}\nmain()"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["weights"] == str(path)
    assert {row["label"] for row in document["rows"]} == {"onnxruntime", "openvino"}


@pytest.mark.parametrize(
    ("option", "value", "code", "says"),
    [
        ("--backends", "torch,caffe", 2, "caffe"),
        ("--precisions", "fp99", 2, "fp99"),
        ("--baseline", "nobody", 1, "nobody"),
        ("--image", "/nowhere.jpg", 1, "/nowhere.jpg"),
        ("--artefact", "/nowhere.onnx", 1, "/nowhere.onnx"),
        ("--batches", "1,0", 2, "1,0"),
        ("--sizes", "big", 2, "big"),
        ("--without", "original", 2, "--peers"),
    ],
)
def test_wrong_input_is_one_line(dc: Command, detector: Toy, option: str, value: str, code: int, says: str) -> None:
    done = dc("bench", detector.cfg, option, value, "--runs", "1", "--warmup", "1")
    assert done.code == code
    assert says in done.err and "Traceback" not in done.err
    assert code == 2 or done.err.count("\n") == 1


def test_nothing_that_runs_is_an_error(dc: Command, detector: Toy) -> None:
    done = dc("bench", detector.cfg, "--backends", "onnxruntime", "--precisions", "bf16")
    assert done.code == 1 and "bf16" in done.err
