"""What a layer is by definition, in float64 and plain numpy: the reference where the original cannot be one.

The CPU build's [region] walks a WordTree's groups as if classes were the outermost axis and divides by a temperature
that nobody set, so that its output for YOLO9000 is not the model's. This is the paper's.
"""

from __future__ import annotations

import numpy as np

from darknet_compat.definition.spec import Region
from darknet_compat.formats.arrays import Array, Doubles
from darknet_compat.formats.wordtree import WordTree


def region_with_tree(spec: Region, raw: Array) -> Doubles:
    """A [region] with a tree: raw [N, num·(coords + 1 + classes)·H·W] → activated, the same shape."""
    if spec.tree is None:
        raise ValueError("only for a region with a tree")
    shape = (len(raw), spec.num, spec.coords + 1 + spec.classes, spec.output.h, spec.output.w)
    x = raw.astype(np.float64).reshape(shape).copy()
    for entry in (0, 1, *range(4, spec.coords), spec.coords):
        x[:, :, entry] = 1 / (1 + np.exp(-x[:, :, entry]))
    x[:, :, spec.coords + 1 :] = tree_softmax(spec.tree, x[:, :, spec.coords + 1 :], axis=2)
    return np.reshape(x, raw.shape)


def tree_softmax(tree: WordTree, x: Array, axis: int = -1, temperature: float = 1.0) -> Doubles:
    """For every group of siblings a softmax over the group, along `axis`, of any shape, in float64."""
    x = np.moveaxis(x.astype(np.float64) / temperature, axis, -1)
    result = np.empty_like(x)
    for offset, size in zip(tree.group_offsets.tolist(), tree.group_sizes.tolist(), strict=True):
        group = x[..., offset : offset + size]
        exponentials = np.exp(group - group.max(-1, keepdims=True))
        result[..., offset : offset + size] = exponentials / exponentials.sum(-1, keepdims=True)
    return np.moveaxis(result, -1, axis)
