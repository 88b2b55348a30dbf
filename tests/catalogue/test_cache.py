from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from darknet_compat.catalogue import cache
from darknet_compat.errors import CatalogError


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(cache.LIMIT_VARIABLE, raising=False)
    return tmp_path / "cache"


def made(kind: str, name: str, size: int, age: float) -> Path:
    path = cache.folder(kind) / name
    path.write_bytes(bytes(size))
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def test_files_are_listed_the_longest_unused_first(place: Path) -> None:
    assert cache.entries() == []
    made("onnx", "a.onnx", 10, 50)
    made("onnxruntime", "b.onnx", 20, 90)
    made("tensorrt", "c.engine", 30, 10)
    (place / "yolov3.weights").write_bytes(b"a download")
    assert [(entry.kind, entry.path.name, entry.bytes) for entry in cache.entries()] == [
        ("onnxruntime", "b.onnx", 20),
        ("onnx", "a.onnx", 10),
        ("tensorrt", "c.engine", 30),
    ]


def test_room_is_made_by_the_longest_unused_but_never_by_what_is_in_use(monkeypatch: pytest.MonkeyPatch) -> None:
    old, older = made("onnx", "old.onnx", 100, 5000), made("onnxruntime", "older.onnx", 100, 9000)
    used, young = made("onnx", "used.onnx", 100, 8000), made("onnx", "young.onnx", 100, 20)
    engine = made("tensorrt", "c.engine", 500, 99999)
    cache.mark_used(used)
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "300")
    cache.make_room()
    assert not older.exists() and old.exists()
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "0")
    cache.make_room()
    assert not old.exists() and used.exists() and young.exists() and engine.exists()


def test_a_limit_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache.limit() == cache.LIMIT
    monkeypatch.setenv(cache.LIMIT_VARIABLE, "4G")
    with pytest.raises(CatalogError, match=r"^DARKNET_COMPAT_CACHE_LIMIT: expected a number of bytes, found '4G'$"):
        cache.limit()


def test_clearing_removes_what_was_asked_for_and_no_download(place: Path) -> None:
    kept = made("tensorrt", "c.engine", 30, 10)
    made("onnx", "a.onnx", 10, 50)
    (place / "yolov3.weights").write_bytes(b"a download")
    assert [entry.path.name for entry in cache.clear(["onnx", "onnxruntime"])] == ["a.onnx"]
    assert kept.exists() and not (place / "onnx").exists()
    assert [entry.path.name for entry in cache.clear()] == ["c.engine"]
    assert [path.name for path in place.iterdir()] == ["yolov3.weights"]


def test_a_folder_that_cannot_be_made_is_one_line(place: Path) -> None:
    place.write_text("a file")
    with pytest.raises(CatalogError, match=r"cache/onnx: cannot be made: "):
        cache.folder("onnx")
