"""What the losses share.

The original writes down no loss: each of its heads computes `delta`, what its activated output should move by, and
passes that back. So do these: a head's loss is its `delta`, and the gradient of a raw output is minus that, through
the derivative of those activations that the original takes into account.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.network.heads import Yolo


@dataclass(frozen=True)
class HeadLoss:
    """One head's part. `delta` is the original's, [N, …] in the head's layout; `gradient` that of the raw output.

    `cost` is a scalar. `figures` are means by name, each as a sum and how many it is a sum of.
    """

    delta: Tensor
    gradient: Tensor
    cost: Tensor
    figures: Mapping[str, tuple[Tensor, Tensor]] = field(default_factory=dict)


class _Pull(torch.autograd.Function):
    """See `pull`."""

    @staticmethod
    def forward(ctx: Any, raw: Tensor, gradient: Tensor, value: Tensor) -> Tensor:
        """`value`, as a result that depends on `raw`."""
        ctx.save_for_backward(gradient)
        ctx.dtype = raw.dtype
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """The gradient that was given."""
        (gradient,) = ctx.saved_tensors
        return (grads[0] * gradient).to(ctx.dtype), None, None


def pull(raw: Tensor, gradient: Tensor, value: Tensor) -> Tensor:
    """`value`, a scalar, as a result whose gradient with respect to `raw` is `gradient`, of `raw`'s shape."""
    result: Tensor = _Pull.apply(raw, gradient, value)  # type: ignore[no-untyped-call]
    return result


class AnchoredLoss(nn.Module):
    """What the losses of [yolo] and [Gaussian_yolo] know of their head: `known` [labels], the head's class of each
    class of the labels; `anchors` [all, 2], those of all heads in pixels of the network's input; `places` [all], where
    each stands in this head's mask, or -1."""

    known: Tensor
    anchors: Tensor
    places: Tensor

    def __init__(self, spec: s.YoloHead, head: Yolo) -> None:
        super().__init__()
        self.spec, self.head = spec, head
        known = torch.arange(spec.classes) if spec.map is None else torch.tensor(spec.map)
        self.register_buffer("known", known, persistent=False)
        self.register_buffer("anchors", torch.tensor(spec.anchors), persistent=False)
        places = [spec.mask.index(anchor) if anchor in spec.mask else -1 for anchor in range(len(spec.anchors))]
        self.register_buffer("places", torch.tensor(places), persistent=False)


def squares(delta: Tensor) -> Tensor:
    """The cost that heads with boxes report, Σ delta²: a scalar."""
    return delta.square().sum()


def iou(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union of boxes [..., 4], centre and size, that broadcast against each other: [...].

    Original: `box_iou`; 0 where that is no number.
    """
    shared = _shared(a, b, 0).mul_(_shared(a, b, 1))
    union = (a[..., 2] * a[..., 3] + b[..., 2] * b[..., 3]).sub_(shared)
    return shared.div_(union).nan_to_num_(0.0, 0.0, 0.0)


def _shared(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """How much of an axis boxes share, [...]; few arrays of this size are held at once, as there may be many pairs."""
    low = torch.maximum(a[..., axis] - a[..., axis + 2] / 2, b[..., axis] - b[..., axis + 2] / 2)
    high = torch.minimum(a[..., axis] + a[..., axis + 2] / 2, b[..., axis] + b[..., axis + 2] / 2)
    return high.sub_(low).clamp_min_(0)


def shape_iou(a: Tensor, b: Tensor) -> Tensor:
    """IoU of sizes [..., 2] alone, as if all boxes had one centre."""
    return iou(torch.cat([torch.zeros_like(a), a], -1), torch.cat([torch.zeros_like(b), b], -1))


def matched_figures(
    matched: Tensor, overlap: Tensor, objectness: Tensor, everywhere: Tensor, probability: Tensor
) -> dict[str, tuple[Tensor, Tensor]]:
    """What the original prints: Avg IOU, Class, Obj, No Obj, Avg Recall (from IoU 0.5 on), count.

    All [N, T]; but `everywhere`, the objectness of all slots.
    """
    count, one = matched.sum(), matched.new_ones((), dtype=torch.int64)
    return {
        "avg_iou": ((overlap * matched).sum(), count),
        "class": (probability.sum(), count),
        "obj": ((objectness * matched).sum(), count),
        "no_obj": (everywhere.sum(), one * everywhere.numel()),
        "recall": (((overlap > 0.5) & matched).sum(), count),
        "count": (count, one),
    }
