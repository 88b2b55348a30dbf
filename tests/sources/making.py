"""Videos whose every frame is known, made with PyAV where a test needs one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

Pictures = Iterable[NDArray[np.uint8]]


def numbered(count: int, width: int = 64, height: int = 48) -> list[NDArray[np.uint8]]:
    """Grey pictures, each 8 levels lighter than the one before, from 16 on, RGB."""
    return [np.full((height, width, 3), 16 + 8 * (number % 29), np.uint8) for number in range(count)]


def number_of(pixels: NDArray[np.uint8]) -> int:
    """Which of `numbered` a decoded picture is."""
    return round((float(pixels.mean()) - 16) / 8)


def write_clip(
    path: Path,
    pictures: Pictures,
    rate: int = 10,
    *,
    codec: str = "libx264",
    times: Sequence[float] | None = None,
    rotation: int = 0,
    sound: str | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """A video of `pictures`, RGB, at a `rate` or at these `times`; with a beep in the codec `sound`."""
    with av.open(str(path), "w", options=options or {}) as container:
        video = None
        audio = container.add_stream(sound, rate=8000) if sound else None
        for index, picture in enumerate(pictures):
            if video is None:
                video = container.add_stream(codec, rate=rate)
                video.height, video.width = picture.shape[:2]
                video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
                if codec == "libx264":
                    video.codec_context.time_base = Fraction(1, 1000)
                if rotation:
                    video.set_display_rotation(rotation)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            if codec == "libx264":
                frame.pts = round(1000 * (times[index] if times else index / rate))
                frame.time_base = Fraction(1, 1000)
            container.mux(video.encode(frame))
            if audio:
                container.mux(_beep(audio, index, 8000 // rate))
        if video is not None:
            container.mux(video.encode())
        if audio:
            container.mux(audio.encode())
    return path


def write_sound(path: Path) -> Path:
    """A second of sound, and nothing to see."""
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=8000)
        for index in range(10):
            container.mux(_beep(audio, index, 800))
        container.mux(audio.encode())
    return path


def _beep(stream: av.AudioStream, index: int, samples: int) -> list[av.Packet]:  # type: ignore[type-arg]
    wave = np.sin(np.arange(index * samples, (index + 1) * samples) * 0.3).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
    frame.sample_rate, frame.pts = 8000, index * samples
    return stream.encode(frame)
