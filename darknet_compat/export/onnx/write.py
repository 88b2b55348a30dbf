"""A model's bytes: checked without its weights, and written without ever holding them all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, TensorProto, helper

from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.graph import OPERATORS, Weight, operators, value
from darknet_compat.formats.atomic import atomic_write, settle

EXTERNAL_FROM = 2**31 - 2**20
"""From how many bytes on weights go to a file of their own: protobuf's limit is 2 GiB, the rest of a graph is small."""

_INITIALIZER, _GRAPH = 0x2A, 0x3A  # protobuf keys: field 5 of GraphProto, field 7 of ModelProto, both of bytes
_RAW_DATA = 0x4A  # field 9 of TensorProto


def check(model: ModelProto, weights: list[Weight]) -> None:
    """Have the model checked and its shapes inferred; weights, which are not made yet, are inputs meanwhile.

    Raises ExportError if an operator has come in that not every runtime takes.
    """
    inputs = len(model.graph.input)
    model.graph.input.extend(value(weight.name, TensorProto.FLOAT, weight.shape) for weight in weights)
    onnx.checker.check_model(model, full_check=True)
    del model.graph.input[inputs:]
    standard = (node for node in model.graph.node if not node.domain)
    if foreign := operators(standard) - OPERATORS:
        raise ExportError(f"{model.graph.name}: needs {', '.join(sorted(foreign))}, which not every runtime has")


def write_model(path: Path, model: ModelProto, weights: list[Weight]) -> None:
    """Write the model with its weights; one after another, each made, written and forgotten.

    The weights are in `path` itself, or beside it in `path.data` where they exceed EXTERNAL_FROM bytes. Raises
    ExportError where that cannot be written; then nothing is left behind.
    """
    read = {name for node in model.graph.node for name in node.input}
    weights = [weight for weight in weights if weight.name in read]
    size = sum(4 * int(np.prod(weight.shape)) for weight in weights)
    if size < EXTERNAL_FROM:
        with atomic_write(path, ExportError) as file:
            _write_whole(file, model, weights)
        return
    data = path.with_name(path.name + ".data")
    with atomic_write(data, ExportError) as beside:
        for weight, tensor in zip(weights, _external(weights, data.name), strict=True):
            _write_values(beside, weight)
            model.graph.initializer.append(tensor)
        settle(beside)
        with atomic_write(path, ExportError) as file:
            file.write(model.SerializeToString())


def _write_whole(file: BinaryIO, model: ModelProto, weights: list[Weight]) -> None:
    """Serialize by hand what `onnx.save` would have to hold twice in memory."""
    graph = model.graph.SerializeToString()
    heads = [_tensor(weight).SerializeToString() for weight in weights]
    raws = [bytes([_RAW_DATA]) + _varint(4 * int(np.prod(weight.shape))) for weight in weights]
    lengths = [
        len(head) + len(raw) + 4 * int(np.prod(weight.shape))
        for head, raw, weight in zip(heads, raws, weights, strict=True)
    ]
    entries = [bytes([_INITIALIZER]) + _varint(length) for length in lengths]
    whole = len(graph) + sum(map(len, entries)) + sum(lengths)
    around = ModelProto()
    around.CopyFrom(model)
    around.ClearField("graph")
    file.write(around.SerializeToString() + bytes([_GRAPH]) + _varint(whole) + graph)
    for entry, head, raw, weight in zip(entries, heads, raws, weights, strict=True):
        file.write(entry + head + raw)
        _write_values(file, weight)


def _write_values(file: BinaryIO, weight: Weight) -> None:
    values: NDArray[np.float32] = weight.values()
    if tuple(values.shape) != weight.shape:
        raise ValueError(f"{weight.name}: expected {weight.shape}, found {values.shape}")
    file.write(np.ascontiguousarray(values, "<f4").data)


def _external(weights: list[Weight], location: str) -> Iterator[TensorProto]:
    offset = 0
    for weight in weights:
        tensor, length = _tensor(weight), 4 * int(np.prod(weight.shape))
        tensor.data_location = TensorProto.EXTERNAL
        for key, text in (("location", location), ("offset", str(offset)), ("length", str(length))):
            tensor.external_data.add(key=key, value=text)
        offset += length
        yield tensor


def _tensor(weight: Weight) -> TensorProto:
    return TensorProto(name=weight.name, data_type=TensorProto.FLOAT, dims=weight.shape)


def _varint(number: int) -> bytes:
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def model_of(graph: GraphProto, opset: int, ir_version: int, producer: str, version: str) -> ModelProto:
    """A model around a graph."""
    return helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid("", opset)],
        ir_version=ir_version,
        producer_name=producer,
        producer_version=version,
    )
