"""How far a model in lower precision answers as it did in float32: by labels where there are any, else by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from darknet_compat.datasets.base import Labels
from darknet_compat.errors import ImageError
from darknet_compat.evaluation.material.columns import Found, Truths, from_corners
from darknet_compat.evaluation.scores import voc
from darknet_compat.evaluation.scores.average_precision import average_precision, curve
from darknet_compat.evaluation.scores.matching import outcome_free, rank
from darknet_compat.export.quantize.quantize import Accuracy
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.classification import Classification
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector, Source
from darknet_compat.inference.results import Detections
from darknet_compat.runtime.exported import read_artefact

CERTAIN = 0.25
"""The score above which what the float32 model finds is to be found again."""

DOUBTFUL = 0.1
"""The score down to which what it finds may or may not be found again."""

LEAD = 0.05
"""By how much a classifier's best class has to lead the second for the picture to count: what is undecided may come
out either way."""

LEAST = 0.005
"""From which score on detections are ranked (original: `validate_detector`)."""


def judge_of(
    source: Path, pictures: Sequence[Source], labels: Sequence[Labels] | None = None
) -> Callable[[Path], Accuracy]:
    """What tells how much of the float32 file `source`'s accuracy another file of the model has kept on `pictures`.

    `labels`: what is in each picture, where that is known; then it is the mean average precision (VOC 2010's) of both,
    else their agreement. Raises ImageError for a picture that cannot be read, and for pictures that show
    nothing to compare.
    """
    artefact = read_artefact(source)
    if artefact.task == "classify":
        return _judge_classes(source, pictures)
    before = detections(source, pictures)
    if labels is not None:
        return _judge_by_labels(before, pictures, labels, artefact.classes)

    def judge(path: Path) -> Accuracy:
        return agreement(before, detections(path, pictures))

    if not any((one.scores > CERTAIN).any() for one in before):
        raise ImageError(
            f"{source.name} finds nothing above {CERTAIN:g} in the {len(pictures)} calibration pictures, so there is"
            " nothing to compare; give pictures of what it was trained for"
        )
    return judge


def agreement(before: Sequence[Detections], after: Sequence[Detections]) -> Accuracy:
    """Average precision of one model's detections with another's of the same pictures as the truth.

    There is to be found what `before` finds with a score above CERTAIN; what scores from DOUBTFUL to that counts
    neither way, as VOC's difficult objects do. `after`'s detections down to LEAST are ranked by their scores, all
    classes in one list, since a few pictures show too little of each; each has to have the object's class and an IoU
    of 0.5 with it, one detection an object. The area under precision over recall, in percent: lower scores cost
    nothing as long as the order stays, as with labels.
    """
    known = [one.scores > DOUBTFUL for one in before]
    doubtful = np.concatenate([one.scores[rows] for one, rows in zip(before, known, strict=True)]) <= CERTAIN
    objects = Truths.of(
        np.repeat(np.arange(len(before)), [int(rows.sum()) for rows in known]),
        np.concatenate([one.class_ids[rows] for one, rows in zip(before, known, strict=True)]),
        from_corners(np.concatenate([one.boxes[rows] for one, rows in zip(before, known, strict=True)])),
        difficult=doubtful,
    )
    ranked = rank(Found.from_detections(after))
    outcome = outcome_free(ranked, objects, 0.5, doubtful)
    count = int((~doubtful).sum())
    value = average_precision(curve(outcome.true, outcome.ignored, ranked.found.scores, count))
    return Accuracy("agreement", 100.0, 100 * (value or 0.0), len(before), count)


def same_best(before: Sequence[Classification], after: Sequence[Classification]) -> Accuracy:
    """Percentage of pictures with the same top-1 class, counting only pictures where `before` leads by LEAD."""
    same = []
    for expected, found in zip(before, after, strict=True):
        best, *others = expected.top(2)
        if best.probability - sum(second.probability for second in others) > LEAD:
            same.append(found.top(1)[0].class_id == best.class_id)
    return Accuracy("agreement", 100.0, 100 * sum(same) / len(same) if same else 0.0, len(before), len(same))


def detections(path: Path, pictures: Sequence[Source]) -> list[Detections]:
    """All that a file finds, down to LEAST; of one with the suppression inside what that leaves."""
    found = []
    thresh = None if read_artefact(path).outputs == "detections" else LEAST
    for _, answer in Detector(path, thresh=thresh).stream(pictures):
        if isinstance(answer, Failure):
            raise answer.error
        found.append(answer)
    return found


def _judge_by_labels(
    before: Sequence[Detections], pictures: Sequence[Source], labels: Sequence[Labels], classes: int
) -> Callable[[Path], Accuracy]:
    sizes = [(one.width, one.height) for one in before]
    truths = Truths.from_labels(labels, sizes)
    if not len(truths):
        raise ImageError(
            f"nothing is labelled in the {len(pictures)} calibration pictures, so there is no mAP to compare"
        )
    names = [str(number) for number in range(classes)]

    def mean(answers: Sequence[Detections]) -> float:
        found = voc.as_scored(Found.from_detections(answers), np.array(sizes))
        return 100 * (voc.score(found, truths, names).mean or 0.0)

    was = mean(before)
    return lambda path: Accuracy("mAP", was, mean(detections(path, pictures)), len(pictures), len(truths))


def _judge_classes(source: Path, pictures: Sequence[Source]) -> Callable[[Path], Accuracy]:
    """Percentage of pictures with the same top-1 class."""

    def classes(path: Path) -> list[Classification]:
        answers = []
        for _, answer in Classifier(path).stream(pictures):
            if isinstance(answer, Failure):
                raise answer.error
            answers.append(answer)
        return answers

    before = classes(source)
    if not same_best(before, before).objects:
        raise ImageError(
            f"{source.name} is undecided on each of the {len(pictures)} calibration pictures, so there is nothing to"
            " compare; give pictures of what it was trained for"
        )
    return lambda path: same_best(before, classes(path))
