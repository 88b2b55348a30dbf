"""The way down a WordTree, with a threshold that is settled: for graphs that name a node themselves."""

from __future__ import annotations

import numpy as np

from darknet_compat.formats.arrays import Ints
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.heads.classes import TreeSoftmax
from darknet_compat.heads.ops import Ops, Value


class Descent:
    """Each candidate's node: from the roots down the best child, while the product of the absolute probabilities on the
    way stays above `hier_thresh`; the best root in any case (original: `hierarchy_top_prediction`).

    `inference.hierarchy.top_nodes` goes the same way for a threshold that is told when a model is used.
    """

    def __init__(self, tree: WordTree, hier_thresh: float) -> None:
        self.hier_thresh = hier_thresh
        self.siblings = TreeSoftmax(tree)
        self.levels = [np.arange(tree.group_sizes[0], dtype=np.int64)]
        self.above: list[Ints] = []
        while True:
            before = self.levels[-1]
            groups = tree.child_groups[before]
            down = np.flatnonzero(groups >= 0)
            if not len(down):
                break
            offsets, sizes = tree.group_offsets[groups[down]], tree.group_sizes[groups[down]]
            self.levels.append(np.concatenate([o + np.arange(n) for o, n in zip(offsets, sizes, strict=True)]))
            self.above.append(np.repeat(down, sizes))
        self.place = np.full(len(tree), -1, np.float32)  # of each node, one level after another
        every = np.concatenate(self.levels)
        self.place[every] = np.arange(len(every))

    def __call__(self, ops: Ops, conditional: Value) -> Value:
        """[N, D, nodes], each node's probability given its parent → 1 at the node that is named, else 0."""
        best = self._best_of_siblings(ops, conditional)
        depths: list[Value] = []
        absolute = product = on_way = None
        for depth, level in enumerate(self.levels):
            taken, own = ops.take(best, level, 2), ops.take(conditional, level, 2)
            if depth:
                up = self.above[depth - 1]
                own = ops.take(absolute, up, 2) * own
                product = ops.take(product, up, 2) * own
                taken = taken * ops.take(on_way, up, 2) * ops.above(product, self.hier_thresh)
            else:
                product = own
            absolute, on_way = own, taken
            depths.append(taken * float(depth + 1))
        _, deepest = ops.most(ops.concat(depths, 2) if len(depths) > 1 else depths[0], 2)
        return ops.equal(deepest, ops.constant(self.place, deepest))

    def _best_of_siblings(self, ops: Ops, conditional: Value) -> Value:
        """1 for the best of each group, else 0."""
        order = self.siblings
        parts = []
        split = ops.split(ops.take(conditional, order.order, 2), order.counts, 2)
        for size, nodes, part in zip(order.sizes, order.counts, split, strict=True):
            _, best = ops.most(ops.reshape(part, (0, 0, nodes // size, size)), 3)
            one = ops.equal(best, ops.constant(np.arange(size, dtype=np.float32), best))
            parts.append(ops.reshape(one, (0, 0, nodes)))
        return ops.take(ops.concat(parts, 2) if len(parts) > 1 else parts[0], order.place, 2)
