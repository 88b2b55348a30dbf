"""Training as one piece of work: from an options value to weights in a folder, with a chart, a log and the best ones.

import darknet_compat as dc

trained = dc.train(model="yolov2-tiny-voc.cfg", data="photos.data", max_batches=2000)
trained.weights
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

from darknet_compat.catalogue.locate import locate
from darknet_compat.datasets.base import Dataset
from darknet_compat.datasets.check import Report, check_dataset
from darknet_compat.datasets.options import Reading
from darknet_compat.definition.adapt import for_epochs
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.errors import CatalogError, DatasetError, TrainingError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.lock import alone_in
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.inference.progress import Counted, Noted, Progress, counting, silent
from darknet_compat.options import made
from darknet_compat.training.batches.contact_sheet import contact_sheet
from darknet_compat.training.batches.loader import Batch, Loader
from darknet_compat.training.checks import expect_boxes, expect_classes, expect_more_used, schedule_notes
from darknet_compat.training.joint import Coverage, coverage
from darknet_compat.training.log import Log
from darknet_compat.training.material import Material, open_material
from darknet_compat.training.options import TrainOptions
from darknet_compat.training.parallel import World, joined_world
from darknet_compat.training.start import Start, head_classes, start_training
from darknet_compat.training.trainer import Step, Trainer, TrainerSettings
from darknet_compat.vision.draw import save
from darknet_compat.vision.header import limited_pixels


class Checked(NamedTuple):
    """What was found in labels that training is to learn from."""

    report: Report


class Covered(NamedTuple):
    """What the nodes of a WordTree are going to be learned from."""

    dataset: Dataset
    coverage: Coverage


class Began(NamedTuple):
    """Training begins; `trainer.stop()` ends it after the batch under way."""

    trainer: Trainer
    dataset: Dataset


class Stepped(NamedTuple):
    """A batch is done; `score` is the last mAP, from 0 to 1."""

    step: Step
    score: float | None


class Validated(NamedTuple):
    """The weights after batch `number` reach this mAP, from 0 to 1."""

    number: int
    score: float
    best: bool


TrainingEvent = Counted | Noted | Checked | Covered | Began | Stepped | Validated


class Best(NamedTuple):
    """The best weights so far."""

    mAP: float
    batch: int


@dataclass
class Trained:
    """What training has come to. `loss` is the running average, None where there was nothing left to do; `mAP` the last
    one measured. `pictures` and `coverage` are of data on a WordTree."""

    folder: Path
    cfg: Path
    weights: Path
    batches: int
    images: int
    seconds: float
    loss: float | None = None
    skipped: int = 0
    mAP: float | None = None
    best: Best | None = None
    facts: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        plain: dict[str, Any] = asdict(self)
        plain |= {"best": self.best and self.best._asdict(), "seconds": round(self.seconds, 1)}
        left_out = ("cfg", "facts")
        plain = {name: value for name, value in plain.items() if name not in left_out} | self.facts
        return {name: str(value) if isinstance(value, Path) else value for name, value in plain.items()}


def train(
    options: TrainOptions | None = None, *, progress: Progress[TrainingEvent] | None = None, **given: Any
) -> Trained:
    """Train a network by the original's rules (original: `train_detector`, `train_classifier`).

    Takes a `TrainOptions` or its fields as keyword arguments: `train(model="a.cfg", data="b.data", max_batches=100)`.
    In `out` it leaves MODEL.cfg as it is trained, MODEL.backup and checkpoint.pt every so often, MODEL_final.weights at
    the end, log.csv, chart.png, and first_batch.png with what the network gets to see; with `valid` MODEL_best.weights
    too. `progress` is called with each event; `Began` has the Trainer, whose `stop` ends training early.

    `seed` fixes everything drawn at random, initial weights among it; torch's own generator is seeded with it. Under
    torchrun all processes train together, and the first one alone writes and reports. Raises OptionError for options
    that cannot be, and other DarknetCompatErrors, one line, for whatever is missing or wrong.
    """
    options = made(TrainOptions, options, given)
    cfg = _recipe(options.model) if options.paper else locate(options.model, download=False).cfg
    folder = options.out or Path("runs") / cfg.stem
    material = open_material(cfg, options)
    with joined_world(options.device) as world, _alone(folder, world), limited_pixels(options.max_pixels):
        tell = silent if world.rank or progress is None else progress
        facts = (
            {}
            if world.rank or options.resume
            else _look_at(load_spec(cfg, dialect=options.dialect), material, options.check, tell)
        )
        start = _start(cfg, folder, material.dataset, options, tell)
        for note in schedule_notes(start.network.spec.net):
            tell(Noted(note))
        trainer = _trainer(start, material.dataset, folder, options, world)
        for note in trainer.notes:
            tell(Noted(note))
        score = None if options.valid is None else _scoring(start, options, material.dataset.names)
        return _run(trainer, material.dataset, score, options, tell, facts)


def _alone(folder: Path, world: World) -> AbstractContextManager[object]:
    """The folder for this training alone; the first of several processes sees to it."""
    return nullcontext() if world.rank else alone_in(folder, TrainingError, "training")


def _recipe(model: str) -> Path:
    """The definition of this name whose `[net]` is the paper's training. Raises CatalogError where there is none."""
    known = {path.stem: path for path in sorted((cfg_dir() / "recipes").glob("*.cfg"))}
    if model not in known:
        raise CatalogError(f"{model}: the paper's training is known for {', '.join(known)}, by these names")
    return known[model]


# ------------------------------------------------------------------------------------------------- before


def _look_at(spec: NetworkSpec, material: Material, check: bool, tell: Progress[TrainingEvent]) -> dict[str, Any]:
    """Look at all there is to learn from, or without `check` whether there is anything; facts about it. Raises
    DatasetError where some cannot be used."""
    for note in material.dataset.notes:
        tell(Noted(note))
    for dataset in material.parts if check else ():
        if not dataset.is_composed:
            report = _check(dataset, tell)
            if material.tree is None:
                expect_classes(head_classes(spec), dataset, report)
    expect_boxes(spec, material.parts[0])
    if material.tree is None or not check:
        return {}
    found = coverage(material.tree, material.parts, progress=counting(tell, "what nodes are learned from"))
    tell(Covered(material.dataset, found))
    return {"pictures": [len(part) for part in material.parts], "coverage": found.counts}


def _check(dataset: Dataset, tell: Progress[TrainingEvent]) -> Report:
    report = check_dataset(dataset, progress=counting(tell, "reading labels"))
    tell(Checked(report))
    if report.refusal:
        raise DatasetError(f"{dataset.title}: {report.refusal}, as said above")
    expect_more_used(dataset, report)
    return report


def _start(cfg: Path, folder: Path, dataset: Dataset, options: TrainOptions, tell: Progress[TrainingEvent]) -> Start:
    """The network to train, in its folder with its definition and the names of its classes."""
    net = _net_options(cfg, options, len(dataset))
    classes = len(dataset.names) or None
    start = start_training(
        cfg,
        options.weights,
        out=folder,
        classes=classes,
        options=net,
        clear=options.clear,
        seed=options.seed,
        dialect=options.dialect,
    )
    for note in start.notes:
        tell(Noted(note))
    if dataset.names:
        with atomic_write(folder / f"{cfg.stem}.names", TrainingError) as file:
            file.write(("\n".join(dataset.names) + "\n").encode())
    return start


def _net_options(cfg: Path, options: TrainOptions, pictures: int) -> dict[str, Any]:
    """What stands in `[net]` instead of the cfg's own."""
    names = ("batch", "subdivisions", "max_batches", "learning_rate")
    net = {name: value for name in names if (value := getattr(options, name)) is not None}
    if options.size:
        net |= {"width": options.size.width, "height": options.size.height}
    return (
        net
        if options.epochs is None
        else for_epochs(load_spec(cfg, dialect=options.dialect).net, options.epochs, pictures, net)
    )


def _trainer(start: Start, dataset: Dataset, folder: Path, options: TrainOptions, world: World) -> Trainer:
    spec, sheet = start.network.spec, folder / "first_batch.png"

    def batches(number: int) -> Iterator[Batch]:
        for batch in Loader(
            dataset,
            spec,
            batch=spec.net.step_rows,
            seed=options.seed,
            workers=options.workers,
            start=number,
            sizes=options.sizes,
            part=world.part,
            pin_memory=trainer.device.type == "cuda",
        ):
            # What is resumed keeps its own: it ends with the files that it would have had without a break.
            if batch.number == number and not world.rank and not (options.resume and sheet.exists()):
                save(contact_sheet(batch, dataset.names), sheet)
            yield batch

    trainer = Trainer(
        start.network,
        batches,
        folder,
        name=start.cfg.stem,
        settings=TrainerSettings(
            options.precision,
            options.device,
            options.compile,
            options.sync_batchnorm,
            options.ema,
            options.checkpoint_every,
            options.objectness,
        ),
        made_with={"seed": options.seed, "pictures": len(dataset), "classes": ", ".join(dataset.names)[:200]},
        resume=options.resume,
        world=world,
    )
    return trainer


def _scoring(start: Start, options: TrainOptions, names: tuple[str, ...]) -> Callable[[Path], float]:
    """What measures weights on the data that `valid` stands for, a part of `data` or some of its own."""
    from darknet_compat.evaluation.run.validation import scoring

    assert options.valid is not None
    reading = Reading.of(options, start.network.spec.dialect.labels_beside)
    return scoring(start.cfg, options.data, options.valid, names, reading, options.metric)


# ------------------------------------------------------------------------------------------------- training


def _run(
    trainer: Trainer,
    dataset: Dataset,
    score: Callable[[Path], float] | None,
    options: TrainOptions,
    tell: Progress[TrainingEvent],
    facts: dict[str, Any],
) -> Trained:
    """Train to the end or until stopped."""
    began = perf_counter()
    record = _Record(trainer, options, tell)
    tell(Began(trainer, dataset))
    if trainer.world.rank:  # the first of several processes speaks and writes for all
        for _ in trainer.run():
            pass
        return record.trained(perf_counter() - began, facts)
    try:
        for step in trainer.run():
            record.step(step)
            if score and (step.number == trainer.net.max_batches or step.number % options.valid_every == 0):
                weights = trainer.save_weights(trainer.detecting, f"{trainer.name}_now.weights")
                record.scored(step.number, score(weights), weights)
    finally:
        record.close()
    return record.trained(perf_counter() - began, facts)


class _Record:
    """What stays of training while it runs: table, chart, events, the best weights."""

    def __init__(self, trainer: Trainer, options: TrainOptions, tell: Progress[TrainingEvent]) -> None:
        self.trainer, self.options, self.tell = trainer, options, tell
        self.log = Log(trainer.folder, trainer.number, name=trainer.name, batches=trainer.net.max_batches)
        self.events = _events(trainer.folder) if options.tensorboard and not trainer.world.rank else None
        self.last: Step | None = None
        measured = [Best(row["mAP"], int(row["batch"])) for row in self.log.rows if "mAP" in row]
        self.best: Best | None = max(measured, key=lambda best: best.mAP, default=None)
        self.score: float | None = measured[-1].mAP if measured else None
        self.skipped = 0

    def step(self, step: Step) -> None:
        """A batch is done."""
        self.last = step
        self.log.add(step.row())
        self.skipped += len(step.skipped)
        for error in step.skipped:
            self.tell(Noted(f"skipped {error}"))
        if self.events is not None:
            for name, value in step.row().items():
                self.events.add_scalar(name, value, step.number)
        if step.number % self.options.checkpoint_every == 0:
            self.log.write()
        self.tell(Stepped(step, self.score))

    def scored(self, number: int, score: float, weights: Path) -> None:
        """The weights after batch `number`, now in the file `weights`, reach this mAP; the best ones are kept."""
        self.score = score
        self.log.add({"batch": number, "mAP": score})
        self.log.write()
        if self.events is not None:
            self.events.add_scalar("mAP", score, number)
        better = self.best is None or score > self.best.mAP
        if better:
            self.best = Best(score, number)
            shutil.move(weights, weights.with_name(f"{self.trainer.name}_best.weights"))
        else:
            weights.unlink()
        self.tell(Validated(number, score, better))

    def close(self) -> None:
        """Bring the files up to date."""
        if self.log.rows:
            self.log.write()
        if self.events is not None:
            self.events.close()

    def trained(self, seconds: float, facts: dict[str, Any]) -> Trained:
        """The whole of it."""
        trainer = self.trainer
        final = trainer.folder / f"{trainer.name}_final.weights"
        weights = final if final.is_file() else trainer.folder / f"{trainer.name}.backup"
        loss = None if self.last is None else self.last.average_loss
        return Trained(
            trainer.folder, trainer.folder / f"{trainer.name}.cfg", weights, trainer.number, trainer.seen, seconds,
            loss, self.skipped, self.score, self.best, facts,
        )  # fmt: skip


def _events(folder: Path) -> Any:
    """TensorBoard's writer. Raises TrainingError without it."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError:
        raise TrainingError("tensorboard is not installed: pip install tensorboard") from None
    return SummaryWriter(str(folder))
