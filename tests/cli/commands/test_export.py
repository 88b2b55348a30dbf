"""`export`: a file that `detect` and `classify` take, and everything that can be wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest

from darknet_compat.runtime.exported import read_artefact
from tests.cli.support import Command, Toy


def test_writes_a_file_that_detect_takes(dc: Command, detector: Toy, tmp_path: Path, photos: list[Path]) -> None:
    out = tmp_path / "made"
    done = dc("export", detector.cfg, "--out", out, "--sizes", "fixed")
    assert (done.code, done.err) == (0, "")
    file = out / f"{detector.cfg.stem}.onnx"
    assert done.out.startswith(f"{file}: ") and "32 x 32, boxes" in done.out
    expected = json.loads(dc("detect", detector.cfg, photos[0], "--thresh", "0.1", "--json").out)
    for backend in ("auto", "onnxruntime", "openvino"):
        found = dc("detect", file, photos[0], "--thresh", "0.1", "--backend", backend, "--json")
        assert found.code == 0
        for theirs, ours in zip(expected["images"], json.loads(found.out)["images"], strict=True):
            assert [one["class"] for one in ours["detections"]] == [one["class"] for one in theirs["detections"]]


def test_json_says_what_was_made(dc: Command, classifier: Toy, tmp_path: Path, photos: list[Path]) -> None:
    file = tmp_path / "c.onnx"
    options = ("--input", "uint8", "--batch", "2", "--json")
    entry = json.loads(dc("export", classifier.cfg, "--out", file, *options).out)
    assert entry["file"] == str(file) and entry["bytes"] == file.stat().st_size
    assert (entry["outputs"], entry["input"], entry["batch"], entry["classes"]) == ("boxes", "uint8", 2, 3)
    assert dc("classify", file, photos[0], "--verbose").err.startswith("darknet-compat: onnxruntime: ")


def test_options_reach_the_file(dc: Command, detector: Toy, tmp_path: Path) -> None:
    names, file = tmp_path / "two.names", tmp_path / "d.onnx"
    names.write_text("left\nright\n")
    options = ("--names", names, "--outputs", "detections", "--thresh", "0.1", "--nms", "0.3", "--resize", "stretch")
    assert dc("export", detector.cfg, "--out", file, *options).code == 0
    model = onnx.load(file)
    said = {p.key.removeprefix("darknet_compat."): json.loads(p.value) for p in model.metadata_props}
    assert said["names"] == ["left", "right"] and said["resize"] == "stretch"
    assert (said["thresh"], said["nms"], said["outputs"]) == (0.1, 0.3, "detections")
    assert "NonMaxSuppression" in {node.op_type for node in model.graph.node}


def test_a_file_does_not_replace_the_one_it_is_made_from(
    dc: Command, detector: Toy, tmp_path: Path, picture: Path
) -> None:
    file = tmp_path / "d.onnx"
    assert dc("export", detector.cfg, "--out", file).code == 0
    before = file.read_bytes()
    done = dc("export", file, "--precision", "int8", "--calibrate", picture.parent, "--out", file)
    assert done.code == 1
    assert done.err == f"darknet-compat: {file}: would replace {file}, which it is made from; name another file\n"
    assert file.read_bytes() == before


def test_bad_input_is_one_line_and_leaves_nothing(dc: Command, detector: Toy, tmp_path: Path) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    recurrent = tmp_path / "r.cfg"
    recurrent.write_text("[net]\ninputs=4\n[rnn]\noutput=4\n")
    recurrent.with_suffix(".weights").write_bytes(bytes(20 + 4 * 60))
    out = folder / "m.onnx"
    cases = {
        (detector.cfg, "--sizes", "33-64"): "expected sizes from least to most",
        (detector.cfg, "--weights", "absent.weights"): "absent.weights",
        (recurrent,): "[rnn] is recurrent",
        ("absent.cfg",): "no such file",
    }
    for arguments, reason in cases.items():
        done = dc("export", *arguments, "--out", out)
        assert (done.code, done.out) == (1, ""), arguments
        assert reason in done.err and done.err.count("\n") == 1, done.err
    assert dc("export", detector.cfg, "--out", tmp_path / "no" / "m.onnx").code == 1
    assert dc("export", detector.cfg, "--sizes", "wide").code == 2
    assert not list(folder.iterdir())


def test_an_exported_file_takes_no_options_of_a_cfg(dc: Command, detector: Toy, tmp_path: Path) -> None:
    """They would be passed over without a word."""
    file, names = tmp_path / "m.onnx", tmp_path / "two.names"
    names.write_text("left\nright\n")
    assert dc("export", detector.cfg, "--out", file).code == 0
    for options in (
        ("--sizes", "32-64"),
        ("--batch", 2),
        ("--outputs", "detections"),
        ("--input", "float"),
        ("--names", names),
        ("--size", 64),
        ("--resize", "letterbox"),
        ("--weights", detector.weights),
        ("--thresh", 0.5),
        ("--hier-thresh", 0.5),
        ("--nms", 0.45, "--batch", 2),
    ):
        done = dc(
            "export", file, "--precision", "int8", "--calibrate", tmp_path, *options, "--out", tmp_path / "q.onnx"
        )
        said = " ".join(done.err.replace("│", " ").split())
        assert done.code == 2 and f"{file.name} is exported already" in said, done.err
        assert all(option in said for option in options if str(option).startswith("--")), said
    assert not (tmp_path / "q.onnx").exists()


def test_a_suffix_in_capitals_is_the_same(dc: Command, detector: Toy, tmp_path: Path) -> None:
    file = tmp_path / "M.ONNX"
    assert dc("export", detector.cfg, "--out", file).code == 0 and file.is_file()
    done = dc("export", file)
    assert done.code == 1 and "is exported already; name the .cfg" in done.err


def test_thresholds_are_the_usual_ones_where_none_are_given(dc: Command, detector: Toy, tmp_path: Path) -> None:
    file = tmp_path / "m.onnx"
    assert dc("export", detector.cfg, "--out", file, "--nms", "0.3").code == 0
    made = read_artefact(file)
    assert (made.thresh, made.hier_thresh, made.nms, made.input, made.names) == (0.5, 0.5, 0.3, "float", ("cat", "dog"))


def test_int8_is_measured_and_refused_where_it_loses(dc: Command, shared_data: Path, tmp_path: Path) -> None:
    cfg = shared_data / "models/yolo-lite-coco/yolo-lite-coco.cfg"
    data = Path("/usr/share/darknet/data")
    if not data.is_dir():
        pytest.skip("the original's photographs are absent")
    done = dc("export", cfg, "--precision", "int8", "--calibrate", data, "--out", tmp_path, "--json")
    assert (done.code, done.err) == (0, "")
    entry = json.loads(done.out)
    file = tmp_path / "yolo-lite-coco-int8.onnx"
    assert (entry["file"], entry["precision"]) == (str(file), "int8")
    assert entry["quantization"]["measure"] == "agreement" and entry["quantization"]["drop"] <= 1
    found = dc("detect", file, data / "dog.jpg", "--precision", "int8", "--verbose", "--thresh", "0.25")
    assert found.code == 0 and "dog" in found.out
    assert found.err.startswith("darknet-compat: openvino: it is as fast as onnxruntime in int8")
    labelled = shared_data / "bccd" / "BCCD"
    for arguments, code, reason in (
        (("--precision", "int8"), 2, "int8 and --calibrate"),
        (("--calibrate", data), 2, "int8 and --calibrate"),
        (("--precision", "int8", "--calibrate", tmp_path / "none"), 1, "no such file or folder"),
        (("--precision", "int8", "--calibrate", labelled), 1, "is not one of the 80 classes"),
    ):
        refused = dc("export", cfg, "--out", tmp_path / "n.onnx", *arguments)
        assert refused.code == code and reason in refused.err, refused.err
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_mixed_says_what_it_has_left_in_float32(dc: Command, shared_data: Path, tmp_path: Path) -> None:
    cfg = shared_data / "models/yolo-lite-coco/yolo-lite-coco.cfg"
    data = Path("/usr/share/darknet/data")
    for arguments, reason in (
        (("--mixed",), "--mixed: goes with --precision int8, found fp32"),
        (("--mixed", "--precision", "fp16"), "--mixed: goes with --precision int8, found fp16"),
        (("--mixed", "--precision", "int8"), "int8 and --calibrate PICTURES go together"),
    ):
        refused = dc("export", cfg, "--out", tmp_path / "n.onnx", *arguments)
        assert refused.code == 2 and reason in " ".join(refused.err.replace("│", " ").split()), refused.err
    if not data.is_dir():
        pytest.skip("the original's photographs are absent")
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("dog.jpg", "person.jpg"):
        (photos / name).symlink_to(data / name)
    file = tmp_path / "m.onnx"
    done = dc("export", cfg, "--precision", "int8", "--mixed", "--calibrate", photos, "--out", file, "--max-drop", "90")
    assert done.code == 0
    first, last = done.err.splitlines()
    assert first == "darknet-compat: --mixed: 62 passes of the network at most"
    assert "passes; in onnxruntime layers 0, " in last and " are in float32 (" in last and " dB); elsewhere " in last
    layers = last.split("in onnxruntime layers ")[1].split(" are in")[0]
    assert f"float32         layers {layers} in onnxruntime; elsewhere " in dc("info", file).out
    told = dc("detect", file, data / "dog.jpg", "--backend", "onnxruntime", "--verbose").err
    assert told == f"darknet-compat: onnxruntime: as asked for; layers {layers} in float32\n"
    said = json.loads(dc("info", file, "--json").out)["quantization"]
    assert said["mixed"]["passes"] <= 62 and said["float32"]["onnxruntime"][0] == "0_convolutional/Conv"


def test_a_tree_that_a_tool_gets_wrong_is_refused(dc: Command, tmp_path: Path) -> None:
    done = dc("export", "yolo9000-digits", "--for", "ncnn", "--out", tmp_path / "made")
    assert done.code == 1 and done.err.count("\n") == 1
    assert "has a WordTree, which ncnn, by pnnx computes wrongly; export its heads" in done.err
    assert not (tmp_path / "made").exists()
