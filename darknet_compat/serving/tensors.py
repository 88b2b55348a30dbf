"""The inference protocol's requests and responses: JSON, and the bytes of tensors behind it.

Source: https://github.com/kserve/open-inference-protocol, and Triton's extension binary_tensor_data, by which its
clients send and ask unless told otherwise: https://github.com/triton-inference-server/server,
docs/protocol/extension_binary_data.md.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.textfile import count, shown
from darknet_compat.serving.refused import RequestRefused

HEADER = "Inference-Header-Content-Length"
"""Bytes of JSON before those of tensors."""

_KINDS = {"images": "FP32", "pictures": "BYTES"}


@dataclass(frozen=True)
class RequestTensor:
    """The one tensor of a request. `data` is a list from JSON, or the bytes behind it."""

    name: str
    shape: list[int]
    data: list[Any] | bytes


@dataclass(frozen=True)
class Inference:
    """A request: its tensor, and the outputs it wants. `outputs` has whether each is wanted as bytes, None wants all,
    as bytes where `binary`."""

    id: str | None
    given: RequestTensor
    outputs: Mapping[str, bool] | None
    binary: bool


def read_inference(body: bytes, stated: str | None) -> Inference:
    """A request from its body and its header HEADER. Raises RequestRefused."""
    length = len(body)
    if stated is not None:
        if not (stated.isascii() and stated.isdecimal()) or int(stated) > len(body):
            raise RequestRefused(400, f"{HEADER}: expected at most the body's {len(body)} bytes, found {shown(stated)}")
        length = int(stated)
    try:
        document = json.loads(body[:length])
    except (ValueError, RecursionError):
        raise RequestRefused(400, "the body is no JSON") from None
    if not isinstance(document, dict):
        raise RequestRefused(400, "expected an object with inputs")
    given = _given(document, body[length:])
    binary = _flag(document, "binary_data_output", False)
    own = document.get("id")
    return Inference(own if isinstance(own, str) else None, given, _outputs(document, binary), binary)


def _given(document: dict[str, Any], behind: bytes) -> RequestTensor:
    inputs = document.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestRefused(400, "inputs: expected one, images or pictures")
    tensor: dict[str, Any] = inputs[0]
    name, shape = tensor.get("name"), tensor.get("shape")
    if not isinstance(name, str) or name not in _KINDS:
        raise RequestRefused(400, "inputs: expected one called images or pictures")
    if tensor.get("datatype") != _KINDS[name]:
        raise RequestRefused(400, f"{name}: expected datatype {_KINDS[name]}")
    if not isinstance(shape, list) or not all(type(side) is int and side > 0 for side in shape):
        raise RequestRefused(400, f"{name}: expected a shape of whole numbers above 0")
    size = _parameters(tensor).get("binary_data_size")
    if size is None:
        if not isinstance(tensor.get("data"), list):
            raise RequestRefused(400, f"{name}: expected data, a list")
        if behind:
            raise RequestRefused(
                400, f"{name}: {count(len(behind), 'byte')} behind the JSON, and no binary_data_size says whose"
            )
        return RequestTensor(name, shape, tensor["data"])
    if type(size) is not int or size != len(behind):
        raise RequestRefused(
            400, f"{name}: expected binary_data_size {len(behind)}, the bytes behind the JSON ({HEADER})"
        )
    return RequestTensor(name, shape, behind)


def _outputs(document: dict[str, Any], binary: bool) -> dict[str, bool] | None:
    """The names of outputs, and whether each is wanted as bytes."""
    outputs = document.get("outputs")
    if not outputs:
        return None
    if not isinstance(outputs, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in outputs
    ):
        raise RequestRefused(400, "outputs: expected a list of objects with a name")
    if any("classification" in _parameters(one) for one in outputs):
        raise RequestRefused(400, "outputs: classification is not offered; `answers` has the names of classes")
    return {one["name"]: _flag(one, "binary_data", binary) for one in outputs}


def _parameters(one: dict[str, Any]) -> dict[str, Any]:
    parameters = one.get("parameters", {})
    if not isinstance(parameters, dict):
        raise RequestRefused(400, "parameters: expected an object")
    return parameters


def _flag(one: dict[str, Any], name: str, default: bool) -> bool:
    value = _parameters(one).get(name, default)
    if not isinstance(value, bool):
        raise RequestRefused(400, f"{name}: expected true or false")
    return value


def texts_of(data: bytes, most: int) -> list[bytes]:
    """BYTES behind the JSON: each with its length before it, of 4 bytes, little-endian. Raises RequestRefused."""
    found: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if end > len(data) or at + 4 > len(data) or len(found) == most:
            raise RequestRefused(400, f"expected 1 to {most} elements, each with its length before it, found others")
        found.append(data[at + 4 : end])
        at = end
    return found


def write_answer(
    asked: Inference, model: str, outputs: Mapping[str, Floats | Sequence[str]]
) -> tuple[bytes, dict[str, str]]:
    """A response's body and headers, from tensors of FP32, or texts. Raises RequestRefused for other
    outputs than there are."""
    wanted = dict.fromkeys(outputs, asked.binary) if asked.outputs is None else asked.outputs
    described, behind = [], []
    for name, binary in wanted.items():
        if name not in outputs:
            raise RequestRefused(400, f"outputs: no {shown(name)}; there are {', '.join(outputs)}")
        values = outputs[name]
        one: dict[str, Any] = {"name": name}
        if isinstance(values, np.ndarray):
            one |= {"datatype": "FP32", "shape": list(values.shape)}
            data = values.astype("<f4").tobytes() if binary else values.astype(np.float64).ravel().tolist()
        else:
            one |= {"datatype": "BYTES", "shape": [len(values)]}
            texts = [text.encode() for text in values]
            data = b"".join(struct.pack("<I", len(text)) + text for text in texts) if binary else list(values)
        if binary:
            behind.append(data)
        described.append(one | ({"parameters": {"binary_data_size": len(data)}} if binary else {"data": data}))
    answer = {"model_name": model, "model_version": "1", "outputs": described}
    head = json.dumps(answer | ({} if asked.id is None else {"id": asked.id})).encode()
    if not behind:
        return head, {"Content-Type": "application/json"}
    return head + b"".join(behind), {"Content-Type": "application/octet-stream", HEADER: str(len(head))}
