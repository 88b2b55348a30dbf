"""A score for weights while they are being trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from darknet_compat.datasets.options import Reading
from darknet_compat.datasets.readers.digits import is_digits
from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.evaluation.run.detections import THRESH, collect, matched_classes, open_for
from darknet_compat.evaluation.scores.metrics import METRICS
from darknet_compat.inference.detector import Detector


def scoring(
    cfg: Path, data: str, valid: str, names: tuple[str, ...], reading: Reading | None = None, metric: str = "voc"
) -> Callable[[Path], float]:
    """What measures weights of `cfg` on the data that `valid` stands for, a part of `data` or some of its own: the mean
    average precision at IoU 0.5, from 0 to 1, by this one of `METRICS`. `reading` is of `data`. Raises DatasetError."""
    own = Path(valid).exists() or is_digits(valid)
    dataset = open_for(valid, names) if own else open_for(data, names, valid, reading=reading)
    entries = matched_classes(read_entries(dataset), names)
    entries.expect_pictures()
    chosen = METRICS[metric]

    def score(weights: Path) -> float:
        detector = Detector(cfg, weights, names=names, thresh=THRESH)
        results = collect(entries, [answer for _, answer in detector.stream(entries.images(0), 8)])
        found = chosen.as_scored(results.found, results.sizes)
        return chosen.score(found, results.truths, entries.names).headline or 0.0

    return score
