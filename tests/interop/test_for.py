"""Folders of `export --for`, converted and read by the real tools: what `detect` finds."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from darknet_compat.definition.lower import load_spec
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import save_weights
from darknet_compat.runtime.exported import read_artefact
from tests.export.layouts import rules
from tests.export.support import SHIPPED, seeded
from tests.export.targets.support import REPOSITORY, detector, make, planes
from tests.interop.runtimes import COREML, READERS, RUNTIMES, TRITON

pytestmark = [pytest.mark.interop, pytest.mark.slow]
RUNTIME = {runtime.name: runtime for runtime in RUNTIMES}

CHECK = """
import json, sys
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig
for path in sys.argv[1:]:
    config = text_format.Parse(open(path).read(), ModelConfig())
    outputs = {one.name: [one.data_type, *one.dims] for one in config.output}
    given = {one.name: [one.data_type, *one.dims] for one in config.input}
    batching = config.HasField("dynamic_batching")
    print(json.dumps([config.name, config.backend, config.max_batch_size, batching, given, outputs]))
"""


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """The converters, on the PATH."""
    folders = [str(RUNTIME[name].folder / "bin") for name in ("ncnn", "tflite")]
    monkeypatch.setenv("PATH", os.pathsep.join([os.environ["PATH"], *folders]))


def fastest(shared: Path, folder: Path) -> tuple[Path, Path]:
    """The real Yolo-Fastest."""
    models = shared / "models" / "yolo-fastest-1.1"
    return next(models.glob("*.cfg")), next(models.glob("*.weights"))


def tiny(shared: Path, folder: Path) -> tuple[Path, Path]:
    """yolov2-tiny, with seeded weights."""
    save_weights(seeded(SHIPPED / "yolov2-tiny.cfg"), folder / "yolov2-tiny.weights")
    return SHIPPED / "yolov2-tiny.cfg", folder / "yolov2-tiny.weights"


@pytest.mark.parametrize(("target", "rule"), [("ncnn", rules.yolov8), ("tflite", rules.yolov5)])
@pytest.mark.parametrize("model", [fastest, tiny])
@pytest.mark.usefixtures("tools")
def test_a_converted_file_finds_what_detect_finds(
    target: str, rule: Any, model: Any, shared_data: Path, tmp_path: Path, original: Any
) -> None:
    if why := RUNTIME[target].missing():
        pytest.skip(why)
    cfg, weights = model(shared_data, tmp_path)
    folder, thresh = tmp_path / "made", 0.1
    command = [sys.executable, "-m", "darknet_compat", "export", cfg, "--weights", weights, "--for", target]
    subprocess.run([*command, "--out", folder], check=True)
    assert list(folder.glob("*.ncnn.bin" if target == "ncnn" else "*_float32.tflite"))
    assert read_artefact(folder / f"{cfg.stem}.onnx").names  # the converter has left the file as it was
    found_by = Detector(cfg, weights, thresh=thresh, nms=1, resize="stretch")
    side = load_spec(cfg).net.width
    photo = cv2.resize(cv2.imread(str(original.data / "dog.jpg")), (side, side))  # of the input's size: left as it is
    ours = found_by(photo)
    np.save(tmp_path / "images.npy", planes(photo))
    arguments = [RUNTIME[target].program, READERS, target, folder / f"{cfg.stem}.onnx", tmp_path / "images.npy"]
    subprocess.run([*arguments, tmp_path / "found.npz", tmp_path], check=True, capture_output=True)
    (found,) = np.load(tmp_path / "found.npz").values()
    theirs = rule({"output0": found[0]}, side, side, thresh, 1.0)
    assert len(ours) >= 3
    assert_same_rows(theirs, np.column_stack([ours.boxes, ours.scores, ours.class_ids]))


def assert_same_rows(theirs: NDArray[Any], ours: NDArray[Any]) -> None:
    """The same classes, scores to 1e-2, sides to half a pixel; one that the threshold decides may be missing."""
    for some, others in ((theirs, ours), (ours, theirs)):
        for row in some[np.abs(some[:, 4] - 0.1) > 1e-2]:
            near = others[(others[:, 5] == row[5]) & (np.abs(others[:, 4] - row[4]) < 1e-2)]
            assert (np.abs(near[:, :4] - row[:4]).max(1) < 0.5).any(), row


def test_triton_reads_the_configurations(tmp_path: Path) -> None:
    if why := TRITON.missing():
        pytest.skip(why)
    _, artefact, _ = make("triton", tmp_path)
    home = tmp_path / "yolov2-digits"
    paths = [home / "config.pbtxt", *sorted((home / "configs").iterdir())]
    done = subprocess.run([TRITON.program, "-c", CHECK, *paths], capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row[1] for row in rows] == ["onnxruntime", "onnxruntime", "openvino", "tensorrt"]
    fp32, int32, most = 11, 8, artefact.max_detections  # TYPE_FP32 and TYPE_INT32
    for name, _, batch, batching, given, outputs in rows:
        assert (name, batch, batching) == ("yolov2-digits", 8, True)
        assert given == {"images": [fp32, 3, artefact.height, artefact.width]}
        assert outputs == {
            "num_dets": [int32, 1],
            "det_boxes": [fp32, most, 4],
            "det_scores": [fp32, most],
            "det_classes": [int32, most],
        }


CONVERTED = """
import sys
from pathlib import Path
import coremltools as ct
from darknet_compat.network.coreml import write_coreml
from darknet_compat.runtime.exported import read_artefact

cfg, weights, folder = map(Path, sys.argv[1:])
artefact = read_artefact(next(folder.glob("*.onnx")))
print(write_coreml(cfg, weights, folder, artefact))
found = ct.models.MLModel(str(folder / f"{artefact.name}.mlpackage"), skip_model_load=True)
described = found.get_spec().description
for value in (*described.input, *described.output):
    print(value.name, *value.type.multiArrayType.shape)
print(found.user_defined_metadata["names"].splitlines())
"""


@pytest.mark.parametrize("name", ["yolov2-digits", "yolo9000-digits"])
def test_coremltools_converts_the_network(name: str, tmp_path: Path) -> None:
    """What the package computes only Apple's systems can say; that its network gives what the file beside it gives,
    tests/network/test_coreml.py."""
    if why := COREML.missing():
        pytest.skip(why)
    _, artefact, _ = make("coreml", tmp_path, name)
    given = [str(one) for one in (*detector(name), tmp_path)]
    env = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([COREML.program, "-c", CONVERTED, *given], capture_output=True, text=True, env=env)
    assert not done.returncode, done.stderr
    assert done.stdout.splitlines() == [
        f"converted by coremltools: {name}.mlpackage, which only Apple's systems run",
        "images 1 3 192 192",
        f"output0 1 {4 + artefact.classes} 1152",
        str(list(artefact.names or ())),
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"{name}.mlpackage", f"{name}.onnx", "README.md", "labels.txt", "metadata.yaml"]
    )
