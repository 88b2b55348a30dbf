"""Every claim of the paper's abstract and sections 2 to 4 that can be tried in miniature, with what came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tools.miniature import classes, hierarchy, joint, path, priors, sizes, speed
from tools.miniature.cells import Result, Setting, mean, results, shown

Values = Sequence[float]


@dataclass(frozen=True)
class Claim:
    """What the paper says, with its figure; `ours` gives what was measured here, and in how many of how many tries it
    points the same way, None where nothing was measured. `table` is the command's."""

    says: str
    paper: str
    table: str
    ours: Callable[[Setting], tuple[str, tuple[int, int]] | None]


def known(setting: Setting, module: object) -> dict[str, list[Result]]:
    """What a table's module has measured so far, by configuration."""
    groups = module.cells(setting)  # type: ignore[attr-defined]
    return results([cell for group in groups for cell in group if cell.table == module.TABLE], setting)  # type: ignore[attr-defined]


def values(found: dict[str, list[Result]], config: str, name: str) -> list[float]:
    """A figure of every seed."""
    return [result[name] for result in found.get(config, [])]


def same(before: Values, after: Values, least: float = 0.0) -> tuple[int, int]:
    """In how many seeds the second is larger, of how many."""
    pairs = list(zip(before, after, strict=False))
    return sum(b - a > least for a, b in pairs), len(pairs)


def step(
    before: str, after: str, name: str = "mAP", *, falls: bool = False
) -> Callable[[Setting], tuple[str, tuple[int, int]] | None]:
    """From one step of Table 2 to another one, which is better there; with `falls` it costs something."""

    def ours(setting: Setting) -> tuple[str, tuple[int, int]] | None:
        found = known(setting, path)
        a, b = values(found, before, name), values(found, after, name)
        if not a or not b:
            return None
        return f"{name} {shown(a)} → {shown(b)}", same(b, a) if falls else same(a, b)

    return ours


def stable(setting: Setting) -> tuple[str, tuple[int, int]] | None:
    """How far the loss has to fall, from the first tenth of the batches to the last, in both forms of location."""
    found = known(setting, path)
    falls = {}
    for config in ("priors", "location"):
        falls[config] = []
        for one in found.get(config, []):
            losses = [loss for _, loss in one["losses"]]
            tenth = max(1, len(losses) // 10)
            falls[config].append(mean(losses[:tenth]) / mean(losses[-tenth:]))
    a, b = falls["priors"], falls["location"]
    if not a or not b:
        return None
    before, after = (values(found, config, "mAP") for config in ("priors", "location"))
    ours = f"the loss begins at {shown(a, scale=1)} → {shown(b, scale=1)} times its last; mAP"
    return f"{ours} {shown(before)} → {shown(after)}", same(b, a)


def larger(setting: Setting) -> tuple[str, tuple[int, int]] | None:
    """The last step, at its usual size and at a larger one."""
    found = known(setting, path).get("multiscale", [])
    a, b = [one["mAP"] for one in found], [one[path.LARGE]["mAP"] for one in found]
    return (f"mAP {shown(a)} → {shown(b)}", same(a, b)) if found else None


def clusters(
    name: str, k: int, other: str, others: int, *, alike: bool = False
) -> Callable[[Setting], tuple[str, tuple[int, int]] | None]:
    """Two ways to choose anchors for VOC's boxes, of which the first is better or, `alike`, within a point."""

    def ours(setting: Setting) -> tuple[str, tuple[int, int]] | None:
        (found, *_) = known(setting, priors).get("voc", [None])
        if found is None:
            return None
        a, b = found[other][str(others)], found[name][str(k)]
        return f"average IoU {100 * a:.1f} → {100 * b:.1f}", (int(abs(b - a) < 0.01 if alike else b > a), 1)

    return ours


def one_detector(setting: Setting) -> tuple[str, tuple[int, int]] | None:
    """What training at many sizes is worth at sizes that the other never saw, the smallest and the largest."""
    found = known(setting, sizes)
    ends = [str(side) for side in (sizes.SIDES[setting.data][0], sizes.SIDES[setting.data][-1])]
    a, b = (
        [mean([one["mAP"][side] for side in ends]) for one in found.get(config, [])]
        for config in (sizes.ONE, sizes.MULTI)
    )
    return (f"mAP at {' and '.join(ends)}: {shown(a)} → {shown(b)}", same(a, b)) if a and b else None


def tree(setting: Setting) -> tuple[str, tuple[int, int]] | None:
    """Top-1, flat and on the tree; the same direction is a loss of no more than two points."""
    found = known(setting, hierarchy)
    a, b = values(found, hierarchy.FLAT, "top1"), values(found, hierarchy.TREE, "top1")
    return (f"top-1 {shown(a)} → {shown(b)}", same(a, b, -0.02)) if a and b else None


def gracefully(setting: Setting) -> tuple[str, tuple[int, int]] | None:
    """Of a digit never seen: how often a wrong digit is named."""
    found = known(setting, hierarchy)
    a = values(found, hierarchy.FLAT_LEFT, "names_a_digit")
    b = values(found, hierarchy.TREE_LEFT, "names_a_digit")
    return (f"names a wrong digit: flat {shown(a)}, tree {shown(b)} %", same(b, a)) if a and b else None


def without_boxes(rule: str) -> Callable[[Setting], tuple[str, tuple[int, int]] | None]:
    """AP of the digits without boxes, before and after joint training by a rule."""

    def ours(setting: Setting) -> tuple[str, tuple[int, int]] | None:
        found = known(setting, joint)
        a, b = values(found, joint.BOXES, "others"), values(found, rule, "others")
        return (f"AP {shown(a)} → {shown(b)} (boxes of all: {shown(values(found, joint.ALL, 'others'))})",
                same(a, b)) if a and b else None  # fmt: skip

    return ours


def shipped(setting: Setting) -> tuple[str, tuple[int, int]] | None:
    """AP of the shipped joint detector: with boxes, without."""
    (found, *_) = known(setting, classes).get(classes.MODEL, [None])
    if found is None:
        return None
    boxed, others = ([found["AP"][digit] for digit in digits] for digits in (joint.WITH_BOXES, joint.OTHERS))
    return f"AP {100 * mean(boxed):.1f} with boxes, {100 * mean(others):.1f} without", (int(mean(others) > 0), 1)


def fast(setting: Setting) -> tuple[str, tuple[int, int]] | None:
    """The fastest runtime here."""
    (found, *_) = known(setting, speed).get(speed.MODEL, [None])
    if found is None:
        return None
    rows = [row for row in found["rows"] if row["measure"] == "network"]
    best = max(rows, key=lambda row: row["images_per_second"])
    return f"{best['images_per_second']:.1f} images/s ({best['label']})", (int(best["images_per_second"] >= 67), 1)


CLAIMS = (
    Claim("2: batch normalization, over 2 %", "mAP 63.4 → 65.8", "path", step("yolo", "batchnorm")),
    Claim("2: high-resolution classifier, almost 4 %", "mAP 65.8 → 69.5", "path", step("batchnorm", "hires")),
    Claim("the same, where the network's end is convolutional", "", "path", step("convolutional-low", "convolutional")),
    Claim("2: anchor boxes cost a little mAP …", "mAP 69.5 → 69.2", "path", step("convolutional", "hand", falls=True)),
    Claim("2: … and gain recall", "recall 81 → 88", "path", step("convolutional", "hand", "recall")),
    Claim("2: k-means by IoU, 5 priors fit like 9 by hand (within a point)", "average IoU 60.9 → 61.0", "priors",
          clusters("by IoU", 5, "by hand", 9, alike=True)),
    Claim("2: k-means by IoU better than by squared error", "58.7 → 61.0", "priors",
          clusters("by IoU", 5, "by squared error", 5)),
    Claim("2: 9 priors better than 9 by hand", "60.9 → 67.2", "priors", clusters("by IoU", 9, "by hand", 9)),
    Claim("2: dimension priors and location prediction, almost 5 %", "mAP 69.6 → 74.4", "path",
          step("network", "location")),
    Claim("2: location within the cell rather than as region proposals have it", "“easier to learn, more stable”",
          "path", stable),
    Claim("2: passthrough, 1 %", "mAP 74.4 → 75.4", "path", step("location", "passthrough")),
    Claim("2: multi-scale training", "mAP 75.4 → 76.8", "path", step("passthrough", "multiscale")),
    Claim("Abstract, 2: the same weights at a larger size", "mAP 76.8 (416) → 78.6 (544)", "path", larger),
    Claim("Abstract, 2: one detector for all sizes", "69.0 (288) to 78.6 (544)", "sizes", one_detector),
    Claim("3: the new network is no worse than the old one", "mAP 69.2 → 69.6", "path", step("hand", "network")),
    Claim("Abstract, 3: 67 images/s at 416", "67 on a Titan X", "speed", fast),
    Claim("4: a WordTree costs little", "top-1 72.9 → 71.9", "hierarchy", tree),
    Claim("4: unknown things degrade gracefully", "“with confidence in ‘dog’ but not in a breed”", "hierarchy",
          gracefully),
    Claim("Abstract, 4: detects classes without boxes, darknet's rule", "16.0 mAP on 156 classes", "joint",
          without_boxes("darknet")),
    Claim("the same, the paper's rule", "", "joint", without_boxes("paper")),
    Claim("the same, `surest`, a rule of our own", "", "joint", without_boxes("surest")),
    Claim("4: the shipped detector of ten digits", "19.7 (44 of 200 with boxes)", "classes", shipped),
)  # fmt: skip
