"""The npm package: found, checked, and what is said of one that is not what it should be."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from darknet_compat.errors import ExportError
from darknet_compat.export.web.package import FILES, files_of
from tests.cli.support import in_process


def package(folder: Path, version: str = "1.29.0", name: str = "onnxruntime-web", **more: str) -> Path:
    """A package of that version, with other files."""
    (folder / "dist").mkdir(parents=True)
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version, "license": "MIT"}))
    for path in FILES:
        (folder / path).write_text(path)
    for path, text in more.items():
        (folder / path).write_text(text)
    return folder


def packed(folder: Path, place: Path) -> Path:
    with tarfile.open(place, "w:gz") as file:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                data, entry = path.read_bytes(), tarfile.TarInfo(f"package/{path.relative_to(folder)}")
                entry.size = len(data)
                file.addfile(entry, io.BytesIO(data))
    return place


@pytest.mark.parametrize("form", ["package", "node_modules", "project", "tgz", "here", "here.tgz"])
def test_where_a_package_may_be(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = package(tmp_path / "node_modules" / "onnxruntime-web", LICENSE="MIT License")
    (tmp_path / "here").mkdir()
    places = {
        "package": lambda: there,
        "node_modules": lambda: there.parent,
        "project": lambda: tmp_path,
        "tgz": lambda: packed(there, tmp_path / "a.tgz"),
        "here": lambda: None,
        "here.tgz": lambda: packed(there, tmp_path / "here" / "onnxruntime-web-1.29.0.tgz") and None,
    }
    given = places[form]()
    if form == "here.tgz":
        there.rename(tmp_path / "elsewhere")
    monkeypatch.chdir(tmp_path / "here")
    found = files_of(given)
    assert found["ort/LICENSE"] == b"MIT License"
    assert {f"ort/{Path(path).name}" for path in FILES} | {"ort/LICENSE", "ort/package.json"} == set(found)


def test_a_licence_comes_along_where_the_package_has_none(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    assert b"MIT License" in files_of(package(tmp_path / "p"))["ort/LICENSE"]


def test_what_is_wrong_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ExportError, match=r"is not here: `npm pack onnxruntime-web@1\.30\.0` fetches it"):
        files_of(None)
    with pytest.raises(ExportError, match="absent: no such file or folder"):
        files_of(Path("absent"))
    (tmp_path / "text.tgz").write_text("no archive")
    with pytest.raises(ExportError, match=r"text\.tgz: cannot be read as a \.tgz of npm"):
        files_of(Path("text.tgz"))
    with pytest.raises(ExportError, match=r"expected the npm package onnxruntime-web, found no package\.json"):
        files_of(tmp_path)
    with pytest.raises(ExportError, match="expected the npm package onnxruntime-web, found react"):
        files_of(package(tmp_path / "react", name="react"))
    with pytest.raises(ExportError, match=r"dist/ort\.wasm\.min\.mjs is not that of onnxruntime-web 1\.30\.0"):
        files_of(package(tmp_path / "changed", "1.30.0"))
    (package(tmp_path / "old") / "dist" / "ort-wasm-simd-threaded.wasm").unlink()
    with pytest.raises(ExportError, match=r"1\.29\.0 has no dist/ort-wasm-simd-threaded\.wasm"):
        files_of(tmp_path / "old")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    done = in_process("export", "yolov2-digits", "--web", "page")
    assert done.code == 1 and "npm pack onnxruntime-web@1.30.0" in done.err
    assert not (tmp_path / "page").exists()
    done = in_process("export", "yolov2-digits", "--web", "page", "--for", "web")
    assert done.code == 2 and "--web: is --for web --out page" in done.err
    done = in_process("export", "yolov2-digits", "--ort-web", "page")
    assert done.code == 2 and "goes with --for web" in done.err
    there = package(tmp_path / "ort")
    done = in_process("export", "yolov2-digits", "--web", "page", "--ort-web", str(there))
    assert done.code == 0, done.err
    wanted = {"index.html", "browser.js", "worker.js", "fit.js", "answers.js", "model.json", "yolov2-digits.onnx"}
    assert wanted <= {path.name for path in (tmp_path / "page").iterdir()}
    facts = json.loads((tmp_path / "page" / "model.json").read_text())
    assert facts["file"] == "yolov2-digits.onnx" and len(facts["names"]) == 10
