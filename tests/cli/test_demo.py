"""`make demo`: tools/demo.py finds a detector and a photo wherever they are, and says what is missing."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

from darknet_compat.errors import DownloadError
from darknet_compat.formats.catalog import MODELS
from tests.cli.support import REPOSITORY
from tests.formats.fetch.http_server import Server, gives


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


@pytest.mark.reference
def test_ends_with_a_table_and_the_pictures_path(
    demo: ModuleType,
    shared_data: Path,
    photos: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    demo.main()
    lines = capfd.readouterr().out.splitlines()
    assert lines[-1] == f"The picture with its boxes: {tmp_path / 'out' / 'dog.jpg'}"
    assert (tmp_path / "out" / "dog.jpg").stat().st_size > 10_000
    assert any(line.split()[:3] == ["dog", "62", "%"] for line in lines)
    assert any(line.startswith("operations ") for line in lines)


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


@pytest.mark.reference
def test_fetches_the_photo_from_the_second_mirror_if_need_be(
    demo: ModuleType, server: Server, photos: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.routes |= {"/cat.jpg": gives(b"another"), "/dog.jpg": gives(photos[0].read_bytes())}
    monkeypatch.setattr(demo, "INSTALLED_PHOTO", Path("/absent/dog.jpg"))
    monkeypatch.setattr(demo, "PHOTO_MIRRORS", (server.url("/cat.jpg"), server.url("/dog.jpg")))
    assert demo.find_photo() == tmp_path / "cache" / "dog.jpg"


def test_says_what_is_missing(
    demo: ModuleType, server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(demo, "INSTALLED_PHOTO", Path("/absent/dog.jpg"))
    monkeypatch.setattr(demo, "PHOTO_MIRRORS", (server.url("/absent.jpg"),))
    monkeypatch.setattr(sys, "argv", ["demo.py"])
    with pytest.raises(SystemExit, match=r"apt-get install darknet brings its dog\.jpg.*\n.*HTTP 404"):
        demo.main()
    without_shared_data(demo, monkeypatch)
    for name, model in MODELS.items():
        weights = replace(model.weights, mirrors=(server.url(f"/absent/{name}"),))
        monkeypatch.setitem(MODELS, name, replace(model, weights=weights))
    with pytest.raises(DownloadError, match="the demo needs a detector"):
        demo.find_model()
