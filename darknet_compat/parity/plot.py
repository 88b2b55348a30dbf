"""The picture of a parity run: how the difference grows with depth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from darknet_compat.errors import BackendError
from darknet_compat.formats.colours import BLUE, PALE_BLUE, RED
from darknet_compat.parity.compare import Difference
from darknet_compat.parity.layers import LayerParity
from darknet_compat.parity.stages import StageParity
from darknet_compat.vision.chart import new_figure, to_png, write_figure

_FLOOR = 1e-9
"""Where a difference of exactly 0 is drawn on the logarithmic axis."""


def save_plot(parity: LayerParity, path: str | Path) -> None:
    """Draw each layer's largest and mean difference over depth, as parts of its scale; PNG, SVG or PDF by suffix.

    Raises BackendError without matplotlib, or if the file cannot be written.
    """
    figure = new_figure(9, 4.5, BackendError, "parity")
    rows = [(number, row) for number, row in enumerate(parity.rows) if row.verdict != "nothing to compare"]
    axes = figure.subplots()
    depth = [number for number, _ in rows]
    axes.step(depth, [row.tolerance for _, row in rows], where="mid", color=RED, label="tolerance")
    axes.plot(depth, [_shown(row.relative) for _, row in rows], "o-", ms=3, lw=1, color=BLUE, label="largest")
    mean = [_shown(row.mean_abs / row.scale if row.scale else 0.0) for _, row in rows]
    axes.plot(depth, mean, "o-", ms=2, lw=1, color=PALE_BLUE, label="mean")
    failed = [(number, row) for number, row in rows if row.verdict == "differs"]
    if failed:
        numbers, values = [number for number, _ in failed], [_shown(row.relative) for _, row in failed]
        axes.plot(numbers, values, "X", ms=8, color=RED, label="differs")
        _name(axes, failed[0])
    axes.set(yscale="log", xlabel="layer", ylabel="difference / layer's largest value")
    axes.set_title(f"{Path(parity.cfg).name}: original against torch, {'passed' if parity.passed else 'FAILED'}")
    axes.grid(True, which="major", alpha=0.3)
    axes.legend(loc="best")
    write_figure(figure, path, BackendError)


def stages_plot(stages: Sequence[StageParity]) -> bytes:
    """A PNG with each stage's largest difference in every value that was compared, in the chain's order.

    Raises BackendError without matplotlib.
    """
    return to_png(stages_figure(stages))


def stages_figure(stages: Sequence[StageParity]) -> Any:
    """The same, not drawn yet: a panel for each stage, all with one axis of differences."""
    figure = new_figure(9, 2.4 * len(stages) + 0.6, BackendError, "parity")
    panels = figure.subplots(len(stages), 1, squeeze=False, sharey=True)[:, 0]
    for axes, stage in zip(panels, stages, strict=True):
        rows = [(number, row) for number, row in enumerate(stage.rows) if row.verdict != "nothing to compare"]
        at = [number for number, _ in rows]
        axes.step(at, [row.tolerance for _, row in rows], where="mid", color=RED, label="tolerance")
        axes.plot(at, [_shown(row.relative) for _, row in rows], "o", ms=4, color=BLUE, label="largest difference")
        for number, row in rows:
            if row.verdict == "differs":
                axes.plot(number, _shown(row.relative), "X", ms=9, color=RED)
        if stage.first is not None:
            _name(axes, (stage.rows.index(stage.first), stage.first))
        few = len(rows) <= 12
        axes.set_xticks(at if few else [number for number in at if number % 5 == 0])
        axes.set_xticklabels(
            [stage.rows[int(number)].name for number in axes.get_xticks()] if few else axes.get_xticks()
        )
        axes.set(yscale="log", title=f"{stage.reference} → {stage.stage}, {stage.precision}")
        axes.grid(True, which="major", alpha=0.3)
    largest = max((_shown(max(row.relative, row.tolerance)) for stage in stages for row in stage.rows), default=1.0)
    panels[0].set_ylim(_FLOOR, 10 * largest)  # of all: a panel's own would be the others', which share it
    figure.supylabel("difference / largest value")
    panels[0].legend(loc="best", ncols=2)
    panels[-1].set_xlabel("value, in the order of the chain; one that is exactly the same stands at the bottom")
    return figure


def _shown(value: float) -> float:
    return min(max(value, _FLOOR), 1e9)


def _name(axes: Any, first: tuple[int, Difference]) -> None:
    """Write the first layer that departs beside its mark."""
    number, row = first
    axes.annotate(row.name, (number, _shown(row.relative)), textcoords="offset points", xytext=(6, 6))
