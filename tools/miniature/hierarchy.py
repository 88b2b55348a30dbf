"""Hierarchical classification (paper, section 4): a flat softmax against a WordTree's, at the same size.

The same body learns ten digits once with one softmax over all, once with one in each group of siblings of the digits'
tree. Then both once more without any picture of one digit, which they are shown afterwards: how often is what the tree
names right, though less exact than a digit, and how sure is the flat softmax of one of the nine digits it knows?
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from darknet_compat.datasets.base import Dataset
from darknet_compat.datasets.readers.digits import DigitCrops
from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.inference.classification import Classification
from darknet_compat.inference.classifier import Classifier
from tools.miniature import networks, training
from tools.miniature.cells import Cell, Result, Setting, mean
from tools.miniature.networks import DIGITS

TABLE = "hierarchy"
FLAT, TREE, FLAT_LEFT, TREE_LEFT = "flat", "tree", "flat-left", "tree-left"
LEFT_OUT = (9, 3, 7)
"""The digit that a seed leaves out: one of each group of the tree."""
PICTURES = 400
BATCHES = 3000


def cells(setting: Setting) -> list[list[Cell]]:
    """What there is to run."""
    configs = (FLAT, TREE, FLAT_LEFT, TREE_LEFT)
    return [[Cell(TABLE, config, seed, classify) for seed in setting.seeds for config in configs]]


def left_out(seed: int) -> int:
    """The digit that a seed leaves out."""
    return LEFT_OUT[seed % len(LEFT_OUT)]


def classify(setting: Setting, cell: Cell, folder: Path) -> Result:
    """Train a classifier and see what it answers."""
    on_tree, left = cell.config.startswith(TREE), cell.config.endswith("-left")
    batches = setting.batches(BATCHES)
    section, rows = networks.classifier(DIGITS, DIGITS.new, False, batches, on_tree)
    cfg = training.write_cfg(folder / "cfg" / f"{cell.config}.cfg", section, rows)
    gone = left_out(cell.seed)
    seen = "".join(name for name in training.NAMES if int(name) != gone)
    data = f"digit-crops:{seen}" if left else "digit-crops"
    weights = training.train(cfg, data, folder, seed=cell.seed, precision="bf16")
    names = networks.node_names() if on_tree else training.NAMES
    classifier = Classifier(cfg, weights, names=names, backend="torch", hierarchy="paper")
    if left:
        found = of_unseen(classifier, DigitCrops("test", PICTURES, digits=[gone]), str(gone))
        return {"left_out": gone, "batches": batches, **found}
    tops = [
        [guess.name for guess in answer.top(5)].index(truth) if truth in {guess.name for guess in answer.top(5)} else 5
        for truth, answer in told(classifier, DigitCrops("test", PICTURES))
    ]
    return {
        "top1": mean([place == 0 for place in tops]),
        "top5": mean([place < 5 for place in tops]),
        "batches": batches,
    }


def told(classifier: Classifier, dataset: Dataset) -> Iterator[tuple[str, Classification]]:
    """The digit in each picture, and what the classifier says."""
    entries = read_entries(dataset)
    answers = (answer for _, answer in classifier.stream(entries.images(), training.BATCH))
    for row, answer in zip(entries.rows, answers, strict=True):
        assert isinstance(answer, Classification)
        yield training.NAMES[int(row.labels.classes[0])], answer


def of_unseen(classifier: Classifier, dataset: Dataset, digit: str) -> Result:
    """What is said of pictures of a digit that was never seen, as shares of them: names a `digit` (which is wrong), the
    `right_group`, a `wrong_group`, or only that it is a `digit`; and the mean `confidence` in the best digit."""
    tree = classifier.runtime.description.tree
    said = {"names_a_digit": 0, "right_group": 0, "wrong_group": 0, "only_digit": 0}
    best, named = [], []
    for _, answer in told(classifier, dataset):
        guess = answer.top(1)[0]
        best.append(guess.probability)
        if tree is None:
            said["names_a_digit" if guess.probability > 0.5 else "only_digit"] += 1
            continue
        names = [answer.class_names[node] for node in tree.path(answer.class_names.index(digit))]
        last = answer.path[-1]
        named.append(last.probability)
        if last.name in training.NAMES:
            said["names_a_digit"] += 1
        elif last.name not in names:
            said["wrong_group"] += 1
        else:
            said["right_group" if names.index(last.name) == len(names) - 2 else "only_digit"] += 1
    count = len(best)
    return {
        **{name: number / count for name, number in said.items()},
        "confidence": mean(best),
        "sure": float(np.mean(np.array(best) > 0.9)),
        **({"named_confidence": mean(named)} if named else {}),
    }
