"""The picture of a bench: speed against size, as the paper's figure 4 has speed against accuracy."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from darknet_compat.benchmark.measure import MEASURES, SpeedRow
from darknet_compat.errors import BackendError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.colours import lines
from darknet_compat.vision.chart import new_figure, to_png

_TITLES = {"network": "network alone", "picture": "from file to answer", "stream": "many files"}


def speed_plot(rows: Sequence[SpeedRow], title: str) -> bytes:
    """A PNG with a panel for each measure: the input's size across, pictures a second upwards, a line a runner.

    Raises BackendError without matplotlib.
    """
    measures = [measure for measure in MEASURES if any(row.measure == measure for row in rows)]
    figure = new_figure(4.8 * len(measures) + 1.2, 4.6, BackendError, "parity")
    panels = figure.subplots(1, len(measures), squeeze=False, sharex=True)[0]
    for axes, measure in zip(panels, measures, strict=True):
        shown = [row for row in rows if row.measure == measure]
        for (name, points), (colour, style) in zip(_lines(shown).items(), lines(), strict=False):
            speeds = [row.images_per_second for row in points]
            axes.plot([_side(row) for row in points], speeds, style, marker="o", ms=5, lw=1.5, color=colour, label=name)
        axes.set(title=_TITLES[measure], xlabel="network's input, pixels a side")
        speeds = [row.images_per_second for row in shown]
        if max(speeds) > 20 * min(speeds):
            from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

            axes.set_yscale("log")
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axes.yaxis.set_minor_formatter(NullFormatter())
        else:
            axes.set_ylim(bottom=0)
        axes.grid(True, alpha=0.3)
    sides = {_side(row): f"{row.width}" if row.width == row.height else f"{row.width}x{row.height}" for row in rows}
    panels[0].set_xticks(list(sides), list(sides.values()))
    panels[0].set_ylabel("pictures a second, median")
    panels[-1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.suptitle(title)
    return to_png(figure)


def save_speed_plot(rows: Sequence[SpeedRow], title: str, path: Path) -> None:
    """Write `speed_plot`. Raises BackendError without matplotlib, or if the file cannot be written."""
    data = speed_plot(rows, title)
    with atomic_write(path, BackendError) as file:
        file.write(data)


def _lines(rows: Sequence[SpeedRow]) -> dict[str, list[SpeedRow]]:
    """The rows of each line, by size; named after its runner, and its batch where there are several."""
    several = len({row.batch for row in rows}) > 1
    lines = defaultdict(list)
    for row in sorted(rows, key=_side):
        lines[f"{row.label}, batch {row.batch}" if several else row.label].append(row)
    return lines


def _side(row: SpeedRow) -> float:
    """The side of a square of as many pixels."""
    return float((row.width * row.height) ** 0.5)
