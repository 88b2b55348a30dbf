"""Frames of a video: a file, standard input, or whatever else FFmpeg opens."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from darknet_compat.errors import ImageError, SourceError
from darknet_compat.formats.arrays import Bytes
from darknet_compat.sources.base import Failed, Frame, Frames
from darknet_compat.sources.hardware import usable
from darknet_compat.sources.kind import hidden
from darknet_compat.sources.piped import searchable_copy
from darknet_compat.vision.header import expect_few_pixels, max_pixels
from darknet_compat.vision.pyav import pyav, reason

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Video(Frames):
    """The frames of an open video, decoded in order, each turned as the file says that it is to be shown.

    `start` is in seconds: the first frame at or after it is the first one, found without decoding what is before.
    Parts that cannot be decoded are left out, and `failed` is told once at the end. `device` is what the container was
    opened to be decoded by, `remark` why there is none though one was asked for. A `copy` that the container reads is
    closed with it. Raises SourceError where the container has no video.
    """

    def __init__(
        self,
        container: InputContainer,
        name: str,
        *,
        start: float = 0.0,
        failed: Failed | None = None,
        device: Any = None,
        remark: str | None = None,
        copy: BinaryIO | None = None,
    ) -> None:
        self.name, self.start, self.failed = hidden(name), start, failed or _ignore
        self._container, self._copy = container, copy
        try:
            self._stream = video_stream(container, self.name)
        except ImageError:
            self.close()
            raise
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.rate = float(rate) if rate else None
        self.count = self._expected()
        self.remark = remark
        if device is not None and not self._stream.codec_context.is_hwaccel:
            self.remark = f"{self.name}: decoded in software, which the hardware does not do for its format"

    def _expected(self) -> int | None:
        seconds = self._container.duration / 1e6 if self._container.duration else None
        if seconds is not None and self.rate:
            count = self._stream.frames or round(seconds * self.rate)
            return max(count - round(self.start * self.rate), 0)
        return self._stream.frames or None

    def __iter__(self) -> Iterator[Frame]:
        try:
            yield from self._frames()
        finally:
            self.close()

    def _frames(self) -> Iterator[Frame]:
        stream = self._stream
        if self.start:
            begin = float((stream.start_time or 0) * (stream.time_base or 0))
            with contextlib.suppress(pyav().error.FFmpegError, OSError):  # from a pipe all is read up to there
                self._container.seek(int((self.start + begin) * 1_000_000))
        damaged: list[str] = []
        yielded = 0
        for frame in decoded(self._container, stream, self.name, damaged.append):
            if frame.time is None or frame.time >= self.start - 1e-6:
                yield frame
                yielded += 1
        if not yielded and not self.start:
            raise SourceError(f"{self.name}: no frame of this video can be decoded{_because(damaged)}")
        if damaged:
            parts = f"{len(damaged):,} {'part' if len(damaged) == 1 else 'parts'}"
            self.failed(self.name, f"{self.name}: damaged, {parts} could not be decoded{_because(damaged)}")

    def close(self) -> None:
        """Close the file; an iteration that is going on ends."""
        self._container.close()
        if self._copy is not None:
            self._copy.close()


def open_video(
    what: str | BinaryIO, *, start: float = 0.0, failed: Failed | None = None, hardware: str | None = None
) -> Video:
    """The video in a file, or in one that is open for reading, decoded by `hardware` where that can
    (`sources.hardware`). Raises SourceError for what is not a video."""
    name = what if isinstance(what, str) else "standard input"
    if isinstance(what, str) and os.path.isfile(what) and not os.path.getsize(what):
        raise SourceError(f"{name}: empty, not a video")
    # A file that is really a playlist opens nothing on the network.
    device, remark = usable(hardware, name)
    copy = None if isinstance(what, str) else searchable_copy(what, name)
    try:
        container = open_container(copy or what, name, {"protocol_whitelist": "file,crypto,data"}, device=device)
    except SourceError:
        if copy is not None:
            copy.close()
        raise
    return Video(container, name, start=start, failed=failed, device=device, remark=remark, copy=copy)


def open_container(
    what: str | BinaryIO, name: str, options: dict[str, str], timeout: float | None = None, device: Any = None
) -> InputContainer:
    """What FFmpeg opens, to be decoded by a `device` (`hardware.usable`) if that knows the format. Raises SourceError,
    one line, where it does not open, or took longer than `timeout` seconds."""
    av = pyav()
    began = perf_counter()
    try:
        limits = {"max_pixels": str(max_pixels()), **options}
        container: InputContainer = av.open(what, options=limits, timeout=timeout, hwaccel=device)
    except av.error.FileNotFoundError:
        raise SourceError(f"{name}: no such file") from None
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if timeout is not None and perf_counter() - began >= timeout:  # which has several errors
            raise SourceError(f"{name}: no answer within {timeout:g} s") from None
        if not isinstance(error, av.error.InvalidDataError):
            raise SourceError(f"{name}: cannot be opened: {reason(error)}") from None
        raise SourceError(f"{name}: not a video that FFmpeg can read, damaged, or cut short") from None
    return container


def video_stream(container: InputContainer, name: str, threads: Literal["AUTO", "SLICE"] = "AUTO") -> VideoStream:
    """The stream to decode, by as many threads as there are cores: each at a frame of its own, or with "SLICE" at parts
    of one, which no frame waits for. Raises SourceError where there is none, ImageError
    for more pixels than `vision.header.limited_pixels` allows."""
    pictures = [one for one in container.streams.video if not one.disposition.value & _ATTACHED]
    if not pictures:
        what = "sound only" if container.streams.audio else "nothing to decode"
        raise SourceError(f"{name}: there is no video in this file, {what}")
    stream = pictures[0]
    if stream.codec_context is None:
        raise SourceError(f"{name}: FFmpeg has no decoder for this video's format")
    expect_few_pixels((stream.width, stream.height), name)
    stream.codec_context.options = {"max_pixels": str(max_pixels())}  # a stream may grow on its way
    stream.thread_type = threads
    return stream


_ATTACHED = 0x400
"""FFmpeg's AV_DISPOSITION_ATTACHED_PIC: the cover of a song."""


def decoded(
    container: InputContainer, stream: VideoStream, name: str, damaged: Callable[[str], None]
) -> Iterator[Frame]:
    """The stream's frames with their times since its beginning; packets that cannot be decoded are told `damaged`.

    Raises SourceError where reading fails, as by a connection that breaks.
    """
    av = pyav()
    begin, base = stream.start_time or 0, stream.time_base
    rate = float(stream.average_rate or 0)
    index = None
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.error.ExitError:
            raise SourceError(f"{hidden(name)}: nothing more came in time") from None
        except (av.error.FFmpegError, OSError) as error:
            raise SourceError(f"{hidden(name)}: cannot be read on: {reason(error)}") from None
        if packet is None:
            return
        try:
            frames = packet.decode()
        except av.error.FFmpegError as error:
            damaged(reason(error))
            continue
        for frame in frames:
            time = None if frame.pts is None or base is None else float((frame.pts - begin) * base)
            if index is None:  # not 0 after a seek
                index = round((time or 0) * rate)
            yield Frame(_Pixels(frame), f"{name}[{index}]", index, time)
            index += 1


class _Pixels:
    """A decoder's frame as uint8 [H, W, 3] in RGB, converted when it is called, upright."""

    def __init__(self, frame: VideoFrame) -> None:
        self.frame: VideoFrame | None = frame

    def __call__(self) -> Bytes:
        frame: Any = self.frame
        pixels: Bytes = frame.to_ndarray(format="rgb24")
        self.frame = None  # the pixels are kept: not both
        turns = round(frame.rotation / 90) % 4  # counterclockwise, as rot90's
        return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _because(damaged: list[str]) -> str:
    return f" ({damaged[-1]})" if damaged else ""


def _ignore(name: str, message: str) -> None:
    """Nobody is listening."""
