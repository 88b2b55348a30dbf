"""What can be asked of an evaluation, each option stated once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from darknet_compat.cluster.options import Engine, WorkersOption, expect_engine
from darknet_compat.datasets.options import LabelsRule, LayoutName, PicturesFolder
from darknet_compat.errors import OptionError
from darknet_compat.formats.words import Precision
from darknet_compat.inference.options import (
    BACKENDS,
    BatchOption,
    Hierarchy,
    HierThresh,
    LevelOption,
    Map,
    ModelOption,
    RunOptions,
    Threads,
    parse_backend,
)
from darknet_compat.options import Option, Size, parse_choices, parse_fraction, parse_sizes

MetricName = Literal["auto", "voc", "voc07", "coco", "det", "map", "recall"]
"""What is computed (`evaluation.scores.metrics.METRICS`, and recall)."""

View = Literal["crop", "letterbox", "stretch", "ten"]
"""How a picture is looked at: `crop`, the square in its middle (`classifier valid`); `letterbox`, whole on grey
(`classifier predict`); `stretch`; `ten`, ten overlapping parts (`classifier valid10`), whose answers are added."""


@dataclass(frozen=True)
class EvaluateOptions(RunOptions):
    """What to score on what, and how; raises OptionError for values that cannot be, or that do not go together."""

    model: ModelOption
    data: Annotated[
        str,
        Option(
            "Labelled pictures: a folder as any labelling tool leaves it, a .data, a list, a data.yaml, COCO's JSON, a"
            " CSV, a folder of classes, or `digits`.",
            metavar="DATA",
            positional=True,
        ),
    ]
    split: Annotated[str | None, Option("The part of DATA. Default: what one tests on.", metavar="NAME")] = None
    layout: LayoutName = None
    labels: LabelsRule = "clip"
    pictures: PicturesFolder = None
    metric: Annotated[
        MetricName,
        Option(
            "Default: what goes with DATA. voc07 has 11 points, voc the area under the curve; map is what the fork's"
            " `detector map` prints."
        ),
    ] = "auto"
    iou_thresh: Annotated[
        float, Option("With map: the overlap that finds an object.", metavar="0..1", parse=parse_fraction)
    ] = 0.5
    points: Annotated[
        int, Option("With map: 0 for the area under the curve, 11 or 101 recall levels.", metavar="N", least=0)
    ] = 0
    conf: Annotated[
        float, Option("With map: the score that counts as found.", metavar="0..1", parse=parse_fraction)
    ] = 0.25
    view: Annotated[View, Option("Of classifiers: what they are shown; ten is the original's ten parts.")] = "crop"
    thresh: Annotated[float, Option("The least score that is kept.", metavar="0..1", parse=parse_fraction)] = 0.005
    nms: Annotated[
        float, Option("The overlap from which the weaker box goes.", metavar="0..1", parse=parse_fraction)
    ] = 0.45
    flip: Annotated[bool, Option("Average over each picture and its mirror image (the original's valid2).")] = False
    hier_thresh: HierThresh = 0.5
    hierarchy: Hierarchy = "darknet"
    level: LevelOption = None
    map: Map = None
    batch: BatchOption = 4
    threads: Threads = None
    engine: Engine = "local"
    workers: WorkersOption = None
    results_from: Annotated[
        Path | None,
        Option(
            "Score the result files there (--metric's; the original's or ours) instead of running MODEL.",
            metavar="PATH",
        ),
    ] = None
    against: Annotated[str | None, Option("Compare with this one, picture by picture.", metavar="MODEL")] = None
    against_weights: Annotated[Path | None, Option("Default: --weights, if it is the same MODEL.", metavar="FILE")] = (
        None
    )
    against_backend: Annotated[str, Option("What runs the other.", metavar="NAME", parse=parse_backend)] = "auto"
    against_precision: Annotated[Precision, Option("What the other computes in.")] = "fp32"
    sizes: Annotated[
        tuple[Size, ...] | None,
        Option("Score and time MODEL at each of these input sizes.", metavar="N,N,…", parse=parse_sizes),
    ] = None
    backends: Annotated[
        tuple[str, ...] | None,
        Option("With --sizes: on each of these.", metavar="A,B,…", parse=parse_choices(*BACKENDS)),
    ] = None
    out: Annotated[
        Path | None, Option("Write report.html, scores.json and --metric's result files here.", metavar="DIR")
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.points == 1:
            raise OptionError("expected 0, or 2 or more, such as 11 or 101; found 1", "points")
        own = {"iou_thresh": self.iou_thresh != 0.5, "points": bool(self.points), "conf": self.conf != 0.25}
        if self.metric != "map" and (given := next((name for name, other in own.items() if other), None)):
            raise OptionError("goes with --metric map", given)
        if self.metric == "map" and (self.against or self.sizes):
            raise OptionError("map goes with neither --against nor --sizes; voc does", "metric")
        each = {"--against": self.against, "--sizes": self.sizes, "--results-from": self.results_from}
        named = [name for name, value in each.items() if value]
        if len(named) > 1:
            raise OptionError(f"{' and '.join(named)} do not go together")
        if self.backends and not self.sizes:
            raise OptionError("needs --sizes; --backend names the one that runs MODEL", "backends")
        expect_engine(self.engine, self.workers)
        alone = {"--sizes": self.sizes, "--flip": self.flip, "--metric recall": self.metric == "recall"}
        if self.engine == "ray" and (given := next((name for name, value in alone.items() if value), None)):
            raise OptionError(f"ray detects for a score, and does not go with {given}", "engine")
