"""Videos through a pipe, which cannot be searched."""

from __future__ import annotations

import os
import tempfile
import threading
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.errors import SourceError
from darknet_compat.sources.open import _standard_input
from darknet_compat.sources.piped import index_is_last
from tests.sources.making import number_of, numbered, write_clip


@pytest.mark.parametrize("name", ["index_last.mp4", "index_last.mov", "index_first.mp4", "pieces.mp4", "a.mkv"])
def test_a_video_comes_through_a_pipe_wherever_its_index_is(tmp_path: Path, name: str) -> None:
    """Larger than what FFmpeg keeps of what it has read (32 KiB), as all but tests are."""
    options = {"index_first.mp4": {"movflags": "faststart"}, "pieces.mp4": {"movflags": "frag_keyframe+empty_moov"}}
    noise = np.random.default_rng(0).integers(-12, 13, (20, 144, 192, 1))
    pictures = [grey[0, 0] + grain for grey, grain in zip(numbered(20), noise, strict=True)]
    clip = write_clip(tmp_path / name, [one.astype(np.uint8) for one in pictures], options=options.get(name))
    data = clip.read_bytes()
    assert len(data) > 60_000
    if "index" in name:
        assert (data.index(b"moov") > data.index(b"mdat")) == ("last" in name)
    reading, writing = os.pipe()

    def write() -> None:
        with open(writing, "wb") as pipe:
            pipe.write(data)

    writer = threading.Thread(target=write)
    writer.start()
    with open(reading, "rb") as pipe:
        frames = [number_of(frame.pixels()) for frame in _standard_input(pipe)]
    writer.join()
    assert frames == list(range(20))


def box(kind: bytes, length: int) -> bytes:
    return length.to_bytes(4, "big") + kind + bytes(max(length - 8, 0))


@pytest.mark.parametrize(
    ("boxes", "last"),
    [
        ([box(b"ftyp", 32), box(b"free", 8), box(b"mdat", 90)], True),
        ([box(b"mdat", 90), box(b"moov", 90)], True),  # as QuickTime began
        ([box(b"ftyp", 32), box(b"mdat", 1), bytes(8)], True),  # its length in 64 bits
        ([box(b"ftyp", 32), box(b"uuid", 9000)[:4000]], True),
        ([box(b"ftyp", 32), box(b"moov", 90), box(b"mdat", 90)], False),
        ([box(b"ftyp", 32), box(b"free", 40), box(b"moov", 9000)[:4000]], False),
        ([box(b"ftyp", 32)], False),  # a stream of which no more has come yet
        ([box(b"ftyp", 32)[:20]], False),
        ([box(b"ftyp", 32), box(b"free", 0)], False),
        ([b"\x1aE\xdf\xa3" + bytes(90)], False),
        ([b""], False),
    ],
)
def test_where_an_index_is(boxes: list[bytes], last: bool) -> None:
    assert index_is_last(b"".join(boxes)) == last


def test_an_index_that_no_disk_has_room_for_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "TemporaryFile", partial(open, "/dev/full", "wb+", buffering=0))
    reading, writing = os.pipe()
    os.write(writing, box(b"ftyp", 32) + box(b"mdat", 1000))
    os.close(writing)
    with open(reading, "rb") as pipe, pytest.raises(SourceError, match=r"^standard input: .*No space left on device$"):
        _standard_input(pipe)
