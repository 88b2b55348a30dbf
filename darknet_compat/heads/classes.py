"""Logits → probabilities: of all classes, of groups, of a WordTree's siblings."""

from __future__ import annotations

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.formats.words import Build
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.heads.ops import Ops, Value


class TreeSoftmax:
    """A softmax over each group of siblings (paper section 4; original, CUDA build: `softmax_tree`).

    Groups of the same size lie side by side once the nodes are in `order`, so that one softmax does all of them; where
    each node then stands is its `place`.
    """

    def __init__(self, tree: WordTree, temperature: float = 1.0) -> None:
        self.temperature = temperature
        sizes = tree.group_sizes[tree.groups]  # [nodes], each node's group's
        self.order = np.argsort(sizes, kind="stable").astype(np.int64)
        self.place = np.empty_like(self.order)
        self.place[self.order] = np.arange(len(tree))
        found, counts = np.unique(sizes, return_counts=True)
        self.sizes, self.counts = found.tolist(), counts.tolist()

    def __call__(self, ops: Ops, x: Value, axis: int, last: bool) -> Value:
        """Logits with the nodes along `axis` → each node's probability given its parent, the same shape.

        `last`: whether no axis comes after; else one does.
        """
        return ops.take(self.ordered(ops, ops.take(x, self.order, axis), axis, last), self.place, axis)

    def ordered(self, ops: Ops, x: Value, axis: int, last: bool) -> Value:
        """The same of logits whose nodes are in `order`, and so are those of the result."""
        x = x if self.temperature == 1 else x / self.temperature
        before, after = [0] * axis, [] if last else [-1]
        parts = []
        for size, nodes, part in zip(self.sizes, self.counts, ops.split(x, self.counts, axis), strict=True):
            groups = ops.reshape(part, [*before, nodes // size, size, *after])  # [..., groups, size, ...]
            parts.append(ops.reshape(ops.softmax(groups, axis + 1, last), [*before, nodes, *after]))
        return ops.concat(parts, axis) if len(parts) > 1 else parts[0]


class Softmax:
    """The answer of a classifier."""

    def __init__(self, spec: s.Softmax, build: Build) -> None:
        self.groups, self.temperature = spec.groups, spec.temperature
        self.spatial = spec.spatial and build == "cuda"  # the CPU build reads the option and ignores it
        self.tree = TreeSoftmax(spec.tree, spec.temperature) if spec.tree else None

    def activate(self, ops: Ops, x: Value) -> Value:
        """[N, …] → [N, values]; with `spatial` [N, C, H, W], each location by itself."""
        if self.tree is not None:
            return self.tree(ops, ops.reshape(x, (0, -1)), 1, last=True)
        if self.spatial:
            return ops.softmax(x, 1)
        x = ops.reshape(x, (0, self.groups, -1))
        x = x if self.temperature == 1 else x / self.temperature
        return ops.reshape(ops.softmax(x, 2), (0, -1))


class Logistic:
    """The logistic function."""

    def __init__(self, spec: s.Logistic, build: Build) -> None:
        pass

    def activate(self, ops: Ops, x: Value) -> Value:
        """Any shape → the same shape."""
        return ops.sigmoid(x)


class Iseg:
    """The logistic function on the class maps; embeddings as they are."""

    def __init__(self, spec: s.Iseg, build: Build) -> None:
        self.sizes = [spec.classes, spec.ids]

    def activate(self, ops: Ops, x: Value) -> Value:
        """[N, classes + ids, H, W] → the same shape."""
        classes, *embeddings = ops.split(x, self.sizes, 1)
        return ops.concat([ops.sigmoid(classes), *embeddings], 1)
