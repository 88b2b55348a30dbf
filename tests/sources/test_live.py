"""Cameras and streams: the newest frame, on again after a break, and never a wait without an end."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from darknet_compat.errors import ImageError, SourceError
from darknet_compat.sources.base import Frame
from darknet_compat.sources.camera import open_camera
from darknet_compat.sources.live import Live
from darknet_compat.sources.open import open_source
from darknet_compat.sources.prefetch import ahead
from tests.cli.support import paint
from tests.sources.conftest import Rtsp
from tests.sources.http_camera import Camera
from tests.sources.making import number_of, numbered, write_clip


def frames(count: int, seconds: float = 0.0) -> Iterator[Frame]:
    for number in range(count):
        time.sleep(seconds)
        yield Frame(lambda number=number: number, f"camera[{number}]")  # type: ignore[misc]


# ---------------------------------------------------------------------------------------------------- newest, always


def test_the_newest_frame_is_taken_and_those_between_are_dropped() -> None:
    stepping = threading.Semaphore(0)

    def connect() -> Iterator[Frame]:
        for number in range(9):
            stepping.acquire()
            yield Frame(number, "camera")

    live = Live(connect, "camera", retries=0)
    taken = iter(live)
    for step, newest, dropped in ((1, 0, 0), (4, 4, 3), (4, 8, 6)):
        for _ in range(step):
            stepping.release()
        while live.dropped < dropped:
            time.sleep(0.001)
        frame = next(taken)
        assert (frame.picture, frame.index, live.dropped) == (newest, newest, dropped)
    stepping.release()
    with pytest.raises(SourceError, match="the stream has ended"):
        next(taken)


def test_a_frames_time_is_when_it_arrived() -> None:
    seen = list(zip(Live(lambda: frames(3, 0.02), "camera", retries=0), range(2), strict=False))
    times = [frame.time for frame, _ in seen]
    assert times[0] == 0 and times[1] >= 0.015 and all(frame.arrived for frame, _ in seen)  # type: ignore[operator]


# ---------------------------------------------------------------------------------------------------------- breaks


def test_a_stream_that_breaks_is_connected_again_with_growing_pauses() -> None:
    connections, said = [], []

    def connect() -> Iterator[Frame]:
        connections.append(time.monotonic())
        if len(connections) in (2, 3):
            raise SourceError("camera: refused")
        yield from frames(1)

    live = Live(connect, "camera", retries=3, failed=lambda _, message: said.append(message), pause=0.02)
    taken = [frame.index for frame, _ in zip(live, range(2), strict=False)]
    assert taken == [0, 1]
    pauses = [after - before for before, after in itertools.pairwise(connections)]
    assert [round(pause / 0.02) >= least for pause, least in zip(pauses, (1, 2, 4), strict=False)] == [True] * 3
    assert "trying again in 0.02 s (1 of 3)" in said[0] and said[1].startswith("camera: refused; trying again in 0.04")


def test_it_gives_up_after_so_many_tries_and_at_once_where_nothing_ever_came() -> None:
    said: list[str] = []
    live = Live(lambda: frames(0), "camera", retries=2, failed=lambda _, message: said.append(message), pause=0.01)
    with pytest.raises(SourceError, match="camera: the stream has ended"):
        list(live)
    assert said == []
    once = iter([frames(1), frames(0), frames(0)])
    live = Live(lambda: next(once), "camera", retries=2, failed=lambda _, message: said.append(message), pause=0.01)
    with pytest.raises(SourceError):
        list(live)
    assert len(said) == 2


def test_stopping_ends_the_thread_that_receives() -> None:
    before = threading.active_count()
    for frame in Live(lambda: frames(10**6, 0.001), "camera"):
        if frame.index > 3:
            break
    deadline = time.monotonic() + 60
    while threading.active_count() > before:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# --------------------------------------------------------------------------------------------------------- real ones


def test_mjpeg_over_http(mjpeg: Camera) -> None:
    mjpeg.rate, mjpeg.frames = 100, 29
    said: list[str] = []
    source = open_source(f"{mjpeg.address}/stream", retries=1, failed=lambda _, message: said.append(message))
    assert source.live
    seen = []
    for frame in source:
        seen.append(number_of(frame.pixels()))
        if mjpeg.connections == 2:
            break
    assert len(seen) > 3 and seen[:-1] == sorted(set(seen[:-1]))
    assert len(said) == 1 and "trying again in 1 s (1 of 1)" in said[0]


def test_a_file_behind_an_address_drops_nothing(mjpeg: Camera, tmp_path: Path) -> None:
    mjpeg.files["/clip.mp4"] = write_clip(tmp_path / "clip.mp4", numbered(20)).read_bytes()
    mjpeg.files["/a.png"] = paint(tmp_path / "a.png").read_bytes()
    source = open_source(f"{mjpeg.address}/clip.mp4")
    assert not source.live
    assert [number_of(frame.pixels()) for frame in source] == list(range(20))
    (frame,) = open_source(f"{mjpeg.address}/a.png")
    assert frame.pixels().shape == (32, 64, 3)


def test_rtsp(rtsp: Rtsp) -> None:
    source = open_source(rtsp.address)
    assert source.live
    seen = [frame.pixels() for frame, _ in zip(source, range(10), strict=False)]
    assert {pixels.shape for pixels in seen} == {(120, 160, 3)}
    assert (seen[0] != seen[-1]).any()  # the ball has moved


def test_rtsp_that_breaks_comes_back(rtsp: Rtsp) -> None:
    said: list[str] = []
    source = open_source(rtsp.address, timeout=2, failed=lambda _, message: said.append(message))
    count = 0
    for _ in source:
        count += 1
        if count == 5:
            rtsp.stop()
            rtsp.start()
        if count > 40:
            break
    assert count > 40 and said and all("trying again" in message for message in said)


# ------------------------------------------------------------------------------------------------------ not there


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(ImageError, match=r"^camera 97: there is no /dev/video97; cameras here: "):
        next(iter(open_source(97)))


@pytest.mark.parametrize("device", ["/dev/null", "/dev/zero"])
def test_a_device_that_is_no_camera(device: str, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceError, match=f"^camera {device}: cannot be opened"):
        next(iter(open_source(device)))
    assert capfd.readouterr() == ("", "")


def test_what_opencv_opens_is_read_as_a_camera(tmp_path: Path) -> None:
    """No camera is here; OpenCV reads a file through the same door."""
    clip = write_clip(tmp_path / "clip.mp4", numbered(5))
    taken = []
    with pytest.raises(SourceError, match="gives no more frames"):
        for frame in open_camera(str(clip), retries=0):
            taken.append(number_of(frame.pixels()))
    assert taken and taken == sorted(taken)


def test_a_fault_of_a_source_arrives_where_its_frames_do() -> None:
    def connect() -> Iterator[Frame]:
        yield from frames(1)
        raise KeyError("camera")

    with pytest.raises(KeyError, match="camera"):
        list(Live(connect, "camera"))


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_an_address_that_hangs_ends_after_its_time(silent: str, scheme: str) -> None:
    began = time.monotonic()
    with pytest.raises(SourceError, match=f"^{scheme}://me:\\*\\*\\*@{silent}/a: no answer within 0.5 s$"):
        open_source(f"{scheme}://me:secret@{silent}/a", timeout=0.5)
    assert time.monotonic() - began < 60


def test_nobody_at_an_address_and_no_such_file_there(mjpeg: Camera) -> None:
    for address in ("rtsp://127.0.0.1:9/a", "http://127.0.0.1:9/a", f"{mjpeg.address}/absent.mp4"):
        with pytest.raises(SourceError) as caught:
            open_source(address, timeout=5)
        assert str(caught.value).startswith(f"{address}: ") and "\n" not in str(caught.value)


# ---------------------------------------------------------------------------------------------------------- ahead


def test_what_a_thread_takes_ahead_comes_in_order_and_not_too_far() -> None:
    taken: list[int] = []
    items = ahead((taken.append(number) or number for number in range(20)), 3)  # type: ignore[func-returns-value]
    for number in range(20):
        assert next(items) == number
        assert len(taken) <= number + 5
    assert list(items) == []


def test_an_error_arrives_after_what_came_before_it() -> None:
    def failing() -> Iterator[int]:
        yield 1
        raise KeyError("camera")

    items = ahead(failing(), 4)
    assert next(items) == 1
    with pytest.raises(KeyError, match="camera"):
        next(items)


def test_stopping_closes_what_was_read() -> None:
    closed = []

    def endless() -> Iterator[int]:
        try:
            while True:
                yield 1
        finally:
            closed.append(threading.current_thread())

    before = threading.active_count()
    items = ahead(endless(), 2)
    next(items)
    items.close()  # type: ignore[attr-defined]
    assert len(closed) == 1 and threading.active_count() == before


def test_a_loopback_camera() -> None:
    """A device of the kernel's v4l2loopback, which GStreamer plays a ball into."""
    devices = [path.parent for path in Path("/sys/devices/virtual/video4linux").glob("video*/name")]
    if not devices:
        pytest.skip("this kernel has no v4l2loopback device (modprobe v4l2loopback)")
    if shutil.which("gst-launch-1.0") is None:
        pytest.skip("GStreamer is not installed (apt-get install gstreamer1.0-tools), which plays into the device")
    device = f"/dev/{devices[0].name}"
    ball = ["videotestsrc", "pattern=ball", "!", "video/x-raw,format=YUY2,width=160,height=120,framerate=30/1", "!"]
    playing = subprocess.Popen(["gst-launch-1.0", "-q", *ball, "v4l2sink", f"device={device}"])
    try:
        time.sleep(2)
        with open_camera(device) as frames:
            shapes = [frame.pixels().shape for frame, _ in zip(frames, range(5), strict=False)]
        assert shapes == [(120, 160, 3)] * 5
    finally:
        playing.terminate()
        playing.wait(10)
