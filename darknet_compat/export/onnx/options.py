"""What can be asked of an ONNX file, each option stated once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast, get_args

from darknet_compat.errors import OptionError
from darknet_compat.formats.exported.onnxfile import OPSETS
from darknet_compat.formats.jsonfile import is_whole
from darknet_compat.formats.textfile import plain
from darknet_compat.formats.words import MOST_BATCH, MOST_DETECTIONS, Input, OtherLayout, Outputs, Resize
from darknet_compat.options import Option, Options, parse_fraction

OutputLayoutName = Literal[Outputs, OtherLayout]

OLDEST = 17
"""The opset that graphs are made in: the newest that the runtimes of 2022 on read (TensorRT 8.5, OpenVINO 2022.3, ONNX
Runtime 1.12); nothing later is needed."""


def parse_range(value: Any) -> tuple[int, int] | Literal["fixed"]:
    """`320-608`, (320, 608) or "fixed". Raises OptionError."""
    if isinstance(value, str):
        if value == "fixed":
            return "fixed"
        if match := re.fullmatch(r"(\d{1,6})(?:-|\.\.|:)(\d{1,6})", value.strip()):
            return int(match[1]), int(match[2])
    elif isinstance(value, tuple | list) and len(value) == 2 and all(map(is_whole, value)):
        return value[0], value[1]
    raise OptionError(
        "expected the least and the most pixels of a side such as 320-608 or (320, 608), or fixed, found"
        f" {plain(repr(value))}"
    )


def as_given(value: Any) -> Any:
    """Passes any value: it is checked where it is used."""
    return value


@dataclass(frozen=True, kw_only=True)
class OnnxOptions(Options):
    """How a network is written as an ONNX file; None is what suits the network. Raises OptionError."""

    outputs: Annotated[
        Outputs | None,
        Option(
            "heads: raw. boxes: decoded, or a classifier's classes; the default. detections: after non-maximum"
            " suppression, with --thresh and --nms."
        ),
    ] = None
    layout: Annotated[
        OutputLayoutName | None,
        Option(
            "The form of the outputs, for other programs: docs/guide/export.md has them. Default: ours, as --outputs."
            " Of a WordTree's nodes it has the one that --hier-thresh leads to."
            f" NAME is {', '.join((*get_args(Outputs), *get_args(OtherLayout)))}.",
            metavar="NAME",
        ),
    ] = None
    max_detections: Annotated[
        int | None,
        Option("With --layout nms: of each picture, filled up with zeros. Default: 100.", "K", 1, MOST_DETECTIONS),
    ] = None
    target: Annotated[
        Literal["tensorrt"] | None, Option("With --layout nms: by this runtime's own plug-in, which no other has.")
    ] = None
    heads_layout: Annotated[
        Literal["nchw", "nhwc"] | None, Option("With --layout heads: how a map's axes lie. Default: nchw.")
    ] = None
    heads_cut: Annotated[
        Literal["before", "after"] | None,
        Option("With --layout heads: before or after the logistic functions and softmaxes. Default: before."),
    ] = None
    precision: Annotated[
        Literal["fp32", "fp16", "int8"],
        Option(
            "fp16: weights half the size, what loses too much by that in float32, inputs and outputs float32. int8:"
            " what convolutions compute in; needs --calibrate. detect does bf16 by itself."
        ),
    ] = "fp32"
    opset: Annotated[
        int | None,
        Option("The version of ONNX's operators, 17 to 26. Default: 17, which most read.", "N", OLDEST, OPSETS[-1]),
    ] = None
    input: Annotated[
        Input | None, Option("float: planes of 0..1, NCHW; the default. uint8: pixels of 0..255, NHWC. Both RGB.")
    ] = None
    sizes: Annotated[
        tuple[int, int] | Literal["fixed"] | None,
        Option(
            "From and up to how many pixels a side may have. Default: 288-608 where the layers permit.",
            metavar="A-B|fixed",
            parse=parse_range,
        ),
    ] = None
    batch: Annotated[
        int | None, Option("A fixed number of pictures. Default: any.", metavar="N", least=1, most=MOST_BATCH)
    ] = None
    names: Annotated[
        str | Path | Sequence[str] | None,
        Option(
            "The classes' names, one a line. Default: the .names beside MODEL, else the usual list of that length.",
            metavar="FILE",
            parse=as_given,
        ),
    ] = None
    resize: Annotated[
        Resize | None,
        Option("How pictures are to be fitted to the input. Default: as the network was made for."),
    ] = None
    thresh: Annotated[
        float | None,
        Option("The least score that counts, for whoever uses the file. Default: 0.5.", "0..1", parse=parse_fraction),
    ] = None
    hier_thresh: Annotated[
        float | None,
        Option(
            "With a WordTree: the least probability of the class that is named. Default: 0.5.",
            metavar="0..1",
            parse=parse_fraction,
        ),
    ] = None
    nms: Annotated[
        float | None,
        Option(
            "The overlap (IoU) above which the weaker of two boxes of a class is dropped; 1 keeps all. Default: 0.45.",
            metavar="0..1",
            parse=parse_fraction,
        ),
    ] = None
    nms_kind: Annotated[
        Literal["default"] | None,
        Option("default: boxes suppress others by their IoU alone, whatever the cfg's nms_kind says."),
    ] = None

    @property
    def foreign(self) -> OtherLayout | None:
        """The layout, where it is another program's."""
        return cast(OtherLayout, self.layout) if self.layout in get_args(OtherLayout) else None

    @property
    def gives(self) -> Outputs | None:
        """How far the graph goes; None for what suits the network."""
        if self.foreign is not None:
            return "detections" if self.foreign == "nms" else "boxes"
        return cast(Outputs, self.layout or self.outputs)

    def __post_init__(self) -> None:
        super().__post_init__()
        asked, gives = self.layout or self.outputs or "boxes", self.gives
        if self.layout is not None and self.outputs not in (None, gives):
            raise OptionError(f"{self.layout} gives {gives}, found --outputs {self.outputs}; leave out one", "layout")
        for name in ("heads_layout", "heads_cut"):
            if getattr(self, name) is not None and gives != "heads":
                raise OptionError(f"only --layout heads ends there, found {asked}", name)
        for name in ("max_detections", "target"):
            if getattr(self, name) is not None and self.layout != "nms":
                raise OptionError(f"only --layout nms has one, found {asked}", name)
