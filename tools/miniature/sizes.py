"""Table 3 and Figure 4: one detector at many sizes, trained at as many or at one; mAP against time on each runtime."""

from __future__ import annotations

from pathlib import Path

from darknet_compat.evaluation.compare.tradeoff import TIMED, measure
from darknet_compat.evaluation.run.evaluated import EvaluatedModel
from darknet_compat.runtime import registry
from tools.miniature import path, training
from tools.miniature.cells import Cell, Result, Setting, mean

TABLE = "sizes"
SIDES = {"digits": (88, 104, 120, 136, 152, 168), "voc": (288, 352, 416, 480, 544)}
ONE, MULTI, TIME = "one-size", "multi-scale", "time"
TRAINED = {ONE: "passthrough", MULTI: "multiscale"}
"""The step of Table 2 whose weights are looked at."""
SCENES = 200


def cells(setting: Setting) -> list[list[Cell]]:
    """What there is to run; needs two of Table 2's steps and the classifier that they start from."""
    needed = {*TRAINED.values(), "new-low", "new-high"}
    groups = [[cell for cell in group if cell.config in needed] for group in path.cells(setting)]
    scored = [Cell(TABLE, config, seed, score) for seed in setting.seeds for config in TRAINED]
    return [*groups, scored, [Cell(TABLE, TIME, setting.seeds[0], time)]]


def subject(setting: Setting, config: str, seed: int) -> EvaluatedModel:
    """The detector of a step of Table 2."""
    step = path.cell_of(path.step_of(TRAINED[config]), seed, setting)
    known = step.known(setting)
    assert known is not None, f"{step.config} is run before"
    weights = step.folder(setting) / str(known["weights"])
    names = training.names_of(path.SCALES[setting.data].names)
    return EvaluatedModel(str(weights.with_name(f"{step.config}.cfg")), weights, names, backend="torch")


def score(setting: Setting, cell: Cell, folder: Path) -> Result:
    """mAP at each size."""
    one = subject(setting, cell.config, cell.seed)
    by_side = {}
    for side in SIDES[setting.data]:
        detector = EvaluatedModel(
            one.model, one.weights, names=one.names, backend="torch", size=(side, side)
        ).detector()
        entries = training.test_entries(setting, detector.names, SCENES)
        precision = training.average_precision(training.found(detector, entries), detector.names)
        by_side[str(side)] = mean(list(precision.values()))
    return {"mAP": by_side}


def time(setting: Setting, cell: Cell, folder: Path) -> Result:
    """Milliseconds on each runtime that is installed, one after the other, since the threads of one that has just been
    used slow the next one down; at each size in turn."""
    one = subject(setting, MULTI, cell.seed)
    entries = training.test_entries(setting, training.names_of(path.SCALES[setting.data].names), TIMED)
    points = []
    for backend in (row.name for row in registry.ROWS if row.installed):
        variants = [(backend, (side, side)) for side in SIDES[setting.data]]
        points += measure(one, variants, entries, "voc", training.BATCH, lambda label: lambda done, of: None)
    return {
        "points": [
            {"backend": point.backend, "side": point.width, "network_ms": point.network_ms,
             "picture_ms": point.picture_ms, "problem": point.problem}
            for point in points
        ]
    }  # fmt: skip
