"""A detector's answers to frames in order, each made with what was seen before: smoothed, and with ids."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from darknet_compat.inference.batch import Failure
from darknet_compat.inference.results import Detections
from darknet_compat.inference.smoothing import Smoothed
from darknet_compat.inference.tracking import Tracker

if TYPE_CHECKING:
    from darknet_compat.inference.detector import Detector


def follow(
    detector: Detector,
    frames: Iterable[Any],
    batch: int = 1,
    *,
    track: bool = False,
    smooth: bool = False,
    **asked: Any,
) -> Iterator[tuple[Any, Detections | Failure]]:
    """As `Detector.stream`; with `smooth` after the original demo's averaging, with `track` with `track_ids`.

    Raises BackendError where the model cannot be smoothed, or nothing can track.
    """
    model = copy.copy(detector)
    if smooth:
        model.runtime = Smoothed(detector.runtime)
    if not track:
        yield from model.stream(frames, batch, **asked)
        return
    tracker = Tracker(asked.get("thresh") or detector.thresh, getattr(frames, "rate", None))
    if not detector.runtime.description.suppressed:  # which has no weaker ones
        asked["thresh"] = tracker.least
    for frame, found in model.stream(frames, batch, **asked):
        yield frame, tracker.update(found) if isinstance(found, Detections) else found
