"""The Open Inference Protocol: what clients ask by JSON, and by bytes behind it as Triton's own do."""

from __future__ import annotations

import base64
import json
import struct
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.inference.detector import Detector
from darknet_compat.serving.lanes import SingleLanes
from tests.serving.conftest import Client


def test_the_protocol_says_what_a_model_takes(client: Client) -> None:
    assert client.ask("v2/health/live").document == {"live": True}
    assert client.ask("v2/health/ready").document == {"ready": True}
    assert client.ask("v2/models/toy/ready").document["ready"] is True
    about = client.ask("v2/models/toy").document
    assert about["inputs"][0] == {"name": "images", "datatype": "FP32", "shape": [-1, 3, 32, 32]}
    assert client.ask("v2/models/nobody").status == 404


def test_the_protocol_runs_the_network(client: Client, toys: Path) -> None:
    images = np.full((2, 3, 32, 32), 0.5, np.float32)
    tensor = {"name": "images", "datatype": "FP32", "shape": [2, 3, 32, 32], "data": images.ravel().tolist()}
    answer = client.json("v2/models/toy/infer", {"id": "7", "inputs": [tensor]}).document
    assert answer["id"] == "7"
    expected = Detector(toys / "toy.cfg").runtime.infer(images, 0.0)
    for output in answer["outputs"]:
        found = np.array(output["data"], np.float32).reshape(output["shape"])
        np.testing.assert_allclose(found, expected[output["name"]], atol=1e-6)
    assert [output["name"] for output in answer["outputs"]] == ["boxes", "objectness", "classes"]
    encoded = base64.b64encode((toys / "grey.png").read_bytes()).decode()
    pictures = {"name": "pictures", "datatype": "BYTES", "shape": [1], "data": [encoded]}
    (output,) = client.json("v2/models/toy/infer", {"inputs": [pictures]}).document["outputs"]
    assert json.loads(output["data"][0])["detections"][0]["class"] == "cat"


def test_the_network_s_own_input_waits_for_a_lane_as_pictures_do(client: Client) -> None:
    served = client.server.models["toy"]
    real, served.lanes = served.lanes, SingleLanes(served.model, 1, 1)
    try:
        go = threading.Event()
        held = served.lanes.run(lambda: go.wait(60))
        tensor = {"name": "images", "datatype": "FP32", "shape": [1, 3, 32, 32], "data": [0.5] * 3072}
        with ThreadPoolExecutor(1) as pool:
            answer = pool.submit(client.json, "v2/models/toy/infer", {"inputs": [tensor]})
            while served.lanes.waiting < 2:
                time.sleep(0.01)
            assert not answer.done()
            assert client.json("v2/models/toy/infer", {"inputs": [tensor]}).status == 429
            go.set()
            assert held.result(60) and answer.result(60).status == 200
        served.lanes.close()
    finally:
        served.lanes = real


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"shape": [1, 3, 16, 16]}, "images: expected shape"),
        ({"shape": [1, 3, 32, -1]}, "whole numbers above 0"),
        ({"data": [1, 2]}, "expected 3,072 values, found 2"),
        ({"data": ["x"]}, "expected numbers"),
        ({"datatype": "INT8"}, "expected datatype FP32"),
        ({"name": "other"}, "expected one called images or pictures"),
    ],
)
def test_the_protocol_refuses(client: Client, change: dict[str, Any], reason: str) -> None:
    tensor = {"name": "images", "datatype": "FP32", "shape": [1, 3, 32, 32], "data": [0.5] * 3072} | change
    answer = client.json("v2/models/toy/infer", {"inputs": [tensor]})
    assert answer.status == 400 and reason in answer.document["error"]


# ------------------------------------------------------------------------------------------ bytes behind the JSON


def infer(client: Client, document: Any, behind: bytes, **headers: str) -> tuple[dict[str, Any], bytes, str]:
    """The answer's JSON, the bytes behind it, and its type."""
    head = json.dumps(document).encode()
    sent = {"Inference-Header-Content-Length": str(len(head))} | headers
    request = urllib.request.Request(client.address + "v2/models/toy/infer", head + behind, sent)
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=60) as response:
        body, length = response.read(), int(response.headers.get("Inference-Header-Content-Length", -1))
        length = len(body) if length < 0 else length
        return json.loads(body[:length]), body[length:], response.headers["Content-Type"]


def of_bytes(name: str, datatype: str, shape: list[int], data: bytes) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(data)}}


def test_bytes_in_and_bytes_out(client: Client, toys: Path) -> None:
    images = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    expected = Detector(toys / "toy.cfg").runtime.infer(images, 0.0)
    given = of_bytes("images", "FP32", [2, 3, 32, 32], images.tobytes())
    document = {"inputs": [given], "parameters": {"binary_data_output": True}}
    answer, behind, kind = infer(client, document, images.tobytes())
    assert kind == "application/octet-stream"
    for output in answer["outputs"]:
        size = output["parameters"]["binary_data_size"]
        found = np.frombuffer(behind[:size], "<f4").reshape(output["shape"])
        behind = behind[size:]
        np.testing.assert_allclose(found, expected[output["name"]], atol=1e-6)
    assert not behind and [one["name"] for one in answer["outputs"]] == ["boxes", "objectness", "classes"]
    document = {"inputs": [given], "outputs": [{"name": "objectness"}]}
    answer, behind, kind = infer(client, document, images.tobytes())
    (output,) = answer["outputs"]
    assert kind == "application/json" and not behind and output["name"] == "objectness"
    np.testing.assert_allclose(output["data"], expected["objectness"].ravel(), atol=1e-6)


def test_each_output_says_whether_it_wants_bytes(client: Client, toys: Path) -> None:
    images = np.zeros((1, 3, 32, 32), np.float32)
    wanted = [{"name": "boxes", "parameters": {"binary_data": False}}, {"name": "objectness"}]
    given = of_bytes("images", "FP32", [1, 3, 32, 32], images.tobytes())
    document = {"inputs": [given], "outputs": wanted, "parameters": {"binary_data_output": True}}
    answer, behind, _ = infer(client, document, images.tobytes())
    boxes, objectness = answer["outputs"]
    assert "data" in boxes and objectness["parameters"]["binary_data_size"] == len(behind) == len(boxes["data"])


def test_pictures_as_bytes(client: Client, toys: Path) -> None:
    picture = (toys / "grey.png").read_bytes()
    data = 2 * (struct.pack("<I", len(picture)) + picture)
    document = {"inputs": [of_bytes("pictures", "BYTES", [2], data)], "parameters": {"binary_data_output": True}}
    _, behind, _ = infer(client, document, data)
    length = int.from_bytes(behind[:4], "little")
    assert json.loads(behind[4 : 4 + length])["detections"][0]["class"] == "cat"
    assert behind[4 + length :] == behind[: 4 + length]


PIXELS = bytes(4 * 3072)
IMAGES = of_bytes("images", "FP32", [1, 3, 32, 32], PIXELS)


@pytest.mark.parametrize(
    ("tensor", "behind", "more", "reason"),
    [
        (IMAGES, PIXELS[1:], {}, "expected binary_data_size 12287"),
        (IMAGES, b"", {}, "expected binary_data_size 0"),
        (IMAGES | {"shape": [2, 3, 32, 32]}, PIXELS, {}, "expected 24,576 bytes, found 12,288"),
        (IMAGES | {"parameters": {}, "data": [0.5] * 3072}, b"x", {}, "no binary_data_size says whose"),
        (IMAGES | {"parameters": 3}, PIXELS, {}, "parameters: expected an object"),
        (IMAGES, PIXELS, {"outputs": [{"name": "masks"}]}, "no 'masks'; there are boxes, objectness, classes"),
        (IMAGES, PIXELS, {"outputs": ["boxes"]}, "outputs: expected a list of objects"),
        (IMAGES, PIXELS, {"parameters": {"binary_data_output": 1}}, "binary_data_output: expected true or false"),
        (of_bytes("pictures", "BYTES", [1], b"12345"), b"\x02\0\0\0x", {}, "each with its length before it"),
        (of_bytes("pictures", "BYTES", [2], b"12345"), b"\x01\0\0\0x", {}, "their number as shape"),
    ],
)
def test_bytes_that_do_not_fit(
    client: Client, tensor: dict[str, Any], behind: bytes, more: dict[str, Any], reason: str
) -> None:
    head = json.dumps({"inputs": [tensor]} | more).encode()
    answer = client.ask("v2/models/toy/infer", head + behind, Inference_Header_Content_Length=str(len(head)))
    assert answer.status == 400 and reason in answer.document["error"] and "\n" not in answer.document["error"]


@pytest.mark.parametrize(("header", "status"), [("x", 400), ("-1", 400), ("99999", 400)])
def test_a_length_that_is_none(client: Client, header: str, status: int) -> None:
    answer = client.ask("v2/models/toy/infer", b"{}", Inference_Header_Content_Length=header)
    assert answer.status == status and "Inference-Header-Content-Length: expected" in answer.document["error"]


def test_versions_and_packed_bodies(client: Client) -> None:
    assert client.ask("v2").document["extensions"] == ["binary_tensor_data"]
    assert client.ask("v2/models/toy/versions/1").document == client.ask("v2/models/toy").document
    assert client.ask("v2/models/toy/versions/1/ready").document["ready"] is True
    assert client.ask("v2/models/toy/versions/2/ready").status == 404
    assert client.ask("v2/models/toy/infer", b"{}", Content_Encoding="gzip").status == 415
