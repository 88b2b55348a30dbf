"""What stands at the top of an `.onnx` file, read without the onnx package and without reading the weights.

An ONNX model is one protobuf message; only its outermost fields are walked through here, and large ones stepped over
(https://protobuf.dev/programming-guides/encoding, field numbers from onnx.proto's ModelProto).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from darknet_compat.errors import BackendError
from darknet_compat.formats.exported.onnxlimits import expect_modest

OPSETS = range(13, 27)
"""The opsets of the standard operators for which what runs a model here was tried: ours are 17, and those from 18 on
are what ONNX's own converter makes of them."""

_IR_VERSION, _GRAPH, _OPSET_IMPORT, _METADATA_PROPS = 1, 7, 8, 14
_KEPT = 1 << 26  # no field that is read is longer, in bytes


@dataclass(frozen=True)
class OnnxTop:
    """`opset`: the version of the standard operators; `properties`: `metadata_props`."""

    ir_version: int
    opset: int
    properties: dict[str, str]


def read_top(path: str | Path) -> OnnxTop:
    """Read a model's versions and properties.

    Raises BackendError for what is missing, no ONNX model, cut short, of an opset that is not supported, or asks for
    more than any of ours (`onnxlimits`).
    """
    ir_version, opset, graph, properties = 0, 0, False, {}
    try:
        with open(path, "rb") as file:
            for number, value in _fields(file, Path(path).stat().st_size):
                if number == _IR_VERSION and isinstance(value, int):
                    ir_version = value
                elif number == _OPSET_IMPORT and isinstance(value, bytes):
                    domain, version = _pair(value)
                    if domain in (b"", b"ai.onnx") and isinstance(version, int):
                        opset = version
                elif number == _METADATA_PROPS and isinstance(value, bytes):
                    key, text = _pair(value)
                    if isinstance(key, bytes) and isinstance(text, bytes):
                        properties[key.decode()] = text.decode()
                graph |= number == _GRAPH
    except OSError as error:
        raise BackendError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, UnicodeDecodeError) as error:
        raise BackendError(f"{path}: expected an ONNX model, found a damaged one or something else ({error})") from None
    if not (ir_version and graph and opset):
        raise BackendError(f"{path}: expected an ONNX model, found something else")
    if opset not in OPSETS:
        raise BackendError(f"{path}: expected opset {OPSETS[0]} to {OPSETS[-1]}, found {opset}; export it again")
    expect_modest(path)
    return OnnxTop(ir_version, opset, properties)


def _fields(file: BinaryIO, end: int) -> Iterator[tuple[int, int | bytes]]:
    """Each field's number and value; b"" for one that is stepped over. Raises ValueError."""
    while file.tell() < end:
        key = _varint(file)
        number, kind = key >> 3, key & 7
        if kind == 0:
            yield number, _varint(file)
        elif kind == 2:
            length = _varint(file)
            after = file.tell() + length
            if after > end:
                raise ValueError(f"it is {end:,} bytes long and should have at least {after:,}")
            if number == _GRAPH or length > _KEPT:
                file.seek(after)
                yield number, b""
            else:
                yield number, file.read(length)
        else:
            raise ValueError(f"its field {number} is of kind {kind}")


def _pair(message: bytes) -> tuple[int | bytes, int | bytes]:
    """Fields 1 and 2 of a small message; b"" where one is missing."""
    found: dict[int, int | bytes] = dict(_fields(io.BytesIO(message), len(message)))
    return found.get(1, b""), found.get(2, b"")


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends in the middle of a number")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("a number in it is too long")
