"""Small models on disk, the original's answers, and what it means that two answers are the same."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from darknet_compat.definition.lower import load_spec
from darknet_compat.inference.results import Detections
from darknet_compat.network.load import save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity.reference import OriginalDetections
from darknet_compat.parity.seeded import seed_weights

SCORE, BOX = 0.005, 1.0
"""How far a score, and a side of a box in pixels, may be from the original's."""


class Files(NamedTuple):
    """A model on disk."""

    cfg: Path
    weights: Path


def seeded(cfg: Path, seed: int = 0, gain: float = 1.0) -> Files:
    """The model of a cfg, with seeded weights like trained ones written beside it; the last layer's times `gain`."""
    network = Network(load_spec(cfg))
    seed_weights(network, seed)
    last = [slot for slot, _ in network.slots() if slot.name == "weights"][-1]
    with torch.no_grad():
        network.parameter(last).mul_(gain)
    save_weights(network, cfg.with_suffix(".weights"))
    return Files(cfg, cfg.with_suffix(".weights"))


def write_model(folder: Path, text: str, name: str = "small", seed: int = 0, gain: float = 0.4) -> Files:
    """A small model; by its `gain` boxes seldom reach far beyond the picture."""
    cfg = folder / f"{name}.cfg"
    cfg.write_text(text)
    return seeded(cfg, seed, gain)


def trunk(filters: int, width: int = 96, height: int = 64, *, stride: int = 16, channels: int = 3) -> str:
    """A cfg's beginning: pictures in, a grid of `filters` values per cell out.

    Without batch normalization, whose two builds of the original differ by enough to turn a close decision.
    """
    return f"""[net]
width={width}
height={height}
channels={channels}
[convolutional]
filters=16
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size={stride // 2}
stride={stride // 2}
[convolutional]
filters={filters}
size=1
activation=linear
"""


def region(classes: int, options: str = "softmax=1", num: int = 3, **size: int) -> str:
    """A cfg whose detections come from [region]."""
    anchors = ",".join(["1,2", "3,2", "0.7,0.9", "2,2.5"][:num])
    head = f"[region]\nnum={num}\nclasses={classes}\nanchors={anchors}\n{options}\n"
    return trunk(num * (5 + classes), **size) + head


def yolov1(classes: int = 4, num: int = 2, side: int = 3, options: str = "sqrt=1", **size: int) -> str:
    """A cfg whose detections come from [detection], YOLO's first head."""
    outputs = side * side * (classes + 5 * num)
    connected = f"[connected]\noutput={outputs}\nactivation=linear\n"
    head = f"[detection]\nclasses={classes}\nnum={num}\nside={side}\ncoords=4\n{options}\n"
    return trunk(8, **size) + connected + head


def classifier(classes: int, head: str = "[softmax]", **size: int) -> str:
    return trunk(classes, **size) + f"[avgpool]\n{head}\n"


def assert_same(
    found: Detections, expected: OriginalDetections | Detections, score: float = SCORE, box: float = BOX
) -> None:
    """The same classes, each with the same score and box; none missing, none extra."""
    assert sorted(found.class_ids.tolist()) == sorted(expected.class_ids.tolist())
    free = set(range(len(found)))
    for class_id, certain, sides in zip(expected.class_ids, expected.scores, expected.boxes, strict=True):
        candidates = [i for i in free if found.class_ids[i] == class_id]
        nearest = min(candidates, key=lambda i: float(np.abs(found.boxes[i] - sides).max()))
        free.remove(nearest)
        assert np.abs(found.boxes[nearest] - sides).max() <= box
        assert abs(found.scores[nearest] - certain) <= score


def assert_seeded_same(found: Detections, expected: OriginalDetections) -> None:
    """The same, where weights are seeded and boxes can be many times larger than the picture."""
    assert_same(found, expected, box=BOX + 0.001 * float(np.abs(expected.boxes).max(initial=0)))


def noise(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """A picture of random blocks, as OpenCV gives pictures."""
    blocks = np.random.default_rng(seed).integers(0, 256, (-(-height // 8), -(-width // 8), 3), np.uint8)
    return blocks.repeat(8, 0).repeat(8, 1)[:height, :width]


def percentages(found: Detections) -> dict[str, list[float]]:
    """What the original would print of it, unrounded: scores in percent by class, ascending."""
    printed: dict[str, list[float]] = {}
    for one in found:
        printed.setdefault(one.name, []).append(100 * one.score)
    return {name: sorted(values) for name, values in printed.items()}


def grouped(printed: Sequence[tuple[str, int]]) -> dict[str, list[int]]:
    """The same of lines that the original printed."""
    found: dict[str, list[int]] = {}
    for name, percent in printed:
        found.setdefault(name, []).append(percent)
    return {name: sorted(values) for name, values in found.items()}
