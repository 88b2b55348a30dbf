"""Frames of a video or a camera through a detector: found, followed, counted, and drawn, all at the same time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

import numpy as np

from darknet_compat.errors import OptionError
from darknet_compat.formats.arrays import Bytes
from darknet_compat.formats.textfile import shown
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.counting import Counts, parse_shape
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.results import Detections
from darknet_compat.inference.video_options import FrameOptions, VideoOptions
from darknet_compat.sources.base import Failed, Frame, Frames
from darknet_compat.sources.open import open_source
from darknet_compat.sources.prefetch import ahead
from darknet_compat.sources.span import Span
from darknet_compat.vision.draw import draw
from darknet_compat.vision.overlay import blur, draw_shape, fitting

_AHEAD = 4
"""Frames that one stage may be ahead of the next: enough that none waits for another's slow frame, few enough that
frames of any size fit into the memory."""
PLAYED = 25.0
"""Frames a second of what has no rate of its own, such as a folder of pictures."""


@dataclass(frozen=True, eq=False)
class Watched:
    """A frame, what was found in it or why it could not be read, the annotated picture, uint8 [H, W, 3] in RGB, where
    one was asked for, the counts up to here, and for a live source the seconds since the frame arrived."""

    frame: Frame
    found: Detections | Failure
    picture: Bytes | None = None
    counts: dict[str, Any] | None = None
    latency: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and strings, for JSON."""
        where: dict[str, Any] = {"frame": self.frame.index}
        if self.frame.time is not None:
            where["time"] = round(self.frame.time, 4)
        if self.latency is not None:
            where["latency"] = round(self.latency, 4)
        if isinstance(self.found, Failure):
            return where | {"error": str(self.found.error)}
        return where | self.found.to_dict() | ({} if self.counts is None else {"counts": self.counts})


@dataclass
class Watch:
    """A run of a detector over frames. `counts` are there where something is to be counted; `classes` are those
    wanted, by default all. Unless frames' own pixels are to `keep`, it is drawn into them.

    Raises OptionError, one line, for options that do not fit the model or each other.
    """

    detector: Detector
    options: VideoOptions
    drawing: bool = True
    keep: bool = True
    classes: Sequence[str] | None = None
    counts: Counts | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        options = self.options
        lines = tuple(parse_shape(text, "line", number + 1) for number, text in enumerate(options.count_line))
        zones = tuple(parse_shape(text, "zone", number + 1) for number, text in enumerate(options.zone))
        self.tracking = bool(options.track or lines or zones)
        if self.tracking:
            self.counts = Counts(lines, zones)
        expect_classes(options.blur or (), self.detector.names)

    def run(self, frames: Frames, batch: int = 1) -> Iterator[Watched]:
        """Each frame with all that is made of it. Reading, the network and drawing go on while whoever asks uses the
        frames; of a live source only the newest frame is on its way."""
        if frames.live:
            yield from self._live(frames)
            return
        source = _Ahead(frames)
        answers = self.detector.stream(
            source, batch, track=self.tracking, smooth=self.options.smooth, classes=self.classes
        )
        counted = map(self._counted, ahead(answers, _AHEAD))
        yield from ahead(map(self._drawn, counted), _AHEAD)

    def _answers(self, frames: Frames, batch: int) -> Iterator[tuple[Frame, Detections | Failure]]:
        smooth = self.options.smooth
        return self.detector.stream(frames, batch, track=self.tracking, smooth=smooth, classes=self.classes)

    def _live(self, frames: Frames) -> Iterator[Watched]:
        answers = self._answers(frames, 1)
        watched = ahead(map(self._watched, answers), 1)
        try:
            for seen in watched:  # noqa: UP028 -- `yield from` would wait for the thread before what it waits for ends
                yield seen
        finally:
            frames.close()

    def _watched(self, answer: tuple[Frame, Detections | Failure]) -> Watched:
        return self._drawn(self._counted(answer))

    def _counted(self, answer: tuple[Frame, Detections | Failure]) -> Watched:
        frame, found = answer
        latency = None if frame.arrived is None else perf_counter() - frame.arrived
        if self.counts is None or isinstance(found, Failure):
            return Watched(frame, found, latency=latency)
        self.counts.update(found)
        return Watched(frame, found, counts=self.counts.to_dict(), latency=latency)

    def _drawn(self, seen: Watched) -> Watched:
        if not self.drawing or isinstance(seen.found, Failure):
            return seen
        return Watched(seen.frame, seen.found, self._picture(seen), seen.counts, seen.latency)

    def _picture(self, seen: Watched) -> Bytes:
        found = seen.found
        assert isinstance(found, Detections)
        picture = annotated(seen.frame.pixels(), found, self.options.blur or (), copy=self.keep)
        for shape, text in self._shapes(seen.counts):
            draw_shape(picture, shape.within(found.width, found.height), text)
        return picture

    def _shapes(self, counts: dict[str, Any] | None) -> Iterator[tuple[Any, str]]:
        if self.counts is None or counts is None:
            return
        for line, now in zip(self.counts.lines, counts["lines"], strict=True):
            ways = [f"{sum(now['forward'].values())} forward", f"{sum(now['back'].values())} back"]
            yield line.shape, f"{fitting([line.shape.name])}: {fitting(ways)}"
        for zone, now in zip(self.counts.zones, counts["zones"], strict=True):
            texts = [f"{sum(now['now'].values())} now", f"{sum(now['ever'].values())} in all"]
            yield zone.shape, f"{fitting([zone.shape.name])}: {fitting(texts)}"


class _Ahead(Frames):
    """A source that is read by a thread of its own."""

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.name, self.rate, self.count = frames.name, frames.rate, frames.count

    def __iter__(self) -> Iterator[Frame]:
        return ahead(self.frames, _AHEAD)


def annotated(pixels: Bytes, found: Detections, blurred: Sequence[str] = (), *, copy: bool = True) -> Bytes:
    """A copy of a picture (or without `copy` itself), uint8 [H, W, 3] in RGB, with what was found drawn in; `blurred`
    classes beyond recognition, and without a box."""
    hidden = np.array([name in blurred for name in found.names], bool)
    if hidden.any():
        pixels, copy = pixels.copy() if copy else pixels, False
        blur(pixels, found.boxes[hidden])
        found = found[~hidden]
    return draw(pixels, found.boxes, label_texts(found), found.scores, found.class_ids, copy=copy)


def expect_classes(wanted: Sequence[str], names: Sequence[str]) -> None:
    """Raise OptionError for a class to be blurred that the model does not know."""
    for name in wanted:
        if name not in names:
            known = ", ".join(shown(one, 30) for one in names[:8])
            raise OptionError(f"there is no class {shown(name)}; the first ones are {known}", "blur")


def label_texts(found: Detections) -> list[str]:
    """What stands at each box: its class and, where it is followed, its id."""
    if found.track_ids is None:
        return list(found.names)
    tracks = found.track_ids.tolist()
    return [f"{name} {own}" if own > 0 else name for name, own in zip(found.names, tracks, strict=True)]


def open_frames(what: Any, options: FrameOptions, failed: Failed) -> Frames:
    """The frames of `what` (`sources.open`) that the options mean. Raises SourceError where there are none."""
    timeout, retries, hardware = options.timeout, options.reconnect, options.hardware
    return open_source(what, span_of(options), timeout=timeout, retries=retries, failed=failed, hardware=hardware)


def span_of(options: FrameOptions) -> Span:
    """The frames that the options mean. Raises SourceError where they leave nothing."""
    return Span(options.every, options.from_, options.to, options.max_frames, options.fps)
