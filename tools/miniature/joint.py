"""Joint training (paper, section 4): classes that nobody drew boxes for, by three rules for whole pictures' labels.

Every step is trained for every seed: the classifier of ten digits that Table 2's networks start from, boxes of five
digits, then boxes of five and labels of the other five by each rule; and, as the upper bound, boxes of all ten.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from darknet_compat.datasets.readers.digits import DigitScenes
from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.evaluation.run.detections import at_level, matched_classes
from darknet_compat.evaluation.run.evaluated import EvaluatedModel
from darknet_compat.training.options import ObjectnessRule
from tools.miniature import networks, path, training
from tools.miniature.cells import Cell, Result, Setting, mean
from tools.miniature.networks import DIGITS

TABLE = "joint"
WITH_BOXES, OTHERS = "01234", "56789"
BOXES, ALL = "boxes", "all"
RULES: tuple[str, ...] = get_args(ObjectnessRule)
RATIO = 3
BATCHES = 5000
DIGIT_LEVEL = 1


def cells(setting: Setting) -> list[list[Cell]]:
    """What there is to run."""
    first = [path.classifier_of(name, seed) for seed in setting.seeds for name in ("new-low", "new-high")]
    boxed = [Cell(TABLE, config, seed, detect) for seed in setting.seeds for config in (BOXES, ALL)]
    ruled = [Cell(TABLE, rule, seed, detect) for seed in setting.seeds for rule in RULES]
    return [first[::2], first[1::2], boxed, ruled]


def detect(setting: Setting, cell: Cell, folder: Path) -> Result:
    """Train a detector on the tree and score it."""
    batches = setting.batches(BATCHES)
    section, rows = networks.detector(DIGITS, "location", batches, networks.TREE)
    cfg = training.write_cfg(folder / "cfg" / f"{cell.config}.cfg", section, rows)
    if cell.config in RULES:
        start = Cell(TABLE, BOXES, cell.seed, detect).folder(setting) / f"{BOXES}_final.weights"
        more = {"joint": f"digit-pictures:{OTHERS}", "ratio": RATIO, "objectness": cell.config}
    else:
        start, more = path.first_layers(setting, "new-high", cell.seed), {}
    data = "digits" if cell.config == ALL else f"digits:{WITH_BOXES}"
    weights = training.train(cfg, data, folder, seed=cell.seed, start=start, precision="bf16", **more)
    return {**scores(cfg, weights), "batches": batches, "batch": DIGITS.training.batch}


def scores(cfg: Path, weights: Path) -> Result:
    """AP of the boxed five and of the others; of scenes with the others only, asked just for `digit`."""
    names = networks.node_names()
    by_digit = EvaluatedModel(str(cfg), weights, names=names, backend="torch", map="digits").detector()
    entries = training.entries_of(training.held_out(), by_digit.names)
    precision = training.average_precision(training.found(by_digit, entries), by_digit.names)
    return {
        "boxed": mean([precision[digit] for digit in WITH_BOXES]),
        "others": mean([precision[digit] for digit in OTHERS]),
        "digit": of_level(cfg, weights, DIGIT_LEVEL),
        "AP": precision,
    }


def of_level(cfg: Path, weights: Path, level: int) -> float:
    """Mean AP on scenes with the other five only, of the nodes at a level of the tree."""
    detector = EvaluatedModel(str(cfg), weights, names=networks.node_names(), backend="torch", level=level).detector()
    tree = detector.runtime.description.tree
    assert tree is not None
    scenes: DigitScenes = training.held_out([int(digit) for digit in OTHERS])
    entries = at_level(matched_classes(read_entries(scenes), detector.names), tree, level)
    return mean(list(training.average_precision(training.found(detector, entries), detector.names).values()))
