"""Folders for other programs: the shapes, names, types and values that these publish, each with its source."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import yaml

from darknet_compat.errors import ExportError, OptionError
from darknet_compat.export.onnx.options import OnnxOptions
from darknet_compat.export.targets import write
from darknet_compat.export.targets.table import TARGETS
from darknet_compat.formats.exported.artefact import to_properties
from darknet_compat.inference.detector import Detector
from darknet_compat.runtime.exported import read_artefact
from tests.export.layouts import rules
from tests.export.targets.support import REPOSITORY, THRESH, detector, make, planes, scene

DIGITS = [str(number) for number in range(10)]


@pytest.fixture(autouse=True)
def without_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where no converter is installed; tests/interop runs the real ones."""
    monkeypatch.setattr(write, "program_of", lambda tool: None)


def found(cfg_name: str = "yolov2-digits") -> list[tuple[str, float, list[float]]]:
    """What `detect` finds in the scene: name, score, box."""
    answer = Detector(*detector(cfg_name), thresh=THRESH, names=DIGITS)(scene())
    rows = zip(answer.names, answer.scores, answer.boxes, strict=True)
    return [(name, float(score), box.tolist()) for name, score, box in rows]


def assert_same(theirs: list[tuple[str, float, list[float]]], ours: list[tuple[str, float, list[float]]]) -> None:
    """The same names, scores to 1e-3, sides to half a pixel, in any order."""
    assert ours and len(theirs) == len(ours)
    for name, score, box in ours:
        assert any(
            other == name and abs(other_score - score) < 1e-3 and np.allclose(other_box, box, atol=0.5)
            for other, other_score, other_box in theirs
        ), (name, score, box)


@pytest.mark.parametrize("target", TARGETS)
def test_a_folder_says_what_it_is_and_what_to_do_next(target: str, tmp_path: Path) -> None:
    path, artefact, said = make(target, tmp_path)
    page = (tmp_path / "README.md").read_text()
    assert len(page.splitlines()) <= 14 and page.startswith("# yolov2-digits for ")
    assert f"`{path.relative_to(tmp_path)}`: {artefact.width} x {artefact.height} pixels" in page
    assert "1. " in page and "Facts from: " in page
    labels = next(tmp_path.rglob("labels.txt"))
    assert labels.read_text().split() == DIGITS
    for file in tmp_path.rglob("*"):
        if file.is_file() and file.suffix in (".md", ".py", ".txt", ".yml", ".pbtxt"):
            assert not re.search(r"\{\w+[:}]|None", file.read_text()) or file.suffix == ".py", file
    for program in tmp_path.rglob("*.py"):
        compile(program.read_text(), program.name, "exec")
    tool = TARGETS[target].tool
    assert said == (
        [f"{tool.program} is not installed, which converts the file: pip install {tool.package}"] if tool else []
    )
    assert to_properties(read_artefact(path)) == to_properties(artefact)


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_a_target_takes_nothing_else(target: str) -> None:
    row = TARGETS[target]
    assert row.asked(OnnxOptions(**{"sizes": "fixed"})).sizes == "fixed"
    with pytest.raises(OptionError, match=rf"--for {target} takes .*, found boxes-confs"):
        row.asked(OnnxOptions(layout="boxes-confs"))


@pytest.mark.parametrize("target", sorted(TARGETS))
def test_fp16_is_for_those_that_make_none_of_their_own(target: str) -> None:
    if "precision" in TARGETS[target].options:
        with pytest.raises(OptionError, match=f"--for {target} takes fp32, found fp16; its own tools make fp16"):
            TARGETS[target].asked(OnnxOptions(precision="fp16"))
    else:
        assert TARGETS[target].asked(OnnxOptions(precision="fp16")).precision == "fp16"


def test_frigate(tmp_path: Path) -> None:
    """frigate's docs/docs/configuration/object_detectors.md at 00d0317, yolo-generic: width, height, nchw, float, path,
    labelmap_path; util/model.py in 0.16 takes the one output [4 + classes, boxes], pixels, scores."""
    path, artefact, _ = make("frigate", tmp_path)
    config = yaml.safe_load((tmp_path / "config.yml").read_text())
    assert config["detectors"] == {"onnx": {"type": "onnx"}}
    home = "/config/model_cache/yolov2-digits"
    assert config["model"] == {
        "model_type": "yolo-generic",
        "width": artefact.width,
        "height": artefact.height,
        "input_tensor": "nchw",
        "input_pixel_format": "rgb",
        "input_dtype": "float",
        "path": f"{home}/yolov2-digits.onnx",
        "labelmap_path": f"{home}/labels.txt",
    }
    session = ort.InferenceSession(path)
    (given,), (output,) = session.get_inputs(), session.get_outputs()
    assert (given.shape, given.type) == ([1, 3, artefact.height, artefact.width], "tensor(float)")
    assert output.type == "tensor(float)" and output.shape[:2] == [1, 4 + 10] and output.shape[2] > 14
    found = session.run(None, {given.name: planes(scene())})[0]
    assert found[0, :4].max() > 2 and found[0, 4:].min() >= 0 and found[0, 4:].max() <= 1


def test_deepstream(tmp_path: Path) -> None:
    """DeepStream-Yolo at 07feae9: config_infer_primary_yoloV8.txt's keys; decodeTensorYolo reads six numbers a box, the
    corners in pixels of the network, score and class."""
    path, artefact, _ = make("deepstream", tmp_path)
    config = configparser.ConfigParser()
    config.read(tmp_path / "config_infer_primary_yolov2-digits.txt")
    said = config["property"]
    assert np.float32(said["net-scale-factor"]) == np.float32(1 / 255)
    assert (said["onnx-file"], said["labelfile-path"]) == (path.name, "labels.txt")
    assert (said["num-detected-classes"], said["model-color-format"], said["network-type"]) == ("10", "0", "0")
    assert (said["maintain-aspect-ratio"], said["symmetric-padding"]) == ("1", "1")  # Darknet's letterbox
    assert said["parse-bbox-func-name"] == "NvDsInferParseYolo" and said["cluster-mode"] == "2"
    assert float(config["class-attrs-all"]["pre-cluster-threshold"]) == THRESH
    assert float(config["class-attrs-all"]["nms-iou-threshold"]) == artefact.nms
    session = ort.InferenceSession(path)
    (given,), (output,) = session.get_inputs(), session.get_outputs()
    assert given.shape[1:] == [3, artefact.height, artefact.width] and output.name == "output"
    assert output.type == "tensor(float)" and output.shape[2] == 6 and isinstance(output.shape[0], str)
    rows = session.run(None, {given.name: planes(scene())})[0][0]
    assert rows[:, 2].max() > 2 and (rows[:, 5] == rows[:, 5].astype(int)).all() and rows[:, 5].max() < 10
    best = rules.deepstream({"output": rows}, artefact.width, artefact.height, THRESH, artefact.nms)
    theirs = [(DIGITS[int(row[5])], float(row[4]), row[:4].tolist()) for row in best]
    ours = [(name, score, np.clip(box, 0, artefact.width).tolist()) for name, score, box in found()]
    assert_same(theirs, ours)


def test_ultralytics(tmp_path: Path) -> None:
    """ultralytics v8.3, nn/autobackend.py: stride, batch, imgsz and names of the metadata are read as Python's
    literals, task as it is; the input's sides by their names or from imgsz."""
    path, artefact, _ = make("ultralytics", tmp_path)
    said = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert (said["task"], int(said["stride"]), int(said["batch"])) == ("detect", 32, 1)
    assert ast.literal_eval(said["imgsz"]) == [artefact.height, artefact.width]
    assert ast.literal_eval(said["names"]) == dict(enumerate(DIGITS))


def test_opencv_finds_what_detect_finds(tmp_path: Path) -> None:
    make("opencv", tmp_path)
    cv2.imwrite(str(tmp_path / "scene.png"), scene())
    program = "import json, cv2, detect; net = cv2.dnn.readNetFromONNX('yolov2-digits.onnx')\n"
    program += "print(json.dumps(detect.detect(net, cv2.imread('scene.png'))))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    rows = ast.literal_eval(done.stdout)
    theirs = [(name, score, [x, y, x + w, y + h]) for name, score, (x, y, w, h) in rows]
    assert_same(theirs, found())
    shown = subprocess.run([sys.executable, "detect.py", "scene.png"], cwd=tmp_path, capture_output=True, text=True)
    assert shown.stdout.count("%") == len(rows) and not shown.stderr


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("#!/bin/sh\necho cannot do it >&2\nexit 3\n", "x.onnx: pnnx does not convert it: cannot do it"),
        ("#!/bin/sh\nexit 0\n", "x.onnx: pnnx does not convert it: exit status 0"),
    ],
)
def test_a_converter_that_fails_is_told(program: str, said: str, tmp_path: Path) -> None:
    """By a program that fails as a real one would; `tests/interop` runs the real ones."""
    tool = tmp_path / "pnnx"
    tool.write_text(program)
    tool.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(ExportError, match=said.replace("x", "yolov2-digits", 1)):
        patch.setattr(write, "program_of", lambda _: str(tool))
        make("ncnn", tmp_path / "made")
    assert not [file for file in (tmp_path / "made").iterdir() if file.name.startswith(".convert")]


def test_a_tree_is_read_in_the_graph(tmp_path: Path) -> None:
    path, artefact, _ = make("frigate", tmp_path, "yolo9000-digits")
    assert artefact.tree is not None and artefact.layout == "yolov8"
    output = ort.InferenceSession(path).run(None, {"images": planes(scene())})[0]
    best = output[0, 4:].max(0)
    assert ((output[0, 4:] > 0).sum(0) <= 1).all() and best.max() > 0.3


def test_the_guide_names_each_target_with_its_layout() -> None:
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)`", (REPOSITORY / "docs" / "guide" / "targets.md").read_text(), re.M)
    assert dict(rows) == {name: target.options["layout"] for name, target in TARGETS.items()}
