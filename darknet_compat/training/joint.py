"""Detection and classification lists as one stream of pictures, labelled with the nodes of one WordTree (paper, 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import ceil, isfinite

import numpy as np

from darknet_compat.datasets.base import Dataset, Sample
from darknet_compat.errors import DatasetError
from darknet_compat.formats.arrays import Ints
from darknet_compat.formats.textfile import count
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.training.batches.batch import trainable_labels

RATIO = 4.0
"""The paper's: as many pictures with a label as a whole for each with boxes, at most."""


class OnTree(Dataset):
    """A data set whose class i is the tree's node `nodes[i]` (a `.map` file, `read_map`); -1 leaves the class out.

    Without `nodes`, classes are the nodes that are called as they are (wnids, say). Raises DatasetError for classes
    that come to no node.
    """

    def __init__(self, dataset: Dataset, tree: WordTree, nodes: Sequence[int] | None = None) -> None:
        self.dataset, self.title, self.names = dataset, dataset.title, tree.names
        self.is_composed = dataset.is_composed
        self.nodes = np.array(_named(dataset, tree) if nodes is None else nodes, np.int64)
        if dataset.names and len(dataset.names) != len(self.nodes):
            raise DatasetError(
                f"{self.title}: {count(len(dataset.names), 'class')}, but the map onto the tree has"
                f" {count(len(self.nodes), 'line')}"
            )
        if len(self.nodes) and not -1 <= self.nodes.min() <= self.nodes.max() < len(tree):
            raise DatasetError(
                f"{self.title}: the map names node {self.nodes.max()}, but {tree.source} has nodes 0 to {len(tree) - 1}"
            )

    def __len__(self) -> int:
        return len(self.dataset)

    def sample(self, index: int) -> Sample:
        """Picture number `index`; objects of classes that are left out are not among its labels."""
        sample = self.dataset.sample(index)
        labels = sample.labels
        if len(labels) and labels.classes.max() >= len(self.nodes):
            raise DatasetError(
                f"{self.title}: {sample.id} has class {labels.classes.max()}, but the map has"
                f" {count(len(self.nodes), 'line')}"
            )
        labels = replace(labels, classes=self.nodes[labels.classes])
        if (labels.classes < 0).any():
            labels = labels.chosen(labels.classes >= 0)
        return sample._replace(labels=labels)


def _named(dataset: Dataset, tree: WordTree) -> list[int]:
    numbers = {name: number for number, name in enumerate(tree.names)}
    missing = [name for name in dataset.names if name not in numbers]
    if missing or not dataset.names:
        found = ", ".join(missing[:5]) or "classes without names"
        raise DatasetError(f"{dataset.title}: no nodes of {tree.source} are called {found}; give a map")
    return [numbers[name] for name in dataset.names]


class Mixed(Dataset):
    """Pictures with boxes, then pictures with a label as a whole, `ratio` of the second for each of the first.

    Whichever there are too few of come several times. By default pictures with boxes do, where there are more than
    four times as many of the others, and else each comes once. Shown in a random order, as `Loader` does, they are one
    stream. Both must be on the same tree. Raises DatasetError.
    """

    def __init__(self, boxed: Dataset, labelled: Dataset, ratio: float | None = None) -> None:
        self.boxed, self.labelled = boxed, labelled
        self.title, self.names = f"{boxed.title} + {labelled.title}", boxed.names
        if boxed.names != labelled.names:
            raise DatasetError(f"{self.title}: not the same classes; carry both onto one tree")
        for part in (boxed, labelled):
            if not len(part):
                raise DatasetError(f"{part.title}: no pictures to train on")
        if ratio is not None and not (isfinite(ratio) and ratio > 0):
            raise DatasetError(f"{self.title}: expected a ratio above 0 of labelled to boxed pictures, found {ratio}")
        most = RATIO if ratio is None else ratio
        self.boxed_times = max(len(boxed), ceil(len(labelled) / most))
        self.labelled_times = len(labelled) if ratio is None else max(len(labelled), ceil(len(boxed) * ratio))

    def __len__(self) -> int:
        return self.boxed_times + self.labelled_times

    def sample(self, index: int) -> Sample:
        """Picture number `index`."""
        if index < self.boxed_times:
            return self.boxed.sample(index % len(self.boxed))
        return self.labelled.sample((index - self.boxed_times) % len(self.labelled))


@dataclass(frozen=True, eq=False)
class Coverage:
    """What a tree's nodes are trained on: `boxes` and `images` int64 [nodes] count objects with a box and pictures
    with a label as a whole, `below` those of both kinds at the nodes underneath."""

    boxes: Ints
    images: Ints
    below: Ints

    @property
    def counts(self) -> dict[str, int]:
        """How many nodes have boxes, only images, neither but descendants with either, or nothing at all."""
        boxes, images, below = self.boxes > 0, self.images > 0, self.below > 0
        return {
            "boxes": int(boxes.sum()),
            "only images": int((~boxes & images).sum()),
            "only descendants": int((~boxes & ~images & below).sum()),
            "nothing": int((~boxes & ~images & ~below).sum()),
        }

    def __str__(self) -> str:
        boxes, images, below, nothing = self.counts.values()
        return (
            f"{count(len(self.boxes), 'node')}: {boxes} with boxes, {images} with images only, "
            f"{below} with neither but above such nodes, {nothing} with nothing"
        )


_ENOUGH = 200
"""Composed pictures that tell what the others show."""


def coverage(
    tree: WordTree, datasets: Sequence[Dataset], *, progress: Callable[[int, int], None] | None = None
) -> Coverage:
    """Count what data sets on this tree have for each node; reads all labels, no pictures. Raises DatasetError.

    Of data that is composed on the fly the first 200 pictures count.
    """
    boxes, images = np.zeros(len(tree), np.int64), np.zeros(len(tree), np.int64)
    counts = [min(len(dataset), _ENOUGH) if dataset.is_composed else len(dataset) for dataset in datasets]
    done = 0
    for dataset, some in zip(datasets, counts, strict=True):
        for index in range(some):
            labels = trainable_labels(dataset.sample(index).labels)
            np.add.at(boxes, labels.classes[labels.is_drawn], 1)
            np.add.at(images, labels.classes[~labels.is_drawn], 1)
            done += 1
            if progress:
                progress(done, sum(counts))
    total = boxes + images
    for node in range(len(tree) - 1, -1, -1):  # parents come before their children
        if tree.parents[node] >= 0:
            total[tree.parents[node]] += total[node]
    return Coverage(boxes, images, total - boxes - images)
