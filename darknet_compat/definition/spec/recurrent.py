"""The layers that keep a state from one step of a sequence to the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from darknet_compat.definition.dialects import ORIGINAL
from darknet_compat.definition.spec.base import ActivationName, LayerSpec


@dataclass(frozen=True, kw_only=True)
class Recurrent(LayerSpec):
    """A layer that keeps a state."""

    recurrent: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class Rnn(Recurrent):
    """A plain recurrent layer of three connected ones: input, self (with `logistic` its activation is that), output.

    The state has `hidden` values.
    """

    outputs: int
    hidden: int
    steps: int
    activation: ActivationName
    batch_normalize: bool
    shortcut: bool
    logistic: bool = False

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True


@dataclass(frozen=True, kw_only=True)
class Gru(Recurrent):
    """A gated recurrent unit; `tanh` chooses the candidate's activation (logistic otherwise).

    `parts`: its connected layers in a file's order, those called w from the state, those called u from the input.
    """

    outputs: int
    steps: int
    batch_normalize: bool
    tanh: bool
    parts: tuple[str, ...] = ORIGINAL.gru_parts

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True


@dataclass(frozen=True, kw_only=True)
class Lstm(Recurrent):
    """A long short-term memory; `parts` as of a Gru."""

    outputs: int
    steps: int
    batch_normalize: bool
    parts: tuple[str, ...] = ORIGINAL.lstm_parts

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True


@dataclass(frozen=True, kw_only=True)
class Crnn(Recurrent):
    """A recurrent layer of three convolutions; only the first has the strides. With `turned` its input's width and
    height are taken for each other, as the original does."""

    hidden_filters: int
    output_filters: int
    steps: int
    activation: ActivationName
    batch_normalize: bool
    shortcut: bool
    size: int = 3
    stride: int = 1
    padding: int = 1
    groups: int = 1
    dilation: int = 1
    turned: bool = True


@dataclass(frozen=True, kw_only=True)
class ConvLstm(Recurrent):
    """The fork's long short-term memory of convolutions; with `peephole` the gates see the cell, too.

    Cells stay within ±`state_constrain`. `activation` is that of the convolutions, `lstm_activation` that of the
    candidate and of what is put out.
    """

    filters: int
    steps: int
    size: int
    stride: int
    padding: int
    groups: int
    dilation: int
    activation: ActivationName
    lstm_activation: ActivationName
    batch_normalize: bool
    peephole: bool
    state_constrain: float

    @property
    def parts(self) -> tuple[str, ...]:
        """Its convolutions in a file's order: v from the cell, w from the output, u from the input."""
        peepholes = ("vf", "vi", "vo") if self.peephole else ()
        return (*peepholes, "wf", "wi", "wg", "wo", "uf", "ui", "ug", "uo")


@dataclass(frozen=True, kw_only=True)
class History(LayerSpec):
    """The fork's memory of the last `history_size` inputs of a sequence, the newest first; 0 before it began."""

    keeps_size: ClassVar[bool] = True

    history_size: int
    steps: int = 1
