"""`darknet-compat train`: from labelled pictures to weights."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darknet_compat.cli.commands import train_joint as joining
from darknet_compat.cli.commands.train_joint import Joint, JointMap, Map, Objectness, ObjectnessRule, Ratio
from darknet_compat.cli.options import InputSize, Json, Names, Size
from darknet_compat.cli.terminal import output as terminal

if TYPE_CHECKING:
    from darknet_compat.cli.commands.train_joint import Material
    from darknet_compat.datasets.base import Dataset
    from darknet_compat.training.parallel import World
    from darknet_compat.training.start import Start
    from darknet_compat.training.trainer import Settings, Trainer


class TrainingPrecision(str, Enum):
    """What the layers compute in while training."""

    fp32 = "fp32"
    bf16 = "bf16"


Definition = Annotated[str, typer.Argument(metavar="MODEL", help="A .cfg, or a name from the catalogue.")]
Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="What to learn from: a .data, a list of pictures (.txt), a VOC folder, a COCO .json, a folder of class"
        " folders, or `digits`.",
    ),
]
Weights = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        metavar="FILE",
        help="Start from these: whole, only the first layers (darknet19_448.conv.23), or of other classes. Default: at"
        " random.",
    ),
]
Out = Annotated[Path | None, typer.Option("--out", metavar="DIR", help="Where the results go. Default: runs/MODEL.")]
Split = Annotated[str | None, typer.Option("--split", metavar="NAME", help="The part of DATA to learn from.")]
Valid = Annotated[
    str | None, typer.Option("--valid", metavar="NAME|DATA", help="A part of DATA, or other data, to measure mAP on.")
]
ValidEvery = Annotated[
    int, typer.Option("--valid-every", min=1, metavar="N", help="Measure mAP every N batches, and at the end.")
]
CheckpointEvery = Annotated[
    int, typer.Option("--checkpoint-every", min=1, metavar="N", help="Write a checkpoint every N batches.")
]
SizesInTurn = Annotated[
    str | None,
    typer.Option(
        "--sizes",
        metavar="N,N,…",
        help="Sides of squares to train at in turn, another one every 10 batches, as random=1 of a cfg does from 320"
        " to 608.",
    ),
]
BatchSize = Annotated[int | None, typer.Option("--batch", min=1, metavar="N", help="Pictures a batch, not the cfg's.")]
Subdivisions = Annotated[
    int | None,
    typer.Option(
        "--subdivisions", min=1, metavar="N", help="Parts that a batch is computed in; more need less memory."
    ),
]
MaxBatches = Annotated[int | None, typer.Option("--max-batches", min=1, metavar="N", help="Batches, not the cfg's.")]
Epochs = Annotated[
    float | None,
    typer.Option("--epochs", min=0.001, metavar="X", help="Times all pictures; the steps of the rate move along."),
]
Recipe = Annotated[
    bool, typer.Option("--paper", help="Train as the paper of YOLO9000 says, not as the released cfg does.")
]
Rate = Annotated[float | None, typer.Option("--learning-rate", min=0, metavar="X", help="Not the cfg's.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Another one gives other random numbers throughout.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", min=0, metavar="N", help="Processes that read pictures ahead. Default: one a core."),
]
Device = Annotated[str | None, typer.Option("--device", help="cpu, cuda, cuda:1. Default: a GPU if there is one.")]
Check = Annotated[bool, typer.Option(help="Look at all labels first, and show what is in them.")]
Layers = Annotated[TrainingPrecision, typer.Option("--precision", help="What the layers compute in.")]
Compile = Annotated[bool, typer.Option("--compile", help="Have torch compile the network first.")]
Synchronize = Annotated[
    bool, typer.Option("--sync-batchnorm", help="Under torchrun: normalize by the whole batch's statistics.")
]
TensorBoard = Annotated[bool, typer.Option("--tensorboard", help="Write events for TensorBoard as well.")]
Clear = Annotated[bool, typer.Option("--clear", help="Count images from 0, whatever the weights say.")]
Resume = Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")]
Average = Annotated[
    float | None,
    typer.Option("--ema", min=0, max=1, metavar="X", help="Keep a running average of the weights too; 0.999, say."),
]


def train(
    model: Definition,
    data: Data,
    weights: Weights = None,
    out: Out = None,
    split: Split = None,
    valid: Valid = None,
    valid_every: ValidEvery = 500,
    names: Names = None,
    size: InputSize = None,
    sizes: SizesInTurn = None,
    batch: BatchSize = None,
    subdivisions: Subdivisions = None,
    max_batches: MaxBatches = None,
    epochs: Epochs = None,
    paper: Recipe = False,
    learning_rate: Rate = None,
    check: Check = True,
    joint: Joint = None,
    ratio: Ratio = None,
    map: Map = None,
    joint_map: JointMap = None,
    objectness: Objectness = ObjectnessRule.darknet,
    seed: Seed = 0,
    workers: Workers = None,
    precision: Layers = TrainingPrecision.fp32,
    device: Device = None,
    compile: Compile = False,
    sync_batchnorm: Synchronize = False,
    ema: Average = None,
    tensorboard: TensorBoard = False,
    clear: Clear = False,
    resume: Resume = False,
    checkpoint_every: CheckpointEvery = 100,
    json: Json = False,
) -> None:
    """Train a network by the original's rules.

    In --out: MODEL.cfg as it is trained, MODEL.backup and checkpoint.pt every so often, MODEL_final.weights at the
    end, log.csv, chart.png, and first_batch.png with what the network gets to see. Ctrl-C ends after the batch under
    way; --resume goes on from there. On several GPUs or machines: `torchrun --nproc-per-node N -m darknet_compat train
    …`; a batch is then spread over all of them.
    """
    from darknet_compat.errors import TrainingError
    from darknet_compat.formats.lock import alone_in
    from darknet_compat.inference.model import locate
    from darknet_compat.training.parallel import joined_world
    from darknet_compat.training.trainer import Settings

    cfg = _recipe(model) if paper else locate(model, download=False).cfg
    folder = out or Path("runs") / cfg.stem
    material = joining.material(cfg, data, split, names, map, joint, joint_map, ratio)
    dataset = material.dataset
    given = {"batch": batch, "subdivisions": subdivisions, "max_batches": max_batches, "learning_rate": learning_rate}
    options = _net_options(cfg, given, size, epochs, len(dataset))
    with joined_world(device) as world, nullcontext() if world.rank else alone_in(folder, TrainingError, "training"):
        facts = _look_at(material, quiet=json) if check and not (world.rank or resume) else {}
        start = _start(cfg, weights, folder, dataset, options, clear, seed, quiet=world.rank > 0)
        settings = Settings(
            precision.value, device, compile, sync_batchnorm, ema, checkpoint_every, objectness.value
        )  # fmt: skip
        trainer = _trainer(start, dataset, folder, seed, workers, settings, resume, world, _sides(sizes))
        for note in () if world.rank else trainer.notes:
            terminal.say(note)
        score = None if valid is None else _scoring(start, data, valid, dataset.names)
        _run(trainer, dataset, score, valid_every, json, tensorboard, facts)


def _run(
    trainer: Trainer,
    dataset: Dataset,
    score: Callable[[Path], float] | None,
    valid_every: int,
    json: bool,
    tensorboard: bool,
    facts: dict[str, Any],
) -> None:
    """Train to the end or to a signal, and show how it goes."""
    from darknet_compat.cli.terminal.progress import TrainingProgress

    if trainer.world.rank:  # the first of several processes speaks and writes for all
        for _ in trainer.run():
            pass
        return
    with _stopping(trainer), TrainingProgress(trainer, dataset, quiet=json, tensorboard=tensorboard) as progress:
        for step in trainer.run():
            progress.show(step)
            last = step.number == trainer.net.max_batches
            if score and (last or step.number % valid_every == 0):
                weights = trainer.save_weights(trainer.detecting, f"{trainer.name}_now.weights")
                progress.scored(step.number, score(weights), weights)
    progress.finish(json, facts)


def _net_options(
    cfg: Path, given: dict[str, float | None], size: Size | None, epochs: float | None, pictures: int
) -> dict[str, Any]:
    """What stands in `[net]` instead of the cfg's own."""
    from darknet_compat.definition.adapt import for_epochs
    from darknet_compat.definition.lower import load_spec

    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    if size:
        options |= {"width": size.width, "height": size.height}
    return options if epochs is None else for_epochs(load_spec(cfg).net, epochs, pictures, options)


def _look_at(material: Material, quiet: bool) -> dict[str, Any]:
    """Say what there is to learn from, and give it back for `--json`. Raises DatasetError where some cannot be used."""
    for dataset in material.parts if not quiet else ():
        if not dataset.is_composed:
            _check(dataset)
    return joining.show_coverage(material, quiet=quiet)


def _check(dataset: Dataset) -> None:
    """Look at all labels and say what is in them. Raises DatasetError where some cannot be used."""
    from darknet_compat.cli.terminal.data_report import print_report
    from darknet_compat.datasets.check import check_dataset
    from darknet_compat.errors import DatasetError

    with terminal.Counter("reading labels") as progress:
        report = check_dataset(dataset, progress=progress)
    print_report(report)
    if report.wrong:
        wrong = terminal.count(report.wrong, "picture")
        raise DatasetError(f"{dataset.title}: {wrong} of {report.pictures:,} cannot be used, as said above")


def _sides(text: str | None) -> tuple[int, ...] | None:
    """The numbers of a list such as 320,352,384. Raises BadParameter."""
    if text is None:
        return None
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and 0 < int(part) <= 8192 for part in parts):
        raise typer.BadParameter(f"expected pixels such as 320,352,384, found '{text}'", param_hint="--sizes")
    return tuple(map(int, parts))


def _recipe(model: str) -> Path:
    """The definition of this name whose `[net]` is the paper's training. Raises CatalogError where there is none."""
    from darknet_compat.errors import CatalogError
    from darknet_compat.formats.packaged import cfg_dir

    known = {path.stem: path for path in sorted((cfg_dir() / "recipes").glob("*.cfg"))}
    if model not in known:
        raise CatalogError(f"{model}: the paper's training is known for {', '.join(known)}, by these names")
    return known[model]


def _start(
    cfg: Path,
    weights: Path | None,
    folder: Path,
    dataset: Dataset,
    options: dict[str, Any],
    clear: bool,
    seed: int,
    quiet: bool,
) -> Start:
    """The network to train, in its folder with its definition and the names of its classes."""
    from darknet_compat.errors import TrainingError
    from darknet_compat.formats.atomic import atomic_write
    from darknet_compat.training.start import start_training

    classes = len(dataset.names) or None
    start = start_training(cfg, weights, out=folder, classes=classes, options=options, clear=clear, seed=seed)
    for note in () if quiet else start.notes:
        terminal.say(note)
    if dataset.names:
        with atomic_write(folder / f"{cfg.stem}.names", TrainingError) as file:
            file.write(("\n".join(dataset.names) + "\n").encode())
    return start


def _trainer(
    start: Start,
    dataset: Dataset,
    folder: Path,
    seed: int,
    workers: int | None,
    settings: Settings,
    resume: bool,
    world: World,
    sides: tuple[int, ...] | None,
) -> Trainer:
    from darknet_compat.training.batches.loader import Batch, Loader
    from darknet_compat.training.batches.sheet import contact_sheet
    from darknet_compat.training.trainer import Trainer
    from darknet_compat.vision.draw import save

    spec = start.network.spec

    def batches(number: int) -> Iterator[Batch]:
        rows = spec.net.step_rows
        for batch in Loader(
            dataset,
            spec,
            batch=rows,
            seed=seed,
            workers=workers,
            start=number,
            sizes=sides,
            part=world.part,
            pin_memory=trainer.device.type == "cuda",
        ):
            if batch.number == number and not world.rank:
                save(contact_sheet(batch, dataset.names), folder / "first_batch.png")
            yield batch

    made_with = {"seed": seed, "pictures": len(dataset), "classes": ", ".join(dataset.names)[:200]}
    trainer = Trainer(
        start.network,
        batches,
        folder,
        name=start.cfg.stem,
        settings=settings,
        made_with=made_with,
        resume=resume,
        world=world,
    )
    return trainer


def _scoring(start: Start, data: str, valid: str, names: tuple[str, ...]) -> Callable[[Path], float]:
    """What measures weights on the data that `valid` stands for, a part of `data` or some of its own: the mean average
    precision at IoU 0.5, the area under the curve."""
    from darknet_compat.datasets.readers.digits import is_digits
    from darknet_compat.evaluation.material.entries import read_entries
    from darknet_compat.evaluation.run.detections import THRESH, gathered, matched_classes, open_for
    from darknet_compat.evaluation.scores.metrics import METRICS
    from darknet_compat.inference.detector import Detector

    own = Path(valid).exists() or is_digits(valid)
    entries = matched_classes(read_entries(open_for(valid if own else data, names, None if own else valid)), names)
    metric = METRICS["voc"]

    def score(weights: Path) -> float:
        detector = Detector(start.cfg, weights, names=names, thresh=THRESH)
        results = gathered(entries, [answer for _, answer in detector.stream(entries.images(0), 8)])
        found = metric.as_scored(results.found, results.sizes)
        return metric.score(found, results.truths, entries.names).headline or 0.0

    return score


@contextmanager
def _stopping(trainer: Trainer) -> Iterator[None]:
    """Ctrl-C and SIGTERM end training after the batch under way; a second Ctrl-C ends it at once."""

    def stop(number: int, frame: object) -> None:
        trainer.stop()
        terminal.say("stopping after this batch; --resume goes on from there")
        signal.signal(signal.SIGINT, signal.default_int_handler)

    old = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in old.items():
            signal.signal(number, handler)
