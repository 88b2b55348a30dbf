"""Charts for reports, as PNG bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from darknet_compat.errors import DatasetError
from darknet_compat.evaluation.report.diagnosis import KINDS, Calibration, Confusion, FalsePositives
from darknet_compat.evaluation.scores.average_precision import Curve, falling
from darknet_compat.formats.colours import BLUE, GREEN, GREY, OCHRE, PALE_BLUE, RED, SERIES, VIOLET, lines
from darknet_compat.vision.chart import new_figure, to_png

MOST_CURVES = len(SERIES)
MOST_CLASSES = 25
_COLOURS = (GREEN, BLUE, VIOLET, OCHRE, RED, GREY)
"""Of `mistakes`: what is right, then as KINDS."""


def chart(draw: Callable[[Any], None], width: float = 6.4, height: float = 4.4) -> bytes:
    """A PNG of one pair of axes that `draw` fills, its sides in inches. Raises DatasetError without matplotlib."""
    figure = new_figure(width, height, DatasetError)
    axes = figure.subplots()
    draw(axes)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)  # of names in other scripts: a box
        return to_png(figure, 110)


def curves(points: Sequence[tuple[str, float | None, Curve]]) -> bytes:
    """Precision over recall of the classes (name, average precision, curve) with most objects."""

    def draw(axes: Any) -> None:
        chosen = sorted(points, key=lambda item: -item[2].positives)[:MOST_CURVES]
        chosen.sort(key=lambda item: -(item[1] or 0))
        for (name, value, one), colour in zip(chosen, SERIES, strict=False):
            recall = np.concatenate([[0.0], one.recall])
            precision = falling(np.concatenate([one.precision[:1], one.precision])) if len(one.recall) else np.zeros(1)
            axes.step(recall, precision, where="pre", color=colour, label=f"{_short(name)} {100 * (value or 0):.0f} %")
        axes.set(xlim=(0, 1.01), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
        axes.grid(alpha=0.3)
        if chosen:
            axes.legend(fontsize=8, loc="lower left")

    return chart(draw)


def confusion(found: Confusion) -> bytes:
    """The classes that most objects have, a row each: what share of their objects was detected as what."""

    def draw(axes: Any) -> None:
        totals = found.counts[:-1].sum(axis=1)
        called = found.counts[:, :-1].sum(axis=0)
        order = np.lexsort((-called, -totals))[:MOST_CLASSES]
        order = np.sort(order[(totals[order] > 0) | (called[order] > 0)])
        last = len(found.names)
        table = found.counts[np.ix_([*order, last], [*order, last])].astype(float)
        share = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
        axes.imshow(share, cmap="Blues", vmin=0, vmax=1, aspect="auto")
        names = [_short(found.names[number], 14) for number in order]
        axes.set_xticks(range(len(order) + 1), [*names, "(missed)"], rotation=60, ha="right", fontsize=8)
        axes.set_yticks(range(len(order) + 1), [*names, "(nothing)"], fontsize=8)
        for (row, column), count in np.ndenumerate(table):
            if count and len(order) <= 12:
                colour = "white" if share[row, column] > 0.5 else "black"
                axes.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=7, color=colour)
        axes.set(xlabel="detected as", ylabel="is")

    return chart(draw, 6.8, 5.4)


def mistakes(found: FalsePositives) -> bytes:
    """What the best detections are: right, or wrong in which way."""
    values = {"right": found.right, **{str(name): found.kinds[name] for name in KINDS}}

    def draw(axes: Any) -> None:
        left = 0
        for (name, value), colour in zip(values.items(), _COLOURS, strict=True):
            axes.barh([0], [value], left=left, color=colour, label=f"{name} {value}")
            left += value
        axes.set_yticks([])
        axes.set(xlim=(0, max(left, 1)), xlabel="detections")
        axes.legend(ncols=3, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1.0))

    return chart(draw, 6.4, 1.8)


def calibration(found: Calibration) -> bytes:
    """The share of right detections over their scores."""

    def draw(axes: Any) -> None:
        known = found.counts > 0
        axes.plot([0, 1], [0, 1], color=GREY, linestyle="--", linewidth=1)
        axes.bar((np.arange(len(known)) + 0.5) / len(known), np.where(known, found.right, 0), 0.09, color=PALE_BLUE)
        axes.plot(found.scores[known], found.right[known], "o-", color=BLUE)
        for x, y, count in zip(found.scores[known], found.right[known], found.counts[known], strict=True):
            axes.annotate(f"{count}", (x, y), textcoords="offset points", xytext=(0, 6), ha="center", fontsize=7)
        axes.set(xlim=(0, 1), ylim=(0, 1.05), xlabel="score", ylabel="share that is right")

    return chart(draw, 5.0, 4.0)


def trade_off(series: Mapping[str, Sequence[tuple[float, float, str]]]) -> bytes:
    """Score over speed (paper, Figure 4): for each name points (pictures a second, score in percent, label)."""

    def draw(axes: Any) -> None:
        for (name, points), (colour, style) in zip(series.items(), lines(), strict=False):
            axes.plot([x for x, _, _ in points], [y for _, y, _ in points], style, marker="o", color=colour, label=name)
            for x, y, label in points:
                axes.annotate(label, (x, y), textcoords="offset points", xytext=(5, 5), fontsize=8)
        axes.set(xlabel="pictures a second", ylabel="mean average precision, %")
        axes.set_xlim(left=0)
        axes.grid(alpha=0.3)
        if series:
            axes.legend(fontsize=8)

    return chart(draw)


def _short(name: str, most: int = 20) -> str:
    # A dollar sign would begin a formula.
    name = name.replace("$", r"\$")
    return name if len(name) <= most else name[: most - 1] + "…"
