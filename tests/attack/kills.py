"""Commands that are killed at random moments, two at once, into folders that are full or may not be written.

    python -m tests.attack.kills --seconds 60

What is done again after kill -9 has to be what was never interrupted, byte for byte, and nothing else may be left.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random

import cv2
import numpy as np

from darknet_compat.formats.packaged import cfg_dir, weights_dir
from tests.catalogue.fetch.http_server import gives, running
from tests.training.test_trainer import CFG

REPOSITORY = Path(__file__).resolve().parents[2]
MODEL, WEIGHTS = cfg_dir() / "yolov2-digits.cfg", weights_dir() / "yolov2-digits.weights"
_SKIPPED = ("log.csv", "chart.png")  # hold the seconds that batches took


def command(*arguments: object, cwd: Path, **environment: str) -> subprocess.Popen[str]:
    """`darknet-compat ARGUMENTS` on one thread."""
    return subprocess.Popen(
        [sys.executable, "-m", "darknet_compat", *map(str, arguments)], cwd=cwd, text=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"} | environment,
    )  # fmt: skip


def result(folder: Path) -> dict[str, bytes]:
    """What a command left, by name."""
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name not in _SKIPPED)
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


class Job:
    """A command and the folder of its results."""

    def __init__(self, name: str, arguments: Callable[[Path, bool], list[object]], work: Path) -> None:
        self.name, self.arguments, self.work = name, arguments, work

    def start(self, out: Path, again: bool) -> subprocess.Popen[str]:
        """Begin it, or go on with it."""
        return command(*self.arguments(out, again), cwd=self.work, DARKNET_COMPAT_CACHE=str(out / "cache"))

    def whole(self, out: Path, again: bool = False) -> str | None:
        """Let it come to its end; what went wrong, if anything."""
        process = self.start(out, again)
        _, errors = process.communicate()
        return f"ended with {process.returncode}: {errors[-200:]}" if process.returncode else None


def jobs(work: Path) -> list[Job]:
    """train, evaluate and export, on small things that take a few seconds each."""
    (work / "small.cfg").write_text(CFG.format(batches=40, subdivisions=1))
    random = np.random.default_rng(0)
    for number in range(12):
        cv2.imwrite(str(work / f"{number}.png"), random.integers(0, 255, (96, 96, 3), np.uint8))
        (work / f"{number}.txt").write_text(f"{number % 10} 0.5 0.5 0.3 0.3\n")
    (work / "ten.names").write_text("\n".join("0123456789") + "\n")
    (work / "all.txt").write_text("".join(f"{work}/{number}.png\n" for number in range(12)))

    def train(out: Path, again: bool) -> list[object]:
        resumed = ["--resume"] if again and any(out.glob("checkpoint*.pt")) else []
        options = ["--workers", 0, "--device", "cpu", "--checkpoint-every", 5, "--json"]
        return ["train", work / "small.cfg", "digits", "--out", out, *options, *resumed]

    def evaluate(out: Path, again: bool) -> list[object]:
        names = ["--names", work / "ten.names", "--weights", WEIGHTS, "--backend", "torch"]
        return ["evaluate", MODEL, work / "all.txt", *names, "--out", out, "--json"]

    def export(out: Path, again: bool) -> list[object]:
        return ["export", MODEL, "--weights", WEIGHTS, "--out", out]

    return [Job("train", train, work), Job("evaluate", evaluate, work), Job("export", export, work)]


def kill_one(job: Job, expected: dict[str, bytes], longest: float, random: Random) -> str | None:
    """Kill it once or twice, then let it end; what differs from what was never interrupted, if anything."""
    with tempfile.TemporaryDirectory(dir=job.work) as place:
        out = Path(place)
        for attempt in range(random.choice([1, 1, 2])):
            process = job.start(out, attempt > 0)
            time.sleep(random.uniform(0, longest))
            process.send_signal(signal.SIGKILL)
            process.communicate()
        if problem := job.whole(out, again=True):
            return problem
        found = result(out)
    left = {name for name in found if name.endswith((".part", ".lock"))}
    if left:
        return f"left behind: {sorted(left)}"
    differing = [name for name, data in expected.items() if found.get(name) != data and not name.startswith("cache")]
    return f"differ: {differing}" if differing else None


def fetch_one(random: Random) -> str | None:
    """Kill a download from a slow server, and fetch again."""
    data = random.randbytes(400_000)
    code = (
        "import sys; from darknet_compat.catalogue.fetch.download import download; download([sys.argv[1]], sys.argv[2])"
    )
    with running() as server, tempfile.TemporaryDirectory() as place:
        server.routes["/f"] = lambda handler: (time.sleep(0.05), gives(data)(handler))
        target = Path(place) / "f.weights"
        arguments = [sys.executable, "-c", code, server.url("/f"), str(target)]
        environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "no_proxy": "127.0.0.1"}
        process = subprocess.Popen(arguments, env=environment)
        time.sleep(random.uniform(0, 1.0))
        process.send_signal(signal.SIGKILL)
        process.wait()
        subprocess.run(arguments, env=environment, check=True)
        found = {path.name: path.read_bytes() for path in Path(place).iterdir()}
    return None if found == {"f.weights": data} else f"found {sorted(found)}"


def places(job: Job) -> dict[str, str]:
    """Two at once into one folder, a folder that may not be written, a disk that is full: each ends in one line."""
    ends = {}
    with tempfile.TemporaryDirectory(dir=job.work) as place:
        out = Path(place) / "both"
        pair = [job.start(out, False) for _ in range(2)]
        errors = [process.communicate()[1] for process in pair]
        fine = not any("Traceback" in one for one in errors) and any(process.returncode == 0 for process in pair)
        ends["two at once"] = "ok" if fine else f"fault: {[one[-200:] for one in errors]}"
        for what, limit in (("full disk", "ulimit -f 8"),):
            line = " ".join(
                map(str, [sys.executable, "-m", "darknet_compat", *job.arguments(Path(place) / what, False)])
            )
            environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
            environment["DARKNET_COMPAT_CACHE"] = str(Path(place) / "cache")
            line = line.replace(str(Path(place) / what), f"'{Path(place) / what}'")
            done = subprocess.run(
                ["bash", "-c", f"{limit}; trap '' XFSZ; {line}"], capture_output=True, text=True, env=environment
            )
            last = done.stderr.strip().splitlines()[-1:] or ["nothing"]
            bad = "Traceback" in done.stderr or done.returncode not in (0, 1)
            ends[what] = f"fault: {last[0][:300]}" if bad else "ok"
    return ends


def main() -> None:
    """As the bench runs it. The last line is JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--start", type=int, default=0)
    given = parser.parse_args()
    end, random, kills, faults = time.monotonic() + given.seconds, Random(given.start), Counter[str](), list[str]()
    ends: dict[str, dict[str, str]] = {}
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        wanted = {}
        for job in jobs(work):
            began = time.monotonic()
            problem = job.whole(work / f"whole-{job.name}")
            wanted[job.name] = (job, result(work / f"whole-{job.name}"), time.monotonic() - began)
            if problem:
                faults.append(f"{job.name}: {problem}")
            ends[job.name] = places(job)
        while time.monotonic() < end:
            name = random.choice([*wanted, "fetch"])
            problem = fetch_one(random) if name == "fetch" else kill_one(*wanted[name], random)
            kills[name] += 1
            if problem:
                faults.append(f"kill of {name}: {problem}")
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
    faults += [f"{name}, {what}: {how}" for name, one in ends.items() for what, how in one.items() if how != "ok"]
    print(json.dumps({"kills": kills, "places": ends, "faults": faults}))


if __name__ == "__main__":
    main()
