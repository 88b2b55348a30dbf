"""SGD of weights of which each step uses a few rows only, equal to the dense update of all of them.

Momentum and decay move a row without a gradient as well, but how is known beforehand: with velocity v,

    v ← momentum·v + decay·w;  w ← w - rate·v

is linear in (w, v). So such a row is left alone, and what the steps since its last one come to is applied at once, as a
product of 2 x 2 matrices, when the row is next read. Of a row that never had a gradient the velocity is the same
multiple of w as every other such row's: only those that had one keep a velocity.
"""

from __future__ import annotations

import operator
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
        self.velocity = self._matrix()[:0].clone()  # [V, values], of the rows that had a gradient, and room for more
        self.places = torch.full((len(weights),), -1, device=weights.device)  # of each row in `velocity`, or -1
        self.used = 0
        self.done = torch.zeros(len(weights), dtype=torch.int64, device=weights.device)  # steps that a row has had
        self.steps = 0
        self.pending: list[tuple[Tensor, Tensor]] = []
        self._begin(0.0)

    @torch.no_grad()
    def read(self, rows: Tensor) -> Tensor:
        """The present values [n, values] of rows [n], each of them given once."""
        self._catch_up(rows)
        return self._matrix()[rows]

    def add(self, rows: Tensor, gradient: Tensor) -> None:
        """Add to the gradient of rows [n], each of them given once: [n, values]."""
        self.pending.append((rows, gradient))

    def touched(self) -> tuple[Tensor, Tensor]:
        """All that was added since the last step: row numbers [U], each once, and their sums [U, …]."""
        if len(self.pending) == 1:
            return self.pending[0]
        rows, place = torch.cat([rows for rows, _ in self.pending]).unique(return_inverse=True)
        gradient = torch.cat([gradient for _, gradient in self.pending])
        return rows, torch.zeros_like(gradient[: len(rows)]).index_add_(0, place, gradient)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """One update at `rate`; the gradients that were added are then used up."""
        if self.pending:
            rows, gradient = self.touched()
            self._catch_up(rows)
            self._make_room(rows)
            matrix, places = self._matrix(), self.places[rows]
            weights = matrix[rows]
            velocity = self.velocity[places].mul_(self.momentum).add_(weights, alpha=self.decay).add_(gradient)
            self.velocity[places] = velocity
            matrix[rows] = weights.add_(velocity, alpha=-rate)
            self.done[rows] = self.steps + 1
        self._note(rate)
        self.pending.clear()
        if len(self.ways) > _LONGEST:
            self.flush()

    @torch.no_grad()
    def flush(self) -> None:
        """Bring all rows up to date, as whoever reads the weights elsewhere needs them."""
        if (self.done < self.steps).any():
            for rows in torch.arange(len(self.done), device=self.done.device).split(_AT_ONCE):
                self._catch_up(rows)
        self._begin(float(self.ratios[-1]))

    def state_dict(self) -> dict[str, Any]:
        """All but the weights, which are brought up to date."""
        self.flush()
        velocity, ratio = self.velocity[: self.used].clone(), float(self.ratios[-1])
        return {"velocity": velocity, "places": self.places, "steps": self.steps, "ratio": ratio}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from such a state, with the weights of that time. Raises ValueError for one of another form."""
        velocity, ratio = state["velocity"].to(self.velocity).clone(), float(state["ratio"])
        if velocity.shape[1:] != self.velocity.shape[1:] or state["places"].max() >= len(velocity):
            raise ValueError("the momentum is of another form")
        self.velocity = velocity
        self.places.copy_(state["places"])
        self.used, self.steps = len(self.velocity), operator.index(state["steps"])
        self.done.fill_(self.steps)
        self.pending.clear()
        self._begin(ratio)

    def _matrix(self) -> Tensor:
        return self.weights.detach().view(len(self.weights), -1)

    def _begin(self, ratio: float) -> None:
        """From here on all rows are up to date; those without a velocity of their own have `ratio` times their weights.

        `ways` [steps since, 2, 2] lead from each step's (w, v) to the present one, `ratios` are those at each step.
        """
        self.first = self.steps
        self.ways = torch.eye(2, dtype=torch.float64)[None]
        self.ratios = torch.tensor([ratio], dtype=torch.float64)

    def _note(self, rate: float) -> None:
        """Count a step at `rate` for all rows."""
        way = [[1 - rate * self.decay, -rate * self.momentum], [self.decay, self.momentum]]
        step = torch.tensor(way, dtype=torch.float64)
        weight, velocity = step[:, 0] + step[:, 1] * self.ratios[-1]
        self.ratios = torch.cat([self.ratios, (velocity / weight)[None]])
        self.ways = torch.cat([step @ self.ways, torch.eye(2, dtype=torch.float64)[None]])
        self.steps += 1

    def _catch_up(self, rows: Tensor) -> None:
        """Apply the steps that rows [n] have missed."""
        behind = rows[self.done[rows] < self.steps]
        if not len(behind):
            return
        matrix, places, since = self._matrix(), self.places[behind], (self.done[behind] - self.first).cpu()
        ways, ratios = self.ways[since], self.ratios[since]  # [n, 2, 2], [n]
        alone = (ways[:, 0, 0] + ways[:, 0, 1] * ratios).to(matrix)[:, None]
        ways = ways.to(matrix)[..., None]  # [n, 2, 2, 1]
        own = places >= 0
        matrix[behind[~own]] *= alone[~own]
        rows, places, ways = behind[own], places[own], ways[own]
        weights, velocity = matrix[rows], self.velocity[places]
        matrix[rows] = ways[:, 0, 0] * weights + ways[:, 0, 1] * velocity
        self.velocity[places] = ways[:, 1, 0] * weights + ways[:, 1, 1] * velocity
        self.done[behind] = self.steps

    def _make_room(self, rows: Tensor) -> None:
        """Give rows [n], which are up to date, a velocity of their own."""
        new = rows[self.places[rows] < 0]
        needed = self.used + len(new)
        if needed > len(self.velocity):
            room = min(max(needed, 3 * self.used // 2), len(self.places))
            grown = self.velocity.new_empty(room, self.velocity.shape[1])
            grown[: self.used] = self.velocity[: self.used]
            self.velocity = grown
        self.places[new] = torch.arange(self.used, needed, device=new.device)
        self.velocity[self.used : needed] = self._matrix()[new] * float(self.ratios[-1])
        self.used = needed
