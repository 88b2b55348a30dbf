"""Ids that stay with what they were given to from frame to frame, by ByteTrack as the package `trackers` has it."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from darknet_compat.errors import BackendError
from darknet_compat.inference.results import Detections

LEAST = 0.1
"""The least score that may carry on a track, though it begins none: ByteTrack's idea."""
_USUAL_RATE = 30.0
"""Frames a second where a source does not say."""


class Tracker:
    """Gives each detection the id of the object that it shows, the same in every frame; ids count from 1.

    `thresh` is the score from which an object is begun to be followed; those down to `least` carry one on where it was
    expected. An object is followed within its class, so that what crosses it takes no part, and for a second after it
    was last seen, of a source of `rate` frames a second. Raises BackendError without the package.
    """

    def __init__(self, thresh: float, rate: float | None = None) -> None:
        self.thresh, self.rate = thresh, rate or _USUAL_RATE
        self.least = min(thresh, LEAST)
        self._library = _trackers()
        self._trackers: dict[int, Any] = {}
        self._ids: dict[tuple[int, int], int] = {}

    def update(self, found: Detections) -> Detections:
        """The next frame's detections with `track_ids`, where it can be said yet; weak ones that carry nothing on are
        left out. Detections of -1 were seen for the first time."""
        ids = np.full(len(found), -1, np.int64)
        for number in {*self._trackers, *found.class_ids.tolist()}:
            rows = np.flatnonzero(found.class_ids == number)
            ids[rows] = self._follow(number, found, rows)
        kept = np.flatnonzero((ids > 0) | (found.scores >= self.thresh))
        return replace(found, track_ids=ids)[kept]

    def _follow(self, number: int, found: Detections, rows: Any) -> Any:
        import supervision

        tracker = self._trackers.get(number)
        if tracker is None:
            tracker = self._trackers[number] = self._library.ByteTrackTracker(
                lost_track_buffer=30,  # at 30 frames a second: it counts by the frame rate
                frame_rate=self.rate,
                track_activation_threshold=self.thresh,
                high_conf_det_threshold=self.thresh,
            )
        given = supervision.Detections(
            found.boxes[rows],
            confidence=found.scores[rows],
            class_id=found.class_ids[rows],
            data={"row": np.arange(len(rows))},
        )
        tracked = tracker.update(given)
        ids = np.full(len(rows), -1, np.int64)
        if len(tracked):
            ids[tracked.data["row"]] = [self._id(number, own) for own in tracked.tracker_id.tolist()]
        return ids

    def _id(self, number: int, own: int) -> int:
        """Ours for a tracker's own, counted from 1 through all classes."""
        return -1 if own < 0 else self._ids.setdefault((number, own), len(self._ids) + 1)


def _trackers() -> ModuleType:
    try:
        import trackers
    except ImportError as cause:
        raise BackendError(f"tracking needs trackers ({cause}): pip install 'darknet-compat[track]'") from None
    return trackers
