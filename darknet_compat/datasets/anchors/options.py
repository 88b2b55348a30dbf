"""What can be asked of anchors, each option stated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from darknet_compat.datasets.options import LabelsRule, LayoutName, PicturesFolder
from darknet_compat.errors import OptionError
from darknet_compat.formats.words import Resize
from darknet_compat.options import MaxPixels, Option, Options, Size, parse_size

Distance = Literal["iou", "sse"]
"""What k-means makes small: 1 - IoU, or the squared error of widths and heights."""

_SIZE = Size(416, 416)

MOST = 64
"""More anchors than any network has."""


@dataclass(frozen=True)
class AnchorOptions(Options):
    """Whose boxes to find how many anchors for, and for which network. Raises OptionError."""

    boxes: Annotated[
        str,
        Option(
            "A list of pictures with labels beside them, a .data, a VOC folder, COCO's JSON, or a CSV with the columns"
            " image,xmin,ymin,xmax,ymax (and, if known, the picture's width,height).",
            metavar="BOXES",
            positional=True,
        ),
    ]
    k: Annotated[int, Option("How many anchors.", metavar="N", least=1, most=MOST)] = 5
    by: Annotated[Distance, Option("iou: 1 - IoU, the paper's way. sse: squared error, to compare.")] = "iou"
    size: Annotated[Size, Option("The network's input, 608x416 say.", metavar="WxH", parse=parse_size)] = _SIZE
    stride: Annotated[int, Option("Pixels of one cell of its grid.", metavar="N", least=1, most=1024)] = 32
    resize: Annotated[Resize, Option("How pictures are fitted to that size.")] = "letterbox"
    split: Annotated[str | None, Option("Which part of BOXES. Default: training's.", metavar="NAME")] = None
    layout: LayoutName = None
    labels: LabelsRule = "clip"
    pictures: PicturesFolder = None
    seed: Annotated[int, Option("The same seed gives the same anchors.", metavar="N", least=0)] = 0
    restarts: Annotated[int, Option("Beginnings; the best counts.", metavar="N", least=1, most=1000)] = 10
    compare: Annotated[str | None, Option("Also how well this model's own anchors fit.", metavar="MODEL")] = None
    out: Annotated[
        Path | None, Option("Draw the fit of 1 to 15 anchors and the chosen ones: a .png or .svg.", metavar="FILE")
    ] = None
    max_pixels: MaxPixels = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.out is not None and (self.out.suffix.lower() not in (".png", ".svg", ".pdf") or self.out.is_dir()):
            raise OptionError(f"expected a name that ends in .png, .svg or .pdf, found {self.out}", "out")
