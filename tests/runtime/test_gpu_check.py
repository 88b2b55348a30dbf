"""The command for a machine with a GPU, rehearsed on a simulated one; and what it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.runtime.simulation import Driver

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(REPOSITORY / "tools"))
    import gpu_check

    return gpu_check


@pytest.fixture
def record(tool: Any) -> Any:
    import gpu_record

    return gpu_record


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:DeprecationWarning")  # torch.compile's, of itself
def test_all_parts_run(gpu: Driver, tool: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    document = tool.record(tool.Check(True, tmp_path), list(tool.PARTS))
    assert document["gpu"] == "Simulated GPU (compute capability 9.0)"
    rows = {row["what"]: row for row in document["rows"]}
    assert not [row for row in document["rows"] if row["value"] is None]
    assert set(tool.PARTS) <= {row["part"] for row in document["rows"]}
    assert all(row["passed"] for row in document["rows"] if "passed" in row)
    assert rows["threads"]["value"] == 0 and rows["threads"]["pictures"] > 8
    assert rows["yolov2-tiny-voc, fp32, detections"]["value"] == 100


def test_without_a_gpu_it_says_what_was_not_run(tmp_path: Path) -> None:
    command = [sys.executable, "tools/gpu_check.py", "--rehearse", "--out", str(tmp_path)]
    command += ["--only", "parity", "--only", "speed", "--only", "tree", "--only", "threads"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert done.returncode == 1 and "Traceback" not in done.stderr, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    assert summary["not run"] == 4 and summary["gpu"].startswith("none: tensorrt needs an NVIDIA GPU")
    (file,) = tmp_path.glob("*.json")
    assert all("needs an NVIDIA GPU" in row["why"] for row in json.loads(file.read_text())["rows"])
    assert "not run: tensorrt needs an NVIDIA GPU" in (tmp_path / "README.md").read_text()


def test_a_record_is_judged_and_shown(record: Any, tmp_path: Path) -> None:
    check = record.Check(False, tmp_path)
    check.add("speed", "batch 1, device", 0.4, "ms")
    check.add("speed", "batch 64, device", 9000.0, "images/s")
    check.add("speed", "int8 against fp16", None, "times", why="no pictures")
    assert [row["met"] for row in check.rows] == [True, False, None]
    document = {"date": "2026-01-02", "gpu": "NVIDIA H200 (compute capability 9.0)", "rows": check.rows,
                "machine": {"versions": {"torch": "2"}}}  # fmt: skip
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{record.MARKS[0]}\nold\n{record.MARKS[1]}\nafter\n")
    record.write(document, tmp_path / "docs", readme)
    text = readme.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| speed | batch 1, device | 0.4 ms | <= 0.5 ms | met |" in text
    assert "| speed | batch 64, device | 9,000 images/s | >= 10,000 images/s | **not met** |" in text
    assert "| not run: no pictures |" in text
    assert json.loads((tmp_path / "docs" / "2026-01-02-NVIDIA-H200.json").read_text()) == document
    record.write(document, tmp_path / "docs", readme)
    assert readme.read_text() == text  # the marks stay


def test_the_readme_has_the_place_for_it(record: Any) -> None:
    text = (REPOSITORY / "README.md").read_text()
    assert text.count(record.MARKS[0]) == text.count(record.MARKS[1]) == 1
