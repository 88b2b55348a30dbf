"""The losses of heads that classify whole pictures: [softmax] and [logistic] (original: softmax_layer.c).

Truth for these is [N, inputs] as well: 1 for what is there, 0 for what is not, UNKNOWN where nothing is to be learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.network.heads import Head
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses.base import HeadLoss
from darknet_compat.training.losses.classes import LabelPaths

UNKNOWN = -1234.0
"""The original's `SECRET_NUM`."""


class Targets(nn.Module):
    """From labels to [N, inputs] (original: `fill_truth`, `fill_hierarchy`).

    On a tree all nodes above a label are there too, and groups that no label's way passes through are UNKNOWN.
    `smooth` of what is there is spread over all the others, as the fork does for `label_smooth_eps` of [net].
    """

    def __init__(self, inputs: int, labels: LabelPaths | None, smooth: float = 0.0) -> None:
        super().__init__()
        self.inputs, self.labels, self.smooth = inputs, labels, smooth

    def forward(self, truth: Truth | Tensor) -> Tensor:
        """Labels that the network does not have do not count; targets that are ready stay as they are."""
        if isinstance(truth, Tensor):
            return truth.float().flatten(1)
        known = (truth.classes >= 0) & (truth.classes < self.inputs)  # [N, T]
        label = torch.where(known, truth.classes, 0)
        target = torch.zeros(len(label), self.inputs, device=label.device)
        if self.labels is None:
            shares = known.float() if truth.shares is None else known * truth.shares
            there = target.scatter_add(1, label, shares).clamp_max(1)
            if not self.smooth:
                return there
            return there * (1 - self.smooth) + (1 - there) * self.smooth / max(self.inputs - 1, 1)
        nodes = self.labels.nodes[label].flatten(1)  # [N, T·depth]
        there = (nodes >= 0) & known.repeat_interleave(self.labels.nodes.shape[1], 1)
        target = target.scatter_add(1, nodes.clamp_min(0), there.float()).clamp_max(1)
        groups = torch.zeros_like(target).index_add(1, self.labels.group, target)  # [N, inputs], by group
        return torch.where(groups[:, self.labels.group] > 0, target, UNKNOWN)


class SoftmaxLoss(nn.Module):
    """truth - p, which passes the softmax as it is. A tree's groups without a label are left alone.

    The original's CPU build takes UNKNOWN for a probability there; this is the CUDA build's.
    """

    def __init__(self, spec: s.Softmax, head: Head, smooth: float = 0.0) -> None:
        super().__init__()
        self.head, self.noloss = head, spec.noloss
        self.targets = Targets(spec.output.size, LabelPaths(spec.output.size, spec.tree) if spec.tree else None, smooth)

    def forward(self, raw: Tensor, truth: Truth | Tensor, seen: int, size: tuple[int, int]) -> HeadLoss:
        """`raw` [N, …], float32. The cost is the cross-entropy."""
        output = self.head(raw).flatten(1)  # [N, inputs]
        target = self.targets(truth)
        known = target != UNKNOWN
        if self.noloss:
            known = torch.zeros_like(known)
        delta = torch.where(known, target - output, 0.0)
        tiny = torch.finfo(output.dtype).tiny  # so that the cost stays finite
        cost = -torch.where(known & (target != 0), output.clamp_min(tiny).log(), 0.0).sum()
        return HeadLoss(delta, -delta.view_as(raw), cost)


class LogisticLoss(nn.Module):
    """truth - p (original: `logistic_x_ent`)."""

    def __init__(self, spec: s.Logistic, head: Head, smooth: float = 0.0) -> None:
        super().__init__()
        self.head = head
        self.targets = Targets(spec.output.size, None, smooth)

    def forward(self, raw: Tensor, truth: Truth | Tensor, seen: int, size: tuple[int, int]) -> HeadLoss:
        """`raw` [N, …], float32. The cost is the cross-entropy."""
        output, target = self.head(raw).flatten(1), self.targets(truth)
        delta = target - output
        tiny = torch.finfo(output.dtype).tiny
        there, absent = output.clamp_min(tiny).log(), (1 - output).clamp_min(tiny).log()
        return HeadLoss(delta, -delta.view_as(raw), -(target * there + (1 - target) * absent).sum())
