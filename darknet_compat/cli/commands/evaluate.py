"""`darknet-compat evaluate`: how good a model is, on labelled pictures."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer

from darknet_compat.cli.options import (
    Backend,
    BackendName,
    Batch,
    Hierarchy,
    HierThresh,
    InputSize,
    Json,
    Level,
    Model,
    Names,
    Precision,
    PrecisionMode,
    ResizeMode,
    Rule,
    Size,
    Verbose,
    Weights,
    explaining,
    parse_fraction,
    parse_size,
)
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal import score_report as evaluation


class Metric(str, Enum):
    """What is computed (`evaluation.metrics.METRICS`, and recall)."""

    auto = "auto"
    voc = "voc"
    voc07 = "voc07"
    coco = "coco"
    det = "det"
    recall = "recall"


class View(str, Enum):
    """How a classifier looks at a picture (`evaluation.classification.View`)."""

    crop = "crop"
    letterbox = "letterbox"
    stretch = "stretch"
    ten = "ten"


@dataclass(frozen=True)
class Several:
    """What stands in one option with commas between; typer would take a tuple for several arguments."""

    sizes: tuple[Size, ...] = ()
    backends: tuple[Backend, ...] = ()


def parse_sizes(text: str | Several) -> Several:
    """`288,416,608x352`. Raises BadParameter."""
    return text if isinstance(text, Several) else Several(sizes=tuple(map(parse_size, text.split(","))))


def parse_backends(text: str | Several) -> Several:
    """`torch,onnxruntime`. Raises BadParameter."""
    if isinstance(text, Several):
        return text
    try:
        return Several(backends=tuple(Backend(part.strip()) for part in text.split(",")))
    except ValueError:
        known = ", ".join(backend.value for backend in Backend)
        raise typer.BadParameter(f"expected some of {known}, with commas between, found '{text}'") from None


Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A VOC folder, COCO's JSON, a .data, a list of pictures, a folder of classes, or `digits`.",
    ),
]
Split = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="The part of DATA. Default: what one tests on.")
]
MetricName = Annotated[
    Metric,
    typer.Option("--metric", help="Default: what goes with DATA. voc07 has 11 points, voc the area under the curve."),
]
ViewName = Annotated[
    View, typer.Option("--view", help="Of classifiers: what they are shown; ten is the original's ten parts.")
]
Map = Annotated[
    str | None,
    typer.Option(
        "--map", metavar="NAME", help="With a WordTree: score these nodes; coco, imagenet-det, digits, a .map."
    ),
]
Thresh = Annotated[
    float,
    typer.Option("--thresh", parser=parse_fraction, metavar="0..1", help="The least score that is kept."),
]
Nms = Annotated[
    float,
    typer.Option("--nms", parser=parse_fraction, metavar="0..1", help="The overlap from which the weaker box goes."),
]
Flip = Annotated[
    bool, typer.Option("--flip", help="Average over each picture and its mirror image (the original's valid2).")
]
ResultsFrom = Annotated[
    Path | None,
    typer.Option(
        "--results-from",
        metavar="PATH",
        help="Score the result files there (--metric's; the original's or ours) instead of running MODEL.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Write report.html, scores.json and --metric's result files here."),
]
Against = Annotated[
    str | None, typer.Option("--against", metavar="MODEL", help="Compare with this one, picture by picture.")
]
AgainstWeights = Annotated[
    Path | None, typer.Option("--against-weights", metavar="FILE", help="Default: --weights, if it is the same MODEL.")
]
AgainstBackend = Annotated[Backend, typer.Option("--against-backend", help="What runs the other.")]
AgainstPrecision = Annotated[Precision, typer.Option("--against-precision", help="What the other computes in.")]
Sizes = Annotated[
    Several | None,
    typer.Option(
        "--sizes", parser=parse_sizes, metavar="N,N,…", help="Score and time MODEL at each of these input sizes."
    ),
]
Backends = Annotated[
    Several | None,
    typer.Option("--backends", parser=parse_backends, metavar="A,B,…", help="With --sizes: on each of these."),
]


def evaluate(
    model: Model,
    data: Data,
    weights: Weights = None,
    names: Names = None,
    split: Split = None,
    metric: MetricName = Metric.auto,
    view: ViewName = View.crop,
    thresh: Thresh = 0.005,
    nms: Nms = 0.45,
    flip: Flip = False,
    hier_thresh: HierThresh = 0.5,
    hierarchy: Hierarchy = Rule.darknet,
    level: Level = None,
    map: Map = None,
    size: InputSize = None,
    resize: ResizeMode = None,
    precision: PrecisionMode = Precision.fp32,
    backend: BackendName = Backend.auto,
    batch: Batch = 4,
    results_from: ResultsFrom = None,
    against: Against = None,
    against_weights: AgainstWeights = None,
    against_backend: AgainstBackend = Backend.auto,
    against_precision: AgainstPrecision = Precision.fp32,
    sizes: Sizes = None,
    backends: Backends = None,
    out: Out = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Score a model on labelled pictures: VOC's, COCO's or ImageNet DET's figures, recall, or top-1 and top-5.

    An interrupted run is taken up where it was, and what was detected once is not detected again. Whatever is wrong
    with a picture is said in a line; if any could not be used, the exit code is 1.
    """
    from darknet_compat.evaluation.run.subject import Subject

    _expect_one_job({"--against": against, "--sizes": sizes, "--results-from": results_from})
    if backends and not sizes:
        raise typer.BadParameter("needs --sizes; --backend names the one that runs MODEL", param_hint="--backends")
    if out is not None:
        terminal.results_folder(out)
    subject = Subject(model, weights, names, backend.value, precision.value, size, resize.value if resize else None)
    way: dict[str, Any] = {"hier_thresh": hier_thresh, "hierarchy": hierarchy.value, "level": level, "map": map}
    subject = replace(subject, thresh=thresh, nms=nms, flip=flip, **way)
    job = evaluation.Job(subject, data, split, metric.value, batch, out, json, verbose)
    if evaluation.task(job) == "classify":
        if against or sizes or results_from or metric is not Metric.auto:
            raise typer.BadParameter(f"{model} classifies; --metric and comparisons are for detectors")
        evaluation.classify(job, view.value)
    elif sizes:
        evaluation.sizes(job, sizes.sizes, [one.value for one in (backends.backends if backends else (backend,))])
    elif against:
        files = weights if against == model and against_weights is None else against_weights
        evaluation.compare(job, against, files, against_backend.value, against_precision.value)
    elif metric is Metric.recall:
        evaluation.recall(job)
    else:
        with explaining(size):
            evaluation.detect(job, results_from)


def _expect_one_job(asked: dict[str, Any]) -> None:
    """Refuse options that each ask for another piece of work."""
    named = [name for name, value in asked.items() if value]
    if len(named) > 1:
        raise typer.BadParameter(f"{' and '.join(named)} do not go together")
