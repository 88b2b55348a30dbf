"""What an `.onnx` may ask for, looked at before a runtime reads it: it may come from anybody.

Refused are loops and branches (none that `export` writes has any), data in other folders, tensors that claim
more values than the file has, and shapes in the graph that are beyond any network. What is left can still take much
memory or time while it runs, as any large network does.
"""

from __future__ import annotations

import math
import mmap
import struct
from pathlib import Path

from darknet_compat.errors import BackendError
from darknet_compat.formats.exported.protobuf import MessageField, fields, mapped, varint
from darknet_compat.formats.textfile import shown

MOST_NODES = 200_000
MOST_VALUES = 1 << 28
"""In what an operator makes of a shape alone: a gigabyte of float32."""

_UNWELCOME = frozenset(["Loop", "Scan", "If", "SequenceMap", "StringNormalizer", "TfIdfVectorizer", "RegexFullMatch"])
_SHAPES = {"ConstantOfShape": 0, "Expand": 1, "Tile": 1, "Resize": 3, "Pad": 1, "Range": 1, "OneHot": 1}
"""Operators that make more out of less → which input says how much."""

_GRAPH, _FUNCTIONS = 7, 25  # numbers of onnx.proto's messages
_NODE, _INITIALIZER, _SPARSE = 1, 5, 15
_INPUT, _OUTPUT, _OP_TYPE, _ATTRIBUTE = 1, 2, 4, 5
_TENSOR, _SUBGRAPH, _SUBGRAPHS = 5, 6, 11
_DIMS, _TYPE, _INT32_DATA, _INT64_DATA, _NAME, _RAW, _EXTERNAL, _LOCATION = 1, 2, 5, 7, 8, 9, 13, 14
_INTEGERS = {6: "i", 7: "q"}


def expect_modest(path: str | Path) -> None:
    """Raise BackendError for a model that asks for what none of ours needs, and for many that are damaged."""
    try:
        with mapped(path) as data:
            _Model(data, Path(path)).look()
    except OSError as error:
        raise BackendError(f"{path}: cannot be read: {error.strerror or error}") from None
    except (ValueError, IndexError, struct.error, RecursionError) as error:
        raise BackendError(f"{path}: expected an ONNX model, found a damaged one or something else ({error})") from None


class _Model:
    """A model's bytes, and the shapes that its constants hold."""

    def __init__(self, data: bytes | mmap.mmap, path: Path) -> None:
        self.data, self.path = data, path
        self.shapes: dict[bytes, tuple[int, ...]] = {}
        self.nodes = 0

    def look(self) -> None:
        """Look at all of it."""
        graphs = []
        for field in fields(self.data, 0, len(self.data)):
            if field.number == _FUNCTIONS:
                raise self._refused("has functions of its own")
            if field.number == _GRAPH:
                graphs.append(field)
        for graph in graphs:
            parts = list(fields(self.data, graph.start, graph.end))
            for part in parts:
                if part.number == _SPARSE:
                    raise self._refused("has sparse tensors")
                if part.number == _INITIALIZER:
                    self._tensor(part, None)
            for part in parts:
                if part.number == _NODE:
                    self._node(part)

    def _node(self, node: MessageField) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise self._refused(f"has more than {MOST_NODES:,} nodes")
        inputs: list[bytes] = []
        output, kind = b"", b""
        attributes = []
        for field in fields(self.data, node.start, node.end):
            if field.number == _INPUT:
                inputs.append(self._bytes(field))
            elif field.number == _OUTPUT and not output:
                output = self._bytes(field)
            elif field.number == _OP_TYPE:
                kind = self._bytes(field)
            elif field.number == _ATTRIBUTE:
                attributes.append(field)
        operator = kind.decode("ascii", "replace")
        if operator in _UNWELCOME:
            raise self._refused(f"has a {operator}")
        for attribute in attributes:
            for field in fields(self.data, attribute.start, attribute.end):
                if field.number in (_SUBGRAPH, _SUBGRAPHS):
                    raise self._refused(f"has a graph inside {shown(operator)}")
                if field.number == _TENSOR:
                    self._tensor(field, output)
        if operator in _SHAPES and _SHAPES[operator] < len(inputs):
            self._expect_small(operator, self.shapes.get(inputs[_SHAPES[operator]], ()))

    def _expect_small(self, operator: str, shape: tuple[int, ...]) -> None:
        if math.prod(max(1, abs(side)) for side in shape) > MOST_VALUES:
            raise self._refused(f"has a {operator} of {list(shape)}")

    def _tensor(self, tensor: MessageField, name: bytes | None) -> None:
        """Hold its size against its bytes; keep it where it may be a shape."""
        dims: list[int] = []
        values: list[int] = []
        kind, raw, external, location = 0, None, False, b""
        for field in fields(self.data, tensor.start, tensor.end):
            if field.number == _DIMS:
                dims += self._numbers(field)
            elif field.number == _TYPE:
                kind = field.value
            elif field.number in (_INT32_DATA, _INT64_DATA) and len(values) < 64:
                values += self._numbers(field)
            elif field.number == _NAME and name is None:
                name = self._bytes(field)
            elif field.number == _RAW:
                raw = field
            elif field.number == _EXTERNAL:
                location = self._location(field) or location
            elif field.number == _LOCATION:
                external = field.value == 1
        count = math.prod(dims)
        if min(dims, default=0) < 0:
            raise self._refused(f"has a tensor of {dims}")
        if external or location:
            self._expect_own(location)
        elif count > 8 * (tensor.end - tensor.start) + 1:
            raise self._refused(f"has a tensor of {dims} in {tensor.end - tensor.start:,} bytes")
        if raw is not None and kind in _INTEGERS and count <= 64:
            layout = f"<{count}{_INTEGERS[kind]}"
            values = list(struct.unpack_from(layout, self.data[raw.start : raw.end]))
        if name is not None and values:
            self.shapes[name] = tuple(values)

    def _location(self, field: MessageField) -> bytes:
        """The file that an entry of a tensor's external data names."""
        entry = {one.number: self._bytes(one) for one in fields(self.data, field.start, field.end)}
        return entry.get(2, b"") if entry.get(1) == b"location" else b""

    def _expect_own(self, location: bytes) -> None:
        name = location.decode("utf-8", "replace")
        plain = name not in ("", ".", "..") and not set("/\\:\0") & set(name)
        if not plain or (self.path.parent / name).is_symlink():
            raise self._refused(f"has data in {shown(name)}, which is no file beside it")

    def _numbers(self, field: MessageField) -> list[int]:
        """One number, or several packed ones."""
        if field.start == field.end:
            return [_signed(field.value)]
        found, at = [], field.start
        while at < field.end:
            value, at = varint(self.data, at)
            found.append(_signed(value))
        return found

    def _bytes(self, field: MessageField) -> bytes:
        return self.data[field.start : min(field.end, field.start + 4096)]

    def _refused(self, what: str) -> BackendError:
        return BackendError(f"{self.path}: {what}: no file that `export` writes does; it is not given to a runtime")


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value
