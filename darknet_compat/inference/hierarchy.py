"""From probabilities over a WordTree to the node to name (paper section 4)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from darknet_compat.formats.arrays import Floats, Ints
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.inference.options import HierarchyRule

__all__ = ["HierarchyRule", "PathStep", "last_nodes", "mapped", "path_steps", "top_nodes"]


class PathStep(NamedTuple):
    """One node on the way from a root: its name, its absolute probability, its number."""

    name: str
    probability: float
    node: int


def top_nodes(
    conditional: Floats, tree: WordTree, hier_thresh: float, rule: HierarchyRule = "darknet", level: int | None = None
) -> Ints:
    """The node at which each candidate stops, [M] (original: `hierarchy_top_prediction`).

    `conditional` [M, nodes]: each node's probability given its parent. From the group of the roots down, the best child
    is taken while what `rule` says stays above `hier_thresh`, and no deeper than `level`, 0 being the roots; the best
    root is the answer in any case. All candidates go down together, a level at a time.
    """
    nodes = np.full(len(conditional), -1, np.int64)
    absolute = np.ones(len(conditional), np.float32)
    running = np.ones(len(conditional), np.float32)
    going, groups = np.arange(len(conditional)), np.zeros(len(conditional), np.int64)
    depth = 0
    while len(going):
        best, probability = _best_children(conditional[going], tree, groups)
        absolute[going] *= probability
        running[going] *= absolute[going] if rule == "darknet" else probability
        confident = running[going] > np.float32(hier_thresh)
        taken = confident | (nodes[going] < 0)
        nodes[going[taken]] = best[taken]
        children = tree.child_groups[best]
        depth += 1
        down = confident & (children >= 0) & (level is None or depth <= level)
        going, groups = going[down], children[down].astype(np.int64)
    return nodes


def last_nodes(conditional: Floats, tree: WordTree) -> tuple[Ints, Floats]:
    """Each candidate's last node in the tree's file with an absolute probability above 0.5, [M], -1 where none has; and
    that probability (fork: `get_region_boxes`). `conditional` as for `top_nodes`.

    Children come after their parents in a tree's file, so that it lies as deep as one can be sure of.
    """
    absolute = mapped(conditional, tree, tuple(range(len(tree))))
    likely = absolute > 0.5
    nodes = np.where(likely.any(1), len(tree) - 1 - likely[:, ::-1].argmax(1), -1).astype(np.int64)
    return nodes, absolute[np.arange(len(nodes)), nodes]


def _best_children(conditional: Floats, tree: WordTree, groups: Ints) -> tuple[Ints, Floats]:
    """Of each row's group the most probable node, and its probability."""
    offsets, sizes = tree.group_offsets[groups].astype(np.int64), tree.group_sizes[groups]
    column = np.arange(sizes.max())
    inside = column < sizes[:, None]
    index = np.where(inside, offsets[:, None] + column, 0)
    values = np.where(inside, np.take_along_axis(conditional, index, 1), -np.inf)
    best = values.argmax(1)
    return offsets + best, values[np.arange(len(best)), best].astype(np.float32)


def path_steps(conditional: Floats, tree: WordTree, node: int, names: tuple[str, ...]) -> tuple[PathStep, ...]:
    """The way from the root to `node`, both included, with absolute probabilities; `conditional` is [nodes]."""
    path = tree.path(int(node))
    products = np.cumprod(conditional[path])
    return tuple(PathStep(names[step], float(p), step) for step, p in zip(path, products, strict=True))


def mapped(conditional: Floats, tree: WordTree, nodes: tuple[int, ...]) -> Floats:
    """Absolute probabilities of a map's nodes only, [M, len(nodes)] (original: `get_region_detections` with a map)."""
    longest = max(len(tree.path(node)) for node in nodes)
    above = np.append(tree.parents, -1).astype(np.int64)  # index -1, above a root, is the appended one: itself
    padded = np.pad(conditional, ((0, 0), (0, 1)), constant_values=1)
    at, product = np.array(nodes, np.int64), np.ones((len(conditional), len(nodes)), np.float32)
    for _ in range(longest):
        product *= padded[:, at]
        at = above[at]
    return product
