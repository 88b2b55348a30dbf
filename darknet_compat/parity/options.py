"""What can be asked of a comparison with the original, each option stated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from darknet_compat.errors import OptionError
from darknet_compat.inference.options import InputSize, ModelOption, NamesOption, PrecisionMode, WeightsOption
from darknet_compat.options import MaxPixels, Option, Options, parse_fraction

Reader = Literal["original", "opencv"]
"""What a network can be held against."""


@dataclass(frozen=True)
class ParityOptions(Options):
    """What to hold against what, on which input. Raises OptionError for options that do not go together."""

    model: ModelOption
    weights: WeightsOption = None
    names: NamesOption = None
    image: Annotated[
        tuple[Path, ...],
        Option(
            "A picture to send through; with --stages repeatable. Default: seeded noise; with --stages the photographs"
            " that come with the original.",
            metavar="FILE",
        ),
    ] = ()
    seed: Annotated[int, Option("Of the noise, and of the weights where there are none.", metavar="N", least=0)] = 0
    size: InputSize = None
    reader: Annotated[
        Reader,
        Option("Whose answers to hold every layer against: the original Darknet's, or OpenCV 4's own reader."),
    ] = "original"
    stages: Annotated[
        bool, Option("The whole chain: original, torch, and the exported file in each runtime, down to detections.")
    ] = False
    layers: Annotated[bool, Option("With --stages: also every layer's value inside the exported graph.")] = False
    thresh: Annotated[
        float | None,
        Option(
            "With --stages: the least score of a detection. Default: 0.25; of seeded weights what 20 boxes pass.",
            metavar="0..1",
            parse=parse_fraction,
        ),
    ] = None
    precision: PrecisionMode = "fp32"
    out: Annotated[
        Path | None,
        Option(
            "Write the tables as JSON there, and a plot of the differences; with --stages a page to send.",
            metavar="DIR",
        ),
    ] = None
    max_pixels: MaxPixels = None

    def __post_init__(self) -> None:
        super().__post_init__()
        staged = self.layers or self.thresh is not None or self.precision != "fp32" or len(self.image) > 1
        if staged and not self.stages:
            raise OptionError("--layers, --thresh, --precision and several pictures go with --stages")
        if self.stages and self.reader == "opencv":
            raise OptionError("opencv compares layers, not --stages", "reader")
