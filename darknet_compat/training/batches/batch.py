"""One batch of training pictures: a function of the seed and its number, whoever computes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.errors import DatasetError, ImageError
from darknet_compat.formats.arrays import Bytes, Floats
from darknet_compat.inference.batch import Failure
from darknet_compat.training.augment.boxes import PictureTruths
from darknet_compat.training.augment.draws import Draws
from darknet_compat.training.augment.pixels import brightness
from darknet_compat.training.augment.recipes import ClassificationRecipe, Recipe
from darknet_compat.training.batches.multi_scale import Sizes
from darknet_compat.training.batches.order import Order, picked
from darknet_compat.training.batches.truth import Truth, stack
from darknet_compat.vision.image import decode

_STREAM = 3
_MOST_FAILURES = 16
"""As many unreadable pictures in a row are no accident."""


class Batch(NamedTuple):
    """`images` float32 [N, C, H, W], RGB, 0..1, and what they show. `number` counts from 0. `skipped` are pictures that
    could not be read; others stand in for them."""

    images: Tensor
    truth: Truth
    number: int
    skipped: tuple[Failure, ...]


@dataclass(frozen=True, eq=False)
class Examples:
    """Makes batches of `batch` pictures, or of these the one part of several: `part` is (which, of how many)."""

    dataset: Dataset
    recipe: Recipe
    order: Order
    sizes: Sizes
    batch: int
    seed: int
    channels: int
    classes: int
    part: tuple[int, int] = (0, 1)

    def __call__(self, number: int) -> Batch:
        """Batch `number`. Raises DatasetError for malformed labels, and where pictures cannot be read any more."""
        images = torch.empty(self.shape(number))
        truth, skipped = self.fill(number, images.numpy())
        return Batch(images, truth, number, skipped)

    def shape(self, number: int) -> tuple[int, int, int, int]:
        """[N, C, H, W] of batch `number`'s images."""
        width, height = self.sizes.at(number)
        return len(self._items), self.channels, height, width

    @property
    def largest(self) -> int:
        """How many numbers the images of a batch can have."""
        return len(self._items) * self.channels * max(width * height for width, height in self.sizes.choices)

    def fill(self, number: int, images: Floats) -> tuple[Truth, tuple[Failure, ...]]:
        """Make batch `number`'s images in `images` of its shape; tell what they show, and what was skipped."""
        indices = picked(self.order, len(self.dataset), self.batch, self.seed, number)
        truths, skipped = [], []
        for item, image in zip(self._items, images, strict=True):
            found, failures = self._fill(image, number, item, int(indices[item]))
            truths.append(found)
            skipped += failures
        return stack(truths), tuple(skipped)

    @property
    def _items(self) -> range:
        """Which pictures of a batch are made here."""
        which, parts = self.part
        return range(which * self.batch // parts, (which + 1) * self.batch // parts)

    def _fill(self, image: Floats, number: int, item: int, index: int) -> tuple[PictureTruths, list[Failure]]:
        """Make one picture in `image`; where one cannot be read, the next is drawn."""
        failures: list[Failure] = []
        while True:
            draws = Draws(self.seed, _STREAM, number, item, len(failures))
            if failures:
                index = draws.below(len(self.dataset))
            if (found := self._read(index, failures)) is not None:
                return self._made(image, found, draws, failures), failures

    def _read(self, index: int, failures: list[Failure]) -> tuple[Bytes, Labels] | None:
        """A picture, uint8 [H, W, 3], with its training targets; None, and one of `failures`, where it cannot be
        read."""
        sample = self.dataset[index]
        labels = self._labels(sample)
        try:
            return decode(sample.image), labels
        except ImageError as error:
            failures.append(Failure(sample.id, error))
            self._check(sample, failures)
            return None

    def _made(self, image: Floats, found: tuple[Bytes, Labels], draws: Draws, failures: list[Failure]) -> PictureTruths:
        def another() -> tuple[Bytes, Labels]:
            while (more := self._read(draws.below(len(self.dataset)), failures)) is None:
                pass
            return more

        if self.channels != 1:
            return self.recipe(*found, image, draws, another)
        colours = np.empty((3, *image.shape[1:]), np.float32)
        truths = self.recipe(*found, colours, draws, another)
        image[:] = brightness(colours)
        return truths

    def _labels(self, sample: Sample) -> Labels:
        """Its training targets. Raises DatasetError for what the network cannot learn."""
        labels = trainable_labels(sample.labels)
        if len(labels) and not 0 <= labels.classes.min() <= labels.classes.max() < self.classes:
            raise DatasetError(
                f"{self.dataset.title}: {sample.id} has class {labels.classes.max()}, "
                f"but the network knows classes 0 to {self.classes - 1} only"
            )
        if isinstance(self.recipe, ClassificationRecipe) and (not len(labels) or labels.is_drawn.any()):
            raise DatasetError(
                f"{self.dataset.title}: {sample.id} has {'boxes' if len(labels) else 'no label'}, "
                "but the network is a classifier, which learns labels of whole pictures"
            )
        return labels

    def _check(self, sample: Sample, failures: list[Failure]) -> None:
        """Refuse to go on where nothing can be read."""
        if isinstance(sample.image, Path) and not sample.image.parent.is_dir():
            raise DatasetError(f"{sample.image.parent}: this folder of {self.dataset.title} is gone")
        if len(failures) >= _MOST_FAILURES:
            last = failures[-1].error
            raise DatasetError(
                f"{self.dataset.title}: {_MOST_FAILURES} pictures in a row cannot be read, the last: {last}"
            )


def trainable_labels(labels: Labels) -> Labels:
    """Labels without what VOC calls difficult (as in the original's `voc_label.py`) and without COCO's crowds."""
    return labels.chosen(~(labels.difficult | labels.crowd))
