"""What can be asked of a model and the pictures that are put to it, each option stated once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from darknet_compat.definition.dialects import DialectName
from darknet_compat.errors import BackendError, OptionError
from darknet_compat.formats.textfile import shown
from darknet_compat.formats.words import Build, Mode, Precision, Resize
from darknet_compat.options import (
    MaxPixels,
    Option,
    Options,
    Size,
    checked,
    options_of,
    parse_fraction,
    parse_size,
    parse_words,
)
from darknet_compat.runtime.registry import NAMES

BACKENDS = ("auto", *NAMES)
"""What runs a network; auto is the best that is installed."""

_DEVICE = re.compile(r"(cpu|cuda|gpu)(:\d+)?")


def parse_backend(value: Any) -> str:
    """A backend's name. Raises OptionError; where a device is named instead, it says how that is asked for."""
    name = str(value)
    if name in BACKENDS:
        return name
    device = _DEVICE.fullmatch(name.lower())
    named = name.lower().replace("gpu", "cuda")
    hint = f"; {name} is a device: --backend torch --device {named}" if device else ""
    raise OptionError(f"expected one of {', '.join(BACKENDS)}, found {shown(name)}{hint}")


HierarchyRule = Literal["darknet", "paper"]
"""What has to exceed `hier_thresh` on the way down. `paper`: the node's absolute probability, the product of the
probabilities given the parent. `darknet`: the product of the *absolute* probabilities of all nodes passed, which is
what the original computes (it multiplies down the tree twice) and what its answers, which stop earlier, come from."""

ModelOption = Annotated[
    str, Option("A .cfg, or a name from the catalogue (`info` alone lists it).", metavar="MODEL", positional=True)
]
PicturesOption = Annotated[
    list[str],
    Option(
        "Pictures, folders of pictures, lists of them (.txt), or quoted globs ('photos/**/*.jpg'); for `detect` also"
        " videos, cameras and streams.",
        metavar="FILES",
        positional=True,
    ),
]
WeightsOption = Annotated[
    Path | None,
    Option(
        "The .weights that belong to MODEL. Default: the file of MODEL's name beside a .cfg; the catalogue's for a"
        " name, fetched if need be.",
        metavar="FILE",
    ),
]
NamesOption = Annotated[
    Path | None,
    Option(
        "The classes' names, one a line. Default: the .names beside MODEL, else the usual list of that length.",
        metavar="FILE",
    ),
]
InputSize = Annotated[
    Size | None,
    Option("Another size of the network's input, 416 or 608x416.", metavar="WxH", parse=parse_size),
]
DialectOption = Annotated[
    DialectName | None,
    Option(
        "Whose words a .cfg is read as: the original Darknet's, or its best-known fork's (AlexeyAB), which take some"
        " for other things. Default: the fork's where words stand that only it has (`info` names them)."
    ),
]
ResizeMode = Annotated[
    Resize | None, Option("How pictures are fitted to that size. Default: as the model was made for.")
]
PrecisionMode = Annotated[Precision, Option("What the layers compute in.")]
BackendName = Annotated[
    str, Option(f"What runs the network: {', '.join(BACKENDS)}.", metavar="NAME", parse=parse_backend)
]
HierThresh = Annotated[
    float | None,
    Option(
        "With a WordTree: the least probability of the class that is named. Default: 0.5, or what the file was"
        " exported with.",
        metavar="0..1",
        parse=parse_fraction,
    ),
]
Hierarchy = Annotated[
    HierarchyRule,
    Option(
        "With a WordTree: what --hier-thresh is held against. The original multiplies the probabilities down the"
        " tree twice and so stops earlier; `paper` compares the class's own probability."
    ),
]
LevelOption = Annotated[
    int | None, Option("With a WordTree: go no deeper than this, 0 being the roots.", metavar="N", least=0)
]
RunMode = Annotated[
    Mode | None,
    Option(
        "latency: one picture at a time, by all cores. throughput: several at a time, and a .cfg is exported into"
        " the cache first. Default: throughput from 32 pictures on."
    ),
]
Threads = Annotated[int | None, Option("How many cores to use. Default: all.", metavar="N", least=1, most=1024)]
Device = Annotated[
    str | None, Option("cpu, cuda, cuda:1. Default: what the backend takes by itself, a GPU if there is one.")
]
BatchNorm = Annotated[
    Build,
    Option("Which build of the original to equal in batch normalization; weights were trained with CUDA's."),
]
BatchOption = Annotated[int, Option("Pictures per forward pass.", metavar="N", least=1, most=1024)]
Thresh = Annotated[
    float | None,
    Option(
        "The least score that counts. Default: 0.5, or what the file was exported with.",
        metavar="0..1",
        parse=parse_fraction,
    ),
]
Map = Annotated[
    str | None,
    Option("With a WordTree: score these nodes; coco, imagenet-det, digits or a .map.", metavar="NAME|FILE"),
]
Nms = Annotated[
    float | None,
    Option(
        "The overlap (IoU) above which the weaker of two boxes of a class is dropped; 1 keeps all. Default: 0.45,"
        " or what the file was exported with.",
        metavar="0..1",
        parse=parse_fraction,
    ),
]
Leaves = Annotated[
    Path | None,
    Option("With a WordTree: choose from the nodes listed here, not from all its leaves.", metavar="FILE"),
]
Top = Annotated[int, Option("How many classes to show.", metavar="K", least=1)]


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """What can be asked of every run of a model, by whatever command."""

    weights: WeightsOption = None
    names: NamesOption = None
    size: InputSize = None
    resize: ResizeMode = None
    dialect: DialectOption = None
    precision: PrecisionMode = "fp32"
    backend: BackendName = "auto"
    max_pixels: MaxPixels = None


@dataclass(frozen=True, kw_only=True)
class AskOptions(RunOptions):
    """What can be asked besides where pictures are put to a model (`inference.job`)."""

    hier_thresh: HierThresh = None
    hierarchy: Hierarchy = "darknet"
    level: LevelOption = None
    batchnorm: BatchNorm = "cuda"
    batch: BatchOption = 1
    mode: RunMode = None
    threads: Threads = None
    device: Device = None


@dataclass(frozen=True)
class DetectOptions(AskOptions):
    """What to detect with, and how (`inference.detector.Detector`)."""

    model: ModelOption
    files: PicturesOption
    thresh: Thresh = None
    nms: Nms = None
    map: Map = None
    classes: Annotated[
        tuple[str, ...] | None,
        Option("Only these, by name or number, with commas between.", metavar="A,B,…", parse=parse_words),
    ] = None
    clip: Annotated[bool, Option("Cut boxes to the picture, beyond which the original's may reach.")] = False


@dataclass(frozen=True)
class ClassifyOptions(AskOptions):
    """What to classify with, and how (`inference.classifier.Classifier`)."""

    model: ModelOption
    files: PicturesOption
    top: Top = 5
    leaves: Leaves = None


_KNOWN = {
    name: field._replace(option=Option(field.option.help, least=0, most=1)) if field.type is float else field
    for name, field in options_of(DetectOptions).items()
}


def expected(given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of a Detector or Classifier as the options of their names take them; a number has to be one, not a
    text. Raises BackendError."""
    values = {}
    for name, value in given.items():
        try:
            values[name] = checked(name, value, _KNOWN[name])
        except OptionError as error:
            raise BackendError(str(error)) from None
    return values
