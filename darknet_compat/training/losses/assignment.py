"""Which truth has which slot, a head's cell and anchor, and what becomes of several at the same one.

The original takes an image's truths one after another, and each overwrites what an earlier one left at its slot. Here
all are taken at once; who comes last is worked out beforehand, by comparing every truth of an image with every other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Slots:
    """Where truths go. `index` [N, T] is a slot, 0 where `matched` [N, T] is false.

    `same` [N, T, T]: both have one, and it is the same.
    """

    index: Tensor
    matched: Tensor
    same: Tensor

    @classmethod
    def of(cls, index: Tensor, matched: Tensor) -> Slots:
        """From each truth's slot [N, T] and whether it has one [N, T]."""
        both = matched[:, :, None] & matched[:, None, :]
        return cls(torch.where(matched, index, 0), matched, both & (index[:, :, None] == index[:, None, :]))

    @property
    def last(self) -> Tensor:
        """[N, T], truths that no later one follows at their slot."""
        return self.matched & ~self.later.any(2)

    @property
    def later(self) -> Tensor:
        """[N, T, T], whether the second comes after the first, at the same slot."""
        return self.same.triu(1)

    @property
    def earlier(self) -> Tensor:
        """[N, T, T], whether the second comes before the first, at the same slot."""
        return self.same.tril(-1)


def rows_at(values: Tensor, index: Tensor) -> Tensor:
    """Rows [N, T, K] of `values` [N, A, K, H, W] at slots [N, T], counted anchor by anchor, row by row."""
    area = values.shape[3] * values.shape[4]
    image = torch.arange(len(values), device=values.device)[:, None]
    return values.flatten(3).transpose(2, 3)[image, index // area, index % area]


def add_rows(values: Tensor, index: Tensor, rows: Tensor) -> None:
    """Add rows [N, T, K] to a contiguous `values` [N, A, K, H, W] at slots [N, T], in place."""
    area = values.shape[3] * values.shape[4]
    image = torch.arange(len(values), device=values.device)[:, None]
    values.flatten(3).transpose(2, 3).index_put_((image, index // area, index % area), rows, accumulate=True)


def set_rows(values: Tensor, slots: Slots, rows: Tensor) -> None:
    """Replace what is at the slots by the rows [N, T, K] of their last truths, in place."""
    last = slots.last[..., None]
    taken = torch.zeros_like(values[:, :, :1])
    add_rows(taken, slots.index, last.to(values.dtype))
    values.masked_fill_(taken > 0, 0)
    add_rows(values, slots.index, torch.where(last, rows, 0.0))


def cells(boxes: Tensor, grid: Sequence[int]) -> Tensor:
    """The cell of a grid (height, width), counted row by row, in which boxes [..., 4] have their centres: [...]."""
    height, width = grid
    column = (boxes[..., 0] * width).long().clamp(0, width - 1)
    row = (boxes[..., 1] * height).long().clamp(0, height - 1)
    return row * width + column


def box_targets(boxes: Tensor, index: Tensor, anchors: Tensor, grid: Sequence[int]) -> Tensor:
    """What a slot's x, y, w and h should be for boxes [..., 4], with anchors [A, 2] as fractions: [..., 4]."""
    height, width = grid
    cell = index % (height * width)
    corner = torch.stack([cell % width, cell // width], -1)
    centre = boxes[..., :2] * boxes.new_tensor([width, height]) - corner
    return torch.cat([centre, (boxes[..., 2:] / anchors[index // (height * width)]).log()], -1)
