"""The folder for the machine in the field: its run.py against `detect`."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.errors import ExportError
from darknet_compat.export.bundle.write import RUN, expect_runnable, write_bundle
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.tensorrt.engine import build_engine
from darknet_compat.export.tensorrt.settings import Settings
from darknet_compat.inference.detector import Detector
from darknet_compat.runtime.exported import read_artefact
from darknet_compat.vision.draw import save
from tests.export.support import SHIPPED, seeded
from tests.inference.support import noise, region
from tests.runtime.simulation import Driver, use_version

REPOSITORY = Path(__file__).parents[3]


def run(folder: Path, model: str, *pictures: Path, before: str = "") -> list[tuple[str, float, Any]]:
    """What run.py prints, in a process that sees nothing of ours but `before`."""
    code = f"{before}\nimport runpy, sys\nsys.argv[1:] = {[model, *map(str, pictures)]}\nrunpy.run_path('run.py')"
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    return [(name, float(score), np.array(box, float)) for _, name, score, *box in rows]


def assert_same(found: list[tuple[str, float, Any]], model: Detector, pictures: list[Path]) -> int:
    """The same objects as the Detector's, 1e-3 of a score and 0.5 pixels apart at most."""
    expected: list[tuple[str, float, Any]] = []
    for picture in pictures:
        seen = model(picture)
        rows = zip(seen.names, seen.scores, seen.boxes, strict=True)
        expected += sorted(rows, key=lambda row: model.names.index(row[0]))
    assert [name for name, *_ in found] == [name for name, *_ in expected]
    for (_, score, box), (_, other, its) in zip(found, expected, strict=True):
        assert abs(score - other) <= 1e-3 and np.abs(box - its).max() <= 0.5
    return len(expected)


@pytest.mark.parametrize(("input", "resize"), [("float", "letterbox"), ("uint8", "letterbox"), ("float", "stretch")])
def test_its_boxes_are_those_of_detect(input: Any, resize: Any, tmp_path: Path) -> None:
    (tmp_path / "m.cfg").write_text(region(4))
    artefact = export_onnx(
        seeded(tmp_path / "m.cfg"), tmp_path / "m.onnx", input=input, resize=resize, sizes="fixed", batch=1, thresh=0.2
    )
    write_bundle(tmp_path, tmp_path / "m.onnx", artefact)
    pictures = [tmp_path / "wide.png", tmp_path / "high.png"]
    save(noise(40, 90), pictures[0])
    save(noise(200, 70), pictures[1])
    model = Detector(tmp_path / "m.onnx", backend="onnxruntime")
    assert assert_same(run(tmp_path, "m.onnx", *pictures), model, pictures) > 10


@pytest.mark.parametrize("name", ["yolo-lite-coco", "yolo-fastest-1.1", "mobilenetv2-yolov3-nano-coco"])
def test_real_models_on_the_seven_photographs(name: str, tmp_path: Path, shared_data: Path, photos: list[Path]) -> None:
    models = shared_data / "models"
    command = [sys.executable, "-m", "darknet_compat", "export", models / name / f"{name}.cfg"]
    done = subprocess.run(
        [*map(str, command), "--bundle", str(tmp_path), "--names", str(models / "coco.names"), "--thresh", "0.3"],
        capture_output=True, text=True, cwd=REPOSITORY, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    model = Detector(models / name / f"{name}.cfg", names=models / "coco.names", thresh=0.3)
    assert assert_same(run(tmp_path, f"{name}.onnx", *photos), model, photos) >= 7


_SIMULATED = """
import ctypes, sys
sys.path.insert(0, {repository!r})
from tests.runtime.simulated.tensorrt import make
driver = ctypes.CDLL({driver!r})
driver.sim_enable(1)
sys.modules[{module!r}] = make({version!r})
"""


@pytest.mark.parametrize(("target", "version"), [("tensorrt", "8.6.1"), ("tensorrt", "11.4.0"), ("rtx", "rtx 1.7.1")])
def test_an_engine_gives_the_same(
    target: Any,
    version: str,
    gpu: Driver,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "m.cfg").write_text(region(4))
    export_onnx(seeded(tmp_path / "m.cfg"), tmp_path / "m.onnx", thresh=0.2)
    use_version(monkeypatch, version)
    record = build_engine(tmp_path / "m.onnx", settings=Settings(target=target, batches=(1,)))
    written = write_bundle(tmp_path, tmp_path / "m.engine", record.artefact, record)
    assert all(path.is_file() for path in written) and tmp_path / "m.engine.json" in written
    save(noise(40, 90), tmp_path / "wide.png")
    module = "tensorrt_rtx" if target == "rtx" else "tensorrt"
    package = "tensorrt-rtx-cu13" if target == "rtx" else "tensorrt"
    assert f"\n{package}=={record.tensorrt}\n" in (tmp_path / "requirements.txt").read_text()
    before = _SIMULATED.format(repository=str(REPOSITORY), driver=gpu.library._name, module=module, version=version)
    found = run(tmp_path, "m.engine", tmp_path / "wide.png", before=before)
    model = Detector(tmp_path / "m.onnx", backend="onnxruntime")
    assert assert_same(found, model, [tmp_path / "wide.png"]) > 5


def test_it_is_short_and_needs_nothing_else() -> None:
    text = RUN.read_text()
    assert len(text.splitlines()) <= 60
    imported = {
        name.split(".")[0]
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [str(node.module)])
    }
    assert imported == {"ctypes", "json", "sys", "pathlib", "cv2", "numpy"}


def test_what_is_wrong_is_said_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "m.cfg").write_text(region(4))
    artefact = export_onnx(seeded(tmp_path / "m.cfg"), tmp_path / "m.onnx", sizes="fixed", batch=1)
    write_bundle(tmp_path, tmp_path / "m.onnx", artefact)
    (tmp_path / "bad.jpg").write_text("no picture")
    for arguments, said in (
        ([], "python3 run.py MODEL PICTURES"),
        (["m.engine", "bad.jpg"], "run.py: "),
        (["none.onnx", "bad.jpg"], "none.onnx"),
        (["m.onnx", "bad.jpg"], "bad.jpg: is no picture"),
    ):
        done = subprocess.run(
            [sys.executable, "run.py", *arguments], cwd=tmp_path, capture_output=True, text=True,
            env=os.environ | {"OPENCV_LOG_LEVEL": "SILENT"},
        )  # fmt: skip
        assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_its_names_and_numbers_are_the_models(tmp_path: Path) -> None:
    (tmp_path / "m.cfg").write_text(region(4))
    options: Any = {"names": ["a", "b", "c", "ü"], "thresh": 0.3, "nms": 0.6, "input": "uint8"}
    artefact = export_onnx(seeded(tmp_path / "m.cfg"), tmp_path / "m.onnx", sizes="fixed", batch=1, **options)
    assert artefact == read_artefact(tmp_path / "m.onnx")
    write_bundle(tmp_path, tmp_path / "m.onnx", artefact)
    about = json.loads((tmp_path / "model.json").read_text())
    assert (about["names"], about["thresh"], about["nms"]) == (["a", "b", "c", "ü"], 0.3, 0.6)
    assert about["shape"] == [1, 64, 96, 3] and about["size"] == [96, 64]
    assert (tmp_path / "m.names").read_text() == "a\nb\nc\nü\n"
    assert len((tmp_path / "README.md").read_text().splitlines()) <= 40
    assert "trtexec --onnx=m.onnx" in (tmp_path / "README.md").read_text()


def test_what_run_cannot_do_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for model, said in (
        (SHIPPED / "tiny.cfg", "gives no boxes, and the bundle's run.py shows boxes"),
        (SHIPPED / "yolo9000-digits.cfg", "has a WordTree, which the bundle's run.py does not walk"),
    ):
        command = [sys.executable, "-m", "darknet_compat", "export", model, "--weights", model]
        done = subprocess.run(
            [*map(str, command), "--bundle", str(tmp_path / "b")], capture_output=True, text=True, cwd=REPOSITORY
        )
        assert done.returncode == 1 and said in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert not (tmp_path / "b").exists()
    (tmp_path / "grey.cfg").write_text(region(4, channels=1))
    artefact = export_onnx(seeded(tmp_path / "grey.cfg"), tmp_path / "grey.onnx")
    with pytest.raises(ExportError, match="reads 1 channel, and the bundle"):
        expect_runnable(artefact, "grey.onnx")
