"""Two models, or one in two forms, on the same pictures: scores, luck, agreement box by box, and where they part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.report.examples import SHOWN, example
from darknet_compat.evaluation.report.report import percent
from darknet_compat.evaluation.run.detections import Results
from darknet_compat.evaluation.scores.bootstrap import DRAWS, Interval, interval
from darknet_compat.evaluation.scores.matching import match_free, overlapping, rank
from darknet_compat.evaluation.scores.metrics import METRICS, Score
from darknet_compat.formats.arrays import Doubles
from darknet_compat.formats.page import Html, beside, paragraph, section, table, write_page
from darknet_compat.formats.textfile import count

MOST_PARTED = 8


@dataclass(frozen=True, eq=False)
class Agreement:
    """Boxes of both models above a score: how many each has, how many of them are the same (one class, IoU of at least
    0.5, one for one), the largest difference of a score and the least IoU among those; and for each picture the scores
    of boxes that only one of the two has, summed, float64 [pictures]."""

    first: int
    second: int
    same: int
    score: float
    overlap: float
    parted: Doubles

    @property
    def share(self) -> float | None:
        """Boxes that both have, as a share of all; None where neither has any."""
        total = self.first + self.second
        return 2 * self.same / total if total else None


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two results on the same pictures."""

    labels: tuple[str, str]
    results: tuple[Results, Results]
    scores: tuple[Score, Score]
    interval: Interval | None
    agreement: Agreement

    @property
    def parted_most(self) -> list[int]:
        """The pictures in which the two part most, that most first."""
        parted = self.agreement.parted
        order = np.argsort(-parted, kind="stable")[:MOST_PARTED]
        return [int(row) for row in order if parted[row] > 0]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        agreed, luck = self.agreement, self.interval
        first, second = self.results
        return {
            "models": [
                {"model": label, "figures": score.figures, "detections": len(result.found)}
                for label, score, result in zip(self.labels, self.scores, (first, second), strict=True)
            ],
            "difference": None if luck is None else luck.difference,
            "interval": None if luck is None else [luck.low, luck.high],
            "draws": DRAWS,
            "agreement": {
                "thresh": SHOWN,
                "boxes": [agreed.first, agreed.second],
                "same": agreed.same,
                "share": agreed.share,
                "largest_score_difference": agreed.score,
                "least_iou": agreed.overlap,
            },
            "parted_most": [
                {"id": first.entries.ids[row], "scores": float(agreed.parted[row])} for row in self.parted_most
            ],
        }


def compare(labels: tuple[str, str], results: tuple[Results, Results], metric_name: str) -> Comparison:
    """Score both and hold them against each other. Raises DatasetError where they are not about the same pictures."""
    first, second = results
    if first.entries.ids != second.entries.ids or first.entries.names != second.entries.names:
        raise DatasetError("two models are compared on the same pictures with the same classes; these differ")
    metric, names, truths = METRICS[metric_name], first.entries.names, first.truths
    ours, theirs = (metric.as_scored(one.found, one.sizes) for one in results)
    scores = metric.score(ours, truths, names), metric.score(theirs, truths, names)
    luck = interval(metric_name, ours, theirs, truths, len(first.entries), len(names))
    agreed = agreement(first.found, second.found, len(first.entries))
    return Comparison(labels, results, scores, luck, agreed)


def agreement(first: Found, second: Found, pictures: int, thresh: float = SHOWN) -> Agreement:
    """Which boxes above `thresh` two models share, the first's best box choosing first."""
    first, second = (one.rows(one.scores > thresh) for one in (first, second))
    ranked = rank(first)
    objects = Truths.of(second.images, second.classes, second.boxes)
    none = np.zeros(len(objects), bool)
    pairs = overlapping(ranked.found, objects, 0.5)
    (partner,) = match_free(ranked, pairs, none, np.zeros(1)).astype(np.int64)
    same = np.flatnonzero(partner >= 0)
    alone = np.ones(len(second), bool)
    alone[partner[same]] = False
    parted = np.zeros(pictures)
    np.add.at(parted, ranked.found.images, ranked.found.scores * (partner < 0))
    np.add.at(parted, second.images, second.scores * alone)
    size = max(len(second), 1)
    overlap = dict(zip((pairs.found * size + pairs.truth).tolist(), pairs.overlap.tolist(), strict=True))
    overlaps = [overlap[key] for key in (same * size + partner[same]).tolist()]
    apart = np.abs(ranked.found.scores[same] - second.scores[partner[same]])
    return Agreement(
        len(first), len(second), len(same), float(apart.max(initial=0)), min(overlaps, default=1.0), parted
    )


def write_comparison(path: Path, found: Comparison) -> Path:
    """Write the page. Raises DatasetError where it cannot be written."""
    first, second = found.scores
    rows = [
        (name, percent(value), percent(second.figures[name]), _points(value, second.figures[name]))
        for name, value in first.figures.items()
    ]
    metric = METRICS[first.metric].title
    sections = [
        section(metric, table(("figure", *found.labels, "difference"), rows, left=("figure",)), _luck(found)),
        section("Class by class", _classes(found)),
        section("Box by box", *_boxes(found)),
        section("Where they part most", *_pictures(found)),
    ]
    pictures = len(found.results[0].entries)
    about = f"{count(pictures, 'picture')} of {found.results[0].entries.title}"
    write_page(path, f"{found.labels[0]} against {found.labels[1]}", about, sections, DatasetError)
    return path


def _points(first: float | None, second: float | None) -> str:
    return "" if first is None or second is None else f"{100 * (second - first):+.2f}"


def difference_text(found: Comparison) -> str:
    """The difference and its interval in a sentence."""
    luck = found.interval
    if luck is None:
        return "There is nothing to find in these pictures."
    return (
        f"{100 * luck.difference:+.2f} points; with pictures drawn anew, {DRAWS} times, 95 % lie between"
        f" {100 * luck.low:+.2f} and {100 * luck.high:+.2f}"
    )


def _luck(found: Comparison) -> Html:
    return paragraph(f"Difference: {difference_text(found)}.")


def _classes(found: Comparison) -> Html:
    objects = found.scores[0].headers.index("objects")
    rows: list[Sequence[object]] = []
    for one, two in zip(found.scores[0].rows, found.scores[1].rows, strict=True):
        if one[objects]:
            first, second = (value if isinstance(value, float) else None for value in (one[1], two[1]))
            rows.append((one[0], percent(first), percent(second), _points(first, second), one[objects]))
    return table(("class", *found.labels, "difference", "objects"), rows, left=("class",))


def _boxes(found: Comparison) -> list[Html]:
    one = found.agreement
    rows = [
        (f"boxes of {found.labels[0]} above {SHOWN:g}", f"{one.first:,}"),
        (f"boxes of {found.labels[1]} above {SHOWN:g}", f"{one.second:,}"),
        ("the same in both (class, IoU 0.5)", f"{one.same:,}, {percent(one.share)}"),
        ("largest difference of a score among these", f"{one.score:.4f}"),
        ("least IoU among these", f"{one.overlap:.4f}"),
    ]
    return [table(("what", "value"), rows, left=("what",))]


def _pictures(found: Comparison) -> list[Html]:
    first, second = found.results
    if not found.parted_most:
        return [paragraph("Nowhere: each box of one is a box of the other.")]
    parts = [paragraph(f"Boxes above {SHOWN:g}; added up are the scores of those that only one of the two has.")]
    for row in found.parted_most:
        entry, apart = first.entries.rows[row], found.agreement.parted[row]
        answers = (
            (f"{entry.id}, {apart:.2f}: {found.labels[0]}", first.answers[row]),
            (found.labels[1], second.answers[row]),
        )
        parts.append(beside(*example(entry.image, answers)))
    return parts
