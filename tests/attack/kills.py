"""Commands that are killed at random moments, two at once, into folders that are full or may not be written.

    python -m tests.attack.kills --seconds 60

What is done again after kill -9 has to be what was never interrupted, byte for byte, and nothing else may be left: not
beside the results, in the cache or in the folder for temporary files.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import json
import shutil
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import cv2
import numpy as np

from darknet_compat.catalogue import catalog
from darknet_compat.catalogue.fetch.checksum import Expected
from darknet_compat.catalogue.model import WeightsFile
from darknet_compat.formats.packaged import cfg_dir, weights_dir
from tests.attack.fuzz import limits, limits_of
from tests.attack.processes import Child
from tests.catalogue.fetch.http_server import Server, gives, running
from tests.conftest import has_tensorrt
from tests.training.test_trainer import CFG

MODEL, WEIGHTS = cfg_dir() / "yolov2-digits.cfg", weights_dir() / "yolov2-digits.weights"
_OF_TIME = ("log.csv", "chart.png", "f.weights.json")
"""Files that hold seconds or moments: they have to be there."""


def result(folder: Path) -> dict[str, bytes]:
    """What a command left, by name."""
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): b"" if path.name in _OF_TIME else path.read_bytes() for path in paths}


@dataclass(frozen=True)
class Job:
    """A command; its arguments for a folder of results, and whether it goes on there. `first`: see `Child`."""

    name: str
    arguments: Callable[[Path, bool], list[object]]
    work: Path
    first: Callable[[], object] = lambda: None

    def start(self, out: Path, again: bool = False, **limits: Any) -> Child:
        """Begin it, or go on with it."""
        for folder in (temporary := out / "temporary", cache := out / "cache"):
            folder.mkdir(parents=True, exist_ok=True)
        places = {"TMPDIR": str(temporary), "DARKNET_COMPAT_CACHE": str(cache)}
        with tempfile.NamedTemporaryFile(dir=self.work, prefix="lines", delete=False) as lines:
            pass
        errors = Path(lines.name)
        return Child(self.arguments(out, again), self.work, errors, environment=places, first=self.first, **limits)

    def whole(self, out: Path, again: bool = False) -> str | None:
        """Let it come to its end; what went wrong, if anything."""
        code, lines = self.start(out, again).wait()
        return f"ended with {code}: {lines[-300:]}" if code else None


def _material(work: Path) -> None:
    """Small things for commands to work on."""
    (work / "small.cfg").write_text(CFG.format(batches=40, subdivisions=1))
    random = np.random.default_rng(0)
    for number in range(12):
        cv2.imwrite(str(work / f"{number}.png"), random.integers(0, 255, (96, 96, 3), np.uint8))
        (work / f"{number}.txt").write_text(f"{number % 10} 0.5 0.5 0.3 0.3\n")
    (work / "ten.names").write_text("\n".join("0123456789") + "\n")
    (work / "all.txt").write_text("".join(f"{work}/{number}.png\n" for number in range(12)))


def jobs(work: Path, server: Server) -> list[Job]:
    """The five commands, each on something that takes a second or a few."""
    _material(work)

    def train(out: Path, again: bool) -> list[object]:
        resumed = ["--resume"] if again and any(out.glob("checkpoint*.pt")) else []
        options = ["--workers", 0, "--device", "cpu", "--checkpoint-every", 5, "--seed", 1, "--json"]
        return ["train", work / "small.cfg", "digits", "--out", out, *options, *resumed]

    def evaluate(out: Path, again: bool) -> list[object]:
        names = ["--names", work / "ten.names", "--weights", WEIGHTS, "--backend", "torch"]
        return ["evaluate", MODEL, work / "all.txt", *names, "--out", out, "--json"]

    def export(out: Path, again: bool) -> list[object]:
        return ["export", MODEL, "--weights", WEIGHTS, "--out", out]

    def engine(out: Path, again: bool) -> list[object]:
        tune = ["--target", "rtx", "--batches", 1, "--level", 0]
        return ["engine", MODEL, "--weights", WEIGHTS, *tune, "--out", out / "m.engine"]

    data = Random(0).randbytes(400_000)
    server.routes["/f"] = lambda handler: (time.sleep(0.1), gives(data)(handler))  # type: ignore[func-returns-value]
    found = catalog.find("tiny")
    weights = WeightsFile("f.weights", len(data) // 4 - 5, 20, (server.url("/f"),), Expected())
    downloaded = replace(found, weights=weights)

    def local() -> None:
        catalog.find = lambda name: downloaded

    made = [Job("train", train, work), Job("evaluate", evaluate, work), Job("export", export, work)]
    made.append(Job("fetch", lambda out, again: ["fetch", "tiny"], work, local))
    return made + ([Job("engine", engine, work)] if has_tensorrt() else [])


@contextmanager
def folder_in(work: Path) -> Iterator[Path]:
    """A folder that goes with all that is in it."""
    with tempfile.TemporaryDirectory(dir=work) as place:
        yield Path(place) / "out"


def differences(job: Job, out: Path, expected: dict[str, bytes]) -> str | None:
    """What is not as if nothing had happened, if anything."""
    found = result(out)
    if more := sorted(found.keys() - expected.keys()):
        return f"left behind: {more}"
    differing = [name for name, data in expected.items() if found.get(name) != data]
    return f"differ: {differing}" if differing else None


def kill_one(job: Job, expected: dict[str, bytes], longest: float, random: Random) -> tuple[int, str | None]:
    """Kill it once or twice, then let it end; how many of them it did not outrun, and what differs from what was never
    interrupted, if anything."""
    killed = 0
    with folder_in(job.work) as out:
        for attempt in range(random.choice([1, 1, 2])):
            child = job.start(out, attempt > 0)
            time.sleep(random.uniform(0, longest))
            killed += child.kill()
        return killed, job.whole(out, again=True) or differences(job, out, expected)


def both(job: Job, expected: dict[str, bytes]) -> str | None:
    """Two at once into one folder: one at least comes to its end, neither in a traceback, and the result is whole."""
    with folder_in(job.work) as out:
        ends = [child.wait() for child in (job.start(out), job.start(out))]
        if any(code not in (0, 1) or "Traceback" in lines for code, lines in ends) or all(code for code, _ in ends):
            return f"ended with {ends}"[:600]
        return differences(job, out, expected)


def full(job: Job, expected: dict[str, bytes]) -> str | None:
    """No room for files above 8 KiB: one line; with room again, it is as if nothing had happened."""
    with folder_in(job.work) as out:
        code, lines = job.start(out, most=8192).wait()
        if code not in (0, 1) or "Traceback" in lines:
            return f"ended with {code}: {lines[-300:]}"
        half = [name for name, data in result(out).items() if name in expected and data != expected[name]]
        if half and not code:
            return f"half-written: {half}"
        return job.whole(out, again=True) or differences(job, out, expected)


def closed(job: Job, expected: dict[str, bytes]) -> str | None:
    """A folder that may not be written: one line, and nothing in it."""
    with folder_in(job.work) as out:
        for folder in (out, out / "temporary", out / "cache"):
            folder.mkdir(parents=True)
        for folder in (out / "cache", out):
            folder.chmod(0o555)
        code, lines = job.start(out, without_rights=True).wait()
        for folder in (out / "cache", out):
            folder.chmod(0o755)
        said = lines.strip().splitlines()
        if code != 1 or "Traceback" in lines or not any("ermission" in line for line in said):
            return f"ended with {code}: {lines[-300:]}"
        left = [name for name in result(out) if not name.startswith("temporary")]
        return f"left behind: {left}" if left else None


PLACES = {"two at once": both, "full disk": full, "read-only folder": closed}


def main() -> None:
    """As the bench runs it. The last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    limits(parser)
    parser.add_argument("--only", nargs="*", help="these commands alone")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    seconds, count = limits_of(given)
    end, random, kills, faults = time.monotonic() + seconds, Random(given.start), Counter[str](), list[str]()
    ends: dict[str, dict[str, str]] = defaultdict(dict)
    with running() as server, tempfile.TemporaryDirectory() as place:
        work = Path(place)
        attacks: list[tuple[str, Callable[[Random], tuple[int, str | None]]]] = []
        for job in jobs(work, server):
            if given.only and job.name not in given.only:
                continue
            began = time.monotonic()
            problem = job.whole(work / f"whole-{job.name}")
            longest, expected = time.monotonic() - began, result(work / f"whole-{job.name}")
            if problem:
                faults.append(f"{job.name}: {problem}")
                continue
            for what, attack in PLACES.items():
                ends[job.name][what] = attack(job, expected) or "ok"
            attacks.append((job.name, functools.partial(kill_one, job, expected, longest)))
        turns = itertools.cycle(attacks)
        while attacks and time.monotonic() < end and sum(kills.values()) < count:
            name, kill = next(turns)
            killed, problem = kill(random)
            kills[name] += killed
            if problem:
                faults.append(f"kill of {name}: {problem}")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
    faults += [f"{name}, {what}: {how}" for name, one in ends.items() for what, how in one.items() if how != "ok"]
    print(json.dumps({"kills": kills, "places": ends, "faults": faults}))


if __name__ == "__main__":
    main()
