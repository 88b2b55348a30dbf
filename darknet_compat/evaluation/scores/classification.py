"""Classifiers: the original's ways to look at a picture, top-k accuracy, what a WordTree gets right at each level."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from darknet_compat.errors import ImageError
from darknet_compat.evaluation.options import View
from darknet_compat.formats.arrays import Bytes, Floats, Ints
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.hierarchy import top_nodes
from darknet_compat.vision.image import decode, letterbox, resize, stretch

_SHIFT = 32
_OFFSETS = ((-_SHIFT, -_SHIFT), (_SHIFT, -_SHIFT), (0, 0), (-_SHIFT, _SHIFT), (_SHIFT, _SHIFT))
BEST = 5


@dataclass(frozen=True, eq=False)
class RankedClasses:
    """`best` int64 [5]: the most probable classes, best first, padded with -1. With a WordTree `deepest` is the leaf
    that taking the best child leads to, and `stopped` the node at which confidence ends; -1 without one."""

    best: Ints
    deepest: int = -1
    stopped: int = -1


def views(picture: Bytes, width: int, height: int, view: View) -> Floats:
    """What the network is shown of a picture, uint8 [H, W, 3]: float32 [parts, 3, height, width], 0..1."""
    return _VIEWS[view](picture, width, height)


def _crop(picture: Bytes, width: int, height: int) -> Floats:
    """Original: `center_crop_image`."""
    side = min(picture.shape[:2])
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - side) // 2
    return resize(picture[top : top + side, left : left + side], width, height)[None]


def _ten(picture: Bytes, width: int, height: int) -> Floats:
    """Original: `validate_classifier_10`. Stretched to 32 pixels more than the network has; five parts of it and of
    its mirror image. Those at the left and above begin 32 pixels outside, where the edge is repeated."""
    large = resize(picture, width + _SHIFT, height + _SHIFT)  # [3, H + 32, W + 32]
    rows, columns = np.arange(height), np.arange(width)
    parts = []
    for image in (large, large[:, :, ::-1]):
        for dx, dy in _OFFSETS:
            y, x = np.clip(rows + dy, 0, height + _SHIFT - 1), np.clip(columns + dx, 0, width + _SHIFT - 1)
            parts.append(image[:, y[:, None], x])
    return np.stack(parts)


_VIEWS: dict[View, Callable[[Bytes, int, int], Floats]] = {
    "crop": _crop,
    "letterbox": lambda picture, width, height: letterbox(picture, width, height)[0][None],
    "stretch": lambda picture, width, height: stretch(picture, width, height)[0][None],
    "ten": _ten,
}


def answers(
    classifier: Classifier, sources: Iterable[Any], view: View = "crop", batch: int = 1
) -> Iterator[RankedClasses | Failure]:
    """What the classifier makes of each picture, in order; pictures are read by threads ahead of the network."""
    description = classifier.runtime.description

    def look(source: Any) -> Floats | Failure:
        try:
            return views(decode(source), description.width, description.height, view)
        except ImageError as error:
            return Failure(source, ImageError(str(error)))

    remaining = iter(sources)
    with ThreadPoolExecutor(2) as pool:
        ahead = [pool.submit(look, source) for source in islice(remaining, batch)]
        while ahead:
            shown = [future.result() for future in ahead]
            ahead = [pool.submit(look, source) for source in islice(remaining, batch)]
            readable = [parts for parts in shown if not isinstance(parts, Failure)]
            probabilities = iter(_probabilities(classifier, readable))
            for parts in shown:
                yield parts if isinstance(parts, Failure) else _answer(classifier, next(probabilities))


def _probabilities(classifier: Classifier, readable: Sequence[Floats]) -> list[Floats]:
    """Of each picture [parts, classes]."""
    if not readable:
        return []
    classes = classifier.runtime.infer(np.concatenate(readable))["classes"]
    return np.split(classes, np.cumsum([len(parts) for parts in readable])[:-1])


def _answer(classifier: Classifier, conditional: Floats) -> RankedClasses:
    """From one picture's parts [parts, classes]."""
    tree = classifier.runtime.description.tree
    if tree is None:
        return RankedClasses(_top(conditional.sum(axis=0)))
    total = tree.absolute(conditional).sum(axis=0)
    if classifier.leaves is not None:
        total = np.where(classifier.leaves, total, -1)
    mean = conditional.mean(axis=0, keepdims=True)
    (stopped,) = top_nodes(mean, tree, classifier.hier_thresh, classifier.hierarchy, classifier.level)
    (deepest,) = top_nodes(mean, tree, 0.0, "paper")
    return RankedClasses(_top(total), int(deepest), int(stopped))


def _top(scores: Floats) -> Ints:
    order = np.argsort(-scores, kind="stable")[:BEST]
    return np.pad(order, (0, BEST - len(order)), constant_values=-1).astype(np.int64)


@dataclass(frozen=True, eq=False)
class LevelScore:
    """One level of the tree: pictures whose class lies this deep, how many of them have the right ancestor there, and
    how many ways down stopped there."""

    level: int
    pictures: int
    right: int
    stopped: int


@dataclass(frozen=True, eq=False)
class ClassificationScores:
    """`top1` and `top5` as shares of `pictures`. With a WordTree: `levels`; `named_right`, the share of pictures for
    which the node at which the way down stopped is the picture's class or one above it."""

    pictures: int
    top1: float | None
    top5: float | None
    levels: tuple[LevelScore, ...] = ()
    named_right: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain: dict[str, Any] = {"pictures": self.pictures, "top1": self.top1, "top5": self.top5}
        if self.levels:
            plain["named_right"] = self.named_right
            plain["levels"] = [
                {
                    "level": one.level,
                    "pictures": one.pictures,
                    "accuracy": one.right / one.pictures if one.pictures else None,
                    "stopped": one.stopped,
                }
                for one in self.levels
            ]
        return plain


def score(
    given: Sequence[RankedClasses | None], truths: Sequence[int], tree: WordTree | None = None
) -> ClassificationScores:
    """Accuracy of the answers, None for a picture that could not be read, which counts as wrong."""
    count = len(given)
    if not count:
        return ClassificationScores(0, None, None)
    best = np.stack([np.full(BEST, -1) if answer is None else answer.best for answer in given])
    hits = best == np.asarray(truths)[:, None]
    top1, top5 = float(hits[:, 0].mean()), float(hits.any(axis=1).mean())
    if tree is None:
        return ClassificationScores(count, top1, top5)
    levels = [[0, 0, 0] for _ in range(int(tree.depths.max()) + 1)]
    named = 0
    for answer, truth in zip(given, truths, strict=True):
        way = tree.path(truth)
        taken = tree.path(answer.deepest) if answer is not None else []
        for level, node in enumerate(way):
            levels[level][0] += 1
            levels[level][1] += level < len(taken) and taken[level] == node
        if answer is not None:
            levels[int(tree.depths[answer.stopped])][2] += 1
            named += answer.stopped in way
    rows = tuple(LevelScore(number, *row) for number, row in enumerate(levels))
    return ClassificationScores(count, top1, top5, rows, named / count)
