"""Streams on this machine: mjpeg over HTTP, RTSP, and addresses that answer nothing."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources.http_camera import Camera, camera

SYSTEM_PYTHON = "/usr/bin/python3"
_BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0'); from gi.repository import GstRtspServer"


@pytest.fixture
def mjpeg() -> Iterator[Camera]:
    """A camera that speaks mjpeg over HTTP at `address`/stream, and files below it."""
    with camera() as serving:
        yield serving


@pytest.fixture
def silent() -> Iterator[str]:
    """An address where a connection is accepted and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


class Rtsp:
    """GStreamer's server; `stop` cuts all connections, `start` serves again at the same address."""

    def __init__(self) -> None:
        self.port, self.address = "0", ""
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        command = [SYSTEM_PYTHON, str(Path(__file__).with_name("rtsp_server.py")), self.port]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()
        self.port = self.address.rpartition(":")[2].partition("/")[0]

    def stop(self) -> None:
        if self.process is not None:
            assert self.process.stdin is not None and self.process.stdout is not None
            self.process.kill()
            self.process.wait()
            self.process.stdin.close()
            self.process.stdout.close()
            self.process = None


@pytest.fixture
def rtsp() -> Iterator[Rtsp]:
    """A real RTSP server; skipped where GStreamer's is not installed."""
    try:
        there = subprocess.run([SYSTEM_PYTHON, "-c", _BINDINGS], capture_output=True, timeout=60).returncode == 0
    except OSError:
        there = False
    if not there:
        pytest.skip(
            "no RTSP server: apt-get install python3-gi gir1.2-gst-rtsp-server-1.0 gstreamer1.0-rtsp"
            " gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad"
            " gstreamer1.0-plugins-ugly"
        )
    server = Rtsp()
    server.start()
    yield server
    server.stop()
