"""What can be asked of a video, a camera or a stream, each option stated once."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from darknet_compat.errors import OptionError
from darknet_compat.options import Option, Options, parse_words


def parse_seconds(value: Any) -> float:
    """`90`, `1:30`, `0:01:30.5` or a number. Raises OptionError."""
    match = re.fullmatch(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?|\.\d+)", str(value).strip())
    if not match:
        raise OptionError(f"expected seconds, or minutes and seconds such as 1:30, found '{value}'")
    hours, minutes, seconds = (float(part or 0) for part in match.groups())
    return 3600 * hours + 60 * minutes + seconds


@dataclass(frozen=True)
class FrameOptions(Options):
    """Which frames of a video, a camera or a stream are looked at."""

    every: Annotated[int, Option("Of a video: look at every N-th frame only.", metavar="N", least=1)] = 1
    from_: Annotated[
        float, Option("Of a video: begin here, in seconds or as 1:30.", metavar="TIME", parse=parse_seconds)
    ] = 0.0
    to: Annotated[float | None, Option("Of a video: end here.", metavar="TIME", parse=parse_seconds)] = None
    max_frames: Annotated[int | None, Option("End after so many frames.", metavar="N", least=1)] = None
    fps: Annotated[
        float | None,
        Option(
            "Look at no more than so many frames a second; pictures played as a video get this rate.",
            metavar="N",
            least=0.001,
            most=1000,
        ),
    ] = None
    hardware: Annotated[
        str | None,
        Option(
            "Decode videos and streams by hardware: auto, or FFmpeg's name for it (cuda, qsv, vaapi, videotoolbox); in"
            " software where that cannot be, which one line says.",
            metavar="NAME",
        ),
    ] = None
    timeout: Annotated[
        float, Option("Seconds in which an address has to answer.", metavar="S", least=0.1, most=3600)
    ] = 10.0
    reconnect: Annotated[
        int, Option("How often in a row a stream that breaks is connected again.", metavar="N", least=0, most=1000)
    ] = 5


@dataclass(frozen=True)
class VideoOptions(FrameOptions):
    """Which frames are looked at, and what is made of what was found in them (`inference.video`)."""

    track: Annotated[bool, Option("Give what is found ids that stay from frame to frame.")] = False
    smooth: Annotated[bool, Option("Average over three frames, as the original's demo.")] = False
    count_line: Annotated[
        tuple[str, ...],
        Option("Count the tracks that cross this line, in pixels or as fractions of the picture.", metavar="X,Y,X,Y"),
    ] = ()
    zone: Annotated[
        tuple[str, ...], Option("Count the tracks in this zone; NAME=X,Y,... names it.", metavar="X,Y,...")
    ] = ()
    blur: Annotated[
        tuple[str, ...] | None, Option("Blur these classes beyond recognition.", metavar="A,B", parse=parse_words)
    ] = None
    save_frames: Annotated[Path | None, Option("Write each frame as a picture in here.", metavar="DIR")] = None
    show: Annotated[bool, Option("Show frames in a window while they are worked on; q closes it.")] = False
