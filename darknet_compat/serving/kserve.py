"""The Open Inference Protocol, version 2, over HTTP (KServe, Triton): the network's own input and outputs, or encoded
pictures and detections.

`images` FP32 [N, C, H, W], RGB, 0..1 → what the runtime gives (`boxes`, `objectness`, `classes`); or `pictures` BYTES
[N], encoded files (in JSON: base64 of them) → `answers` BYTES [N], each the JSON of one picture.
Source: the protocol's specification, https://github.com/kserve/open-inference-protocol.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from fastapi import FastAPI, Request
from fastapi.responses import Response

from darknet_compat import __version__
from darknet_compat.formats.arrays import Floats
from darknet_compat.serving.models import Served
from darknet_compat.serving.refused import RequestRefused
from darknet_compat.serving.requests import MOST_PICTURES, Picture, read_body
from darknet_compat.serving.tensors import HEADER, RequestTensor, read_inference, texts_of, write_answer

if TYPE_CHECKING:
    from darknet_compat.serving.app import Server


def add(app: FastAPI, server: Server) -> None:
    """Add the protocol's addresses."""

    @app.get("/v2", tags=["inference protocol"])
    async def about() -> dict[str, Any]:
        """The server."""
        return {"name": "darknet-compat", "version": __version__, "extensions": ["binary_tensor_data"]}

    @app.get("/v2/health/live", tags=["inference protocol"])
    async def live() -> dict[str, bool]:
        """The process is alive."""
        return {"live": True}

    @app.get("/v2/health/ready", tags=["inference protocol"])
    async def ready() -> dict[str, bool]:
        """Requests are taken."""
        if server.draining:
            raise RequestRefused(503, "the server ends")
        return {"ready": True}

    for of in ("/v2/models/{name}", "/v2/models/{name}/versions/{version}"):
        _add_model(app, server, of)


def _add_model(app: FastAPI, server: Server, of: str) -> None:
    """The addresses of a model, whose only version is 1."""

    def find(name: str, version: str) -> Served:
        if version != "1":
            raise RequestRefused(404, f"{name}: there is version 1 alone")
        return server.find(name)

    @app.get(of, tags=["inference protocol"])
    async def model(name: str, version: str = "1") -> dict[str, Any]:
        """What a model takes and gives."""
        return _metadata(find(name, version))

    @app.get(f"{of}/ready", tags=["inference protocol"])
    async def model_ready(name: str, version: str = "1") -> dict[str, Any]:
        """A model is open."""
        return {"name": find(name, version).name, "ready": True}

    @app.post(f"{of}/infer", tags=["inference protocol"])
    async def infer(name: str, request: Request, version: str = "1") -> Response:
        """Run a model: JSON, or JSON with the tensors' bytes behind it."""
        served = find(name, version)
        server.expect_room(served)
        asked = read_inference(await read_body(request, server.options), request.headers.get(HEADER))
        outputs: Mapping[str, Floats | list[str]]
        if asked.given.name == "pictures":
            outputs = {"answers": await _pictures(server, served, asked.given)}
        else:
            images = _images(served, asked.given)
            outputs = await server.awaited(served, lambda: served.lanes.run(lambda: _run(served, images)))
        body, headers = write_answer(asked, name, outputs)
        return Response(body, headers=headers)


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


def _images(served: Served, given: RequestTensor) -> Floats:
    own = served.model().runtime.description
    wanted, shape = [own.channels, own.height, own.width], given.shape
    if len(shape) != 4 or shape[1:] != wanted or shape[0] > MOST_PICTURES:
        raise RequestRefused(
            400, f"images: expected shape [1 to {MOST_PICTURES}, {', '.join(map(str, wanted))}], found {shape}"
        )
    count = math.prod(shape)
    if isinstance(given.data, bytes):
        if len(given.data) != 4 * count:
            raise RequestRefused(400, f"images: expected {4 * count:,} bytes, found {len(given.data):,}")
        values: Floats = np.frombuffer(given.data, "<f4").astype(np.float32, copy=False)
    else:
        try:
            values = np.array(given.data, np.float32).reshape(-1)
        except (ValueError, TypeError, OverflowError):
            raise RequestRefused(400, "images: expected numbers") from None
        if values.size != count:
            raise RequestRefused(400, f"images: expected {count:,} values, found {values.size:,}")
    if not np.isfinite(values).all():
        raise RequestRefused(400, "images: expected finite numbers")
    images: Floats = values.reshape(shape)
    return images


def _run(served: Served, images: Floats) -> dict[str, Floats]:
    outputs = served.model().runtime.infer(images, 0.0)
    return {name: outputs[name] for name in ("boxes", "objectness", "classes") if name in outputs}


async def _pictures(server: Server, served: Served, given: RequestTensor) -> list[str]:
    if isinstance(given.data, bytes):
        files = texts_of(given.data, MOST_PICTURES)
    else:
        try:
            files = [base64.b64decode(one, validate=True) for one in given.data]
        except (binascii.Error, ValueError, TypeError):
            raise RequestRefused(400, "pictures: expected base64") from None
    if given.shape != [len(files)] or len(files) > MOST_PICTURES:
        raise RequestRefused(400, f"pictures: expected 1 to {MOST_PICTURES}, and their number as shape")
    answers = [await server.answer(served, Picture(None, file), {}) for file in files]
    return [json.dumps(answer.to_dict()) for answer in answers]
