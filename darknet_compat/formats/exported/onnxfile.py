"""What stands at the top of an `.onnx` file, read without the onnx package and without reading the weights.

An ONNX model is one message of Protocol Buffers; only its outermost fields are walked through here (their numbers are
those of onnx.proto's ModelProto).
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from pathlib import Path

from darknet_compat.errors import BackendError
from darknet_compat.formats.exported.onnxlimits import expect_modest
from darknet_compat.formats.exported.protobuf import MessageField, fields, mapped

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
        with mapped(path) as data:
            for part in fields(data, 0, len(data)):
                if part.number == _IR_VERSION:
                    ir_version = part.value
                elif part.number in (_OPSET_IMPORT, _METADATA_PROPS) and part.end - part.start <= _KEPT:
                    inside = {one.number: one for one in fields(data, part.start, part.end)}
                    key = _text(data, inside.get(1))
                    if part.number == _METADATA_PROPS:
                        properties[key.decode()] = _text(data, inside.get(2)).decode()
                    elif key in (b"", b"ai.onnx") and 2 in inside:
                        opset = inside[2].value
                graph |= part.number == _GRAPH
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


def _text(data: bytes | mmap.mmap, field: MessageField | None) -> bytes:
    return b"" if field is None else data[field.start : field.end]
