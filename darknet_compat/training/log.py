"""What training has come to so far: a table for programs, a chart for people."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from datetime import timedelta
from math import nan
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from darknet_compat.errors import TrainingError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.colours import BLUE, GREY, RED
from darknet_compat.formats.textfile import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TABLE, CHART = "log.csv", "chart.png"
_PACED = 200
"""So many batches tell how long one takes."""


class Log:
    """`log.csv` and `chart.png` in a folder: one row a batch, and the scores that were measured in between.

    A row is plain numbers by name; a name that turns up later gets a column of its own. With `start` batches done the
    rows of later ones, of a run that was cut off, are dropped. The chart is called after `name`; with `batches`, how
    many there will be, it says how long the rest takes.
    """

    def __init__(
        self, folder: str | Path, start: int = 0, *, name: str = "training", batches: int | None = None
    ) -> None:
        self.folder, self.name, self.batches = Path(folder), name, batches
        self.rows: list[dict[str, float]] = []
        path = self.folder / TABLE
        if start and path.is_file():
            self.rows = [row for row in _read(path) if row["batch"] <= start]

    def add(self, row: Mapping[str, float]) -> None:
        """A batch's row (`batch` is its number), or more columns for the last one."""
        if self.rows and self.rows[-1]["batch"] == row["batch"]:
            self.rows[-1].update(row)
        else:
            self.rows.append(dict(row))

    def write(self) -> None:
        """Bring both files up to date. Raises TrainingError where they cannot be written."""
        columns = list(dict.fromkeys(name for row in self.rows for name in row))
        lines = [",".join(columns)]
        lines += [",".join(f"{row[name]:.7g}" if name in row else "" for name in columns) for row in self.rows]
        with atomic_write(self.folder / TABLE, TrainingError) as file:
            file.write(("\n".join(lines) + "\n").encode())
        self._draw()

    def _draw(self) -> None:
        """Loss over batches, with the scores (`mAP`) on an axis of their own, above the rate; nothing without
        matplotlib."""
        try:
            from matplotlib.figure import Figure
        except ModuleNotFoundError:
            return
        if not self.rows:
            return
        figure = Figure(figsize=(9, 6), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[5, 1])
        self._draw_loss(above)
        above.set_title(self._title(), loc="left")
        batches = [row["batch"] for row in self.rows]
        below.plot(batches, [row.get("rate", nan) for row in self.rows], color="0.4", linewidth=1)
        below.set(ylabel="rate", xlabel="batches")
        below.set_ylim(bottom=0)
        below.grid(alpha=0.3)
        with atomic_write(self.folder / CHART, TrainingError) as file:
            figure.savefig(file, format="png", dpi=110)

    def _draw_loss(self, axes: Axes) -> None:
        from matplotlib.ticker import LogLocator

        batches = [row["batch"] for row in self.rows]
        axes.plot(batches, [row["loss"] for row in self.rows], color=GREY, linewidth=0.8, label="loss")
        axes.plot(batches, [row["average_loss"] for row in self.rows], color=BLUE, label="average loss")
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
        axes.set_ylabel("loss an image")
        axes.grid(alpha=0.3)
        handles, labels = axes.get_legend_handles_labels()
        if scored := [row for row in self.rows if "mAP" in row]:
            right = axes.twinx()
            points = [100 * row["mAP"] for row in scored]
            right.plot([row["batch"] for row in scored], points, "o-", color=RED, markersize=4, label="mAP")
            for at in {max(range(len(points)), key=points.__getitem__), len(points) - 1}:
                right.annotate(
                    f"{points[at]:.1f}", (scored[at]["batch"], points[at]), (-4, 6), textcoords="offset points",
                    ha="right",
                )  # fmt: skip
            right.set_ylim(0, 105)
            right.set_ylabel("mAP, %")
            handles, labels = (a + b for a, b in zip((handles, labels), right.get_legend_handles_labels(), strict=True))
        axes.legend(handles, labels, loc="lower left", ncols=3, frameon=False)

    def _title(self) -> str:
        """What is trained, how far it is, and how long the rest takes at the pace of the last batches."""
        last = self.rows[-1]
        done = int(last["batch"])
        if self.batches is None or last["batch"] >= self.batches:
            return f"{self.name}: {count(done, 'batch')}"
        pace = [row["seconds"] for row in self.rows[-_PACED:] if "seconds" in row]
        left = timedelta(seconds=round(median(pace) * (self.batches - last["batch"]))) if pace else None
        rest = "" if left is None else f", about {left} left"
        return f"{self.name}: {done:,} of {count(self.batches, 'batch')}{rest}"


def _read(path: Path) -> list[dict[str, float]]:
    """The rows of a table written before. Raises TrainingError for a file that is not such a table."""
    try:
        with path.open(newline="") as file:
            rows = [{name: float(text) for name, text in row.items() if text} for row in csv.DictReader(file)]
        if not all({"batch", "loss", "average_loss"} <= row.keys() for row in rows):
            raise ValueError
        return rows
    except (OSError, ValueError, TypeError, KeyError, csv.Error):
        raise TrainingError(f"{path}: is no log of training; move it away to go on") from None
