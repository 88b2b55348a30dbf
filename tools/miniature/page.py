"""What was measured, as tables and pictures; docs/paper.md's own parts are left alone.

The page has a place for each table between `<!-- NAME -->` and `<!-- /NAME -->`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from darknet_compat.formats.atomic import atomic_write
from tools.miniature import classes, hierarchy, joint, path, pictures, priors, sizes, speed
from tools.miniature.cells import Result, Setting, mean, shown
from tools.miniature.claims import CLAIMS, known, values

PAGE = Path(__file__).resolve().parents[2] / "docs" / "paper.md"


PICTURES = {
    "path": {"paper-path.png": "mAP from YOLO to YOLOv2", "paper-losses.png": "Losses with both forms of location"},
    "priors": {"paper-priors.png": "Average IoU against k"},
    "sizes": {"paper-sizes.png": "mAP by size and by speed"},
    "hierarchy": {"paper-hierarchy.png": "What is said of a digit never seen"},
    "joint": {"paper-joint.png": "AP of each digit by rule"},
    "classes": {"paper-classes.jpg": "Objects of the best and worst digits"},
}
"""Pictures below a table, with what they show; one that was not drawn yet is left out."""


def _is_drawn(file: str) -> bool:
    return (PAGE.parent / "images" / file).is_file()


def write(setting: Setting) -> list[Path]:
    """Bring the page and its pictures up to date; the files that were written."""
    drawn = pictures.write(setting, PAGE.parent / "images")
    text = PAGE.read_text("utf-8")
    for name in [*TABLES, "claims", "budget"]:
        place = re.compile(rf"(?<=<!-- {name} -->\n).*?(?=<!-- /{name} -->)", re.DOTALL)
        if len(place.findall(text)) != 1:
            raise SystemExit(f"paper: {PAGE}: expected one place <!-- {name} --> … <!-- /{name} -->")
        made = table(name, setting) + "\n"
        for file, said in PICTURES.get(name, {}).items():
            made += f"\n![{said}](images/{file})\n" if _is_drawn(file) else ""
        text = place.sub(lambda _, made=made: made, text)
    with atomic_write(PAGE) as file:
        file.write(text.encode())
    return [PAGE, *drawn]


def table(name: str, setting: Setting) -> str:
    """A table in Markdown."""
    made: dict[str, Callable[[Setting], str]] = {**TABLES, "claims": _claims, "budget": _budget}
    return made[name](setting)


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table's text."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def _claims(setting: Setting) -> str:
    rows = []
    for claim in CLAIMS:
        found = claim.ours(setting)
        ours, same = found if found else ("not run", None)
        verdict = "" if same is None else "yes" if same[0] == same[1] else "no" if same[0] == 0 else "in part"
        counted = f"{verdict} ({same[0]} of {same[1]})" if same else ""
        rows.append([claim.says, claim.paper, ours, counted, f"`tools/paper.py {claim.table}`"])
    return markdown(("the paper", "its figure", "in miniature", "same direction", "command"), rows)


def _budget(setting: Setting) -> str:
    rows = []
    for module in (path, sizes, priors, hierarchy, joint, classes, speed):
        found = [result for results in known(setting, module).values() for result in results]
        spent = sum(result["cpu_seconds"] for result in found)
        batches = sorted({result["batches"] for result in found if "batches" in result})
        rows.append([f"`{module.TABLE}`", str(len(found)), ", ".join(map(str, batches)), f"{spent:.0f}"])
    seeds = ", ".join(map(str, setting.seeds))
    said = f"Made with `--budget {setting.budget:g} --seeds {seeds}`; a budget of 1 is `make paper`'s."
    return said + "\n\n" + markdown(("table", "cells", "batches of a training", "seconds of a core"), rows)


def _path(setting: Setting) -> str:
    found = known(setting, path)
    rows, before = [], None
    for step in path.STEPS:
        given = found.get(step.config, [])
        rows.append(_step(step.title, step.paper, given, before))
        before = given
    large = [one[path.LARGE] for one in found.get("multiscale", []) if path.LARGE in one]
    rows.append(_step(f"larger at the end ({path.SCALES[setting.data].large})", 78.6, large, before))
    return markdown(("", "paper, mAP", "here, mAP", "gain", "recall", "boxes a picture", "of the rate"), rows)


def _step(title: str, paper: float | None, given: list[Result], before: list[Result] | None) -> list[str]:
    if not given:
        return [title, _number(paper), "", "", "", "", ""]
    maps = [one["mAP"] for one in given]
    gain = ""
    if before:
        gains = [one["mAP"] - other["mAP"] for one, other in zip(given, before, strict=False)]
        gain = f"{100 * mean(gains):+.1f}"
    reached = shown([one["recall"] for one in given])
    rates = "–".join(f"{rate:g}" for rate in sorted({one["rate"] for one in given if "rate" in one}))
    return [
        title,
        _number(paper),
        shown(maps),
        gain,
        reached,
        f"{mean([one['proposals'] for one in given]):.0f}",
        rates,
    ]


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _sizes(setting: Setting) -> str:
    found = known(setting, sizes)
    points = {(point["backend"], point["side"]): point for one in found.get(sizes.TIME, []) for point in one["points"]}
    backends = list(dict.fromkeys(backend for backend, _ in points))
    rows = []
    for side in sizes.SIDES[setting.data]:
        scored = [shown([one["mAP"][str(side)] for one in found.get(config, [])]) for config in sizes.TRAINED]
        timed = [points[backend, side]["network_ms"] for backend in backends]
        rows.append([str(side), *scored, *("" if ms is None else f"{1000 / ms:.0f}" for ms in timed)])
    head = ("size", "mAP, trained at one size", "mAP, at many", *(f"images/s, {backend}" for backend in backends))
    return markdown(head, rows)


def _priors(setting: Setting) -> str:
    rows = []
    for name, given in known(setting, priors).items():
        (found,) = given
        label = priors.TITLES.get(name, name)
        for how, points in found.items():
            if isinstance(points, dict):
                for k in ("5", "9"):
                    paper = priors.PAPER.get(how, {}).get(int(k)) if name == "voc" else None
                    if k in points:
                        rows.append([label, f"{found['boxes']:,}", how, k, _number(paper), f"{100 * points[k]:.1f}"])
    return markdown(("boxes", "how many", "anchors", "k", "paper", "here"), rows)


def _hierarchy(setting: Setting) -> str:
    found = known(setting, hierarchy)
    rows = []
    for config, label in ((hierarchy.FLAT, "flat"), (hierarchy.TREE, "WordTree")):
        left = f"{config}-left"
        unseen = [shown(values(found, left, name)) for name in ("names_a_digit", "sure")]
        on_tree = config == hierarchy.TREE
        more = [
            shown(values(found, left, name)) if on_tree else "" for name in ("right_group", "wrong_group", "only_digit")
        ]
        known_ones = [shown(values(found, config, name)) for name in ("top1", "top5")]
        rows.append([label, *known_ones, *unseen, *more])
    head = ("", "top-1", "top-5", "unseen: a wrong digit named", "… with more than 0.9", "right group", "wrong group",
            "only “digit”")  # fmt: skip
    return markdown(head, rows)


def _joint(setting: Setting) -> str:
    found = known(setting, joint)
    labels = {joint.BOXES: "boxes of five", joint.ALL: "boxes of all"} | {
        rule: f"joint, `{rule}`" for rule in joint.RULES
    }
    order = (joint.BOXES, *joint.RULES, joint.ALL)
    rows = [[labels[one], *(shown(values(found, one, name)) for name in ("boxed", "others", "digit"))] for one in order]
    return markdown(("trained on", "the boxed five", "the other five", "the other five, as `digit`"), rows)


def _classes(setting: Setting) -> str:
    (found, *_) = known(setting, classes).get(classes.MODEL, [None])
    if found is None:
        return "not run"
    rows = []
    for digit in sorted(found["AP"], key=lambda digit: -found["AP"][digit]):
        fates = found["fates"][digit]
        count = sum(fates.get(name, 0) for name in ("right", "another", "not found"))
        shares = [f"{100 * fates.get(name, 0) / count:.0f}" for name in ("right", "another", "not found")]
        taken = ", ".join(f"{name} ({times})" for name, times in found["confused"][digit].items())
        boxed = "boxes" if digit in found["with_boxes"] else "labels"
        rows.append([digit, boxed, f"{100 * found['AP'][digit]:.1f}", *shares, taken])
    return markdown(
        ("digit", "learned from", "AP", "named right, %", "named another, %", "not found, %", "taken for"), rows
    )


def _speed(setting: Setting) -> str:
    (found, *_) = known(setting, speed).get(speed.MODEL, [None])
    rows = [["the paper", speed.PAPER[0], "fp32", f"{speed.PAPER[1]:.0f}", ""]]
    if found is None:
        return markdown(("who", "on", "precision", "images/s, network", "from file"), rows)
    by_label: dict[str, Result] = {}
    for row in found["rows"]:
        by_label.setdefault(row["label"], {"precision": row["precision"]})[row["measure"]] = row["images_per_second"]
    for label, row in sorted(by_label.items(), key=lambda item: -item[1].get("network", 0)):
        rates = ["" if (value := row.get(name)) is None else f"{value:.1f}" for name in ("network", "picture")]
        rows.append([label, "this machine", row["precision"], *rates])
    return markdown(("who", "on", "precision", "images/s, network", "from file"), rows) + f"\n\n{found['machine']}."


TABLES: dict[str, Callable[[Setting], str]] = {
    "path": _path, "sizes": _sizes, "priors": _priors, "hierarchy": _hierarchy, "joint": _joint, "classes": _classes,
    "speed": _speed,
}  # fmt: skip
