"""The layers that keep a state from one step of a sequence to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from darknet_compat.definition.spec.base import ActivationName, LayerSpec


@dataclass(frozen=True, kw_only=True)
class Recurrent(LayerSpec):
    """A layer that keeps a state."""

    recurrent: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Rnn(Recurrent):
    """A plain recurrent layer of three connected ones: input, self, output."""

    outputs: int
    steps: int
    activation: ActivationName
    batch_normalize: bool
    shortcut: bool


@dataclass(frozen=True, kw_only=True)
class Gru(Recurrent):
    """A gated recurrent unit; `tanh` chooses the candidate's activation (logistic otherwise)."""

    outputs: int
    steps: int
    batch_normalize: bool
    tanh: bool


@dataclass(frozen=True, kw_only=True)
class Lstm(Recurrent):
    """A long short-term memory."""

    outputs: int
    steps: int
    batch_normalize: bool


@dataclass(frozen=True, kw_only=True)
class Crnn(Recurrent):
    """A recurrent layer of three 3x3 convolutions."""

    hidden_filters: int
    output_filters: int
    steps: int
    activation: ActivationName
    batch_normalize: bool
    shortcut: bool
