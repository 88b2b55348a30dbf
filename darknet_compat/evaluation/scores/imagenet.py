"""ImageNet DET: 200 classes, a bar for small boxes that is lower, and the classes that COCO has boxes for apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material.columns import Found, Truths, to_corners
from darknet_compat.evaluation.scores import voc
from darknet_compat.evaluation.scores.matching import outcome_free, rank
from darknet_compat.formats.arrays import Bools, Doubles, Ints
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.metadata import read_map, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import read_lines, shown

RESULTS = "imagenet-detection.txt"

_AKIN = ("domestic cat", "racket", "water bottle", "wine bottle", "bow tie", "Windsor tie")
"""Classes of DET that COCO has boxes for though its class is another node of the WordTree: cat, tennis racket, bottle,
tie. With the 38 whose node is the same they are the paper's 44, of which it gives no list."""


@dataclass(frozen=True, eq=False)
class ImagenetScores:
    """All classes, and which of them COCO has boxes for, bool [classes]."""

    by_class: voc.VocScores
    shared: Bools

    def mean(self, which: Bools | None = None) -> float | None:
        """Mean average precision of all classes or of `which` [classes], None where none of them has objects."""
        chosen = np.ones(len(self.shared), bool) if which is None else which
        values = [
            one.average_precision
            for one, wanted in zip(self.by_class.classes, chosen, strict=True)
            if wanted and one.average_precision is not None
        ]
        return float(np.mean(values)) if values else None

    def ranking(self, which: Bools) -> list[voc.ClassScore]:
        """The classes of `which` [200] that have objects, the best first (paper, Table 7, where they are those without
        boxes)."""
        chosen = [one for one, wanted in zip(self.by_class.classes, which, strict=True) if wanted]
        known = [one for one in chosen if one.average_precision is not None]
        return sorted(known, key=lambda one: -(one.average_precision or 0))

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        others = [one.name for one in self.ranking(~self.shared)]
        return {
            "mean_ap": self.mean(),
            "mean_ap_with_boxes_in_coco": self.mean(self.shared),
            "mean_ap_without": self.mean(~self.shared),
            "best_without": others[:5],
            "worst_without": others[::-1][:5],
            "classes": [
                row | {"boxes_in_coco": bool(shared)}
                for row, shared in zip(self.by_class.to_dict()["classes"], self.shared, strict=True)
            ],
        }


def nodes() -> tuple[int, ...]:
    """The WordTree's node of each of the 200 classes (`inet9k.map`)."""
    return read_map(cfg_dir() / "data" / "inet9k.map")


def labels() -> tuple[str, ...]:
    """The WordNet id of each of the 200 classes, which is what DET's annotations call them."""
    ids = read_names(cfg_dir() / "data" / "9k.labels")
    return tuple(ids[node] for node in nodes())


def shared_with_coco() -> Bools:
    """Which of the 200 classes COCO has boxes for, bool [200]."""
    names = read_names(cfg_dir() / "data" / "9k.names")
    in_coco = set(read_map(cfg_dir() / "data" / "coco9k.map"))
    return np.array([node in in_coco or names[node] in _AKIN for node in nodes()])


def least_overlaps(boxes: Doubles) -> Doubles:
    """The IoU from which an object counts as found, [N]: min(0.5, wh / ((w+10)(h+10))), 5 pixels around a small one."""
    width, height = boxes[:, 2], boxes[:, 3]
    return np.minimum(0.5, width * height / ((width + 10) * (height + 10)))


def score(found: Found, truths: Truths, names: Sequence[str], shared: Bools) -> ImagenetScores:
    """Average precision of each class, by the rules of ILSVRC's development kit (`eval_detection`).

    `shared` bool [classes] says which classes are to be told apart (`shared_with_coco`). Crowds and difficult objects
    count neither way.
    """
    neither = truths.difficult | truths.crowd
    ranked = rank(found)
    outcome = outcome_free(ranked, truths, least_overlaps(truths.boxes), neither)
    return ImagenetScores(voc.collect(ranked, outcome, truths, neither, names, "area", 0.5), np.asarray(shared, bool))


def as_scored(found: Found, sizes: Ints) -> Found:
    """A detector's boxes as the kit sees them beside annotations read as VOC's (`datasets.voc.VocFolder`): it compares
    the numbers in the result file with those in the annotation, and counts the last pixel in."""
    cut = found.clipped(sizes)
    return replace(cut, boxes=cut.boxes + np.array([-1.0, -1.0, 1.0, 1.0]))


def write_results(path: str | Path, found: Found, sizes: Ints) -> None:
    """Write `picture class score xmin ymin xmax ymax` lines: pictures and classes counted from 1, pixels from 0, cut to
    the picture (original: `print_imagenet_detections`). Raises DatasetError."""
    cut = found.clipped(sizes)
    rows = zip(cut.images.tolist(), cut.classes.tolist(), cut.scores, to_corners(cut.boxes).tolist(), strict=True)
    with atomic_write(path, DatasetError) as file:
        for image, class_id, value, (x1, y1, x2, y2) in rows:
            file.write(f"{image + 1} {class_id + 1} {value:f} {x1:f} {y1:f} {x2:f} {y2:f}\n".encode())


def read_results(path: str | Path, pictures: int, classes: int) -> Found:
    """Read such a file as the kit sees it (`as_scored`). Raises DatasetError with the line that is no detection."""
    rows = []
    for number, line in enumerate(read_lines(path, DatasetError, "an ImageNet result file", 1 << 31), start=1):
        try:
            row = [float(field) for field in line.split()]
            sane = len(row) == 7 and np.isfinite(row).all() and 1 <= row[0] <= pictures and 1 <= row[1] <= classes
        except ValueError:
            sane = False
        if not sane:
            wanted = f"picture (1 to {pictures}), class (1 to {classes}), score, xmin, ymin, xmax, ymax"
            raise DatasetError(f"{path}:{number}: expected {wanted}, found {shown(line)}")
        rows.append(row)
    table = np.array(rows, np.float64).reshape(-1, 7)
    boxes = np.concatenate([table[:, 3:5] - 1, table[:, 5:7] - table[:, 3:5] + 1], axis=1)
    return Found.of(table[:, 0] - 1, table[:, 1] - 1, boxes, table[:, 2])
