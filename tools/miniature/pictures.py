"""The tables' pictures, a few tens of kilobytes each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.datasets.readers.digits import SIZE, DigitScenes
from darknet_compat.evaluation.run.evaluated import EvaluatedModel
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.vision.boxes import iou
from darknet_compat.vision.chart import to_png
from darknet_compat.vision.draw import draw
from darknet_compat.vision.opencv import opencv
from tools.miniature import classes, hierarchy, joint, path, priors, sizes
from tools.miniature.cells import Setting, mean, spread
from tools.miniature.claims import known, values

ENLARGED = 2
_SIDE = 150
_NEAR = 0.2
"""The overlap from which a detection has to do with an object."""
_COLOURS = ("#1f5fa8", "#b03030", "#3a8a5f", "#c98a1b", "#7a4fa3")


def write(setting: Setting, folder: Path) -> list[Path]:
    """Draw what there are results for; the files."""
    made = {
        "paper-path.png": _path, "paper-losses.png": _losses, "paper-sizes.png": _sizes, "paper-priors.png": _priors,
        "paper-hierarchy.png": _hierarchy, "paper-joint.png": _joint,
    }  # fmt: skip
    paths = []
    for name, draw_it in made.items():
        picture = _drawn(draw_it, setting)
        if picture is not None:
            folder.mkdir(exist_ok=True)
            with atomic_write(folder / name) as file:
                file.write(picture)
            paths.append(folder / name)
    sheet = _classes(setting)
    if sheet is not None:
        _, data = opencv().imencode(".jpg", sheet[..., ::-1], [opencv().IMWRITE_JPEG_QUALITY, 75])
        with atomic_write(folder / "paper-classes.jpg") as file:
            file.write(data.tobytes())
        paths.append(folder / "paper-classes.jpg")
    return paths


def _drawn(draw_it: Callable[[Any, Setting], bool], setting: Setting) -> bytes | None:
    """A picture as PNG, None where there is nothing to draw yet."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), layout="constrained")
    if not draw_it(figure, setting):
        return None
    return to_png(figure, 125)


def _path(figure: Any, setting: Setting) -> bool:
    """mAP along the path, ours and the paper's."""
    found = known(setting, path)
    points = [
        (step.title.split(":")[0].split(",")[0], step.paper, values(found, step.config, "mAP")) for step in path.STEPS
    ]
    points.append(("larger", 78.6, [one[path.LARGE]["mAP"] for one in found.get("multiscale", [])]))
    if not any(ours for *_, ours in points):
        return False
    axes = figure.subplots()
    here = [(x, 100 * mean(ours), 100 * spread(ours)) for x, (_, _, ours) in enumerate(points) if ours]
    axes.errorbar(
        *zip(*here, strict=True), fmt="o-", color=_COLOURS[0], capsize=3, label="here, digits (mean, range of seeds)"
    )
    theirs = [(x, paper) for x, (_, paper, _) in enumerate(points) if paper]
    axes.plot(*zip(*theirs, strict=True), "s--", color=_COLOURS[1], label="the paper, VOC 2007")
    axes.set(xticks=range(len(points)), ylabel="mAP at IoU 0.5, %", title="From YOLO to YOLOv2, a step at a time")
    axes.set_xticklabels([name for name, *_ in points], rotation=30, ha="right")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    return True


def _losses(figure: Any, setting: Setting) -> bool:
    """The loss while location is learned as region proposals have it, and within the cell."""
    found = known(setting, path)
    if not (found.get("priors") and found.get("location")):
        return False
    axes = figure.subplots(1, 2)
    for config, label, colour in (
        ("priors", "region proposals' form (not Darknet's)", _COLOURS[1]), ("location", "within the cell", _COLOURS[0]),
    ):  # fmt: skip
        for number, one in enumerate(found[config]):
            batches, loss = np.array(one["losses"]).T
            for axis in axes:
                axis.plot(batches, loss, color=colour, lw=0.8, alpha=0.8, label=None if number else label)
    first = max(2, int(batches[-1]) // 5)
    axes[0].set(
        xlim=(0, first), title=f"the first {first} batches", xlabel="batch", ylabel="loss a picture", yscale="log"
    )
    axes[1].set(title="all", xlabel="batch", yscale="log")
    figure.legend(*axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=2, frameon=False)
    return True


def _sizes(figure: Any, setting: Setting) -> bool:
    """mAP by size, and against the time that it takes."""
    found = known(setting, sizes)
    if not found.get(sizes.MULTI):
        return False
    left, right = figure.subplots(1, 2, sharey=True)
    sides = sizes.SIDES[setting.data]
    labels = {sizes.ONE: f"trained at {path.SCALES[setting.data].size}", sizes.MULTI: "trained at many sizes"}
    for config, colour in zip((sizes.ONE, sizes.MULTI), _COLOURS[1::-1], strict=True):
        columns = [[100 * one["mAP"][str(side)] for one in found.get(config, [])] for side in sides]
        means, ranges = [mean(one) for one in columns], [spread(one) for one in columns]
        left.errorbar(sides, means, ranges, fmt="o-", color=colour, capsize=3, label=labels[config])
    left.set(xlabel="side of the input", ylabel="mAP at IoU 0.5, %", title="Table 3: one detector, many sizes")
    left.legend(frameon=False)
    (timed, *_) = found.get(sizes.TIME, [None])
    lines: dict[str, list[tuple[float, float]]] = {}
    for point in timed["points"] if timed else ():
        if point["network_ms"]:
            score = 100 * mean([one["mAP"][str(point["side"])] for one in found[sizes.MULTI]])
            lines.setdefault(point["backend"], []).append((1000 / point["network_ms"], score))
    for (backend, line), colour in zip(lines.items(), _COLOURS, strict=False):
        right.plot(*zip(*line, strict=True), "o-", color=colour, label=backend)
    right.set(xlabel="images/s, network alone", title="Figure 4: accuracy against speed")
    right.legend(frameon=False)
    return True


def _priors(figure: Any, setting: Setting) -> bool:
    """Average IoU against k, the paper's Figure 2."""
    found = known(setting, priors)
    if not found:
        return False
    axes = figure.subplots()
    for (name, (one,)), colour in zip(found.items(), _COLOURS, strict=False):
        for how, style in (("by IoU", "o-"), ("by squared error", "x:")):
            points = [(int(k), 100 * value) for k, value in one[how].items()]
            label = f"{priors.TITLES.get(name, name)}, {how}"
            axes.plot(*zip(*points, strict=True), style, color=colour, ms=4, label=label)
    for how, marker in (("by IoU", "s"), ("by squared error", "D"), ("by hand", "^")):
        axes.plot(*zip(*priors.PAPER[how].items(), strict=True), marker, color="black", label=f"the paper, VOC, {how}")
    axes.set(xlabel="k", ylabel="average IoU, %", title="Figure 2 and Table 1: how well k anchors fit")
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)
    return True


def _hierarchy(figure: Any, setting: Setting) -> bool:
    """What is said of a digit that was never seen."""
    found = known(setting, hierarchy)
    if not (found.get(hierarchy.FLAT_LEFT) and found.get(hierarchy.TREE_LEFT)):
        return False
    axes = figure.subplots()
    names = {"right_group": "the right group", "only_digit": "only “digit”, or nothing", "wrong_group": "a wrong group",
             "names_a_digit": "a wrong digit"}  # fmt: skip
    left = np.zeros(2)
    for (name, label), colour in zip(names.items(), ("#3a8a5f", "#9ec5a8", "#c98a1b", "#b03030"), strict=True):
        shares = [100 * mean(values(found, config, name)) for config in (hierarchy.FLAT_LEFT, hierarchy.TREE_LEFT)]
        axes.barh(["flat softmax", "WordTree"], shares, left=left, color=colour, label=label)
        left += shares
    axes.set(xlabel="pictures of a digit that was never seen, %", title="Graceful degradation", xlim=(0, 100))
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    return True


def _joint(figure: Any, setting: Setting) -> bool:
    """AP of each digit by rule."""
    found = known(setting, joint)
    order = [one for one in (joint.BOXES, *joint.RULES, joint.ALL) if found.get(one)]
    if not order:
        return False
    axes = figure.subplots()
    digits = joint.WITH_BOXES + joint.OTHERS
    width = 0.85 / len(order)
    for place, (config, colour) in enumerate(zip(order, _COLOURS, strict=False)):
        at = [number + (place - (len(order) - 1) / 2) * width for number in range(len(digits))]
        columns = [[100 * one["AP"][digit] for one in found[config]] for digit in digits]
        axes.bar(at, [mean(one) for one in columns], width, color=colour, label=config)
    axes.axvline(len(joint.WITH_BOXES) - 0.5, color="grey", ls=":")
    axes.set(xticks=range(len(digits)), xticklabels=digits, ylabel="AP, %", xlabel="boxes of the left five only",
             title="Classes that nobody drew boxes for")  # fmt: skip
    axes.legend(frameon=False, ncols=len(order), fontsize=8)
    return True


def _classes(setting: Setting) -> Any:
    """Objects of the two best and the two worst digits without boxes, with what was found: a row each."""
    (found, *_) = known(setting, classes).get(classes.MODEL, [None])
    if found is None:
        return None
    order = sorted(found["others"], key=lambda digit: -found["AP"][digit])
    detector = EvaluatedModel(classes.MODEL, backend="torch", map="digits", thresh=classes.SHOWN).detector()
    scenes = DigitScenes("test", classes.SCENES)
    rows = []
    for digit in (*order[:2], *order[-2:]):
        wanted = ("right",) if digit in order[:2] else ("another", "not found")
        some = [one for one in found["examples"][digit] if one[2] in wanted][:5]
        rows.append(np.hstack([_object(detector, scenes.sample(scene), number) for scene, number, _ in some]))
    widest = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 4), (0, widest - row.shape[1]), (0, 0)), constant_values=255) for row in rows])


def _object(detector: Any, sample: Any, number: int) -> Any:
    """A part of a scene around an object, with the boxes that overlap it."""
    answer = detector(sample.image)
    x, y, width, height = SIZE * sample.labels.boxes[number]
    truth = np.array([[x - width / 2, y - height / 2, x + width / 2, y + height / 2]], np.float32)
    near = np.flatnonzero(iou(truth, answer.boxes)[0] > _NEAR)
    names = [answer.names[one] for one in near]
    picture = np.ascontiguousarray(sample.image[..., ::-1]).repeat(ENLARGED, 0).repeat(ENLARGED, 1)
    picture = draw(picture, answer.boxes[near] * ENLARGED, names, answer.scores[near], answer.class_ids[near])
    left, top = (int(np.clip(ENLARGED * at - _SIDE / 2, 0, ENLARGED * SIZE - _SIDE)) for at in (x, y))
    part = picture[top : top + _SIDE, left : left + _SIDE]
    return np.pad(part, ((2, 2), (2, 2), (0, 0)), constant_values=255)
