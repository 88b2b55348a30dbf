"""Locks between processes: one at a time, and none that stays."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from darknet_compat.errors import TrainingError
from darknet_compat.formats.lock import alone_in

HOLD = """
import os, sys
from darknet_compat.errors import TrainingError
from darknet_compat.formats.lock import alone_in
with alone_in(sys.argv[1], TrainingError, "training"):
    child = os.fork() if len(sys.argv) > 2 else 1
    if child == 0:
        os.close(1)
    else:
        print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", HOLD, str(folder), *more]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "run"
    with holder(folder) as process:
        with (
            pytest.raises(TrainingError, match=r"run: another training is under way here; wait for it, or"),
            alone_in(folder, TrainingError, "training"),
        ):
            raise AssertionError("both are in")
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait() == 0
    assert list(folder.iterdir()) == []
    with alone_in(folder, TrainingError, "training"):
        assert [path.name for path in folder.iterdir()] == [".lock"]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("more", [(), ("and a child that outlives it",)])
def test_who_is_killed_lets_go(more: tuple[str, ...], tmp_path: Path) -> None:
    with holder(tmp_path, *more) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with alone_in(tmp_path, TrainingError, "training"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with (
        pytest.raises(TrainingError, match="file: cannot be written: "),
        alone_in(tmp_path / "file", TrainingError, ""),
    ):
        pass
