"""A WordTree's arithmetic on tensors: softmax over siblings, and probabilities multiplied down the paths.

Plain gathers, softmaxes and products, without a loop over groups or nodes, so that it is quick and exports anywhere.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from darknet_compat.formats.wordtree import WordTree


class TreeSoftmax(nn.Module):
    """A softmax over each group of siblings (paper section 4; original, CUDA build: `softmax_tree`).

    Groups of the same size lie side by side once the nodes are in `order`, so that one softmax does all of them.
    """

    order: Tensor
    place: Tensor

    def __init__(self, tree: WordTree, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        sizes = tree.group_sizes[tree.groups]  # [nodes], each node's group's
        order = np.argsort(sizes, kind="stable")
        place = np.empty_like(order)
        place[order] = np.arange(len(tree))
        self.register_buffer("order", torch.from_numpy(order), persistent=False)  # [nodes]
        self.register_buffer("place", torch.from_numpy(place), persistent=False)  # where each node stands in it
        found, counts = np.unique(sizes, return_counts=True)
        self.sizes, self.counts = found.tolist(), counts.tolist()

    def forward(self, x: Tensor, dim: int = -1) -> Tensor:
        """Logits with the nodes along `dim` → each node's probability given its parent, the same shape."""
        return self.ordered(x.index_select(dim, self.order), dim)

    def ordered(self, x: Tensor, dim: int = -1) -> Tensor:
        """The same of logits whose nodes are in `order`; the result is in the tree's own order."""
        dim %= x.dim()
        x = x if self.temperature == 1 else x / self.temperature
        before, after = x.shape[:dim], x.shape[dim + 1 :]
        parts = []
        for size, nodes, part in zip(self.sizes, self.counts, x.split(self.counts, dim), strict=True):
            # By reshape, since after unflatten and flatten a traced height and width would be constants.
            groups = part.reshape(*before, nodes // size, size, *after)  # [..., groups, size, ...]
            parts.append(groups.softmax(dim + 1).reshape(*before, nodes, *after))
        x = torch.cat(parts, dim)
        if dim and dim == x.dim() - 1 and torch.onnx.is_in_onnx_export():
            # Runtimes move rows of many values faster than single ones, even with turning them there and back.
            return x.transpose(dim - 1, dim).index_select(dim - 1, self.place).transpose(dim - 1, dim)
        return x.index_select(dim, self.place)


class TreeProbabilities(nn.Module):
    """Absolute probabilities: for every node the product down its path (original: `hierarchy_predictions`)."""

    def __init__(self, tree: WordTree) -> None:
        super().__init__()
        above = np.append(np.where(tree.parents < 0, len(tree), tree.parents), len(tree)).astype(np.int64)
        self.steps = int(tree.depths.max()).bit_length()
        for step in range(self.steps):
            self.register_buffer(f"above{step}", torch.from_numpy(above), persistent=False)
            above = above[above]

    def forward(self, conditional: Tensor) -> Tensor:
        """Probabilities given the parent, [..., nodes] → absolute ones, [..., nodes].

        Each step multiplies by the product that the node 1, 2, 4, … above has gathered.
        """
        x = F.pad(conditional, (0, 1), value=1.0)  # [..., nodes + 1]: above a root stands certainty
        for step in range(self.steps):
            x = x * x.index_select(-1, self.get_buffer(f"above{step}"))
        return x[..., :-1]


class NodeProbabilities(nn.Module):
    """Absolute probabilities of some nodes only, such as those of a map."""

    def __init__(self, tree: WordTree, nodes: tuple[int, ...]) -> None:
        super().__init__()
        paths = [tree.path(node) for node in nodes]
        longest = max(map(len, paths))
        padded = [path + [len(tree)] * (longest - len(path)) for path in paths]
        self.longest = longest
        self.register_buffer("paths", torch.tensor(padded).flatten(), persistent=False)  # [chosen·longest]

    def forward(self, conditional: Tensor) -> Tensor:
        """Probabilities given the parent, [..., nodes] → absolute ones of the chosen nodes, [..., chosen]."""
        steps = F.pad(conditional, (0, 1), value=1.0).index_select(-1, self.get_buffer("paths"))
        product: Tensor = steps.unflatten(-1, (-1, self.longest)).prod(-1)  # [..., chosen]
        return product
