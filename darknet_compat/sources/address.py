"""Videos, cameras and pictures behind an address: rtsp, http (a file, or mjpeg), and what else FFmpeg speaks."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from darknet_compat.sources.base import Failed, Frame, Frames
from darknet_compat.sources.hardware import usable
from darknet_compat.sources.kind import hidden
from darknet_compat.sources.live import Live
from darknet_compat.sources.video import Video, decoded, open_container, video_stream

_FILES = frozenset({"http", "https", "ftp", "sftp", "file"})
"""What files may come by; whatever comes by another protocol is live."""


def open_address(
    address: str,
    *,
    timeout: float = 10.0,
    retries: int = 5,
    start: float = 0.0,
    failed: Failed | None = None,
    hardware: str | None = None,
) -> Frames:
    """The frames behind `address`: a file's, which are all waited for, or the newest of a camera or stream.

    Raises SourceError where nothing answers within `timeout` seconds, or what answers is no video.
    """
    scheme = urlsplit(address).scheme.lower()
    options = {"rtsp_transport": "tcp", "fflags": "nobuffer"} if scheme in ("rtsp", "rtsps") else {}
    if scheme in ("http", "https"):
        options["protocol_whitelist"] = "http,https,tcp,tls,crypto,data,httpproxy"  # a playlist opens no file here
    if scheme == "file":  # nor one here the network
        options["protocol_whitelist"] = "file,crypto,data"
    device, remark = usable(hardware, hidden(address))
    container = open_container(address, hidden(address), options, timeout, device)
    if scheme in _FILES and (container.duration or container.format.name.endswith("_pipe")):
        return Video(container, address, start=start, failed=failed, device=device, remark=remark)
    first = [container]

    def connect() -> Iterator[Frame]:
        opened = first.pop() if first else open_container(address, hidden(address), options, timeout, device)
        try:
            stream = video_stream(opened, hidden(address), threads="SLICE")
            yield from decoded(opened, stream, hidden(address), lambda _: None)
        finally:
            opened.close()

    frames: Frames = Live(connect, address, retries=retries, failed=failed)
    frames.remark = remark
    return frames
