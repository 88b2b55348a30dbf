"""The original demo's smoothing: what its heads put out, averaged over the last three frames."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping

import numpy as np

from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Floats
from darknet_compat.runtime.base import Description, Runtime

FRAMES = 3
"""How many frames are averaged (original: `demo_frame`)."""


class Smoothed:
    """A runtime whose every answer is the mean of what another one gave for the last three images, that one included,
    which have to come in order (original: `avg_predictions`).

    The original averages the values of its heads: centres, objectness and classes as they are, sides as the logarithms
    that they are there. Its memory of the frames before the first is zeros, so that scores grow over the first three
    frames; so they do here. Where it would have averaged sides with zeros too, here only frames that were there count.
    Raises BackendError for a runtime whose candidates have no fixed places, or that knows no weaker ones.
    """

    streams = 1

    def __init__(self, inner: Runtime) -> None:
        self.inner = inner
        self.description: Description = inner.description
        if self.description.suppressed:
            raise BackendError(
                f"smooth: {self.description.name} has the suppression inside, which smoothing goes before"
            )
        self._last: deque[Mapping[str, Floats]] = deque(maxlen=FRAMES)

    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        """As `Runtime.infer`."""
        # All candidates: a weak one now may have been strong before.
        given = self.inner.infer(images, 0.0)
        rows = [self._next({name: array[row] for name, array in given.items()}) for row in range(len(images))]
        return {name: np.stack([one[name] for one in rows]) for name in given}

    def _next(self, own: Mapping[str, Floats]) -> Mapping[str, Floats]:
        if own["dropped"] or (self._last and self._last[-1]["boxes"].shape != own["boxes"].shape):
            raise BackendError(
                f"smooth: {self.description.name} has so many classes that only some candidates get them"
            )
        self._last.append(own)
        boxes = np.stack([one["boxes"] for one in self._last])  # [1..3, D, 4]
        with np.errstate(divide="ignore"):
            sides = np.exp(np.log(boxes[..., 2:]).mean(0))
        averaged = {
            name: np.sum([one[name] for one in self._last], 0, dtype=np.float32) / np.float32(FRAMES)
            for name in ("objectness", "classes", "uncertainties")
            if name in own
        }
        centres = boxes[..., :2].mean(0)
        return {**averaged, "boxes": np.concatenate([centres, sides], 1, dtype=np.float32), "dropped": own["dropped"]}
