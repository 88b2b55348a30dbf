"""Every picture twice, as it is and as its mirror image, and the two answers averaged (original: `detector valid2`).

The original means to average what a head puts out, mirrored back. But it walks the output as if planes were ordered
otherwise than they are, so that the values it turns around are the first anchor's boxes and not everybody's x; and
turning x around would take 1 - x, where it takes -x. Its figures with `valid2` are therefore not those of flip
averaging; this is what it means to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Floats, Ints
from darknet_compat.runtime.base import Description, Runtime

FLIPPING = "torch"
"""The backend whose candidates have fixed places."""


@dataclass
class FlipAveraged:
    """A runtime that asks another one twice. `mirrored` int64 [D] is the candidate on the other side of each."""

    inner: Runtime
    mirrored: Ints

    def __post_init__(self) -> None:
        self.description: Description = self.inner.description
        self.streams = 1

    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        """As `Runtime.infer`: means of centres, objectness and classes, and of the sides' logarithms, since the mean
        that is meant is that of the head's values, of which the sides are exponentials."""
        count = len(images)
        both = self.inner.infer(np.concatenate([images, images[..., ::-1]]), thresh)
        own = {name: values[:count] for name, values in both.items()}
        other = {name: values[count:] for name, values in both.items()}
        turned = other["boxes"][:, self.mirrored].copy()
        turned[..., 0] = 1 - turned[..., 0]
        boxes = np.add(own["boxes"], turned, dtype=np.float32) / np.float32(2)
        with np.errstate(over="ignore"):
            boxes[..., 2:] = np.sqrt(own["boxes"][..., 2:]) * np.sqrt(turned[..., 2:])
        averaged: dict[str, Floats] = {"boxes": boxes, "dropped": own["dropped"]}
        for name in own.keys() - averaged:
            averaged[name] = np.add(own[name], other[name][:, self.mirrored], dtype=np.float32) / np.float32(2)
        return averaged


def flip_averaged(runtime: Runtime) -> FlipAveraged:
    """The runtime, averaging over mirror images. Raises BackendError for one whose candidates have no fixed places."""
    from darknet_compat.runtime.torch import TorchRuntime

    if not isinstance(runtime, TorchRuntime):
        raise BackendError("flip: mirrored answers can be averaged with --backend torch only")
    if runtime.split is not None:
        raise BackendError(f"flip: {runtime.description.name} has so many classes that only some candidates get them")
    return FlipAveraged(runtime, mirrored_candidates(runtime.network.spec))


def mirrored_candidates(spec: NetworkSpec) -> Ints:
    """Of each candidate the one at the mirrored cell, [D], in the order of `network.heads`."""
    parts: list[Ints] = []
    start = 0
    for head in spec.heads:
        if not isinstance(head, s.Region | s.YoloHead):
            raise BackendError(f"{spec.place(head)} has no grid of boxes that flip could mirror")
        rows, columns = head.output.h, head.output.w
        if isinstance(head, s.Region):  # anchor by anchor
            places = np.arange(head.num * rows * columns).reshape(head.num * rows, columns, 1)
        else:  # cell by cell
            places = np.arange(rows * columns * len(head.mask)).reshape(rows, columns, len(head.mask))
        parts.append(start + places[:, ::-1].ravel())
        start += places.size
    return np.concatenate(parts)
