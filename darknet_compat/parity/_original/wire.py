"""Messages between the client and its worker: a pickle, then the arrays in it, uncopied.

A message is a count, that many lengths (64-bit, little-endian), and the parts they measure: first the pickle.
"""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

READY = (True, "ready")
"""What the worker says once it has started: only from then on an answer's time counts."""


def send(connection: socket.socket, message: Any) -> None:
    """Send any picklable value. Raises OSError where the other side is gone."""
    buffers: list[pickle.PickleBuffer] = []
    body = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
    parts = [memoryview(body), *(buffer.raw() for buffer in buffers)]
    connection.sendall(struct.pack(f"<Q{len(parts)}Q", len(parts), *(part.nbytes for part in parts)))
    for part in parts:
        connection.sendall(part)


def receive(connection: socket.socket) -> Any:
    """The next message; its arrays are writable. Raises EOFError or OSError where the other side is gone."""
    (count,) = struct.unpack("<Q", _exactly(connection, 8))
    sizes = struct.unpack(f"<{count}Q", _exactly(connection, 8 * count))
    body, *buffers = [_exactly(connection, size) for size in sizes]
    return pickle.loads(body, buffers=buffers)


def _exactly(connection: socket.socket, size: int) -> bytearray:
    data = bytearray(size)
    rest = memoryview(data)
    while rest:
        received = connection.recv_into(rest)
        if not received:
            raise EOFError
        rest = rest[received:]
    return data
