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

    Groups of up to 1, 2, 4, 8, … siblings are laid out side by side as columns of that length, so that one softmax does
    all groups of about a size and padding never more than doubles the work.
    """

    def __init__(self, tree: WordTree, temperature: float = 1.0) -> None:
        super().__init__()
        self.temperature = temperature
        lengths = 2 ** np.ceil(np.log2(tree.group_sizes)).astype(np.int64)
        place = np.empty(len(tree), np.int64)  # where each node stands once all rows are flattened
        used = 0
        for number, length in enumerate(np.unique(lengths)):
            groups = np.flatnonzero(lengths == length)
            column = np.arange(length)
            inside = column < tree.group_sizes[groups, None]
            nodes = np.where(inside, tree.group_offsets[groups, None] + column, len(tree)).T  # [length, groups]
            place[nodes[inside.T]] = used + np.flatnonzero(inside.T)
            used += nodes.size
            self.register_buffer(f"nodes{number}", torch.from_numpy(nodes.reshape(-1)), persistent=False)
        self.lengths = [int(length) for length in np.unique(lengths)]
        self.register_buffer("place", torch.from_numpy(place), persistent=False)

    def forward(self, x: Tensor, dim: int = -1) -> Tensor:
        """Logits with the nodes along `dim` → each node's probability given its parent, the same shape."""
        dim %= x.dim()
        x = x if self.temperature == 1 else x / self.temperature
        x = torch.cat([x, torch.full_like(x.narrow(dim, 0, 1), -torch.inf)], dim)  # nodes + 1
        parts = []
        for number, length in enumerate(self.lengths):
            columns = x.index_select(dim, self.get_buffer(f"nodes{number}")).unflatten(dim, (length, -1))
            parts.append(columns.softmax(dim).flatten(dim, dim + 1))  # length·groups
        return torch.cat(parts, dim).index_select(dim, self.get_buffer("place"))  # nodes


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
