"""Table 2, the path from YOLO to YOLOv2: networks that differ in one thing each, trained and scored alike."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from darknet_compat.definition.lower import load_spec
from darknet_compat.evaluation.run.evaluated import EvaluatedModel
from tools.miniature import networks, training
from tools.miniature.cells import Cell, Result, Setting, mean
from tools.miniature.networks import SCALES, Part
from tools.miniature.proposals import in_runtime, in_training

TABLE = "path"


@dataclass(frozen=True)
class Step:
    """A row: what it adds, in words; the network; the classifier that its first layers come from; whether it locates as
    region proposals do; the paper's mAP, where it has one of its own."""

    config: str
    title: str
    network: Part
    start: str
    proposals: bool = False
    paper: float | None = None


STEPS = (
    Step("yolo", "YOLO: a grid, connected layers", "yolo", "old-low", paper=63.4),
    Step("batchnorm", "batch normalization", "batchnorm", "old-low", paper=65.8),
    Step("hires", "high-resolution classifier", "hires", "old-high", paper=69.5),
    Step("convolutional", "convolutional, one box a cell", "convolutional", "old-high"),
    Step("hand", "anchor boxes by hand", "hand", "old-high", True, 69.2),
    Step("network", "new network", "network", "new-high", True, 69.6),
    Step("priors", "dimension priors", "priors", "new-high", True),
    Step("location", "location prediction", "location", "new-high", paper=74.4),
    Step("passthrough", "passthrough", "passthrough", "new-high", paper=75.4),
    Step("multiscale", "multi-scale training", "passthrough", "new-high", paper=76.8),
)
"""The last row of the paper's table is the last one's weights at a larger size (78.6)."""
CONTROLS = (Step("convolutional-low", "convolutional, from the first classifier", "convolutional", "old-low"),)
"""Not in the paper's table: what the classifier at high resolution brings to a network that learns enough to tell."""
LARGE = "large"
CLASSIFIERS = ("old-low", "new-low", "old-high", "new-high")


FIRST = 0
"""The seed of the classifiers: all detectors start from the same, as the paper's do from one of ImageNet."""


def cells(setting: Setting) -> list[list[Cell]]:
    """What there is to run, in groups of which each needs the ones before."""
    low, high = ([classifier_of(name, FIRST) for name in CLASSIFIERS if name.endswith(end)] for end in ("low", "high"))
    return [low, high, [cell_of(step, seed, setting) for seed in setting.seeds for step in (*STEPS, *CONTROLS)]]


def cell_of(step: Step, seed: int, setting: Setting) -> Cell:
    """The cell of a row."""
    scale = SCALES[setting.data]
    depends: Result = {"priors": scale.priors}
    if step.network in networks.GRID:
        depends = {"grid": scale.grid}
    elif step.network in ("hand", "network"):
        depends = {}
    return Cell(TABLE, step.config, seed, detect, depends)


def step_of(config: str) -> Step:
    """A row by the name of its configuration."""
    return next(step for step in (*STEPS, *CONTROLS) if step.config == config)


def classifier_of(name: str, seed: int) -> Cell:
    """The cell of a classifier."""
    return Cell("classifiers", name, seed, classify)


def classify(setting: Setting, cell: Cell, folder: Path) -> Result:
    """Train a classifier on pictures of one thing, or go on with it on pictures twice as large."""
    scale = SCALES[setting.data]
    body, size = cell.config.split("-")
    high, text = size == "high", scale.old if body == "old" else scale.new
    batches = setting.batches((scale.then if high else scale.first).batches)
    cfg = training.write_cfg(folder / "cfg" / f"{cell.config}.cfg", *networks.classifier(scale, text, high, batches))
    low = classifier_of(f"{body}-low", cell.seed).folder(setting) / f"{body}-low_final.weights"
    start = low if high else None
    weights = training.train(cfg, training.labels(setting), folder, seed=cell.seed, start=start, precision="bf16")
    kept = training.cut(cfg, weights, networks.layers(text))
    return {"top1": training.top1(setting, cfg, weights), "weights": kept.name, "batches": batches}


def first_layers(setting: Setting, name: str, seed: int) -> Path:
    """The weights of a classifier's body."""
    cell = classifier_of(name, seed)
    known = cell.known(setting)
    assert known is not None, f"{name} is run before"
    return cell.folder(setting) / str(known["weights"])


def detect(setting: Setting, cell: Cell, folder: Path) -> Result:
    """Train a step's detector and score it."""
    scale, step = SCALES[setting.data], step_of(cell.config)
    batches = setting.batches(scale.training.batches)
    start = first_layers(setting, step.start, FIRST)
    if step.config == "yolo":
        before = start.parent / f"{step.start}.cfg", start.parent / f"{step.start}_final.weights"
        start = training.folded(*before, networks.layers(scale.old), folder)
    multiscale = step.config == "multiscale"
    with training.largest_last(batches):
        trained = training.steady(
            lambda rate: networks.detector(scale, step.network, batches, rate=rate),
            training.boxes(setting), step.config, folder, seed=cell.seed, start=start, precision="bf16",
            hook=in_training if step.proposals else None, sizes=scale.sizes if multiscale else None,
        )  # fmt: skip
    cfg = trained.folder / f"{step.config}.cfg"
    result = scores(setting, cfg, trained.weights, step.proposals)
    if multiscale:
        result[LARGE] = scores(setting, cfg, trained.weights, False, scale.large)
    losses = training.losses(trained.folder)[:: max(1, batches // 500)]
    place = str(trained.weights.relative_to(folder))
    steadied = {"rate": trained.rate, "diverged": trained.diverged, "weights": place, "losses": losses}
    return result | {"batches": batches, "size": load_spec(cfg).net.width, **steadied}


def scores(setting: Setting, cfg: Path, weights: Path, proposals: bool, size: int | None = None) -> Result:
    """What a detector's answers on held-out pictures are worth."""
    sides = None if size is None else (size, size)
    names = training.names_of(SCALES[setting.data].names)
    detector = EvaluatedModel(str(cfg), weights, names=names, backend="torch", size=sides).detector()
    if proposals:
        in_runtime(detector.runtime)
    entries = training.test_entries(setting, names)
    precision = training.average_precision(training.found(detector, entries), names)
    reached = training.recall(detector, entries)
    return {
        "mAP": mean(list(precision.values())),
        "recall": reached.recall,
        "proposals": reached.proposals / reached.pictures,
        "AP": precision,
    }
