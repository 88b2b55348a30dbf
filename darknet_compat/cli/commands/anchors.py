"""`darknet-compat anchors`: the shapes that stand for a data set's boxes."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darknet_compat.cli.options import Json, MaxPixels, Resize, Size
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.datasets.options import LabelsRule, LayoutName, PicturesFolder, Reading
from darknet_compat.formats.atomic import results_folder
from darknet_compat.options import Option, parse_size

if TYPE_CHECKING:
    from darknet_compat.datasets.anchors.find import Anchors
    from darknet_compat.datasets.readers.shapes import Shapes

_CURVE = range(1, 16)


class By(str, Enum):
    """What k-means makes small (`datasets.anchors.Distance`)."""

    iou = "iou"
    sse = "sse"


Boxes = Annotated[
    str,
    typer.Argument(
        metavar="BOXES",
        help="A list of pictures with labels beside them, a .data, a VOC folder, COCO's JSON, or a CSV with the columns"
        " image,xmin,ymin,xmax,ymax (and, if known, the picture's width,height).",
    ),
]
K = Annotated[int, typer.Option("--k", min=1, max=64, metavar="N", help="How many anchors.")]
ByWhat = Annotated[By, typer.Option("--by", help="iou: 1 - IoU, the paper's way. sse: squared error, to compare.")]
NetworkSize = Annotated[
    Size | None, Option("The network's input, 608x416 say. Default: 416.", metavar="WxH", parse=parse_size)
]
Stride = Annotated[int, typer.Option("--stride", min=1, max=1024, metavar="N", help="Pixels of one cell of its grid.")]
Fit = Annotated[Resize, Option("How pictures are fitted to that size.")]
Split = Annotated[str | None, typer.Option("--split", metavar="NAME", help="Which part of BOXES. Default: training's.")]
Seed = Annotated[int, typer.Option("--seed", min=0, metavar="N", help="The same seed gives the same anchors.")]
Restarts = Annotated[int, typer.Option("--restarts", min=1, max=1000, metavar="N", help="Beginnings; the best counts.")]
Compare = Annotated[
    str | None, typer.Option("--compare", metavar="MODEL", help="Also how well this model's own anchors fit.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Draw the fit of 1 to 15 anchors and the chosen ones: a .png or .svg."),
]


def anchors(
    boxes: Boxes,
    k: K = 5,
    by: ByWhat = By.iou,
    size: NetworkSize = None,
    stride: Stride = 32,
    resize: Fit = "letterbox",
    split: Split = None,
    layout: LayoutName = None,
    labels: LabelsRule = "clip",
    pictures: PicturesFolder = None,
    seed: Seed = 0,
    restarts: Restarts = 10,
    compare: Compare = None,
    out: Out = None,
    max_pixels: MaxPixels = None,
    json: Json = False,
) -> None:
    """Find anchors for a data set by k-means over its boxes' shapes.

    Prints the `anchors=` line of a [region] section, in cells of the grid, and that of a [yolo] section, in pixels; and
    the average IoU of a box with the anchor nearest to it. Boxes are taken as a network of that size sees them. Boxes
    that are marked difficult, or are crowds, are left out.
    """
    from darknet_compat.datasets.anchors.find import average_iou, find_anchors

    size = size or Size(416, 416)
    if out is not None:
        _expect_writable(out)
    shapes = _shapes(boxes, size, resize, split, Reading(layout, labels, pictures), quiet=json)
    if not len(shapes.sizes):
        from darknet_compat.errors import DatasetError

        raise DatasetError(f"{boxes}: there are no boxes in its {terminal.count(shapes.pictures, 'picture')}")
    found = find_anchors(shapes.sizes, k, by=by.value, seed=seed, restarts=restarts)
    other = by.sse if by is By.iou else By.iou
    fits = {_WORDS[by]: found.average_iou}
    fits[_WORDS[other]] = find_anchors(shapes.sizes, k, by=other.value, seed=seed, restarts=restarts).average_iou
    theirs = _anchors_of(compare, size) if compare else []
    if compare:
        fits[f"{Path(compare).stem}'s {len(theirs)}"] = average_iou(shapes.sizes, theirs)
    if out is not None:
        _draw(out, shapes, found, fits, len(theirs))
    if json:
        terminal.print_json(_document(shapes, found, fits, size, stride, resize, seed))
        return
    _print(boxes, shapes, found, fits, size, stride)
    if out is not None:
        terminal.print_line(f"-> {out}")


def _expect_writable(out: Path) -> None:
    """Raise BadParameter or CannotWriteError where the picture could not be written, before it is made."""
    if out.suffix.lower() not in (".png", ".svg", ".pdf") or out.is_dir():
        raise typer.BadParameter(f"--out: expected a name that ends in .png, .svg or .pdf, found {out}")
    results_folder(out.parent)


_WORDS = {By.iou: "by IoU", By.sse: "by squared error"}


def _shapes(boxes: str, size: Size, resize: Resize, split: str | None, reading: Reading, *, quiet: bool) -> Shapes:
    from darknet_compat.datasets.readers.shapes import read_csv, shapes_of

    if Path(boxes).suffix.lower() == ".csv":
        return read_csv(boxes, size, resize)
    from darknet_compat.datasets.open import open_dataset

    with terminal.Counter("reading labels") as progress:
        return shapes_of(open_dataset(boxes, split=split, reading=reading), size, resize, progress)


def _anchors_of(model: str, size: Size) -> list[tuple[float, float]]:
    """A model's own anchors in pixels of an input of `size`. Raises what reading the model does."""
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.definition.spec import Region, YoloHead
    from darknet_compat.errors import CfgError
    from darknet_compat.inference.model import locate

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


def _draw(out: Path, shapes: Shapes, found: Anchors, fits: dict[str, float], others: int) -> None:
    from darknet_compat.datasets.anchors.find import curve
    from darknet_compat.datasets.anchors.plot import save_anchors_plot

    curves: dict[str, Sequence[tuple[int, float]]] = {
        words: curve(shapes.sizes, _CURVE, by=by.value) for by, words in _WORDS.items()
    }
    curves |= {name: [(others, fit)] for name, fit in fits.items() if name not in curves}
    save_anchors_plot(out, shapes, found, curves)


def _document(
    shapes: Shapes, found: Anchors, fits: dict[str, float], size: Size, stride: int, resize: Resize, seed: int
) -> dict[str, Any]:
    return {
        "k": len(found.sizes),
        "anchors": (found.sizes / stride).round(6).tolist(),
        "anchors_pixels": found.sizes.round(4).tolist(),
        "average_iou": found.average_iou,
        "average_ious": fits,
        "boxes": len(shapes.sizes),
        "left_out": shapes.left_out,
        "pictures": shapes.pictures,
        "size": list(size),
        "stride": stride,
        "resize": resize,
        "seed": seed,
        "note": shapes.note,
    }


def _print(boxes: str, shapes: Shapes, found: Anchors, fits: dict[str, float], size: Size, stride: int) -> None:
    from darknet_compat.datasets.anchors.find import cfg_line

    left_out = f", {shapes.left_out:,} left out" if shapes.left_out else ""
    terminal.print_fields(
        [
            ("boxes", f"{len(shapes.sizes):,} in {terminal.count(shapes.pictures, 'picture')}{left_out}"),
            *([("", shapes.note)] if shapes.note else []),
            ("network", f"{size}, cells of {stride} pixels"),
            *(
                ("average IoU" if not n else "", f"{100 * fit:.1f} % {name}")
                for n, (name, fit) in enumerate(fits.items())
            ),
        ]
    )
    for heading, unit, digits in (("[region]", stride, 2), ("[yolo]", 1, 0)):
        terminal.print_line(heading, bold=True)
        terminal.print_line(cfg_line(found.sizes, unit, digits))
