"""`make demo`: tools/demo.py goes from a scene to boxes without a download, and finds a detector for a photo."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from darknet_compat.catalogue.catalog import MODELS
from darknet_compat.errors import DownloadError
from darknet_compat.formats.packaged import weights_dir
from tests.catalogue.fetch.http_server import Server, gives
from tests.cli.support import REPOSITORY


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The script, as on a machine with an empty cache."""
    spec = importlib.util.spec_from_file_location("demo", REPOSITORY / "tools" / "demo.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    monkeypatch.setattr(module, "OUT", tmp_path / "out")
    return module


def test_a_scene_becomes_boxes_here_and_in_onnx_runtime(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    demo.main()
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].endswith("scene.png: a scene composed of the handwritten digits 1, 3, 4, 5, 7, 9")
    table = lines[lines.index("torch → onnxruntime") :]
    for name in demo.DIGITS:
        picture = tmp_path / "out" / name / "scene.png"
        assert f"The picture with the boxes of {name}: {picture}" in lines[-2:]
        assert picture.stat().st_size > 10_000
        (row,) = [line.split() for line in table if line.startswith(f"{name} ")]
        matched, missing, extra, *_, verdict = row[1:]
        assert int(matched) >= 4
        assert (missing, extra, verdict) == ("0", "0", "same")
        assert not (tmp_path / "cache" / MODELS[name].weights.file).exists()
    assert any(line.startswith("operations ") for line in lines)
    assert any("symbol" in line and "digit" in line and "straight" in line for line in lines)


def test_a_difference_ends_the_demo(demo: ModuleType, tmp_path: Path) -> None:
    scene = demo.write_scene()
    name = demo.DIGITS[0]
    weights = bytearray((weights_dir() / MODELS[name].weights.file).read_bytes())
    weights[-24_000:] = bytes(24_000)  # all weights in front of the head
    (tmp_path / "other.weights").write_bytes(weights)
    other = tmp_path / "other.onnx"
    demo.run("export", name, "--weights", str(tmp_path / "other.weights"), "--out", str(other))
    with pytest.raises(SystemExit, match="torch and ONNX Runtime should find the same, found differs"):
        demo.print_parity({name: other}, scene)


@pytest.mark.reference
def test_a_photo_of_ones_own(
    demo: ModuleType,
    shared_data: Path,
    photos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo.py", str(photos[0])])
    demo.main()
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == f"The picture with its boxes: {tmp_path / 'out' / 'dog.jpg'}"
    assert (tmp_path / "out" / "dog.jpg").stat().st_size > 10_000
    assert any(line.split()[:3] == ["dog", "62", "%"] for line in lines)


def without_shared_data(demo: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "SHARED_MODEL", Path("/absent/yolo-lite-coco.cfg"))


def test_takes_weights_that_are_here_before_it_fetches(
    demo: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_shared_data(demo, monkeypatch)
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / MODELS["yolov2-voc"].weights.file).touch()
    assert demo.find_model() == "yolov2-voc"


def test_fetches_the_smallest_detector(
    demo: ModuleType, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_shared_data(demo, monkeypatch)
    smallest = MODELS["yolov3-tiny"]
    data = bytes(20 + 4 * 1000)
    server.routes["/tiny"] = gives(data)
    weights = replace(smallest.weights, floats=1000, mirrors=(server.url("/tiny"),), published=replace(
        smallest.weights.published, md5=None
    ))  # fmt: skip
    monkeypatch.setitem(MODELS, "yolov3-tiny", replace(smallest, weights=weights))
    assert demo.find_model() == "yolov3-tiny"
    assert (tmp_path / "cache" / "yolov3-tiny.weights").read_bytes() == data


def test_says_what_is_missing(demo: ModuleType, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    without_shared_data(demo, monkeypatch)
    for name, model in MODELS.items():
        mirrors = (server.url(f"/absent/{name}"),) if model.weights.mirrors else ()
        monkeypatch.setitem(MODELS, name, replace(model, weights=replace(model.weights, mirrors=mirrors)))
    monkeypatch.setattr(sys, "argv", ["demo.py", "photo.jpg"])
    with pytest.raises(SystemExit, match="a photo needs a detector, and none is here or could be fetched"):
        demo.main()
    with pytest.raises(DownloadError, match="HTTP 404"):
        demo.find_model()
