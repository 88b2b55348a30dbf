"""What is known of a batch of images, as losses read it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


class Truth(NamedTuple):
    """Up to T objects of each of N images.

    `boxes`: float32 [N, T, 4], centre and size as fractions of the network's input. `classes`: int64 [N, T], -1 where
    there is no object; those come last. A class whose box is all zeros is a label of the whole picture.
    """

    boxes: Tensor
    classes: Tensor

    @property
    def objects(self) -> Tensor:
        """[N, T], where there is an object with a box."""
        return (self.classes >= 0) & (self.boxes[..., 2:] > 0).all(-1)

    @property
    def labels(self) -> Tensor:
        """[N, T], where there is a label of the whole picture."""
        return (self.classes >= 0) & (self.boxes == 0).all(-1)

    def first(self, limit: int) -> Truth:
        """The first `limit` of each image."""
        return Truth(self.boxes[:, :limit], self.classes[:, :limit])


def stack(images: Sequence[tuple[NDArray[np.floating], NDArray[np.integer]]], limit: int | None = None) -> Truth:
    """One Truth of each image's boxes [n, 4] and classes [n], the first `limit` of them where there are more.

    T is what the fullest image needs, at least 1.
    """
    counts = [len(classes) if limit is None else min(len(classes), limit) for _, classes in images]
    boxes = torch.zeros(len(images), max(counts, default=0) or 1, 4)
    classes = torch.full(boxes.shape[:2], -1)
    for row, ((image_boxes, image_classes), count) in enumerate(zip(images, counts, strict=True)):
        boxes[row, :count] = torch.from_numpy(np.asarray(image_boxes[:count], np.float32).reshape(count, 4))
        classes[row, :count] = torch.from_numpy(np.asarray(image_classes[:count], np.int64))
    return Truth(boxes, classes)
