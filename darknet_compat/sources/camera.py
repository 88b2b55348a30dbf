"""Frames of a camera at this machine, by OpenCV, which knows each system's own way to them."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from glob import glob

from darknet_compat.errors import SourceError
from darknet_compat.sources.base import Failed, Frame
from darknet_compat.sources.live import Live
from darknet_compat.vision.opencv import opencv


def open_camera(name: str | int, *, retries: int = 5, failed: Failed | None = None) -> Live:
    """The newest frames of a camera: its number, or its device (/dev/video0). Raises SourceError where there is none
    when it is first asked for a frame."""
    shown = f"camera {name}"
    number = re.fullmatch(r"(?:/dev/video)?(\d+)", str(name))

    def connect() -> Iterator[Frame]:
        _expect_there(shown, f"/dev/video{number[1]}" if number else str(name))
        cv2 = opencv()
        logging = cv2.utils.logging
        level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)  # its own words would stand on stderr beside ours
        camera = cv2.VideoCapture(int(number[1]) if number else str(name))
        logging.setLogLevel(level)
        try:
            if not camera.isOpened():
                raise SourceError(f"{shown}: cannot be opened; is it in use by another program, or not permitted?")
            while True:
                there, picture = camera.read()
                if not there:
                    raise SourceError(f"{shown}: gives no more frames")
                yield Frame(picture, shown)
        finally:
            camera.release()

    return Live(connect, shown, retries=retries, failed=failed)


def _expect_there(shown: str, device: str) -> None:
    """Raise SourceError, with those there are, for a device that is not there."""
    if sys.platform != "linux" or os.path.exists(device):
        return
    there = ", ".join(sorted(glob("/dev/video*"))) or "none"
    raise SourceError(f"{shown}: there is no {device}; cameras here: {there}")
