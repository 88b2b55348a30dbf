"""Pictures written as a video, with the sound of the video that they came from."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from darknet_compat.errors import CannotWriteError
from darknet_compat.formats.arrays import Bytes
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.vision.opencv import opencv
from darknet_compat.vision.pyav import pyav, reason

if TYPE_CHECKING:
    from av.container import InputContainer

FORMATS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi", ".webm": "webm"}
"""Suffixes of videos that are written → FFmpeg's names of their containers."""

_CODECS = {
    ".webm": ("libvpx-vp9", {"deadline": "realtime", "cpu-used": "8", "crf": "32", "b": "0"}),
    ".avi": ("mpeg4", {"qscale": "4", "flags": "+qscale"}),
}
_USUAL = ("libx264", {"preset": "ultrafast", "crf": "23"})
"""H.264 plays everywhere. The next slower preset takes twice the time, two thirds of the bytes, and would be what all
else waits for."""
_TICKS = 90_000
"""A second's parts that times are counted in."""
_COLOURS = {"colorspace": 6, "color_primaries": 1, "color_trc": 1, "color_range": 1}
"""FFmpeg's numbers: OpenCV's conversion is BT.601's, of a television's range, eight times as quick as FFmpeg's; players
take another for high definition unless they are told."""


class VideoWriter:
    """A context that encodes pictures into the file `path`, whole or not at all, though not all pictures need to come:
    what was written by the time that the context ends plays, unless it ends with an exception.

    `rate` is the frames a second to expect. `sound` is a video whose audio is copied as it is from its second `start`
    on; where the container cannot hold it, `silent` says why. Odd sizes are made even by repeating the last row or
    column, since H.264 has colours for pairs of pixels only. Raises CannotWriteError for a suffix that is no video's,
    and where the file cannot be written.
    """

    def __init__(self, path: str | Path, rate: float, *, sound: Path | None = None, start: float = 0.0) -> None:
        self.path, self.rate = Path(path), Fraction(rate).limit_denominator(1001)
        suffix = self.path.suffix.lower()
        if suffix not in FORMATS:
            raise CannotWriteError(f"{path}: no video format is called '{suffix}': use {', '.join(FORMATS)}")
        self.sound_from, self.start = sound, start
        self.silent: str | None = None
        self.frames = 0
        self._stack = ExitStack()
        self._video: Any = None
        self._sound: _Sound | None = None
        self._last = -1
        self._size = (0, 0)

    def __enter__(self) -> VideoWriter:
        av, suffix = pyav(), self.path.suffix.lower()
        file = self._stack.enter_context(atomic_write(self.path, CannotWriteError))
        self._container = av.open(file, "w", format=FORMATS[suffix], buffer_size=1 << 20)
        self._stack.push(self._close)
        return self

    def _close(self, kind: type[BaseException] | None, error: object, trace: object) -> None:
        """Write what belongs at the end; where writing has failed before, this fails too, and says nothing new."""
        try:
            self._container.close()
        except (pyav().error.FFmpegError, OSError) as cause:
            if kind is None:
                raise CannotWriteError(f"{self.path}: cannot be written: {reason(cause)}") from None

    def write(self, picture: Bytes, time: float | None = None) -> None:
        """Add a picture, uint8 [H, W, 3] in RGB, that is shown from `time` on, seconds after the first one's beginning;
        by default at the expected rate. One of another size than the first is fitted into that, with black beside it.
        Raises CannotWriteError where the disk is full."""
        if self._video is None:
            self._begin(picture)
        if picture.shape[1::-1] != self._size:
            picture = _fitted(picture, self._size)
        ticks = round((self.frames / self.rate if time is None else time) * _TICKS)
        frame = self._frame(picture)
        frame.pts = self._last = max(ticks, self._last + 1)  # times that stand still would not be written
        frame.time_base = Fraction(1, _TICKS)
        self._mux(self._video.encode(frame))
        if self._sound:
            self._mux(self._sound.until(ticks / _TICKS))
        self.frames += 1

    def _begin(self, picture: Bytes) -> None:
        codec, options = _CODECS.get(self.path.suffix.lower(), _USUAL)
        stream = self._container.add_stream(codec, rate=self.rate, options=dict(options))
        self._size = picture.shape[1], picture.shape[0]
        stream.width, stream.height = (side + side % 2 for side in self._size)
        stream.pix_fmt = "yuv420p"
        if codec != "mpeg4":  # whose ticks are at most 1/65,535 of a second
            stream.codec_context.time_base = Fraction(1, _TICKS)
        for name, value in _COLOURS.items():
            setattr(stream.codec_context, name, value)
        self._video = stream
        if self.sound_from is not None:
            self._sound, self.silent = _copied(self.sound_from, self._container, self.start)
            if self._sound:
                self._stack.callback(self._sound.close)

    def _frame(self, picture: Bytes) -> Any:
        av, cv2 = pyav(), opencv()
        height, width = picture.shape[:2]
        if width % 2 or height % 2:
            picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
        planes = cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2YUV_I420)  # [H * 3 / 2, W]
        frame = av.VideoFrame.from_numpy_buffer(planes, format="yuv420p")  # which the encoder copies
        frame.colorspace, frame.color_range = _COLOURS["colorspace"], _COLOURS["color_range"]
        return frame

    def _mux(self, packets: Any) -> None:
        try:
            for packet in packets:
                self._container.mux(packet)
        except (pyav().error.FFmpegError, OSError) as error:
            raise CannotWriteError(f"{self.path}: cannot be written: {reason(error)}") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None or self._video is None:
            error = error or CannotWriteError(f"{self.path}: not written, there was no frame")
            self._stack.__exit__(type(error), error, trace)
            if kind is None:
                raise error
            return
        with self._stack:
            self._mux(self._video.encode())
            if self._sound:
                self._mux(self._sound.until(self._last / _TICKS + float(1 / self.rate)))


def _fitted(picture: Bytes, size: tuple[int, int]) -> Bytes:
    """A picture of this (width, height), as large as it fits in without being distorted."""
    cv2, (width, height) = opencv(), size
    scale = min(width / picture.shape[1], height / picture.shape[0])
    wide, high = (max(1, min(round(side * scale), most)) for side, most in zip(picture.shape[1::-1], size, strict=True))
    left, top = (width - wide) // 2, (height - high) // 2
    whole = np.zeros((height, width, 3), np.uint8)
    whole[top : top + high, left : left + wide] = cv2.resize(picture, (wide, high), interpolation=cv2.INTER_AREA)
    return whole


class _Sound:
    """The packets of a video's audio, to be written as they are."""

    def __init__(self, container: InputContainer, packets: Iterator[Any], stream: Any, start: float) -> None:
        self.container, self.packets, self.stream, self.start = container, packets, stream, start
        self.waiting: Any = None

    def until(self, time: float) -> Iterator[Any]:
        """Packets that begin before `time`, in seconds of the written video."""
        while (packet := self.waiting or next(self.packets, None)) is not None:
            self.waiting = None
            if packet.dts is None or packet.pts is None:
                continue
            base = packet.time_base
            begins = float(packet.pts * base) - self.start
            if begins >= time:
                self.waiting = packet
                return
            if begins > -0.05:
                shift = round(self.start / base)
                packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
                packet.stream = self.stream
                yield packet

    def close(self) -> None:
        """Close the video it comes from."""
        self.container.close()


def _copied(source: Path, container: Any, start: float) -> tuple[_Sound | None, str | None]:
    """The audio of `source`, as a stream of `container`; or why not, where there is some."""
    av = pyav()
    try:
        opened = av.open(str(source), options={"protocol_whitelist": "file,crypto,data"})
    except (av.error.FFmpegError, OSError):
        return None, None
    if not opened.streams.audio:
        opened.close()
        return None, None
    audio = opened.streams.audio[0]
    name = audio.codec_context.name if audio.codec_context else "unknown"
    try:
        if name not in container.supported_codecs and name.partition("_")[0] != "pcm":
            raise ValueError
        stream = container.add_stream_from_template(audio)
    except (ValueError, av.error.FFmpegError):
        opened.close()
        return None, f"{source}: its sound ({name}) cannot be in a {container.format.name}; .mkv holds any"
    if start:
        opened.seek(int(start * 1_000_000))
    return _Sound(opened, opened.demux(audio), stream, start), None
