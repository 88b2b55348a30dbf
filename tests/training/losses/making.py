"""Heads by themselves, random batches for them, and what the original makes of the same."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from darknet_compat.definition.lower import load_spec
from darknet_compat.network.network import Network
from darknet_compat.training.batches.truth import Truth

Array = NDArray[np.float32]
BATCHES = 50
TOLERANCE = 1e-5
"""Of the largest delta of a batch."""


def head_only(folder: Path, layers: str, shape: tuple[int, int, int], net: str = "") -> Network:
    """A network (c, h, w) → `layers`, saved as head.cfg beside the files it names."""
    c, h, w = shape
    path = folder / "head.cfg"
    path.write_text(f"[net]\nchannels={c}\nheight={h}\nwidth={w}\nbatch=1\n{net}\n{layers}\n")
    return Network(load_spec(path)).train()


class Batch(NamedTuple):
    """`images` as they go in; `truth` as ours reads it, and [N, limit, 5] as the original does."""

    images: Array
    truth: Truth
    rows: Array


def batches(shape: tuple[int, int, int], classes: int, *, limit: int = 30, spread: float = 1.0) -> Iterator[Batch]:
    """50 batches of three images with up to `limit` boxes; the first has none at all, the second as many as can be."""
    for number in range(BATCHES):
        rng = np.random.default_rng(number)
        most = {0: 0, 1: limit}.get(number, int(rng.integers(1, limit + 1)))
        counts = [most, *rng.integers(0, most + 1, 2)]
        rows = np.zeros((3, limit, 5), np.float32)
        for image, count in enumerate(counts):
            size = rng.uniform(0.02, 0.6, (count, 2))
            centre = rng.uniform(size / 2, 1 - size / 2)
            rows[image, :count] = np.hstack([centre, size, rng.integers(0, classes, (count, 1))])
        images = (spread * rng.normal(0, 1, (3, *shape))).astype(np.float32)
        yield Batch(images, truth_of(rows), rows)


def truth_of(rows: Array) -> Truth:
    """[N, T, 5], ended by a row of zeros, 999999 for the box of a picture's label, as a Truth."""
    there = torch.from_numpy(rows[..., 0] != 0)
    boxes, classes = torch.from_numpy(rows[..., :4].copy()), torch.from_numpy(rows[..., -1]).long()
    whole = boxes[..., :1] > 100_000
    return Truth(torch.where(whole, 0, boxes), torch.where(there, classes, -1))


def random_tree(rng: np.random.Generator, nodes: int) -> str:
    """The text of a tree with groups of 1 to 5 siblings and several roots."""
    parents: list[int] = []
    parent = -1
    while len(parents) < nodes:
        parents += [parent] * int(rng.integers(1, 6))
        parent += int(rng.integers(1, 3)) if parent + 2 < len(parents) else 1
    return "".join(f"n{node} {parent}\n" for node, parent in enumerate(parents[:nodes]))


def off(found: torch.Tensor, expected: Array) -> float:
    """The largest difference, of the largest value expected."""
    scale = np.abs(expected).max()
    return float(np.abs(found.flatten(1).numpy() - expected).max() / scale) if scale else float(found.abs().max())


def printed_figures(text: str, names: Sequence[str]) -> list[dict[str, float]]:
    """The numbers of each line that a head printed, by the names given, those that are not numbers left out."""
    lines = [line for line in text.splitlines() if "Avg IOU:" in line]
    found = []
    for line in lines:
        values = [float(value) for value in re.findall(r": *(-?(?:nan|[\d.]+))", line)]
        found.append({name: value for name, value in zip(names, values, strict=True) if value == value})
    return found


def same_figures(found: dict[str, float], expected: dict[str, float]) -> bool:
    """Whether figures are those that were printed with six digits."""
    return found.keys() == expected.keys() and all(abs(found[name] - expected[name]) < 2e-6 for name in expected)
