"""What can be asked of a benchmark, each option stated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, get_args

from darknet_compat.errors import OptionError
from darknet_compat.formats.words import Precision
from darknet_compat.inference.options import DialectOption, ModelOption, WeightsOption
from darknet_compat.options import MaxPixels, Option, Options, Size, parse_choices, parse_counts, parse_sizes
from darknet_compat.runtime.registry import NAMES

PEERS = ("opencv", "opencv-onnx", "original")
"""The other programs: OpenCV by its reader of Darknet's files and by that of ONNX, and the original Darknet."""


@dataclass(frozen=True)
class BenchOptions(Options):
    """What to measure, against what, and how often. Raises OptionError for options that do not go together."""

    model: ModelOption
    weights: WeightsOption = None
    backends: Annotated[
        tuple[str, ...] | None,
        Option("What runs the network. Default: all that are installed.", metavar="A,B", parse=parse_choices(*NAMES)),
    ] = None
    precisions: Annotated[
        tuple[str, ...],
        Option("What the layers compute in: fp32, bf16, …", metavar="A,B", parse=parse_choices(*get_args(Precision))),
    ] = ("fp32",)
    sizes: Annotated[
        tuple[Size, ...] | None,
        Option("Sizes of the input: 416, 608x416. Default: the model's.", metavar="A,B", parse=parse_sizes),
    ] = None
    batches: Annotated[tuple[int, ...], Option("Pictures at once.", metavar="A,B", parse=parse_counts)] = (1,)
    artefact: Annotated[
        tuple[Path, ...], Option("Also this .onnx or .engine, in its precision. Repeatable.", metavar="FILE")
    ] = ()
    peers: Annotated[bool, Option("Also the original Darknet and OpenCV, where installed.")] = False
    without: Annotated[
        tuple[str, ...] | None, Option("Of the peers leave these out.", metavar="A,B", parse=parse_choices(*PEERS))
    ] = None
    baseline: Annotated[
        str | None, Option("What ratios are to, as the table names it. Default: its first.", metavar="NAME")
    ] = None
    image: Annotated[
        tuple[Path, ...], Option("A picture to read; repeatable. Default: one of 768 x 576.", metavar="FILE")
    ] = ()
    stream: Annotated[int, Option("Also N pictures one after another.", metavar="N", least=0, most=10**6)] = 0
    runs: Annotated[
        int | None, Option("Counted runs of each. Default: 20; --load 9.", metavar="N", least=1, most=1000)
    ] = None
    warmup: Annotated[int, Option("Runs of each before these.", metavar="N", least=1, most=100)] = 2
    out: Annotated[Path | None, Option("Write the rows as JSON and a plot of speed by size there.", metavar="DIR")] = (
        None
    )
    load: Annotated[bool, Option("Only loading, fitting a picture, starting the command line.")] = False
    max_pixels: MaxPixels = None
    dialect: DialectOption = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.load and self.out is not None:
            raise OptionError("prints its rows, and writes none into --out", "load")
        if self.without and not self.peers:
            raise OptionError("leaves out some of the peers, which --peers asks for", "without")
