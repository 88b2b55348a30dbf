"""The sweep over a folder of definitions: what it counts, and that a fault does not pass it by."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import DETECTOR, paint, write_toy

TOOL = Path(__file__).parents[2] / "tools" / "sweep_definitions.py"


def swept(tmp_path: Path, before: str = "") -> subprocess.CompletedProcess[str]:
    words = [tmp_path / "wild", tmp_path / "record", paint(tmp_path / "picture.png")]
    script = f"{before}\nimport runpy, sys\nrunpy.run_path({str(TOOL)!r}, run_name='__main__')"
    return subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True)


@pytest.mark.slow
def test_each_command_is_counted_once(tmp_path: Path) -> None:
    wild = tmp_path / "wild"
    wild.mkdir()
    write_toy(wild, "boxes", DETECTOR, [0, 0, 0, 0, 3, 0, 0] * 2)
    (wild / "other.cfg").write_text("[net]\nwidth=8\nheight=8\nchannels=3\n[Focus]\n")
    done = swept(tmp_path)
    assert done.returncode == 0, done.stderr
    assert "2 definitions" in done.stdout
    counted = {tuple(line.split()) for line in done.stdout.splitlines()[1:]}
    assert {("detect", "exported", "answered", "1"), ("detect", "torch", "answered", "1")} <= counted
    assert {("export", "answered", "1"), ("export", "refused", "1"), ("info", "refused", "1")} <= counted
    record = (tmp_path / "record").read_text()
    assert swept(tmp_path).stdout == done.stdout and (tmp_path / "record").read_text() == record


@pytest.mark.slow
def test_weights_fit_the_size_that_is_exported(tmp_path: Path) -> None:
    """A connected layer's weights are for one size of picture, and `export` takes the definition's own."""
    (tmp_path / "wild").mkdir()
    (tmp_path / "wild" / "flat.cfg").write_text(
        "[net]\nwidth=8\nheight=8\nchannels=3\n[conv]\nfilters=2\n[connected]\noutput=4\n[softmax]\n"
    )
    done = swept(tmp_path)
    assert done.returncode == 0, done.stderr
    counted = {tuple(line.split()) for line in done.stdout.splitlines()[1:]}
    assert {("export", "answered", "1"), ("classify", "exported", "answered", "1")} <= counted


@pytest.mark.slow
def test_a_traceback_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "wild").mkdir()
    write_toy(tmp_path / "wild", "boxes", DETECTOR, [0, 0, 0, 0, 3, 0, 0] * 2)
    broken = "import darknet_compat.inference.about as one\none.gather = lambda *a, **b: 1 / 0"
    done = swept(tmp_path, broken)
    assert done.returncode == 1
    assert "boxes.cfg: info: traceback" in done.stdout
    commands = [json.loads(line)["commands"] for line in (tmp_path / "record").read_text().splitlines()]
    assert "ZeroDivisionError" in commands[0]["info"]["said"]


@pytest.mark.slow
def test_processor_time_is_bounded(tmp_path: Path) -> None:
    """And not the clock's: on a busy machine what takes a minute stands still for ten."""
    script = (
        f"import runpy, time, pathlib\nsweep = runpy.run_path({str(TOOL)!r})\nrun = sweep['in_a_process']\n"
        "run.__globals__['SECONDS'] = 1\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "print(run(lambda: all(iter(lambda: 1, 0)), folder)[0], '|', run(lambda: time.sleep(2), folder)[0])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout == "longer than 1 s | answered\n", done.stderr
