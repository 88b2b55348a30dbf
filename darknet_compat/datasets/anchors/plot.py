"""The paper's Figure 2 for any boxes: how well k anchors fit them, and what the chosen ones look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from darknet_compat.datasets.anchors.find import Anchors
from darknet_compat.datasets.anchors.shapes import Shapes
from darknet_compat.errors import DatasetError
from darknet_compat.formats.colours import PALE_BLUE, SERIES
from darknet_compat.formats.textfile import count
from darknet_compat.vision.chart import new_figure, write_figure

_MOST_DOTS = 20_000


def save_anchors_plot(
    path: str | Path, shapes: Shapes, chosen: Anchors, curves: Mapping[str, Sequence[tuple[int, float]]]
) -> None:
    """Draw `curves`, points (k, average IoU) by what they are called, and the `chosen` anchors; PNG, SVG or PDF.

    Raises DatasetError without matplotlib, or if the file cannot be written.
    """
    figure = new_figure(11, 4.1, DatasetError)
    left, middle, right = panels = figure.subplots(1, 3)
    _draw_curves(left, curves, chosen)
    _draw_boxes(middle, chosen, shapes.network)
    _draw_dots(right, shapes, chosen)
    for axes in panels:
        axes.set_box_aspect(1)
    figure.suptitle(
        f"{count(len(chosen.sizes), 'anchor')} for {count(len(shapes.sizes), 'box')} of"
        f" {count(shapes.pictures, 'picture')}: average IoU"
        f" {100 * chosen.average_iou:.1f} %"
    )
    write_figure(figure, path, DatasetError)


def _draw_curves(axes: Any, curves: Mapping[str, Sequence[tuple[int, float]]], chosen: Anchors) -> None:
    for (name, points), colour in zip(curves.items(), SERIES, strict=False):
        ks, values = [k for k, _ in points], [100 * value for _, value in points]
        axes.plot(ks, values, "o-" if len(ks) > 1 else "D", ms=4, lw=1.2, color=colour, label=name)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.axvline(len(chosen.sizes), color="black", lw=0.6, ls=":")
    axes.set(xlabel="anchors", ylabel="average IoU, %", title="How well they fit")
    axes.grid(True, alpha=0.3)
    axes.legend(loc="lower right")


def _draw_boxes(axes: Any, chosen: Anchors, network: tuple[int, int]) -> None:
    from matplotlib.patches import Rectangle

    for number, (width, height) in enumerate(chosen.sizes.tolist()):
        colour = SERIES[number % len(SERIES)]
        corner = (network[0] - width) / 2, (network[1] - height) / 2
        axes.add_patch(Rectangle(corner, width, height, fill=False, lw=1.5, color=colour))
    side = max(network)
    axes.add_patch(Rectangle((0, 0), *network, fill=False, lw=0.8, color="0.6"))
    axes.set(xlim=(0, side), ylim=(side, 0), aspect="equal", xlabel="pixels")
    axes.set(title=f"The {len(chosen.sizes)} in an input of {network[0]}x{network[1]}")


def _draw_dots(axes: Any, shapes: Shapes, chosen: Anchors) -> None:
    sizes = shapes.sizes[:: -(-len(shapes.sizes) // _MOST_DOTS)]
    axes.plot(*sizes.T, ".", ms=1.5, alpha=0.3, color=PALE_BLUE, rasterized=True)
    for number, size in enumerate(chosen.sizes.tolist()):
        axes.plot(*size, "X", ms=9, mec="white", mew=0.8, color=SERIES[number % len(SERIES)])
    most = 1.04 * float(sizes.max())
    axes.set(xlabel="width, pixels", ylabel="height, pixels", title="Among all boxes", aspect="equal")
    axes.set(xlim=(0, most), ylim=(0, most))
    axes.grid(True, alpha=0.3)
