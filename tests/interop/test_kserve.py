"""`serve` asked by Triton's own client, in its default form (bytes behind the JSON) and by JSON alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import cv2
import numpy as np
import pytest

from darknet_compat.inference.detector import Detector
from darknet_compat.serving.options import ServeOptions
from tests.export.targets.support import scene
from tests.interop.runtimes import TRITON
from tests.serving.conftest import serving

pytestmark = [pytest.mark.interop, pytest.mark.slow]

ASK = """
import json, sys
import numpy as np
import tritonclient.http as http

address, name, picture, images, out = sys.argv[1:]
client = http.InferenceServerClient(address)
assert client.is_server_live() and client.is_server_ready() and client.is_model_ready(name)
assert client.is_model_ready(name, "1") and not client.is_model_ready("nobody")
assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
given, taken = client.get_model_metadata(name)["inputs"]
pixels = np.load(images)
tensor = http.InferInput(given["name"], pixels.shape, given["datatype"])
found = {}
for binary in (True, False):
    tensor.set_data_from_numpy(pixels, binary_data=binary)
    wanted = [http.InferRequestedOutput(one, binary_data=binary) for one in ("boxes", "classes")]
    for which, outputs in (("all", None), ("some", wanted)):
        answer = client.infer(name, [tensor], outputs=outputs, request_id="7")
        assert answer.get_response()["id"] == "7"
        for one in answer.get_response()["outputs"]:
            found[f"{which}-{binary}-{one['name']}"] = answer.as_numpy(one["name"])
np.savez(out, **found)
file = http.InferInput(taken["name"], [1], taken["datatype"])
file.set_data_from_numpy(np.array([open(picture, "rb").read()], dtype=np.object_))
print(client.infer(name, [file]).as_numpy("answers")[0].decode())
try:
    client.infer(name, [http.InferInput("other", [1], "BYTES").set_data_from_numpy(np.array([b"x"], np.object_))])
except http.InferenceServerException as error:
    assert error.status() == "400" and "called images or pictures" in error.message(), error
else:
    raise AssertionError
"""


def test_tritonclient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if why := TRITON.missing():
        pytest.skip(why)
    cv2.imwrite(str(tmp_path / "scene.png"), scene(0))
    ours = Detector("yolov2-digits")
    own = ours.runtime.description
    images = np.random.default_rng(0).random((2, own.channels, own.height, own.width), np.float32)
    np.save(tmp_path / "images.npy", images)
    with serving(ServeOptions(models=["yolov2-digits"], port=0), monkeypatch) as client:
        address = client.address.removeprefix("http://").rstrip("/")
        files = [tmp_path / name for name in ("scene.png", "images.npy", "found.npz")]
        asked = [TRITON.program, "-c", ASK, address, "yolov2-digits", *files]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["detections"] == ours(tmp_path / "scene.png").to_dict()["detections"]
    expected = ours.runtime.infer(images, 0.0)
    with np.load(tmp_path / "found.npz") as found:
        assert len(found.files) == 2 * (3 + 2)
        for name in found.files:
            np.testing.assert_allclose(found[name], expected[name.split("-")[2]], atol=1e-5, err_msg=name)
