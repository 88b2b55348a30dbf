"""A model's bytes: checked without its weights, and written without ever holding them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import onnx
from onnx import GraphProto, ModelProto, TensorProto, helper

from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.graph import OPERATORS, Weight, operators, value
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.atomic import atomic_write, settle

EXTERNAL_FROM = 2**31 - 2**20
"""From how many bytes on weights go to a file of their own: protobuf's limit is 2 GiB, the rest of a graph is small."""

_INITIALIZER, _GRAPH = 0x2A, 0x3A  # protobuf keys: field 5 of GraphProto, field 7 of ModelProto, both of bytes
_RAW_DATA = 0x4A  # field 9 of TensorProto


def check(model: ModelProto, weights: Sequence[Weight]) -> None:
    """Have the model checked and its shapes inferred.

    Raises ExportError if an operator has come in that not every runtime takes.
    """
    with declared(model, weights):
        onnx.checker.check_model(model, full_check=True)
    standard = (node for node in model.graph.node if not node.domain)
    if foreign := operators(standard) - OPERATORS:
        raise ExportError(f"{model.graph.name}: needs {', '.join(sorted(foreign))}, which not every runtime has")


@contextmanager
def declared(model: ModelProto, weights: Sequence[Weight]) -> Iterator[None]:
    """Meanwhile weights, which are not made yet, are inputs."""
    inputs = len(model.graph.input)
    model.graph.input.extend(value(weight.name, weight.type, weight.shape) for weight in weights)
    yield
    del model.graph.input[inputs:]


def write_model(path: Path, model: ModelProto, weights: Sequence[Weight]) -> None:
    """Write the model with its weights; one after another, each made, written and forgotten.

    The weights are in `path` itself, or beside it in `path.data` where they exceed EXTERNAL_FROM bytes. Raises
    ExportError where that cannot be written; then nothing is left behind.
    """
    read = {name for node in model.graph.node for name in node.input}
    weights = [weight for weight in weights if weight.name in read]
    size = sum(weight.bytes for weight in weights)
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
    raws = [bytes([_RAW_DATA]) + _varint(weight.bytes) for weight in weights]
    lengths = [len(head) + len(raw) + one.bytes for head, raw, one in zip(heads, raws, weights, strict=True)]
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
    values: Floats = weight.values()
    if tuple(values.shape) != weight.shape:
        raise ValueError(f"{weight.name}: expected {weight.shape}, found {values.shape}")
    if weight.type == TensorProto.FLOAT16:
        expect_in_half(weight.name, values)
    file.write(np.ascontiguousarray(values, "<f4" if weight.type == TensorProto.FLOAT else "<f2").data)


def expect_in_half(name: str, values: Floats) -> None:
    """Raise ExportError for a weight, of any shape, that float16 cannot hold."""
    if np.abs(values).max(initial=0) > np.finfo(np.float16).max and np.isfinite(values).all():
        raise ExportError(f"{name}: has values of {np.abs(values).max():.3g}, beyond fp16's range; use fp32")


def _external(weights: list[Weight], location: str) -> Iterator[TensorProto]:
    offset = 0
    for weight in weights:
        tensor, length = _tensor(weight), weight.bytes
        tensor.data_location = TensorProto.EXTERNAL
        for key, text in (("location", location), ("offset", str(offset)), ("length", str(length))):
            tensor.external_data.add(key=key, value=text)
        offset += length
        yield tensor


def _tensor(weight: Weight) -> TensorProto:
    return TensorProto(name=weight.name, data_type=weight.type, dims=weight.shape)


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
