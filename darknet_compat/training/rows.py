"""SGD of weights of which each step uses a few rows only, equal to the dense update of all of them.

Momentum and decay move a row without a gradient as well, but how is known beforehand: with velocity v,

    v ← momentum·v + decay·w;  w ← w - rate·v

is linear in (w, v). So such a row is left alone, and what the steps since its last one come to is applied at once, as a
product of 2 x 2 matrices, when the row is next read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

_LONGEST = 1000
"""Steps after which all rows are brought up to date, so that no more matrices need be kept."""

_AT_ONCE = 4096
"""Rows that are updated together where all are."""


class RowSGD:
    """Updates of `weights` [R, …], whose gradients are given by rows, with `decay` and `momentum` as torch's SGD."""

    def __init__(self, weights: nn.Parameter, momentum: float, decay: float) -> None:
        self.weights, self.momentum, self.decay = weights, momentum, decay
        self.velocity = torch.zeros_like(self._matrix(), memory_format=torch.contiguous_format)  # [R, values]
        self.done = torch.zeros(len(weights), dtype=torch.int64, device=weights.device)  # steps that a row has had
        self.steps = 0
        self.first = 0  # the step that the first of the matrices goes back to
        self.ways = torch.eye(2, dtype=torch.float64)[None]  # [steps - first + 1, 2, 2], from each step to now
        self.pending: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def read(self, rows: Tensor) -> Tensor:
        """The present values [n, values] of rows [n], each of them given once."""
        self._catch_up(rows)
        return self._matrix()[rows]

    def add(self, rows: Tensor, gradient: Tensor) -> None:
        """Add to the gradient of rows [n], each of them given once: [n, values]."""
        self.pending.append((rows, gradient))

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update at `rate`; the gradients that were added are then used up."""
        if self.pending:
            rows, gradient = self.gathered()
            self._catch_up(rows)
            matrix = self._matrix()
            weights = matrix[rows]
            velocity = self.velocity[rows].mul_(self.momentum).add_(weights, alpha=self.decay).add_(gradient)
            self.velocity[rows] = velocity
            matrix[rows] = weights.add_(velocity, alpha=-rate)
            self.done[rows] = self.steps + 1
        way = [[1 - rate * self.decay, -rate * self.momentum], [self.decay, self.momentum]]
        self.ways = torch.cat([torch.tensor(way, dtype=torch.float64) @ self.ways, torch.eye(2).double()[None]])
        self.steps += 1
        self.pending.clear()
        if len(self.ways) > _LONGEST:
            self.flush()

    @torch.no_grad()
    def flush(self) -> None:
        """Bring all rows up to date, as whoever reads the weights elsewhere needs them."""
        if (self.done < self.steps).any():
            for rows in torch.arange(len(self.done), device=self.done.device).split(_AT_ONCE):
                self._catch_up(rows)
        self.first, self.ways = self.steps, torch.eye(2, dtype=torch.float64)[None]

    def state_dict(self) -> dict[str, Any]:
        """All but the weights, which are brought up to date."""
        self.flush()
        return {"velocity": self.velocity, "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state, with the weights of that time."""
        self.velocity.copy_(state["velocity"])
        self.steps = self.first = state["steps"]
        self.done.fill_(self.steps)
        self.ways = torch.eye(2, dtype=torch.float64)[None]
        self.pending.clear()

    def _matrix(self) -> Tensor:
        return self.weights.detach().flatten(1)

    def _catch_up(self, rows: Tensor) -> None:
        behind = rows[self.done[rows] < self.steps]
        if not len(behind):
            return
        ways = self.ways.to(behind.device)[self.done[behind] - self.first]  # [n, 2, 2]
        matrix = self._matrix()
        weights, velocity = matrix[behind], self.velocity[behind]
        factors = ways.to(weights.dtype)[..., None]  # [n, 2, 2, 1]
        matrix[behind] = factors[:, 0, 0] * weights + factors[:, 0, 1] * velocity
        self.velocity[behind] = factors[:, 1, 0] * weights + factors[:, 1, 1] * velocity
        self.done[behind] = self.steps

    def gathered(self) -> tuple[Tensor, Tensor]:
        """All that was added, each row once."""
        if len(self.pending) == 1:
            return self.pending[0]
        rows, place = torch.cat([rows for rows, _ in self.pending]).unique(return_inverse=True)
        gradient = torch.cat([gradient for _, gradient in self.pending])
        return rows, torch.zeros_like(gradient[: len(rows)]).index_add_(0, place, gradient)
