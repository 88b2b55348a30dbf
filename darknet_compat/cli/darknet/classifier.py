"""`darknet classifier predict | valid | label`, `classify`: what pictures show, in Darknet's words."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from darknet_compat.cli.darknet.files import (
    asked_pictures,
    build_of,
    cfg_and_weights,
    class_names,
    data_cfg_weights,
    picture_list,
)
from darknet_compat.cli.darknet.grammar import Line
from darknet_compat.cli.terminal.output import say
from darknet_compat.errors import ImageError, MetadataError
from darknet_compat.formats.datafile import DataFile

if TYPE_CHECKING:
    from darknet_compat.inference.classifier import Classifier


def predict(line: Line) -> int:
    """`classifier predict DATA CFG WEIGHTS [PICTURE] [-t K]`."""
    order = "classifier predict DATA CFG WEIGHTS [PICTURE]"
    data, cfg, weights = data_cfg_weights(line, order)
    top = line.options.get("t", 0) or data.number("top", 1)
    return _predict(line, data, cfg, weights, line.word(5), top)


def classify(line: Line) -> int:
    """`classify CFG WEIGHTS [PICTURE]`, which is `classifier predict cfg/imagenet1k.data … -t 5`."""
    cfg, weights = cfg_and_weights(line.word(1), line.word(2), "classify CFG WEIGHTS [PICTURE]")
    return _predict(line, DataFile("cfg/imagenet1k.data"), cfg, weights, line.word(3), 5)


def _open(line: Line, cfg: Path, weights: Path | None, names: tuple[str, ...]) -> Classifier:
    from darknet_compat.inference.job import open_classifier
    from darknet_compat.inference.options import ClassifyOptions

    given: dict[str, Any] = {"model": str(cfg), "files": (), "weights": weights}
    given |= {
        "resize": "letterbox",
        "dialect": "original",
        "batchnorm": build_of(cfg),
        "hier_thresh": line.options.get("hier", 0.5),
    }
    return open_classifier(ClassifyOptions(**given | line.ours), names=names)


def _predict(line: Line, data: DataFile, cfg: Path, weights: Path | None, picture: str | None, top: int) -> int:
    classifier = _open(line, cfg, weights, class_names(data, cfg, "names", "labels"))
    code = 0
    for name in asked_pictures(picture):
        start = perf_counter()
        try:
            answer = classifier(Path(name))
        except ImageError as error:
            say(str(error))
            code = 1
            continue
        print(f"{name}: Predicted in {perf_counter() - start:f} seconds.", file=sys.stderr)
        for guess in answer.top(top):
            print(f"{100 * guess.probability:5.2f}%: {guess.name}")
        sys.stdout.flush()
    return code


def valid(line: Line) -> int:
    """`classifier valid DATA CFG WEIGHTS`: a running line a picture; a picture's class is the label in its path."""
    import numpy as np

    data, cfg, weights = data_cfg_weights(line, "classifier valid DATA CFG WEIGHTS")
    labels = class_names(data, cfg, "labels")
    pictures = picture_list(data.file("valid"))
    top = data.number("top", 1)
    classifier = _open(line, cfg, weights, labels)
    best, among, code = 0, 0, 0
    for number, (name, probabilities) in enumerate(_cropped(classifier, pictures, _square)):
        if probabilities is None:
            code = 1
            probabilities = np.zeros(len(labels), np.float32)
        own = next((place for place, label in enumerate(labels) if label in name), -1)
        ranked = np.argsort(-probabilities, kind="stable")[:top]
        best += int(ranked[0] == own)
        among += int(own in ranked)
        print(f"{name}, {own}, {probabilities[0]:f}, {probabilities[1]:f}, ")
        count = number + 1
        print(f"{number}: top 1: {best / count:f}, top {top}: {among / count:f}")
    return code


def label(line: Line) -> int:
    """`classifier label DATA CFG WEIGHTS`: the most probable class of each picture of the list `test`."""
    data, cfg, weights = data_cfg_weights(line, "classifier label DATA CFG WEIGHTS")
    classifier = _open(line, cfg, weights, class_names(data, cfg, "names"))
    code = 0
    for _, probabilities in _cropped(classifier, picture_list(data.file("test")), _smallest_side):
        if probabilities is None:
            code = 1
        else:
            print(classifier.names[int(probabilities.argmax())])
    return code


def _square(picture: Any, width: int, height: int) -> Any:
    """The square in the middle, resized: float32 [1, 3, height, width] (original: `center_crop_image`)."""
    from darknet_compat.evaluation.scores.classification import views

    return views(picture, width, height, "crop")


def _smallest_side(picture: Any, width: int, height: int) -> Any:
    """The middle of the picture whose smaller side has been resized to `width` (original: `resize_min`, `crop_image`,
    which repeats the edge where the network is higher)."""
    from numpy import arange, clip

    from darknet_compat.vision.resize import resize

    high, wide = picture.shape[:2]
    new = (width, high * width // wide) if wide < high else (wide * width // high, width)
    planes = resize(picture, *new)  # [3, h, w]
    rows = clip(arange(height) + (planes.shape[1] - height) // 2, 0, planes.shape[1] - 1)
    columns = clip(arange(width) + (planes.shape[2] - width) // 2, 0, planes.shape[2] - 1)
    return planes[:, rows[:, None], columns][None]


def _cropped(
    classifier: Classifier, pictures: list[str], part: Callable[[Any, int, int], Any]
) -> Iterator[tuple[str, Any]]:
    """Each picture with the probabilities of a part of it; None for one that cannot be read."""
    from numpy import where

    from darknet_compat.vision.image import decode

    description = classifier.runtime.description
    if len(classifier.names) < 2:
        raise MetadataError(f"{description.name}: expected two classes or more")
    for name in pictures:
        try:
            shown = part(decode(Path(name)), description.width, description.height)
        except ImageError as error:
            say(str(error))
            yield name, None
            continue
        probabilities = classifier.runtime.infer(shown)["classes"][0]
        if description.tree is not None:
            probabilities = where(description.tree.leaves, description.tree.absolute(probabilities), 0)
        yield name, probabilities
