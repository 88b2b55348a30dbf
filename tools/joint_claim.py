"""YOLO9000's claim in miniature: a detector for classes that nobody drew boxes for (paper, section 4).

    python tools/joint_claim.py                             # three seeds; results in runs/joint/
    python tools/joint_claim.py --seeds 0 --max-batches 50  # to try it out

A detector on the digits' tree learns from boxes of five digits and labels of whole pictures of the other five; from the
boxes alone, from where joint training goes on; and, as the upper bound, from boxes of all ten. Both of these start from
the first layers of a classifier of all ten digits, as the paper's detectors do from one of ImageNet, and are trained
once; joint training is for every seed. All are scored on held-out scenes with all ten digits, and on scenes with the
other five only one level of the tree after the other, the shape group and `digit`. Trainings that are done already are
not repeated. Writes joint.json and joint.png.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from train_digits import BOXED, DATA, first_layers, trained_detector

from darknet_compat.datasets.readers.digits import NAMES, DigitScenes
from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.evaluation.run.detections import at_level, collect, matched_classes
from darknet_compat.evaluation.run.evaluated import EvaluatedModel
from darknet_compat.evaluation.scores.metrics import METRICS
from darknet_compat.formats.atomic import atomic_write

MODEL = "yolo9000-digits"
WITH_BOXES, OTHERS = "01234", "56789"
BOXES_ALONE, JOINT, BOXES_OF_ALL = "boxes of five", "joint", "boxes of all"
RECIPES = {BOXES_ALONE: BOXED, JOINT: DATA[MODEL], BOXES_OF_ALL: ("warped-digits",)}
SCENES = 1000
LEVELS = {"shape group": 2, "digit": 1}


def trained(recipe: str, seed: int, out: Path, more: list[str]) -> Path:
    """The weights of a recipe with a seed, trained unless they are there; what it starts from has seed 0."""

    def folder(name: str, number: int) -> Path:
        return out / f"{name.replace(' ', '-')}-{number}"

    seeded = [*more, "--seed", str(seed)]
    first = [*more, "--seed", "0"]
    start = trained(BOXES_ALONE, 0, out, more) if recipe == JOINT else first_layers(out, first)
    return trained_detector(MODEL, RECIPES[recipe], folder(recipe, seed), seeded, start)


def precision(weights: Path, digits: str, level: int | None = None) -> dict[str, float]:
    """AP at IoU 0.5 by class on held-out scenes of `digits`, of the ten, or of the nodes at a level of the tree."""
    subject = EvaluatedModel(MODEL, weights, backend="torch", level=level, map="digits" if level is None else None)
    detector = subject.detector()
    dataset = DigitScenes("test", SCENES, digits=[int(digit) for digit in digits])
    entries = matched_classes(read_entries(dataset), detector.names)
    tree = detector.runtime.description.tree
    if level is not None and tree is not None:
        entries = at_level(entries, tree, level)
    results = collect(entries, [answer for _, answer in detector.stream(entries.images(), 8)])
    voc = METRICS["voc"]
    score = voc.score(voc.as_scored(results.found, results.sizes), results.truths, entries.names)
    return {row["name"]: row["ap"] for row in score.document["classes"] if row["objects"]}


def scored(weights: Path) -> dict[str, Any]:
    """All that is said of one training, shares from 0 to 1; kept beside the weights."""
    kept = weights.with_name("scores.json")
    if kept.is_file():
        known: dict[str, Any] = json.loads(kept.read_text("utf-8"))
        return known
    digits = precision(weights, "".join(NAMES))
    found = {
        "the boxed five": statistics.fmean(digits[digit] for digit in WITH_BOXES),
        "the other five": statistics.fmean(digits[digit] for digit in OTHERS),
    }
    for name, level in LEVELS.items():
        found[f"the other five, {name}"] = statistics.fmean(precision(weights, OTHERS, level).values())
    scores = {"mAP": found, "AP": digits}
    kept.write_text(json.dumps(scores), "utf-8")
    return scores


def table(results: dict[str, list[dict[str, Any]]]) -> str:
    """Markdown: a row for each recipe, mean and half the spread of its seeds, if several, in per cent."""
    columns = list(next(iter(results.values()))[0]["mAP"])
    lines = ["| trained on | " + " | ".join(columns) + " |", "|---" * (len(columns) + 1) + "|"]
    for recipe, seeds in results.items():
        cells = [[100 * score["mAP"][column] for score in seeds] for column in columns]
        spread = [f" ± {(max(cell) - min(cell)) / 2:.1f}" if len(seeds) > 1 else "" for cell in cells]
        shown = [f"{statistics.fmean(cell):.1f}{more}" for cell, more in zip(cells, spread, strict=True)]
        lines.append(f"| {recipe} | " + " | ".join(shown) + " |")
    return "\n".join(lines)


def draw(results: dict[str, list[dict[str, Any]]], path: Path) -> None:
    """AP of each digit, a bar the mean over seeds and a dot each seed."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 4), layout="constrained")
    width = 0.8 / len(results)
    for place, (recipe, seeds) in enumerate(results.items()):
        at = [number + (place - (len(results) - 1) / 2) * width for number in range(len(NAMES))]
        columns = [[100 * score["AP"][digit] for score in seeds] for digit in NAMES]
        axes.bar(at, [statistics.fmean(column) for column in columns], width, label=recipe)
        for x, column in zip(at, columns, strict=True):
            axes.plot([x] * len(column), column, "k.", markersize=3)
    axes.axvline(len(WITH_BOXES) - 0.5, color="grey", linestyle=":")
    axes.text(len(WITH_BOXES) - 0.6, 101, "boxes drawn", ha="right")
    axes.text(len(WITH_BOXES) - 0.4, 101, "boxes drawn by nobody, but for the upper bound", ha="left")
    axes.set(xticks=range(len(NAMES)), xticklabels=NAMES, ylim=(0, 108), xlabel="digit", ylabel="AP at IoU 0.5, %")
    figure.legend(loc="outside lower center", ncols=len(results), frameon=False)
    figure.savefig(path, dpi=120)


def main() -> None:
    """Train, score, write."""
    parser = argparse.ArgumentParser(description="Detectors for classes that nobody drew boxes for.")
    parser.add_argument("--seeds", default="0,1,2", metavar="N,N")
    parser.add_argument("--recipes", default=",".join(RECIPES), metavar="NAME,NAME")
    parser.add_argument("--out", type=Path, default=Path("runs/joint"), metavar="DIR")
    parser.add_argument("--max-batches", help="not the definition's own: to try out")
    parser.add_argument("--workers", default="1", help="processes that compose scenes ahead")
    given = parser.parse_args()
    more = ["--workers", given.workers]
    if given.max_batches:
        more += ["--max-batches", given.max_batches]
    recipes = given.recipes.split(",")
    if unknown := set(recipes) - set(RECIPES):
        parser.error(f"expected some of {', '.join(RECIPES)}, found {', '.join(sorted(unknown))}")
    results: dict[str, list[dict[str, Any]]] = {recipe: [] for recipe in recipes}
    for place, seed in enumerate(map(int, given.seeds.split(","))):
        for recipe in recipes if place == 0 else [one for one in recipes if one == JOINT]:
            results[recipe].append({"seed": seed, **scored(trained(recipe, seed, given.out, more))})
    text = json.dumps({"scenes": SCENES, "recipes": results}, indent=1) + "\n"
    with atomic_write(given.out / "joint.json") as file:
        file.write(text.encode())
    draw(results, given.out / "joint.png")
    print(table(results))


if __name__ == "__main__":
    main()
