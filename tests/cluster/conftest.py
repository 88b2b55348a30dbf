"""Pictures, a detector that takes a while for each, and the processes of a run on a cluster of this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.vision.draw import save
from tests.cli.support import REPOSITORY

MODEL = "yolov2-digits"
COUNT = 1200
POISONED = 700
"""The picture that is none."""


def paint_all(folder: Path, count: int) -> None:
    """Pictures of noise, each another one."""
    folder.mkdir()
    for number in range(count):
        noise = np.random.default_rng(number).integers(0, 256, (48, 64, 3), np.uint8)
        save(noise.repeat(4, 0).repeat(4, 1), folder / f"{number:05d}.png")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of them, with one that is damaged."""
    folder = tmp_path_factory.mktemp("cluster") / "pictures"
    paint_all(folder, COUNT)
    whole = (folder / f"{POISONED:05d}.png").read_bytes()
    (folder / f"{POISONED:05d}.png").write_bytes(whole[: len(whole) // 2])
    return folder


class Run:
    """A command, in a process group of its own, and all processes that come of it."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "darknet_compat", *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(REPOSITORY), **environment},
        )
        self.seen: set[int] = set()

    def processes(self) -> dict[int, str]:
        """All below it that live, by number, with what they are called; also where the one between has ended."""
        table = dict(_processes())
        found = {self.process.pid}
        while more := {pid for pid, (parent, _) in table.items() if parent in found} - found:
            found |= more
        self.seen |= found
        return {pid: table[pid][1] for pid in self.seen if pid in table}

    def workers(self) -> list[int]:
        """Those that hold a model."""
        return [pid for pid, name in self.processes().items() if name.startswith("ray::MapWorker")]

    def until(self, holds: Callable[[], Any], seconds: float = 120) -> Any:
        """Wait until it does, as long as the command runs."""
        end = time.monotonic() + seconds
        while not (value := holds()):
            assert time.monotonic() < end and self.process.poll() is None, self.process.communicate()
            time.sleep(0.05)
        return value

    def until_gone(self, seconds: float = 60) -> None:
        """Wait until nothing is left of it; but for Ray's two agents, which notice after a minute that they are alone,
        where the command was killed."""
        end = time.monotonic() + seconds
        self.process.wait(seconds)
        while left := [name for name in self.processes().values() if "Agent" not in name]:
            assert time.monotonic() < end, left
            time.sleep(0.1)

    def finish(self, seconds: float = 300) -> tuple[int, str, str]:
        """Its exit code and what it said."""
        out, err = self.process.communicate(timeout=seconds)
        return self.process.returncode, out, err

    def close(self) -> None:
        """End whatever is left of it."""
        for pid in self.processes():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self.process.communicate()


@pytest.fixture
def start() -> Iterator[Callable[..., Run]]:
    """What starts a command; nothing is left of it when the test ends."""
    runs: list[Run] = []

    def begin(*arguments: object, **environment: str) -> Run:
        runs.append(Run(*arguments, **environment))
        return runs[-1]

    yield begin
    for run in runs:
        run.close()


def _processes() -> Iterator[tuple[int, tuple[int, str]]]:
    """Each process of this machine that is no zombie: its number, its parent's, and its command line."""
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            state, parent = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[:2]
            name = Path(entry.path, "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if state not in "ZX":
            yield int(entry.name), (int(parent), name)


def rows(out: Path) -> list[dict[str, Any]]:
    """All rows of the Parquet there."""
    from pyarrow import dataset

    found: list[dict[str, Any]] = dataset.dataset(out, format="parquet").to_table().to_pylist()
    return found


def files_of(out: Path) -> list[Path]:
    """The Parquet files there are so far, those that are being written apart."""
    return [path for path in out.glob("*.parquet") if path.read_bytes().endswith(b"PAR1")]


def as_json(row: dict[str, Any]) -> dict[str, Any]:
    """A row as `detect --json` has it."""
    if row["error"] is not None:
        return {"file": row["file"], "error": row["error"]}
    found = [
        {name: one[name] for name in ("class", "class_id")}
        | {"score": round(one["score"], 6), "box": [round(side, 2) for side in one["box"]]}
        | (
            {}
            if one["path"] is None
            else {"path": [step | {"probability": round(step["probability"], 6)} for step in one["path"]]}
        )
        for one in row["detections"]
    ]
    return {"file": row["file"], "width": row["width"], "height": row["height"], "detections": found}


def plainly(*arguments: object) -> list[dict[str, Any]]:
    """What `detect --json` says, without the seconds."""
    run = Run("detect", *arguments, "--json")
    _, out, err = run.finish()
    assert out, err
    return [{key: value for key, value in one.items() if key != "seconds"} for one in json.loads(out)["images"]]
