"""The command for a machine with a GPU, rehearsed on a simulated one; and what it writes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.errors import BackendError
from darknet_compat.inference.results import Detections
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
    saved: list[int] = []
    check = tool.Check(True, tmp_path, tool.MODELS)
    document = tool.record(check, list(tool.PARTS), lambda document: saved.append(len(document["rows"])))
    assert len(saved) == len(tool.PARTS) and sorted(set(saved)) == saved
    assert document["gpu"] == "Simulated GPU (compute capability 9.0)"
    rows = {row["what"]: row for row in document["rows"]}
    assert not [row for row in document["rows"] if row["value"] is None]
    assert set(tool.PARTS) <= {row["part"] for row in document["rows"]}
    assert not [row for row in document["rows"] if row["met"] is False]
    assert rows["yolov2-tiny-voc, fp16, boxes"]["met"] and rows["yolov2-tiny-voc, fp16, detections"]["met"]
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
    check = record.Check(False, tmp_path, tmp_path)
    check.add("speed", "batch 1, device", 0.4, "ms")
    check.add("speed", "batch 64, device", 9000.0, "images/s")
    check.add("speed", "int8 against fp16", None, "times", why="no pictures")
    assert [row["met"] for row in check.rows] == [True, False, None]
    document = {"date": "2026-01-02", "gpu": "NVIDIA H200 (compute capability 9.0)", "rows": check.rows,
                "machine": {"versions": {"torch": "2"}}}  # fmt: skip
    readme, own = tmp_path / "README.md", tmp_path / "docs" / "README.md"
    own.parent.mkdir()
    for page in (readme, own):
        page.write_text(f"before\n{record.MARKS[0]}\nold\n{record.MARKS[1]}\nafter\n")
    record.write(document, tmp_path / "docs", readme)
    text = readme.read_text()
    assert own.read_text() == text
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "| speed | batch 1, device | 0.4 ms | <= 0.5 ms | met |" in text
    assert "| speed | batch 64, device | 9,000 images/s | >= 10,000 images/s | **not met** |" in text
    assert "| not run: no pictures |" in text
    assert json.loads((tmp_path / "docs" / "2026-01-02-NVIDIA-H200.json").read_text()) == document
    record.write(document, tmp_path / "docs", readme)
    assert readme.read_text() == text  # the marks stay


def test_nothing_long_is_begun_when_the_time_is_nearly_over(tool: Any, tmp_path: Path) -> None:
    check = tool.Check(True, tmp_path, tmp_path, minutes=1.5)
    document = tool.record(check, ["speed", "parity", "tree"])
    assert [row["part"] for row in document["rows"]] == ["speed", "parity", "tree"]
    assert all("the 1.5 minutes are nearly over" in row["why"] for row in document["rows"])


def test_what_fails_is_a_row_and_fails_the_run(record: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check = record.Check(True, tmp_path, tmp_path)
    for raised in (BackendError("no room"), ValueError("a defect\nat length")):
        with check.attempt("speed", "int8"):
            raise raised
    check.add("parity", "m, fp16, boxes", 0.5, "of scale", passed=False)
    check.add("parity", "m, fp32, boxes", 0.0, "of scale", passed=True)
    assert [row["why"] for row in check.rows[:2]] == ["no room", "ValueError: a defect"]
    assert [row["met"] for row in check.rows] == [None, None, False, True]
    assert "NOT MET" in record.line(check.rows[2])
    assert "Traceback" in capsys.readouterr().err  # of the defect


def test_partners_are_of_a_class_near_and_taken_once(tool: Any) -> None:
    import gpu_engines

    def found(*rows: tuple[int, float, float]) -> Detections:
        boxes = np.array([[left, 0, left + 100, 100] for _, _, left in rows], np.float32).reshape(-1, 4)
        scores, class_ids = (np.array([row[n] for row in rows], kind) for n, kind in ((1, np.float32), (0, np.int64)))
        return Detections(boxes, scores, class_ids, ["a"] * len(rows), 500, 375)

    expected = found((1, 0.9, 0), (2, 0.8, 200))
    for ours, counts in (
        (expected, (2, 2)),
        (found((1, 0.92, 1), (2, 0.8, 210)), (1, 3)),  # an IoU of 0.82
        (found((1, 0.94, 0), (3, 0.8, 200)), (0, 4)),
        (found((1, 0.9, 0), (1, 0.9, 1)), (1, 3)),
        (found((1, 0.9, 0), (2, 0.8, 200), (2, 0.32, 400)), (2, 2)),  # just above the threshold
        (found((1, 0.9, 0), (2, 0.8, 200), (2, 0.34, 400)), (2, 3)),
        (found(), (0, 2)),
    ):
        assert gpu_engines.partners(expected, ours, 0.3) == counts
    assert gpu_engines.partners(found(), found(), 0.3) == (0, 0)


def test_the_readme_has_the_place_for_it(record: Any) -> None:
    for page in (record.PAGE, record.DOCS / "README.md"):
        text = page.read_text()
        assert text.count(record.MARKS[0]) == text.count(record.MARKS[1]) == 1
