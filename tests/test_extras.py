"""Each extra, installed from the wheel into an environment of its own, does what its row of docs/install.md says.

Slow: an environment takes half a minute to several minutes, and up to a gigabyte while it is tried.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.vision.draw import save
from tests.cli.support import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3000)]

PROJECT = (REPOSITORY / "pyproject.toml").read_text("utf-8")
EXTRAS = re.findall(r"^([\w-]+) = \[", PROJECT.split("[project.optional-dependencies]")[1].split("\n[")[0], re.M)
CONSTRAINTS = REPOSITORY / "constraints.txt"
TORCH = re.search(r"^torch==(\S+)", CONSTRAINTS.read_text("utf-8"), re.M)
WITH_TORCH = ("torch", "train", "parity", "demo", "all")
SAME = "detect yolov2-digits scene.png --json", "export yolov2-digits --out model.onnx", "info model.onnx"
SCORED = "evaluate yolov2-digits scenes --size 96"
TRAINED = "train yolov2-digits scenes --max-batches 2 --batch 2 --subdivisions 1 --no-check --out run"

FORMATS = """
import numpy as np
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import Header, read_weights, slots, write_weights
from darknet_compat.formats.packaged import cfg_dir, weights_dir
spec = load_spec(cfg_dir() / "yolov2-digits.cfg")
read = read_weights(weights_dir() / "yolov2-digits.weights", spec)
write_weights("again.weights", read.header, read.arrays)
assert open("again.weights", "rb").read() == (weights_dir() / "yolov2-digits.weights").read_bytes()
"""
VISION = """
import numpy as np
from darknet_compat.datasets.open import open_dataset
from darknet_compat.vision.draw import save
assert len(open_dataset("scenes/data.yaml")) == 1
save(np.zeros((8, 8, 3), np.uint8), "drawn.png")
"""
VIDEO = """
from darknet_compat.sources.open import open_source
assert sum(1 for frame in open_source("clip.mp4")) == 12
"""
DIGITS = "from darknet_compat.datasets.readers.digits import DigitScenes; assert len(DigitScenes('test')) > 1000"
LOADED = """
import darknet_compat as dc
from darknet_compat.formats.packaged import cfg_dir, weights_dir
print(dc.load_network(cfg_dir() / "yolov2-digits.cfg", weights_dir() / "yolov2-digits.weights"))
"""
ROWS = "import pyarrow.dataset as ds; assert ds.dataset('rows', format='parquet').count_rows() == 2"
PLUGIN = "import onnxruntime, onnxruntime_ep_nv_tensorrt_rtx as ep; print(ep.__file__)"


@dataclass(frozen=True)
class Try:
    """What an extra is tried for: commands, then programs in Python, files that lie there afterwards. `beside`: the
    extra that its row needs beside it."""

    commands: Sequence[str] = ()
    programs: Sequence[str] = ()
    files: Sequence[str] = ()
    beside: str = ""


TRIES = {
    "": Try(programs=[FORMATS]),
    "cli": Try(["info yolov2-digits", "--version"]),
    "vision": Try(programs=[VISION], files=["drawn.png"]),
    "onnxruntime": Try([*SAME, SCORED], files=["model.onnx"]),
    "openvino": Try([*SAME, SCORED], files=["model.onnx"]),
    "torch": Try(["detect yolov2-digits scene.png --backend torch", TRAINED], [LOADED], ["run/log.csv"]),
    "train": Try([TRAINED], files=["run/chart.png", "run/log.csv"]),
    "onnx": Try(["export yolov2-digits --out model.onnx"], files=["model.onnx"]),
    "video": Try(["detect yolov2-digits clip.mp4 --out found.mp4"], [VIDEO], ["found.mp4"], beside="onnxruntime"),
    "track": Try(["detect yolov2-digits clip.mp4 --track --out found.mp4"], [VIDEO], ["found.mp4"], "onnxruntime"),
    "serve": Try(),
    "tensorrt-rtx": Try(
        ["engine yolov2-digits --target rtx --out model.engine", "info model.engine"], files=["model.engine"]
    ),
    "onnxruntime-rtx": Try(["export yolov2-digits --out model.onnx"], [PLUGIN], ["model.onnx"]),
    "eval": Try([f"{SCORED} --out report"], files=["report/report.html"]),
    "digits": Try(programs=[DIGITS]),
    "parity": Try(["parity yolov2-digits"]),
    "ray": Try(["detect yolov2-digits scenes/**/*.png --engine ray --workers 1 --out rows"], [ROWS]),
    "demo": Try(programs=[(REPOSITORY / "tools" / "demo.py").as_posix()]),
    "all": Try([*SAME, f"{SCORED} --out report", TRAINED], [DIGITS, VIDEO], ["run/chart.png", "report/report.html"]),
}
ELSEWHERE = {
    "tensorrt": "gigabytes, and of use with an NVIDIA GPU only: docs/gpu",
    "docs": "`make docs` is its trial",
    "dev": "`make test` is its trial",
}


def test_each_extra_is_tried_and_has_its_row() -> None:
    assert {*TRIES, *ELSEWHERE} - {""} == {*EXTRAS}
    rows = re.findall(r"^\| (.*?) \|", (REPOSITORY / "docs" / "install.md").read_text("utf-8"), re.M)
    named = {name for row in rows for name in re.findall(r"`([\w-]+)`", row)}
    assert named == {*EXTRAS} - {"docs"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    built = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, REPOSITORY]
    subprocess.run([*map(str, built)], check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of digits, two with their boxes as Ultralytics lays them out, and a clip of twelve frames."""
    import av

    from darknet_compat.datasets.readers.digits import DigitScenes

    folder = tmp_path_factory.mktemp("material")
    scenes = DigitScenes("test", 2)
    for number, part in enumerate(("train", "val")):
        sample = scenes[number]
        pixels = np.ascontiguousarray(np.asarray(sample.image)[..., ::-1])
        for kind in ("images", "labels"):
            (folder / "scenes" / kind / part).mkdir(parents=True)
        save(pixels, folder / "scenes" / "images" / part / "a.png")
        rows = zip(sample.labels.classes, sample.labels.boxes, strict=True)
        lines = [f"{digit} {' '.join(map(str, box))}\n" for digit, box in rows]
        (folder / "scenes" / "labels" / part / "a.txt").write_text("".join(lines))
    names = ", ".join(f"'{name}'" for name in scenes.names)
    (folder / "scenes" / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: [{names}]\n")
    save(pixels, folder / "scene.png")
    with av.open(str(folder / "clip.mp4"), "w") as clip:
        stream: Any = clip.add_stream("mpeg4", rate=12)
        stream.height, stream.width = pixels.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(12):
            clip.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="bgr24")))
        clip.mux(stream.encode())
    return folder


class Environment:
    """A fresh environment with these extras of the wheel, and a folder to work in."""

    def __init__(self, folder: Path, wheel: Path, extras: list[str]) -> None:
        self.folder, self.work = folder, folder / "work"
        self.python = folder / "venv" / "bin" / "python"
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "DARKNET", "VIRTUAL"))}
        self.environ = kept | {"DARKNET_COMPAT_CACHE": str(folder / "cache")}
        self.work.mkdir()
        self._run([sys.executable, "-m", "venv", folder / "venv"])
        pip = [self.python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", CONSTRAINTS]
        if {*extras} & {*WITH_TORCH}:
            assert TORCH
            self._run([*pip, f"torch=={TORCH[1]}+cpu"])  # PyPI's has CUDA in it, gigabytes
        self._run([*pip, f"{wheel}[{','.join(filter(None, extras))}]" if any(extras) else wheel])

    def _run(self, command: Sequence[object]) -> str:
        done = subprocess.run(
            [*map(str, command)], cwd=self.work, env=self.environ, capture_output=True, text=True, timeout=1500
        )
        assert done.returncode == 0, f"{' '.join(map(str, command))[:300]}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        return done.stdout

    def program(self, text: str) -> str:
        """What a program in Python prints: its text, or its file."""
        return self._run([self.python, text] if text.endswith(".py") else [self.python, "-c", text])

    def command(self, line: str) -> list[str]:
        """`darknet-compat` of the environment with these words."""
        return [str(self.python.with_name("darknet-compat")), *line.split()]

    def run(self, line: str) -> str:
        """What a command prints."""
        return self._run(self.command(line))

    def has(self, module: str) -> bool:
        """Whether a module can be imported."""
        return self.program(f"import importlib.util as u; print(u.find_spec({module!r}) is not None)") == "True\n"


@pytest.fixture
def environment(request: pytest.FixtureRequest, tmp_path: Path, wheel: Path, material: Path) -> Iterator[Environment]:
    extra = request.param
    if extra == "parity" and not shutil.which("darknet"):
        pytest.skip("the original is not installed")
    made = Environment(tmp_path, wheel, [extra, TRIES[extra].beside])
    shutil.copytree(material, made.work, dirs_exist_ok=True)
    yield made
    shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.parametrize("environment", [extra for extra in TRIES if extra != "serve"], indirect=True)
def test_an_extra_does_what_its_row_says(environment: Environment, request: pytest.FixtureRequest) -> None:
    extra = request.node.callspec.params["environment"]
    tried = TRIES[extra]
    for line in tried.commands:
        environment.run(line)
    for text in tried.programs:
        environment.program(text)
    for file in tried.files:
        assert (environment.work / file).stat().st_size > 0, file
    assert environment.has("torch") == (extra in WITH_TORCH)
    environment.program("import subprocess, sys; subprocess.run([sys.executable, '-m', 'pip', 'check'], check=True)")


@pytest.mark.parametrize("environment", ["serve"], indirect=True)
def test_serve_answers(environment: Environment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = environment.command(f"serve yolov2-digits --port {port}")
    server = subprocess.Popen(command, cwd=environment.work, env=environment.environ)
    try:
        picture = (environment.work / "scene.png").read_bytes()
        address = f"http://127.0.0.1:{port}/v1/models/yolov2-digits/detect"
        deadline = time.monotonic() + 120
        while True:
            try:
                with urllib.request.urlopen(urllib.request.Request(address, picture), timeout=60) as answer:
                    assert json.load(answer)["detections"]
                return
            except OSError:
                assert server.poll() is None and time.monotonic() < deadline
                time.sleep(0.5)
    finally:
        server.terminate()
        server.wait(60)
