"""One door to all sources."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from darknet_compat.errors import ImageError
from darknet_compat.sources.base import Failed, Frame, Frames, GivenFrames
from darknet_compat.sources.kind import kind_of
from darknet_compat.sources.pictures import Pictures, pictures_of
from darknet_compat.sources.piped import beginning_of
from darknet_compat.sources.span import Span, Spanned
from darknet_compat.vision.signature import begins_like_picture, begins_like_video

TIMEOUT = 10.0
"""Seconds in which an address has to answer, and then to go on."""
RETRIES = 5
"""How often in a row a stream that breaks is connected again."""


def open_source(
    what: Any,
    span: Span | None = None,
    *,
    timeout: float = TIMEOUT,
    retries: int = RETRIES,
    failed: Failed | None = None,
    hardware: str | None = None,
) -> Frames:
    """The frames of `what`, those in `span`.

    `what` is the path of a picture, a folder of them, a glob, a list of paths (.txt), a video; a camera's number or
    device; an address (rtsp://, http:// …) of a video, an mjpeg stream or another live one; "-" for standard input,
    which may hold a video, a picture, or paths of pictures, one a line; a list of paths; or any iterable of pictures
    (as `vision.image.decode` reads them) or Frames. Addresses have `timeout` seconds to answer. `failed` is told, in
    one line, what went wrong where frames go on nevertheless. `hardware` is what decodes (`sources.hardware`),
    where it can; the Frames' `remark` says where it cannot. Raises ImageError, also one line, for anything else and for
    what cannot be opened."""
    how = _How(span or Span(), timeout, retries, failed, hardware)
    frames = _open(what, how)
    return frames if how.span == Span() else Spanned(frames, how.span)


class _How(NamedTuple):
    """What `open_source` is asked for beside the source."""

    span: Span
    timeout: float
    retries: int
    failed: Failed | None
    hardware: str | None


def _open(what: Any, how: _How) -> Frames:
    if isinstance(what, Frames):
        return what
    if isinstance(what, int) and not isinstance(what, bool):
        what = str(what)
    if isinstance(what, str | os.PathLike):
        return _named(os.fspath(what), how)
    if isinstance(what, list | tuple) and all(isinstance(one, str | Path) for one in what):
        return Pictures([path for one in what for path in pictures_of(os.fspath(one))], rate=how.span.fps)
    one = isinstance(what, bytes | bytearray | memoryview) or hasattr(what, "shape") or not isinstance(what, Iterable)
    return GivenFrames([what] if one else what)


def _named(name: str, how: _How) -> Frames:
    kind, span = kind_of(name), how.span
    if kind == "video":
        from darknet_compat.sources.video import open_video

        return open_video(name, start=span.start, failed=how.failed, hardware=how.hardware)
    if kind == "camera":
        from darknet_compat.sources.camera import open_camera

        return open_camera(name, retries=how.retries, failed=how.failed)
    if kind == "url":
        from darknet_compat.sources.address import open_address

        return open_address(
            name,
            timeout=how.timeout,
            retries=how.retries,
            start=span.start,
            failed=how.failed,
            hardware=how.hardware,
        )
    if kind == "input":
        return _standard_input(sys.stdin.buffer, how.failed, how.hardware)
    return Pictures(pictures_of(name), name, rate=span.fps)


def _standard_input(file: BinaryIO, failed: Failed | None = None, hardware: str | None = None) -> Frames:
    """A video, a picture, or the paths of pictures, one a line, answered as they come (original: `test_detector`)."""
    beginning = beginning_of(file)
    if not beginning:
        raise ImageError("standard input: empty; expected a video, a picture, or paths of pictures, one a line")
    if begins_like_video(beginning):
        from darknet_compat.sources.video import open_video

        return open_video(file, failed=failed, hardware=hardware)
    if begins_like_picture(beginning):
        return GivenFrames([Frame(file.read(), "standard input")], "standard input")
    paths = (os.fsdecode(line.strip()) for line in file)
    frames = (Frame(Path(path), path, index) for index, path in enumerate(path for path in paths if path))
    return GivenFrames(frames, "standard input", live=file.isatty())


def listed_on_input() -> list[str] | None:
    """The names on standard input, one a line; None where it is a video or a picture itself."""
    file = sys.stdin.buffer
    beginning = beginning_of(file)
    if begins_like_video(beginning) or begins_like_picture(beginning):
        return None
    return [os.fsdecode(line.strip()) for line in file if line.strip()]
