"""Table 7: the best and worst classes of the joint detector that comes with this package, and why, in pictures.

Every object of the five digits without boxes is looked up among what was found: named right, named another digit, or
not found; where it is neither large nor hidden, the reason is its shape.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.catalogue.fetch.checksum import sha256_of
from darknet_compat.datasets.readers.digits import SIZE
from darknet_compat.evaluation.run.evaluated import EvaluatedModel
from darknet_compat.formats.packaged import weights_dir
from darknet_compat.inference.results import Detections
from darknet_compat.vision.boxes import iou
from tools.miniature import training
from tools.miniature.cells import Cell, Result, Setting
from tools.miniature.joint import OTHERS, WITH_BOXES

TABLE = "classes"
MODEL = "yolo9000-digits"
SCENES = 600
SHOWN, OVERLAP = 0.25, 0.5
SMALL = 24
"""Pixels of a small digit's height."""


def cells(setting: Setting) -> list[list[Cell]]:
    """What there is to run: again where the package has other weights."""
    return [[Cell(TABLE, MODEL, 0, look, {"weights": sha256_of(weights_dir() / f"{MODEL}.weights")})]]


def look(setting: Setting, cell: Cell, folder: Path) -> Result:
    """AP of each digit, what becomes of its objects, and where examples are: (scene, object) of what went wrong."""
    detector = EvaluatedModel(MODEL, backend="torch", map="digits").detector()
    entries = training.entries_of(training.held_out(scenes=SCENES), detector.names)
    results = training.found(detector, entries)
    precision = training.average_precision(results, detector.names)
    fates: dict[str, Counter[str]] = {name: Counter() for name in detector.names}
    confused: dict[str, Counter[str]] = {name: Counter() for name in detector.names}
    examples: dict[str, list[Any]] = {name: [] for name in detector.names}
    for scene, (row, answer) in enumerate(zip(entries.rows, results.answers, strict=True)):
        for number, (box, class_id) in enumerate(zip(row.labels.boxes, row.labels.classes, strict=True)):
            name = detector.names[int(class_id)]
            said = named(answer, box * SIZE)
            height = box[3] * SIZE
            fate = "right" if said == name else "not found" if said is None else "another"
            fates[name][fate] += 1
            fates[name][f"{fate}, small" if height < SMALL else f"{fate}, large"] += 1
            if said not in (None, name):
                confused[name][str(said)] += 1
            examples[name].append([scene, number, fate])
    return {
        "AP": precision,
        "fates": {name: dict(counts) for name, counts in fates.items()},
        "confused": {name: dict(counts.most_common(3)) for name, counts in confused.items()},
        "examples": examples,
        "with_boxes": WITH_BOXES,
        "others": OTHERS,
    }


def named(answer: Detections | None, box: Any) -> str | None:
    """What a box, centre and size in pixels, is called by the surest detection that overlaps it."""
    if answer is None or not len(answer):
        return None
    half = box[2:] / 2
    corners = np.concatenate([box[:2] - half, box[:2] + half]).astype(np.float32)
    overlaps = iou(corners[None], answer.boxes)[0]
    likely = np.flatnonzero((overlaps >= OVERLAP) & (answer.scores > SHOWN))
    if not len(likely):
        return None
    return answer.names[likely[answer.scores[likely].argmax()]]
