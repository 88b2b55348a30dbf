"""The Open Inference Protocol, version 2, over HTTP with JSON (KServe, Triton): the network's own input and outputs,
or encoded pictures and detections.

`images` FP32 [N, C, H, W], RGB, 0..1 → what the runtime gives (`boxes`, `objectness`, `classes`); or `pictures` BYTES
[N], base64 of encoded files → `answers` BYTES [N], each the JSON of one picture.
Source: the protocol's specification, https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import FastAPI, Request

from darknet_compat import __version__
from darknet_compat.runtime.base import Floats
from darknet_compat.serving.models import Served
from darknet_compat.serving.refused import Refused
from darknet_compat.serving.requests import MOST_PICTURES, Picture, read_body

if TYPE_CHECKING:
    from darknet_compat.serving.app import Server


def add(app: FastAPI, server: Server) -> None:
    """Add the protocol's addresses."""

    @app.get("/v2", tags=["inference protocol"])
    async def about() -> dict[str, Any]:
        """The server."""
        return {"name": "darknet-compat", "version": __version__, "extensions": []}

    @app.get("/v2/health/live", tags=["inference protocol"])
    async def live() -> dict[str, bool]:
        """The process is alive."""
        return {"live": True}

    @app.get("/v2/health/ready", tags=["inference protocol"])
    async def ready() -> dict[str, bool]:
        """Requests are taken."""
        if server.draining:
            raise Refused(503, "the server ends")
        return {"ready": True}

    @app.get("/v2/models/{name}", tags=["inference protocol"])
    async def model(name: str) -> dict[str, Any]:
        """What a model takes and gives."""
        return _metadata(server.find(name))

    @app.get("/v2/models/{name}/ready", tags=["inference protocol"])
    async def model_ready(name: str) -> dict[str, Any]:
        """A model is open."""
        return {"name": server.find(name).name, "ready": True}

    @app.post("/v2/models/{name}/infer", tags=["inference protocol"])
    async def infer(name: str, request: Request) -> dict[str, Any]:
        """Run a model."""
        served = server.find(name)
        server.expect_room(served)
        document = _document(await read_body(request, server.options))
        tensor = _input(document)
        if tensor["name"] == "pictures":
            outputs = [await _pictures(server, served, tensor)]
        else:
            images = _images(served, tensor)
            outputs = await asyncio.to_thread(_run, served, images)
        answer = {"model_name": name, "model_version": "1", "outputs": outputs}
        return answer | ({"id": document["id"]} if isinstance(document.get("id"), str) else {})


def _metadata(served: Served) -> dict[str, Any]:
    own = served.model().runtime.description
    inputs = [
        {"name": "images", "datatype": "FP32", "shape": [-1, own.channels, own.height, own.width]},
        {"name": "pictures", "datatype": "BYTES", "shape": [-1]},
    ]
    count = len(served.model().names)
    outputs = [{"name": "classes", "datatype": "FP32", "shape": [-1, count]}]
    if served.task == "detect":
        outputs = [
            {"name": "boxes", "datatype": "FP32", "shape": [-1, -1, 4]},
            {"name": "objectness", "datatype": "FP32", "shape": [-1, -1]},
            {"name": "classes", "datatype": "FP32", "shape": [-1, -1, count]},
        ]
    outputs.append({"name": "answers", "datatype": "BYTES", "shape": [-1]})
    return {
        "name": served.name,
        "versions": ["1"],
        "platform": f"darknet_{served.model().choice.backend}",
        "inputs": inputs,
        "outputs": outputs,
    }


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        raise Refused(400, "the body is no JSON") from None
    if not isinstance(document, dict):
        raise Refused(400, "expected an object with inputs")
    return document


def _input(document: dict[str, Any]) -> dict[str, Any]:
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise Refused(400, "inputs: expected one, images or pictures")
    tensor: dict[str, Any] = inputs[0]
    kinds = {"images": "FP32", "pictures": "BYTES"}
    if tensor.get("name") not in kinds:
        raise Refused(400, "inputs: expected one called images or pictures")
    if tensor.get("datatype") != kinds[tensor["name"]]:
        raise Refused(400, f"{tensor['name']}: expected datatype {kinds[tensor['name']]}")
    shape, data = tensor.get("shape"), tensor.get("data")
    if not isinstance(shape, list) or not all(type(side) is int and side > 0 for side in shape):
        raise Refused(400, f"{tensor['name']}: expected a shape of whole numbers above 0")
    if not isinstance(data, list):
        raise Refused(400, f"{tensor['name']}: expected data, a list")
    return tensor


def _images(served: Served, tensor: dict[str, Any]) -> Floats:
    own = served.model().runtime.description
    wanted, shape = [own.channels, own.height, own.width], tensor["shape"]
    if len(shape) != 4 or shape[1:] != wanted or shape[0] > MOST_PICTURES:
        raise Refused(
            400, f"images: expected shape [1 to {MOST_PICTURES}, {', '.join(map(str, wanted))}], found {shape}"
        )
    try:
        values: Floats = np.array(tensor["data"], np.float32).reshape(-1)
    except (ValueError, TypeError, OverflowError):
        raise Refused(400, "images: expected numbers") from None
    if values.size != math.prod(shape):
        raise Refused(400, f"images: expected {math.prod(shape):,} values, found {values.size:,}")
    if not np.isfinite(values).all():
        raise Refused(400, "images: expected finite numbers")
    images: Floats = values.reshape(shape)
    return images


def _run(served: Served, images: Floats) -> list[dict[str, Any]]:
    outputs = served.model().runtime.infer(images, 0.0)
    names = ("boxes", "objectness", "classes")
    return [
        {
            "name": name,
            "datatype": "FP32",
            "shape": list(outputs[name].shape),
            "data": outputs[name].astype(np.float64).ravel().tolist(),
        }
        for name in names
        if name in outputs
    ]


async def _pictures(server: Server, served: Served, tensor: dict[str, Any]) -> dict[str, Any]:
    data = tensor["data"]
    if tensor["shape"] != [len(data)] or len(data) > MOST_PICTURES or not all(isinstance(one, str) for one in data):
        raise Refused(400, f"pictures: expected 1 to {MOST_PICTURES} texts in base64, and their number as shape")
    try:
        files = [base64.b64decode(one, validate=True) for one in data]
    except (binascii.Error, ValueError):
        raise Refused(400, "pictures: expected base64") from None
    answers = [await server.answer(served, Picture(None, file), {}) for file in files]
    found = [json.dumps(answer.to_dict()) for answer in answers]
    return {"name": "answers", "datatype": "BYTES", "shape": [len(found)], "data": found}
