"""What is known of a batch of images, as losses read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from darknet_compat.training.augment.boxes import PictureTruths


class Truth(NamedTuple):
    """Up to T objects of each of N images.

    `boxes`: float32 [N, T, 4], centre and size as fractions of the network's input. `classes`: int64 [N, T], -1 where
    there is no object; those come last. A class whose box is all zeros is a label of the whole picture. `shares`:
    float32 [N, T], how much of the picture such a label has, where pictures are made of several; None stands for 1.
    """

    boxes: Tensor
    classes: Tensor
    shares: Tensor | None = None

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
        return self._each(lambda values: values[:, :limit])

    def to(self, device: torch.device) -> Truth:
        """A copy on another device."""
        return self._each(lambda values: values.to(device))

    def parts(self, count: int) -> Iterator[Truth]:
        """Split by images into `count` parts, as even as possible."""
        numbers = torch.arange(len(self.classes), device=self.classes.device).tensor_split(count)
        return (self._each(itemgetter(rows)) for rows in numbers)

    def _each(self, change: Callable[[Tensor], Tensor]) -> Truth:
        return Truth(change(self.boxes), change(self.classes), None if self.shares is None else change(self.shares))


def stack(images: Sequence[PictureTruths], limit: int | None = None) -> Truth:
    """One Truth of what each image shows, the first `limit` of it where there is more.

    T is what the fullest image needs, at least 1.
    """
    counts = [min(len(image.classes), len(image.classes) if limit is None else limit) for image in images]
    boxes = torch.zeros(len(images), max(counts, default=0) or 1, 4)
    classes = torch.full(boxes.shape[:2], -1)
    shares = torch.ones(boxes.shape[:2])
    for row, (image, count) in enumerate(zip(images, counts, strict=True)):
        boxes[row, :count] = torch.from_numpy(np.asarray(image.boxes[:count], np.float32).reshape(count, 4))
        classes[row, :count] = torch.from_numpy(np.asarray(image.classes[:count], np.int64))
        if image.shares is not None:
            shares[row, :count] = torch.from_numpy(image.shares[:count])
    return Truth(boxes, classes, shares if any(image.shares is not None for image in images) else None)
