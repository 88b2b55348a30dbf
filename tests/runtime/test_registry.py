"""The registry: every runtime in one place, and the page that says how to add one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent, indent
from typing import get_args

import pytest

from darknet_compat.errors import BackendError
from darknet_compat.formats.words import Precision
from darknet_compat.inference.backends import choose, open_runtime
from darknet_compat.nvidia import driver
from darknet_compat.parity.compare import ANSWERS, TOLERANCES
from darknet_compat.runtime import registry
from darknet_compat.runtime.base import Use
from darknet_compat.runtime.torch import TorchRuntime
from darknet_compat.vision.draw import save
from tests.inference.support import Files, noise, region, write_model

REPOSITORY = Path(__file__).parents[2]
PAGE = REPOSITORY / "docs" / "develop" / "add-a-runtime.md"


@pytest.fixture
def toy(tmp_path: Path) -> Files:
    return write_model(tmp_path, region(4))


@pytest.mark.parametrize("row", registry.ROWS, ids=registry.NAMES)
def test_every_row_is_complete(row: registry.Row) -> None:
    assert set(row.precisions) <= set(get_args(Precision))
    assert set(row.preferred) <= {*row.precisions, "fp16"}  # which a file may be in
    assert callable(registry.resolve_name(row.open))
    assert f"\n{row.extra} = [" in (REPOSITORY / "pyproject.toml").read_text()
    own = [suffix for suffix in row.suffixes if suffix not in (".cfg", registry.ONNX)]
    assert bool(own) == (row.artefact is not None)
    if row.name != "torch":
        assert ("torch", row.name, "fp32") in TOLERANCES.keys() & ANSWERS.keys()


@pytest.mark.parametrize("row", [row for row in registry.ROWS if row.usable], ids=lambda row: row.name)
def test_what_cannot_run_here_names_itself(row: registry.Row, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "LIBRARY", "libnone.so.1")
    with pytest.raises(BackendError, match=rf"^{row.name} needs an NVIDIA GPU: there is no driver here"):
        registry.expect_usable(row.name)


def test_ranks_are_distinct() -> None:
    for precision in get_args(Precision):
        ranks = [row.preferred[precision].rank for row in registry.ROWS if precision in row.preferred]
        assert len(ranks) == len(set(ranks))


def test_files_are_told_by_their_suffix() -> None:
    named = [row.name for row in registry.running(Path("m.ONNX"))]
    assert named[:3] == ["onnxruntime", "openvino", "tensorrt"] and "tensorrt-rtx" in named
    assert [row.name for row in registry.running(Path("m.cfg.bak"))] == ["torch"]
    assert registry.is_built(Path("m.engine")) and not registry.is_built(Path("m.onnx"))
    assert not registry.is_exported(Path("m.cfg")) and registry.artefact_of(Path("m.cfg")) is None


def test_a_device_reaches_the_runtime(toy: Files) -> None:
    runtime, _ = open_runtime(*toy, Use("torch", device="cpu"))
    assert isinstance(runtime, TorchRuntime) and runtime.device.type == "cpu"
    for backend, device, said in (
        ("torch", "cuda:77", "device: torch cannot use 'cuda:77': "),
        ("torch", "toaster", "device: torch runs on cpu or cuda or mps or xpu, found 'toaster'"),
        ("onnxruntime", "cuda", "device: onnxruntime runs on cpu, found 'cuda'"),
    ):
        with pytest.raises(BackendError, match=f"^{re.escape(said)}") as caught:
            open_runtime(*toy, Use(backend, device=device))
        assert "\n" not in str(caught.value)


def test_auto_takes_only_what_runs_on_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "installed", lambda package: True)
    assert choose(False, "auto", "fp32", "throughput", "cuda").backend == "torch"
    assert choose(False, "auto", "fp32", "throughput", "cpu").backend == "onnxruntime"
    with pytest.raises(BackendError, match=r"^device: no runtime that `auto` would take runs an \.onnx on cuda"):
        choose(True, "auto", "fp32", "latency", "cuda")


def test_a_runtime_is_added_by_the_steps_of_the_page_only(toy: Files, tmp_path: Path) -> None:
    """Its own file and its row, into a copy of the package."""
    own, row = map(dedent, re.findall(r"```python\n(.*?) *```", PAGE.read_text(), re.S))
    copy = tmp_path / "copy"
    shutil.copytree(
        REPOSITORY / "darknet_compat", copy / "darknet_compat", ignore=shutil.ignore_patterns("__pycache__")
    )
    (copy / "cfg").symlink_to(REPOSITORY / "cfg")
    (copy / "darknet_compat/runtime/onnxreference.py").write_text(own)
    file = copy / "darknet_compat/runtime/registry.py"
    rows = file.read_text()
    assert rows.count('\n)\n"""In the order') == 1
    file.write_text(rows.replace('\n)\n"""In the order', f'\n{indent(row, "    ")})\n"""In the order'))
    save(noise(40, 30), tmp_path / "noise.png")

    def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        environment = os.environ | {"PYTHONPATH": str(copy), "DARKNET_COMPAT_CACHE": str(tmp_path / "cache")}
        command = [sys.executable, "-m", "darknet_compat", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment, cwd=copy, timeout=120)

    found = {}
    for backend in ("onnxruntime", "onnxreference"):
        arguments = ("--thresh", "0.001", "--nms", "1", "--json", "--verbose", "--backend", backend)
        done = run("detect", toy.cfg, tmp_path / "noise.png", *arguments)
        assert done.returncode == 0, done.stderr
        assert f"{backend}" in done.stderr
        (found[backend],) = json.loads(done.stdout)["images"]
    first, second = (sorted(d["score"] for d in one["detections"]) for one in found.values())
    assert first and first == pytest.approx(second, abs=1e-5)
    assert "onnxreference" in "".join(run("detect", "--help").stdout.split())  # however wide the terminal is
    code = "from darknet_compat.parity.compare import TOLERANCES; print(TOLERANCES['torch', 'onnxreference', 'fp32'])"
    environment = os.environ | {"PYTHONPATH": str(copy)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, cwd=copy)
    assert float(done.stdout) == TOLERANCES["torch", "onnxruntime", "fp32"]
