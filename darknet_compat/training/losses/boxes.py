"""The fork's overlap measures between boxes, and the gradients that it derives from them.

IoU; GIoU (Rezatofighi et al. 2019, arXiv 1902.09630); DIoU and CIoU (Zheng et al. 2020, arXiv 1911.08287). The
gradients are those of AlexeyAB/darknet (`dx_box_iou`), not autograd's: where boxes do not overlap, where DIoU's second
term has another sign, and in CIoU's aspect term, they are no derivatives.
"""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from darknet_compat.training.losses.base import iou

Overlap = Literal["iou", "giou", "diou", "ciou"]


def overlap(a: Tensor, b: Tensor, measure: Overlap) -> Tensor:
    """The measure between boxes [..., 4], centre and size, that broadcast against each other: [...]."""
    plain = iou(a, b)
    if measure == "iou":
        return plain
    low, high = _corners(a), _corners(b)
    sides = [_enclosing(low, high, axis) for axis in (0, 1)]
    if measure == "giou":
        return plain - _giou_term(a, b, sides, plain)
    distance = (a[..., :2] - b[..., :2]).square().sum(-1)
    diagonal = sides[0] ** 2 + sides[1] ** 2
    share = torch.where(diagonal == 0, 0.0, distance / diagonal)
    if measure == "diou":
        return torch.where(diagonal == 0, plain, plain - share**0.6)
    aspect = _aspect(a, b)
    factor = aspect / (1 - plain + aspect + 1e-6)
    return torch.where(diagonal == 0, plain, plain - (share + factor * aspect))


def box_gradient(box: Tensor, truth: Tensor, measure: Overlap) -> Tensor:
    """How the measure rises with each of a box's x, y, w, h, [..., 4], as the fork has it.

    `box` and `truth` [..., 4], centre and size in fractions, sides above 0.
    """
    e = _Edges.of(box, truth)
    sides = _iou_sides(e)  # with the edges left, top, right, bottom
    if measure == "giou":
        outer = _enclosing_sides(e)
        sides = torch.where(e.disjoint[..., None], outer, sides + torch.where(e.area[..., None] > 0, outer, 0.0))
    left, top, right, bottom = sides.unbind(-1)
    gradient = torch.stack([left + right, top + bottom, right - left, bottom - top], -1)
    if measure in ("diou", "ciou"):
        more = _distance_term(box, truth, e)
        if measure == "ciou":
            more = more + _aspect_term(box, truth, e)
        gradient = torch.where(e.disjoint[..., None], more, gradient + more)
    return gradient


class _Edges(NamedTuple):
    """Edges [..., 4] left, top, right, bottom of both; the shared and the enclosing rectangle's sides and area."""

    box: Tensor
    truth: Tensor
    shared_w: Tensor
    shared_h: Tensor
    union: Tensor
    width: Tensor
    height: Tensor

    @classmethod
    def of(cls, box: Tensor, truth: Tensor) -> _Edges:
        a, b = _corners(box), _corners(truth)
        low, high = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
        shared_w, shared_h = (high - low).unbind(-1)  # below 0 where disjoint, and used so
        union = box[..., 2:].prod(-1) + truth[..., 2:].prod(-1) - shared_w * shared_h
        return cls(a, b, shared_w, shared_h, union, _enclosing(a, b, 0), _enclosing(a, b, 1))

    @property
    def disjoint(self) -> Tensor:
        """[...]: nothing is shared."""
        return (self.shared_w <= 0) | (self.shared_h <= 0)

    @property
    def area(self) -> Tensor:
        """The enclosing rectangle's area."""
        return self.width * self.height

    @property
    def inside(self) -> Tensor:
        """[..., 4]: which of the box's edges bound the shared rectangle."""
        return torch.cat([self.box[..., :2] > self.truth[..., :2], self.box[..., 2:] < self.truth[..., 2:]], -1)

    @property
    def outside(self) -> Tensor:
        """[..., 4]: which of the box's edges bound the enclosing rectangle."""
        return torch.cat([self.box[..., :2] < self.truth[..., :2], self.box[..., 2:] > self.truth[..., 2:]], -1)

    def across(self, width: Tensor, height: Tensor) -> Tensor:
        """How an area of these sides changes as its left, top, right, bottom edge moves, [..., 4]."""
        return torch.stack([-height, -width, height, width], -1)

    @property
    def union_change(self) -> Tensor:
        """How the union changes with the box's edges, [..., 4]."""
        w, h = (self.box[..., 2:] - self.box[..., :2]).unbind(-1)
        return self.across(w, h) - self.shared_change

    @property
    def shared_change(self) -> Tensor:
        """How the shared area changes with the box's edges, [..., 4]."""
        return torch.where(self.inside, self.across(self.shared_w, self.shared_h), 0.0)


def _iou_sides(e: _Edges) -> Tensor:
    union, shared = e.union[..., None], (e.shared_w * e.shared_h)[..., None]
    return torch.where(union > 0, (union * e.shared_change - shared * e.union_change) / union**2, 0.0)


def _enclosing_sides(e: _Edges) -> Tensor:
    """GIoU's term: how union / enclosing changes with the box's edges."""
    area, union = e.area[..., None], e.union[..., None]
    change = torch.where(e.outside, e.across(e.width, e.height), 0.0)
    return (area * e.union_change - union * change) / area**2


def _distance_term(box: Tensor, truth: Tensor, e: _Edges) -> Tensor:
    """DIoU's term with the fork's signs, [..., 4]."""
    left, top, right, bottom = e.outside.to(box.dtype).unbind(-1)
    square = (box[..., :2] - truth[..., :2]).square().sum(-1)
    diagonal = e.width**2 + e.height**2
    sides = torch.stack([e.width, e.height], -1)
    by_centre = 2 * sides * torch.stack([right - left, bottom - top], -1)
    by_size = 2 * sides * torch.stack([right + left, bottom + top], -1) / 2
    towards = 2 * (truth[..., :2] - box[..., :2]) * diagonal[..., None] - by_centre * square[..., None]
    both = torch.cat([towards, by_size * square[..., None]], -1) / diagonal[..., None] ** 2
    return torch.where(diagonal[..., None] > 0, both, 0.0)


def _aspect_term(box: Tensor, truth: Tensor, e: _Edges) -> Tensor:
    """CIoU's term: only w and h move."""
    aspect = _aspect(box, truth)
    ratio = e.shared_w * e.shared_h / e.union  # of sides that may be below 0
    factor = aspect / (1 - ratio + aspect + 1e-6)
    angle = 8 / math.pi**2 * _angle(box, truth) * factor
    nothing = torch.zeros_like(angle)
    return torch.stack([nothing, nothing, angle * box[..., 3], -angle * box[..., 2]], -1)


def _giou_term(a: Tensor, b: Tensor, sides: list[Tensor], plain: Tensor) -> Tensor:
    area = sides[0] * sides[1]
    both = a[..., 2:].prod(-1) + b[..., 2:].prod(-1)
    union = both / (1 + plain)  # shared = plain·union
    return torch.where(area == 0, 0.0, (area - union) / area)


def _angle(a: Tensor, b: Tensor) -> Tensor:
    return torch.atan(b[..., 2] / b[..., 3]) - torch.atan(a[..., 2] / a[..., 3])


def _aspect(a: Tensor, b: Tensor) -> Tensor:
    """CIoU's v."""
    return 4 / math.pi**2 * _angle(a, b).square()


def _corners(boxes: Tensor) -> Tensor:
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat([centre - half, centre + half], -1)


def _enclosing(a: Tensor, b: Tensor, axis: int) -> Tensor:
    """The enclosing rectangle's width (axis 0) or height, of corners."""
    return torch.maximum(a[..., axis + 2], b[..., axis + 2]) - torch.minimum(a[..., axis], b[..., axis])
