"""Class deltas at slots: one label a box over softmaxes, of one group or of a tree's; or any number of labels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from darknet_compat.formats.wordtree import WordTree
from darknet_compat.training.losses.assignment import Slots


class ClassRows(NamedTuple):
    """`delta` [N, T, C]: what the class outputs at each truth's slot should move by, to be added up over truths.

    `probability` [N, T] is each truth's own, 0 where that does not count in the average.
    """

    delta: Tensor
    probability: Tensor


class LabelPaths(nn.Module):
    """Each class's way down a tree, from its root; without a tree all classes are siblings and the way is one step.

    `nodes` and `groups` [C, depth]: the nodes on the way and the sibling groups they belong to, then -1. `depths` and
    `group` [C]: a node's steps from the root and its group. `offsets` and `sizes` [groups]: a group's nodes.
    """

    nodes: Tensor
    groups: Tensor
    depths: Tensor
    group: Tensor
    offsets: Tensor
    sizes: Tensor

    def __init__(self, classes: int, tree: WordTree | None) -> None:
        super().__init__()
        parents, depths, group = np.full(classes, -1), np.zeros(classes, np.int64), np.zeros(classes, np.int64)
        if tree is not None:
            parents, depths, group = (x.astype(np.int64) for x in (tree.parents, tree.depths, tree.groups))
        nodes = np.full((classes, int(depths.max()) + 1), -1)
        labels = at = np.arange(classes)
        while len(labels):
            nodes[labels, depths[at]] = at
            at = parents[at]
            labels, at = labels[at >= 0], at[at >= 0]
        self.register_buffer("nodes", torch.from_numpy(nodes), persistent=False)
        self.register_buffer("groups", torch.from_numpy(np.where(nodes < 0, -1, group[nodes])), persistent=False)
        self.register_buffer("depths", torch.from_numpy(depths), persistent=False)
        self.register_buffer("group", torch.from_numpy(group), persistent=False)
        offsets, sizes = np.unique(group, return_index=True, return_counts=True)[1:]
        self.register_buffer("offsets", torch.from_numpy(offsets), persistent=False)
        self.register_buffer("sizes", torch.from_numpy(sizes), persistent=False)

    def probability(self, probabilities: Tensor, labels: Tensor) -> Tensor:
        """The absolute probability of `labels` [...], from those given the parent [..., C]: [...]."""
        nodes = self.nodes[labels]  # [..., depth]
        steps = probabilities.gather(-1, nodes.clamp_min(0))
        return torch.where(nodes >= 0, steps, 1.0).prod(-1)

    def siblings(self, labels: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All nodes of the groups on the ways to labels [W], side by side: nodes, their depths, and whether there is
        one, each [W, L]; and where on that line the nodes of the way itself stand, [W, depth], or -1."""
        groups = self.groups[labels]  # [W, depth]
        there = groups >= 0
        sizes = torch.where(there, self.sizes[groups], 0)
        ends = sizes.cumsum(1)
        starts, line = ends - sizes, torch.arange(int(ends[:, -1].max()), device=labels.device)
        line = line.expand(len(labels), -1).contiguous()  # [W, L]
        inside = line < ends[:, -1:]
        depth = torch.searchsorted(ends, line, right=True).clamp_max(groups.shape[1] - 1)
        offsets = self.offsets[groups]
        nodes = torch.where(inside, offsets.gather(1, depth) + line - starts.gather(1, depth), 0)
        return nodes, depth, inside, torch.where(there, starts + self.nodes[labels] - offsets, -1)

    def live(self, slots: Slots, labels: Tensor) -> Tensor:
        """[N, T, depth], the groups on each label's way that no later truth at the same slot passes through."""
        groups = self.groups[labels]  # [N, T, depth]; two ways meet a group at the same depth if at all
        again = (groups[:, :, None] == groups[:, None, :]) & slots.later[..., None]  # [N, T, T, depth]
        return slots.matched[..., None] & (groups >= 0) & ~again.any(2)


def one_label(labels: LabelPaths, slots: Slots, label: Tensor, probabilities: Tensor, scale: float) -> ClassRows:
    """`scale`·(onehot - p) in the groups on the way to each label [N, T], nothing elsewhere.

    `probabilities`: [N, T, C], given the parent, at each truth's slot. Original: `delta_region_class`.
    """
    live = labels.live(slots, label)[..., labels.depths]  # [N, T, C]
    there = live & (labels.groups[label][..., labels.depths] == labels.group)
    on_way = labels.nodes[label][..., labels.depths] == torch.arange(len(labels.depths), device=label.device)
    delta = torch.where(there, scale * (on_way.float() - probabilities), 0.0)
    return ClassRows(delta, torch.where(slots.matched, labels.probability(probabilities, label), 0.0))


def focal(probabilities: Tensor, label: Tensor) -> Tensor:
    """The factor that the fork's focal loss has for all class deltas of a slot, [..., 1], from its probabilities
    [..., C] and label [...]: ½·-(1 - p)(2p·ln p + p - 1), p being the label's own (after arXiv 1708.02002)."""
    own = probabilities.gather(-1, label[..., None])
    return -0.5 * (1 - own) * (2 * own * own.clamp_min(1e-6).log() + own - 1)


def many_labels(
    slots: Slots, label: Tensor, probabilities: Tensor, scale: float, before: Tensor, *, average_all: bool
) -> ClassRows:
    """`scale`·(onehots - p) of all labels [N, T] at a slot (original: `delta_yolo_class`, `delta_region_class`).

    The original tells from the delta of class 0 whether a slot already has a label, and so forgets those from before
    where that is 0 because class 0 has a probability of exactly 1 or 0. `before` [N, T] is a label that the slot has
    from elsewhere, or -1. Without `average_all` only those truths count in the average that begin afresh.
    """
    first_class = probabilities[..., 0]
    earlier, zero = slots.earlier, label == 0
    order = torch.arange(label.shape[1], device=label.device)
    previous = torch.where(earlier, order, -1).amax(2)  # [N, T]
    previous_zero = torch.where(previous >= 0, zero.gather(1, previous.clamp_min(0)), before == 0)
    any_zero = (earlier & zero[:, None, :]).any(2) | (before == 0)
    none = (previous < 0) & (before < 0)
    afresh = none | ((first_class == 1) & previous_zero) | ((first_class == 0) & ~any_zero)  # [N, T]
    afresh = afresh & slots.matched
    counts = slots.matched & ~(slots.later & afresh[:, None, :]).any(2)
    kept = slots.last & (before >= 0) & ~(slots.same & afresh[:, None, :]).any(2)
    winner = torch.where(slots.same, order, -1).amax(2).clamp_min(0)  # [N, T], the slot's last truth
    image = torch.arange(len(label), device=label.device)[:, None]
    target = torch.zeros_like(probabilities)
    target.index_put_((image, winner, label), counts.float(), accumulate=True)
    target.index_put_((image, order.expand_as(label), before.clamp_min(0)), kept.float(), accumulate=True)
    delta = torch.where(slots.last[..., None], scale * (target.clamp_max(1) - probabilities), 0.0)
    own = probabilities.gather(2, label[..., None])[..., 0]
    return ClassRows(delta, torch.where(slots.matched if average_all else afresh, own, 0.0))
