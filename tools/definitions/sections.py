"""Sections of a definition and how they are trained: what every network's table is written with.

A plan such as "32 M 1x64 128/2 +" is a row of sections, left to right:

    32          3x3 convolution with 32 filters        M      2x2 maximum with stride 2; m with stride 1
    1x64        1x1 with 64                            M5/1   5x5 maximum with stride 1
    128/2       3x3 with 128 and stride 2              @-1,8  channels of the layer before and of layer 8 (route)
    64g32       in 32 groups; 64g: in 64 (depthwise)   half   the second half of the channels
    1x24=       without activation                     U      each cell becomes 2x2 (upsample)
    +           shortcut from three layers before; +-5 from five, +8 from layer 8, +-4a with the plan's activation

All convolutions of a plan are batch-normalized and have the plan's activation.
"""

from __future__ import annotations

import re
from collections.abc import Callable

Section = tuple[str, dict[str, object]]
Rows = list["str | Section"]  # a string is a comment
_STEP = re.compile(r"(?:(?P<size>\d+)x)?(?P<filters>\d+)(?:/(?P<stride>\d))?(?P<groups>g\d*)?(?P<linear>=?)")


def conv(filters: int, size: int = 3, stride: int = 1, activation: str = "leaky", groups: int = 1) -> Section:
    """A batch-normalized convolution that keeps the picture's size but for the stride."""
    shape: dict[str, object] = {"filters": filters, "size": size, "stride": stride, "pad": 1}
    shape |= {"groups": groups} if groups > 1 else {}
    return "convolutional", {**shape, "batch_normalize": 1, "activation": activation}


def linear(filters: int, activation: str = "linear") -> Section:
    """The 1x1 convolution in front of a head."""
    return "convolutional", {"filters": filters, "size": 1, "stride": 1, "pad": 1, "activation": activation}


def maxpool(size: int = 2, stride: int = 2) -> Section:
    """A maximum over size x size cells."""
    return "maxpool", {"size": size, "stride": stride}


def route(*layers: int, **options: object) -> Section:
    """Channels of other layers, one after another; negative numbers count back from here."""
    return "route", {"layers": ",".join(map(str, layers)), **options}


def shortcut(layer: int, activation: str = "linear") -> Section:
    """The sum with another layer."""
    return "shortcut", {"from": layer, "activation": activation}


def plan(text: str, activation: str = "leaky") -> Rows:
    """The sections of a plan, in the notation that the file's beginning explains."""
    named: dict[str, Callable[[], Section]] = {
        "M": maxpool,
        "m": lambda: maxpool(2, 1),
        "+": lambda: shortcut(-3),
        "half": lambda: route(-1, groups=2, group_id=1),
        "U": lambda: ("upsample", {"stride": 2}),
    }
    return [named[word]() if word in named else _step(word, activation) for word in text.split()]


def _step(word: str, activation: str) -> Section:
    if word[0] == "M" and (sizes := re.fullmatch(r"M(\d+)/(\d)", word)):
        return maxpool(int(sizes[1]), int(sizes[2]))
    if word[0] == "@":
        return route(*map(int, word[1:].split(",")))
    if word[0] == "+":
        return shortcut(int(word[1:].removesuffix("a")), activation if word[-1] == "a" else "linear")
    if not (match := _STEP.fullmatch(word)):
        raise ValueError(f"no step of a plan: {word}")
    filters = int(match["filters"])
    groups = {None: 1, "g": filters}.get(match["groups"]) or int(match["groups"][1:])
    kind = "linear" if match["linear"] else activation
    return conv(filters, int(match["size"] or 3), int(match["stride"] or 1), kind, groups)


def net(size: int, batch: int, subdivisions: int, **options: object) -> Section:
    """`[net]`: the input, then how it was trained."""
    shape: dict[str, object] = {"width": size, "height": size, "channels": 3}
    rest = {"momentum": 0.9, "decay": 0.0005, **options}
    return "net", {**shape, "batch": batch, "subdivisions": subdivisions, **rest}


def poly(batches: int, rate: float = 0.1, **options: object) -> dict[str, object]:
    """A rate that falls to nothing with the fourth power."""
    return {"learning_rate": rate, "policy": "poly", "power": 4, "max_batches": batches, **options}


def steps(batches: int, at: str, scales: str = "0.1,0.1", rate: float = 0.001, **options: object) -> dict[str, object]:
    """A rate that changes at given batches."""
    return {"learning_rate": rate, "policy": "steps", "steps": at, "scales": scales, "max_batches": batches, **options}
