"""Written videos: their pictures, times, sound and colours, and nothing where they cannot be."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest

from darknet_compat.errors import CannotWriteError
from darknet_compat.sources.open import open_source
from darknet_compat.vision.videofile import VideoWriter
from tests.sources.making import number_of, numbered, write_clip


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    for suffix in ("mp4", "mkv", "mov", "avi", "webm"):
        path = tmp_path / f"clip.{suffix}"
        with VideoWriter(path, 10) as writer:
            for picture in numbered(12):
                writer.write(picture)
        frames = list(open_source(path))
        assert [number_of(frame.pixels()) for frame in frames] == list(range(12))
        assert [frame.time for frame in frames] == pytest.approx([number / 10 for number in range(12)], abs=0.002)
        assert writer.frames == 12 and list(tmp_path.iterdir()) == [path]
        path.unlink()


def test_times_are_kept_where_frames_are_irregular(tmp_path: Path) -> None:
    times = [0.0, 0.04, 0.5, 0.5, 3.0]
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        for picture, time in zip(numbered(5), times, strict=True):
            writer.write(picture, time)
    assert [frame.time for frame in open_source(tmp_path / "a.mp4")] == pytest.approx(times, abs=0.001)


def test_odd_sizes_lose_nothing(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "odd.mp4", 10) as writer:
        for picture in numbered(3, 63, 41):
            writer.write(picture)
    assert [frame.pixels().shape for frame in open_source(tmp_path / "odd.mp4")] == [(42, 64, 3)] * 3


@pytest.mark.parametrize("colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0)])
def test_colours_are_those_of_the_pictures(tmp_path: Path, colour: tuple[int, int, int]) -> None:
    """The file says which conversion it is by: players take another for high definition."""
    with VideoWriter(tmp_path / "a.mp4", 10) as writer:
        for _ in range(3):
            writer.write(np.full((48, 64, 3), colour, np.uint8))
    (pixels, *_) = (frame.pixels() for frame in open_source(tmp_path / "a.mp4"))
    assert np.abs(pixels.reshape(-1, 3).mean(0) - colour).max() < 6
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_primaries, context.color_trc) == (6, 1, 1)


# ------------------------------------------------------------------------------------------------------------- sound


@pytest.mark.parametrize(("start", "seconds"), [(0.0, 2.0), (1.0, 1.0)])
def test_sound_comes_along_as_it_is(tmp_path: Path, start: float, seconds: float) -> None:
    source = write_clip(tmp_path / "beep.mp4", numbered(20), sound="aac")
    with VideoWriter(tmp_path / "found.mp4", 10, sound=source, start=start) as writer:
        for number, picture in enumerate(numbered(int(10 * seconds))):
            writer.write(picture, number / 10)
    assert writer.silent is None
    with av.open(str(tmp_path / "found.mp4")) as container:
        (audio,) = container.streams.audio
        samples = sum(frame.samples for frame in container.decode(audio))
        assert audio.codec_context.name == "aac"
        assert samples / 8000 == pytest.approx(seconds, abs=0.3)


def test_sound_that_the_container_cannot_hold_is_told(tmp_path: Path) -> None:
    source = write_clip(tmp_path / "beep.mkv", numbered(5), sound="aac")
    with VideoWriter(tmp_path / "found.webm", 10, sound=source) as writer:
        writer.write(numbered(1)[0])
    assert writer.silent is not None and "(aac) cannot be in a webm" in writer.silent
    with VideoWriter(tmp_path / "mute.mp4", 10, sound=write_clip(tmp_path / "mute.mkv", numbered(2))) as writer:
        writer.write(numbered(1)[0])
    assert writer.silent is None


# ------------------------------------------------------------------------------------------------ what cannot be


def test_nothing_is_left_where_it_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CannotWriteError, match="no video format is called"):
        VideoWriter(tmp_path / "a.gif", 10)
    with pytest.raises(CannotWriteError, match="cannot be written"), VideoWriter(tmp_path / "no" / "a.mp4", 10):
        pass
    with pytest.raises(CannotWriteError, match="not written, there was no frame"), VideoWriter(tmp_path / "a.mp4", 10):
        pass
    with pytest.raises(KeyError), VideoWriter(tmp_path / "a.mp4", 10) as writer:
        writer.write(numbered(1)[0])
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_picture_of_another_size_is_fitted_into_the_first_ones(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", 10) as writer:
        writer.write(np.full((48, 64, 3), 200, np.uint8))
        writer.write(np.full((96, 32, 3), 200, np.uint8))
    _, second = (frame.pixels() for frame in open_source(tmp_path / "a.mp4"))
    assert second.shape == (48, 64, 3)
    bright = second.mean((0, 2)) > 100
    assert (np.flatnonzero(bright)[[0, -1]] == [24, 39]).all()


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    program = """
import resource, signal, sys
import numpy as np
from darknet_compat.errors import CannotWriteError
from darknet_compat.vision.videofile import VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
random = np.random.default_rng(1)
try:
    with VideoWriter(sys.argv[1], 10) as writer:
        for _ in range(200):
            writer.write(random.integers(0, 255, (120, 160, 3)).astype(np.uint8))
except CannotWriteError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "a.mp4"], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1 and done.stdout.startswith(
        f"{tmp_path}/a.mp4: cannot be written: File too large"
    )
    assert list(tmp_path.iterdir()) == []
