"""`darknet-compat anchors`: the shapes that stand for a data set's boxes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from darknet_compat.cli.options import Json, Size
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.datasets.anchors.options import AnchorOptions

if TYPE_CHECKING:
    from darknet_compat.datasets.anchors.job import ChosenAnchors


def anchors(options: AnchorOptions, json: Json = False) -> None:
    """Find anchors for a data set by k-means over its boxes' shapes.

    Prints the `anchors=` line of a [region] section, in cells of the grid, and that of a [yolo] section, in pixels; and
    the average IoU of a box with the anchor nearest to it. Boxes are taken as a network of that size sees them. Boxes
    that are marked difficult, or are crowds, are left out.
    """
    from darknet_compat.datasets.anchors.job import choose_anchors

    theirs = _anchors_of(options.compare, options.size) if options.compare else []
    others = {f"{Path(options.compare).stem}'s {len(theirs)}": theirs} if options.compare else {}
    with terminal.Counter("reading labels") as progress:
        chosen = choose_anchors(options, others=others, progress=progress)
    if json:
        terminal.print_json(chosen.to_dict())
        return
    _print(chosen)
    if options.out is not None:
        terminal.print_line(f"-> {options.out}")


def _anchors_of(model: str, size: Size) -> list[tuple[float, float]]:
    """A model's own anchors in pixels of an input of `size`. Raises what reading the model does."""
    from darknet_compat.catalogue.locate import locate
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.definition.spec import Region, YoloHead
    from darknet_compat.errors import CfgError

    spec = load_spec(locate(model, download=False).cfg)
    found: list[tuple[float, float]] = []
    for layer in spec.layers:
        if isinstance(layer, Region):
            found = [(w * size.width / layer.output.w, h * size.height / layer.output.h) for w, h in layer.anchors]
        elif isinstance(layer, YoloHead):
            scale = size.width / spec.net.width, size.height / spec.net.height
            found = [(w * scale[0], h * scale[1]) for w, h in layer.anchors]
    if not found:
        raise CfgError(f"{model}: it has no anchors: no [region] and no [yolo] section")
    return found


def _print(chosen: ChosenAnchors) -> None:
    from darknet_compat.datasets.anchors.find import cfg_line

    shapes, stride = chosen.shapes, chosen.options.stride
    left_out = f", {shapes.left_out:,} left out" if shapes.left_out else ""
    fits = [f"{100 * fit:.1f} % {name}" for name, fit in chosen.fits.items()]
    terminal.print_fields(
        [
            ("boxes", f"{len(shapes.sizes):,} in {terminal.count(shapes.pictures, 'picture')}{left_out}"),
            *([("", shapes.note)] if shapes.note else []),
            ("network", f"{chosen.options.size}, cells of {stride} pixels"),
            ("average IoU", fits[0]),
            *(("", fit) for fit in fits[1:]),
        ]
    )
    for heading, unit, digits in (("[region]", stride, 2), ("[yolo]", 1, 0)):
        terminal.print_line(heading, bold=True)
        terminal.print_line(cfg_line(chosen.anchors.sizes, unit, digits))
