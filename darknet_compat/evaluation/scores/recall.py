"""How many objects a detector's boxes reach, whatever their class (original: `validate_detector_recall`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from darknet_compat.evaluation.material.entries import Entries
from darknet_compat.inference.batch import Failure, Prepared, prepared_batches
from darknet_compat.inference.detector import Detector
from darknet_compat.vision.boxes import iou, nms_obj, xywh_to_xyxy

THRESH, LEAST_OVERLAP, NMS = 0.001, 0.5, 0.4


@dataclass(frozen=True)
class Recall:
    """Sums over pictures: objects, those that a proposal overlaps by more than 0.5, the proposals, and the sum of each
    object's best overlap."""

    pictures: int = 0
    objects: int = 0
    found: int = 0
    proposals: int = 0
    overlap: float = 0.0

    def __add__(self, other: Recall) -> Recall:
        return Recall(
            self.pictures + other.pictures,
            self.objects + other.objects,
            self.found + other.found,
            self.proposals + other.proposals,
            self.overlap + other.overlap,
        )

    @property
    def recall(self) -> float | None:
        """The share of objects found, None where there are none."""
        return self.found / self.objects if self.objects else None

    @property
    def average_iou(self) -> float | None:
        """The mean of each object's best overlap, None where there are no objects."""
        return self.overlap / self.objects if self.objects else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        per_picture = self.proposals / self.pictures if self.pictures else None
        return {
            "pictures": self.pictures,
            "objects": self.objects,
            "recall": self.recall,
            "average_iou": self.average_iou,
            "proposals_per_picture": per_picture,
        }


def recalls(detector: Detector, entries: Entries, batch: int = 1) -> Iterator[Recall | Failure]:
    """Each picture's part of the sums, in order.

    As the original has it: pictures are stretched whatever the model was made for, boxes above an objectness of 0.001
    are suppressed by objectness at 0.4 across classes, and every label counts. A picture that cannot be read is a
    Failure; raises BackendError where the model's runtime fails.
    """
    description = replace(detector.runtime.description, resize="stretch")
    labels = (row.labels for row in entries.rows)
    for prepared in prepared_batches(entries.images(), description, batch):
        readable = [item for item in prepared if isinstance(item, Prepared)]
        outputs = detector.runtime.infer(np.stack([item.pixels for item in readable]), THRESH) if readable else {}
        row = 0
        for item in prepared:
            drawn = next(labels)
            if isinstance(item, Failure):
                yield item
                continue
            truths = drawn.boxes[drawn.is_drawn]
            yield _picture(outputs["boxes"][row], outputs["objectness"][row], truths)
            row += 1


def _picture(boxes: Any, objectness: Any, truths: Any) -> Recall:
    """`boxes` [D, 4] and `truths` [T, 4] are centre and size as fractions, `objectness` is [D]."""
    likely = objectness > THRESH
    corners = xywh_to_xyxy(boxes[likely])
    _, kept = nms_obj(corners, objectness[likely, None], objectness[likely], NMS)
    proposals = corners[kept > THRESH]
    best = iou(xywh_to_xyxy(truths.astype(np.float32)), proposals).max(axis=1, initial=0)
    return Recall(1, len(truths), int((best > LEAST_OVERLAP).sum()), len(proposals), float(best.sum()))
