"""The arguments and options that several commands have, each written once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from darknet_compat.errors import CfgError
from darknet_compat.runtime.registry import NAMES


class Size(NamedTuple):
    """A network's input in pixels."""

    width: int
    height: int

    def __str__(self) -> str:
        return f"{self.width}x{self.height}"


class Resize(str, Enum):
    """How a picture is fitted to the network's input (`runtime.base.Resize`)."""

    letterbox = "letterbox"
    stretch = "stretch"


class Rule(str, Enum):
    """How the way down a WordTree ends (`inference.hierarchy.HierarchyRule`)."""

    darknet = "darknet"
    paper = "paper"


class Precision(str, Enum):
    """What the layers compute in (`runtime.base.Precision`)."""

    fp32 = "fp32"
    bf16 = "bf16"
    fp16 = "fp16"
    int8 = "int8"


if TYPE_CHECKING:

    class Backend(str, Enum):
        """What runs the network: a runtime of the registry."""

        auto = "auto"
else:
    Backend = Enum("Backend", {name: name for name in ("auto", *NAMES)}, type=str)


class Mode(str, Enum):
    """Whether one picture is to be ready soon or many in all (`runtime.base.Mode`)."""

    latency = "latency"
    throughput = "throughput"


def parse_size(text: str | Size) -> Size:
    """`416` or `608x416`. Raises BadParameter."""
    if isinstance(text, Size):
        return text
    match = re.fullmatch(r"(\d{1,6})(?:[x×](\d{1,6}))?", text.strip().lower())
    if not match:
        raise typer.BadParameter(f"expected a number of pixels, or WIDTHxHEIGHT such as 608x416, found '{text}'")
    size = Size(int(match[1]), int(match[2] or match[1]))
    if not (0 < size.width <= 8192 and 0 < size.height <= 8192):
        raise typer.BadParameter(f"expected 1 to 8192 pixels a side, found {size}")
    return size


@contextmanager
def explaining(size: Size | None) -> Iterator[None]:
    """Where a network cannot take inputs of the `size` that was asked for, say which one to try."""
    try:
        yield
    except CfgError as error:
        if size is None:
            raise
        near = Size(*(max(32, 32 * round(side / 32)) for side in size))
        hint = f"; most networks need multiples of 32, such as {near}" if near != size else ""
        raise CfgError(f"{error}; this with --size {size}{hint}") from None


def parse_fraction(text: str | float) -> float:
    """A number from 0 to 1. Raises BadParameter."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if 0 <= value <= 1:  # which nan is not
        return value
    hint = f"; {text} % is {value / 100:g}" if 1 < value <= 100 else ""
    raise typer.BadParameter(f"expected a number from 0 to 1 such as 0.25, found '{text}'{hint}")


Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A .cfg, or a name from the catalogue (`info` alone lists it).")
]
Pictures = Annotated[
    list[str],
    typer.Argument(metavar="FILES", help="Pictures, folders of pictures, or quoted globs ('photos/**/*.jpg')."),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="The .weights that belong to MODEL. Default: the file of MODEL's name beside a .cfg; the catalogue's for a"
        " name, fetched if need be.",
    ),
]
Names = Annotated[
    Path | None,
    typer.Option(
        "--names",
        metavar="FILE",
        help="The classes' names, one a line. Default: the .names beside MODEL, else the usual list of that length.",
    ),
]
InputSize = Annotated[
    Size | None,
    typer.Option(
        "--size", metavar="WxH", parser=parse_size, help="Another size of the network's input, 416 or 608x416."
    ),
]
ResizeMode = Annotated[
    Resize | None,
    typer.Option("--resize", help="How pictures are fitted to that size. Default: as the model was made for."),
]
PrecisionMode = Annotated[Precision, typer.Option("--precision", help="What the layers compute in.")]
BackendName = Annotated[Backend, typer.Option("--backend", help="What runs the network.")]
HierThresh = Annotated[
    float | None,
    typer.Option(
        "--hier-thresh",
        parser=parse_fraction,
        metavar="0..1",
        help="With a WordTree: the least probability of the class that is named. Default: 0.5, or what the file was"
        " exported with.",
    ),
]
Hierarchy = Annotated[
    Rule,
    typer.Option(
        "--hierarchy",
        help="With a WordTree: what --hier-thresh is held against. The original multiplies the probabilities down the"
        " tree twice and so stops earlier; `paper` compares the class's own probability.",
    ),
]
Level = Annotated[
    int | None,
    typer.Option("--level", min=0, metavar="N", help="With a WordTree: go no deeper than this, 0 being the roots."),
]
RunMode = Annotated[
    Mode | None,
    typer.Option(
        "--mode",
        help="latency: one picture at a time, by all cores. throughput: several at a time, and a .cfg is exported into"
        " the cache first. Default: throughput from 32 pictures on.",
    ),
]
Threads = Annotated[
    int | None, typer.Option("--threads", min=1, max=1024, metavar="N", help="How many cores to use. Default: all.")
]
Batch = Annotated[int, typer.Option("--batch", min=1, max=1024, metavar="N", help="Pictures a pass of the network.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Say on stderr which backend runs the model, and why.")]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document for programs, and nothing else, on stdout.")
]
