"""Training and scoring as the tables need them: by `dc.train`, and by what `darknet-compat evaluate` computes."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import darknet_compat as dc
from darknet_compat.datasets.base import Dataset
from darknet_compat.datasets.readers.digits import NAMES as NAMES
from darknet_compat.datasets.readers.digits import DigitCrops, DigitScenes
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.edit import denormalize
from darknet_compat.definition.weights.file import cut_weights
from darknet_compat.errors import TrainingError
from darknet_compat.evaluation.job import Classified
from darknet_compat.evaluation.material.entries import Entries, read_entries
from darknet_compat.evaluation.run.detections import Results, collect, matched_classes, open_for
from darknet_compat.evaluation.scores.classification import answers, score
from darknet_compat.evaluation.scores.metrics import METRICS
from darknet_compat.evaluation.scores.recall import Recall, recalls
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.training.batches import multi_scale
from darknet_compat.training.job import Began, TrainingEvent
from darknet_compat.training.trainer import Trainer
from tools.definitions.sections import Rows, Section
from tools.miniature.cells import Setting

SCENES = 300
"""Held-out scenes that detectors are scored on."""
RATES = (1, 0.3, 0.1, 0.03)
BATCH = 8
"""Pictures at a time in scoring."""


def write_cfg(path: Path, net: Section, rows: Rows) -> Path:
    """Write a definition."""
    sections = [net, *(row for row in rows if not isinstance(row, str))]
    text = "\n".join(
        "\n".join([f"[{kind}]", *(f"{key}={value}" for key, value in options.items())]) + "\n"
        for kind, options in sections
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(path) as file:
        file.write(text.encode())
    return path


def train(
    cfg: Path,
    data: str,
    folder: Path,
    *,
    seed: int,
    start: Path | None = None,
    hook: Callable[[Trainer], None] | None = None,
    **more: Any,
) -> Path:
    """The weights after training a definition, from those of `start` on as if it had seen nothing.

    Goes on from a checkpoint in `folder`, and has nothing left to do where the last weights are there. `hook` is
    called with the Trainer before its first batch. Raises DarknetCompatError.
    """

    def listen(event: TrainingEvent) -> None:
        if isinstance(event, Began) and hook:
            hook(event.trainer)

    final = folder / f"{cfg.stem}_final.weights"
    if final.is_file():
        return final
    workers = 0 if data.startswith("digit") else None
    options = {"seed": seed, "workers": workers, "check": False, "checkpoint_every": 200, "weights": start, **more}
    options |= {"clear": start is not None, "resume": (folder / "checkpoint.pt").is_file()}
    dc.train(model=str(cfg), data=data, out=folder, progress=listen, **options)
    return final


class Steady(NamedTuple):
    """Weights, the folder they are in, the part of the usual rate at which the loss stayed a number, and the batches
    after which it was none at higher ones."""

    weights: Path
    folder: Path
    rate: float
    diverged: dict[str, int]


def steady(make: Callable[[float], tuple[Section, Rows]], data: str, name: str, folder: Path, **more: Any) -> Steady:
    """Train what `make` gives for a part of the usual rate: the highest of RATES at which the loss stays a number.

    Raises TrainingError where that is at none of them.
    """
    diverged: dict[str, int] = {}
    for rate in RATES:
        place = folder / f"rate-{rate:g}"
        cfg = write_cfg(place / "cfg" / f"{name}.cfg", *make(rate))
        try:
            return Steady(train(cfg, data, place, **more), place, rate, diverged)
        except TrainingError as error:
            if "loss is" not in str(error) and "no longer finite" not in str(error):
                raise
            diverged[f"{rate:g}"] = len(losses(place))
    raise TrainingError(f"{name}: the loss is no number at any rate that was tried")


def cut(cfg: Path, weights: Path, layers: int) -> Path:
    """A file with the first layers of some weights, beside them."""
    out = weights.with_name(f"{cfg.stem}.conv.{layers}")
    cut_weights(weights, load_spec(cfg), out, layers)
    return out


def folded(cfg: Path, weights: Path, layers: int, folder: Path) -> Path:
    """The same without batch normalization, which is put into the weights (original: `denormalize_net`)."""
    lines = cfg.read_text("utf-8").splitlines(keepends=True)
    bare = folder / f"{cfg.stem}-folded.cfg"
    with atomic_write(bare) as file:
        file.write("".join(line for line in lines if not line.startswith("batch_normalize")).encode())
    whole = folder / f"{cfg.stem}-folded.weights"
    denormalize(load_spec(cfg), weights, whole)
    return cut(bare, whole, layers)


@contextmanager
def largest_last(batches: int) -> Iterator[None]:
    """The batches at the end that see the largest size: Darknet's 200 of 80,000 would be half of a training here."""
    usual, multi_scale._LAST = multi_scale._LAST, max(1, batches * multi_scale._LAST // 80_000)
    try:
        yield
    finally:
        multi_scale._LAST = usual


def boxes(setting: Setting) -> str:
    """What detectors learn from."""
    return "digits" if setting.path is None else str(setting.path)


def labels(setting: Setting) -> str:
    """What classifiers learn from."""
    return "digit-crops" if setting.pictures is None else str(setting.pictures)


def names_of(file: str) -> tuple[str, ...]:
    """The classes of a packaged list."""
    return tuple(read_names(cfg_dir() / "data" / file))


def held_out(digits: Sequence[int] = range(10), scenes: int | None = None) -> DigitScenes:
    """Scenes that no training sees."""
    return DigitScenes("test", SCENES if scenes is None else scenes, digits=digits)


def test_entries(setting: Setting, names: Sequence[str], scenes: int | None = None) -> Entries:
    """The pictures that detectors are scored on: held-out scenes, or what one tests on of other data."""
    dataset = held_out(scenes=scenes) if setting.path is None else open_for(setting.path, names)
    return entries_of(dataset, names)


def entries_of(dataset: Dataset, names: Sequence[str]) -> Entries:
    """A data set's pictures, their classes numbered as in `names`."""
    return matched_classes(read_entries(dataset), names)


def found(detector: Detector, entries: Entries) -> Results:
    """All that a detector finds."""
    return collect(entries, [answer for _, answer in detector.stream(entries.images(), BATCH)])


def average_precision(results: Results, names: Sequence[str]) -> dict[str, float]:
    """AP at IoU 0.5, area under the curve, of each class that occurs."""
    voc = METRICS["voc"]
    score = voc.score(voc.as_scored(results.found, results.sizes), results.truths, tuple(names))
    return {row["name"]: row["ap"] for row in score.document["classes"] if row["objects"]}


def top1(setting: Setting, cfg: Path, weights: Path) -> float:
    """The share of held-out pictures of one thing that a classifier gets right."""
    if setting.pictures is not None:
        evaluated = dc.evaluate(model=str(cfg), weights=weights, data=labels(setting))
        assert isinstance(evaluated, Classified) and evaluated.scores.top1 is not None
        return evaluated.scores.top1
    entries = read_entries(DigitCrops("test", SCENES))
    given = answers(Classifier(cfg, weights, names=NAMES, backend="torch"), entries.images(), "stretch", BATCH)
    truths = [int(row.labels.classes[0]) for row in entries.rows]
    scored = score([None if isinstance(one, Failure) else one for one in given], truths)
    assert scored.top1 is not None
    return scored.top1


def recall(detector: Detector, entries: Entries) -> Recall:
    """The original's `detector recall`: objects that any box with an objectness above 0.001 reaches."""
    sums = Recall()
    for one in recalls(detector, entries, BATCH):
        if not isinstance(one, Failure):
            sums += one
    return sums


def losses(folder: Path) -> list[tuple[int, float]]:
    """(batch, loss) as training logged them."""
    with open(folder / "log.csv", encoding="utf-8", newline="") as file:
        return [(int(float(row["batch"])), float(row["loss"])) for row in csv.DictReader(file) if row.get("loss")]
