"""`export --for triton` in Triton's own server, asked by the client that lies beside it: what `detect` finds.

The server that a package has, knows its backend for Python alone: the configuration is served as it is but for that
word, and beside the file lies a model that gives it to ONNX Runtime. The three backends that the configurations name
are not to be had without NVIDIA's image.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest

from darknet_compat.inference.detector import Detector
from tests.export.targets.support import THRESH, detector, make, scene
from tests.interop.runtimes import TRITON_SERVER

pytestmark = [pytest.mark.interop, pytest.mark.slow]

MODEL = """
import sys
sys.path.insert(0, {packages!r})
import onnxruntime
import triton_python_backend_utils as triton

class TritonPythonModel:
    def initialize(self, args):
        self.session = onnxruntime.InferenceSession({model!r})

    def execute(self, requests):
        names, answers = [one.name for one in self.session.get_outputs()], []
        for request in requests:
            images = triton.get_input_tensor_by_name(request, "images").as_numpy()
            found = zip(names, self.session.run(None, {{"images": images}}))
            answers.append(triton.InferenceResponse([triton.Tensor(name, value.copy()) for name, value in found]))
        return answers
"""

ASK = """
import json, sys
import cv2
import tritonclient.grpc as grpc
import client
print(json.dumps(client.detect(grpc.InferenceServerClient(sys.argv[1]), cv2.imread("scene.png"))))
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens at."""
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in held]
    for one in held:
        one.close()
    return ports


@contextmanager
def serving(repository: Path, place: Path, packages: Path) -> Iterator[str]:
    """The address of a server of this repository, whose program is among these packages."""
    server, version = packages / "pytriton" / "tritonserver", packages.parent.name.removeprefix("python")
    shutil.copytree(server / "backends", place / "backends")
    stub = server / "python_backend_stubs" / version / "triton_python_backend_stub"
    shutil.copy(stub, place / "backends" / "python")
    ports = free_ports(3)
    named = [f"--{name}-port={port}" for name, port in zip(("grpc", "http", "metrics"), ports, strict=True)]
    folders = [f"--model-repository={repository}", f"--backend-directory={place / 'backends'}"]
    env = os.environ | {"LD_LIBRARY_PATH": str(packages / "nvidia_pytriton.libs")}
    with (
        open(place / "log", "w+") as log,
        subprocess.Popen(
            [server / "bin" / "tritonserver", *folders, *named], stdout=log, stderr=log, env=env
        ) as running,
    ):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            while True:
                assert running.poll() is None, (place / "log").read_text()[-2000:]
                try:
                    opener.open(f"http://127.0.0.1:{ports[1]}/v2/health/ready", timeout=5).close()
                    break
                except OSError:
                    time.sleep(0.2)
            yield f"127.0.0.1:{ports[0]}"
        finally:
            running.terminate()


def test_the_client_finds_what_detect_finds(tmp_path: Path) -> None:
    if why := TRITON_SERVER.missing():
        pytest.skip(why)
    packages = next((TRITON_SERVER.folder / "lib").glob("python*/site-packages"))
    repository, place = tmp_path / "repository", tmp_path / "place"
    repository.mkdir()
    place.mkdir()
    make("triton", repository)
    home = repository / "yolov2-digits"
    config = (home / "config.pbtxt").read_text()
    assert 'backend: "onnxruntime"' in config
    (home / "config.pbtxt").write_text(config.replace('backend: "onnxruntime"', 'backend: "python"'))
    model = MODEL.format(packages=str(packages), model=str(home / "1" / "model.onnx"))
    (home / "1" / "model.py").write_text(model)
    cv2.imwrite(str(repository / "scene.png"), scene())
    with serving(repository, place, packages) as address:
        asked = [TRITON_SERVER.program, "-c", ASK, address]
        done = subprocess.run(asked, cwd=repository, capture_output=True, text=True, timeout=120)
    assert not done.returncode, done.stderr
    cfg, weights = detector("yolov2-digits")
    ours = Detector(cfg, weights, thresh=THRESH)(scene())
    theirs = json.loads(done.stdout)
    assert len(theirs) == len(ours) > 0
    for name, score, box in theirs:
        near = [one for one in range(len(ours)) if str(ours.class_ids[one]) == name]
        assert any(
            abs(ours.scores[one] - score) < 1e-3 and np.allclose(ours.boxes[one], box, atol=0.5) for one in near
        ), (name, score, box)
