"""One detector in several processes, by fork and by spawn, and pickled; none of them may wait for ever."""

from __future__ import annotations

import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

from darknet_compat.errors import BackendError
from darknet_compat.formats.packaged import cfg_dir, weights_dir
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.runtime.base import expect_not_forked
from tests.cli.support import CLASSIFIER, DETECTOR, REPOSITORY, write_toy
from tests.inference.support import noise

CFG, WEIGHTS = cfg_dir() / "yolov2-digits.cfg", weights_dir() / "yolov2-digits.weights"

PROGRAM = """
import asyncio, json, multiprocessing, sys
from concurrent.futures import ThreadPoolExecutor
import darknet_compat as dc

def rounded(found):
    return [round(float(score), 5) for score in found.scores]

def look(detector, queue):
    queue.put(rounded(detector(sys.argv[2])))

def answered(how, detector):
    context = multiprocessing.get_context(how)
    queue = context.Queue()
    process = context.Process(target=look, args=(detector, queue))
    process.start()
    found = queue.get(timeout=100)
    process.join()
    return found

def by_threads(detector):
    with ThreadPoolExecutor(4) as pool:
        return [rounded(found) for found in pool.map(detector, [sys.argv[2]] * 8)]

async def awaited(detector):
    found = await asyncio.gather(*(asyncio.to_thread(detector, sys.argv[2]) for _ in range(3)))
    return [rounded(one) for one in found]

if __name__ == "__main__":
    detector = dc.Detector("yolov2-digits", backend=sys.argv[1], thresh=0.9, threads=2)
    detector.thresh = 0.01
    here = rounded(detector(sys.argv[2]))
    processes = [answered(how, detector) for how in sys.argv[3:]]
    print(json.dumps([here, *processes, by_threads(detector), asyncio.run(awaited(detector))]))
"""


def png(path: Path, width: int, height: int) -> Path:
    assert cv2.imwrite(str(path), noise(height, width))
    return path


@pytest.mark.parametrize("backend", ["torch", "onnxruntime", "openvino"])
def test_a_detector_in_use_goes_on_in_other_processes_in_threads_and_awaited(backend: str, tmp_path: Path) -> None:
    """torch waited for ever in a forked process: its threads were not forked with it."""
    (tmp_path / "program.py").write_text(PROGRAM)
    picture = png(tmp_path / "noise.png", 900, 700)
    done = subprocess.run(
        [sys.executable, tmp_path / "program.py", backend, picture, "fork", "spawn"],
        capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    here, forked, spawned, threads, awaited = json.loads(done.stdout)
    assert len(here) > 5
    # A forked process computes with one thread, which rounds otherwise than two.
    assert forked == pytest.approx(here, abs=1e-4)
    assert spawned == pytest.approx(here, abs=1e-4)
    assert len(threads) == 8 and len(awaited) == 3
    assert all(one == here for one in (*threads, *awaited))


def test_a_pickled_one_opens_its_files_again_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CFG.parent)
    detector = Detector(CFG.name, os.path.relpath(WEIGHTS), thresh=0.3, progress=lambda done, total: None)
    detector.nms = 0.2
    data = pickle.dumps(detector)
    assert len(data) < 5000
    monkeypatch.chdir(tmp_path)
    again = pickle.loads(data)
    assert (again.thresh, again.nms, again.names) == (0.3, 0.2, detector.names)
    assert again.runtime is not detector.runtime
    picture = png(tmp_path / "noise.png", 64, 64)
    again.thresh = detector.thresh = 0.001
    assert (again(picture).boxes == detector(picture).boxes).all()


def test_the_guides_programs(tmp_path: Path) -> None:
    """Those of docs/guide/python.md under "Threads, processes and asyncio", as they stand there."""
    text = (REPOSITORY / "docs" / "guide" / "python.md").read_text()
    section = text.split("## Threads, processes and asyncio")[1].split("\n## ")[0]
    programs = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    assert len(programs) == 2
    for name, width in (("a.png", 40), ("b.png", 60)):
        png(tmp_path / name, width, 50)
    for program in programs:
        (tmp_path / "program.py").write_text(
            f"{program}\nif __name__ == '__main__':\n    print([one.width for one in found])\n"
        )
        done = subprocess.run(
            [sys.executable, "program.py"], cwd=tmp_path, capture_output=True, text=True, timeout=100,
            env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert done.stdout == "[40, 60]\n"


def test_a_classifier_too(tmp_path: Path) -> None:
    toy = write_toy(tmp_path, "classes", CLASSIFIER, [0, 1, 2])
    classifier = Classifier(toy.cfg, toy.weights)
    again = pickle.loads(pickle.dumps(classifier))
    picture = png(tmp_path / "noise.png", 9, 9)
    assert again(picture).top(3) == classifier(picture).top(3)


def test_one_whose_files_are_gone_says_so(tmp_path: Path) -> None:
    toy = write_toy(tmp_path, "toy", DETECTOR, [0.0] * 14)
    data = pickle.dumps(Detector(toy.cfg, toy.weights))
    toy.weights.unlink()
    with pytest.raises(Exception, match=r"toy\.weights: .*[Nn]o such file"):
        pickle.loads(data)


def test_what_runs_on_a_gpu_says_that_a_fork_cannot() -> None:
    expect_not_forked(os.getpid(), "m")
    with pytest.raises(BackendError, match="m: runs on a GPU, which a forked process cannot use; start"):
        expect_not_forked(1, "m")
