"""Pictures of one pixel and of 400 million: both are looked at, and neither takes down who looks."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.inference.detector import Detector


def write_png(path: Path, side: int) -> Path:
    """A grey picture, of which only one row at a time is ever held."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    packer, row = zlib.compressobj(1), b"\0" + b"\x80" * side
    rows = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return path


@pytest.mark.parametrize("side", [1, 2, pytest.param(20_000, marks=pytest.mark.slow)])
def test_it_is_looked_at(tmp_path: Path, side: int) -> None:
    found = Detector("yolov2-digits", thresh=0.01)(write_png(tmp_path / "grey.png", side))
    assert (found.width, found.height) == (side, side)
    assert found.finite and np.isfinite(found.scores).all()
