"""The layers that keep a state from one step of a sequence to the next."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from darknet_compat.definition.dialects import ORIGINAL
from darknet_compat.definition.spec.base import ActivationName, LayerSpec
from darknet_compat.definition.spec.slot import Slot, connection_slots, convolution_slots


@dataclass(frozen=True, kw_only=True)
class Recurrent(LayerSpec):
    """A layer that keeps a state."""

    recurrent: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class _Connected(Recurrent):
    """One of connected layers."""

    outputs: int
    steps: int
    batch_normalize: bool

    @property
    def fixes_size(self) -> bool:
        """See `LayerSpec`."""
        return True

    @property
    def positions(self) -> int:
        """Each of its weights is used once."""
        return 1


@dataclass(frozen=True, kw_only=True)
class _Gated(_Connected):
    """`parts`: its connected layers in a file's order, those called w from the state, those called u from the input."""

    parts: tuple[str, ...]

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """See `LayerSpec`."""
        for part in self.parts:
            shape = (self.outputs, self.outputs if part[0] == "w" else self.input.size)
            yield from connection_slots(self.index, part + ".", shape, self.batch_normalize, transposed)


@dataclass(frozen=True, kw_only=True)
class Rnn(_Connected):
    """A plain recurrent layer of three connected ones: input, self (with `logistic` its activation is that), output.

    The state has `hidden` values.
    """

    hidden: int
    activation: ActivationName
    shortcut: bool
    logistic: bool = False

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """See `LayerSpec`."""
        inputs, hidden, outputs = self.input.size, self.hidden, self.outputs
        parts = {"input_layer": (hidden, inputs), "self_layer": (hidden, hidden), "output_layer": (outputs, hidden)}
        for part, shape in parts.items():
            yield from connection_slots(self.index, part + ".", shape, self.batch_normalize, transposed)


@dataclass(frozen=True, kw_only=True)
class Gru(_Gated):
    """A gated recurrent unit; `tanh` chooses the candidate's activation (logistic otherwise)."""

    tanh: bool
    parts: tuple[str, ...] = ORIGINAL.gru_parts


@dataclass(frozen=True, kw_only=True)
class Lstm(_Gated):
    """A long short-term memory."""

    parts: tuple[str, ...] = ORIGINAL.lstm_parts


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

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """See `LayerSpec`."""
        hidden, output = self.hidden_filters, self.output_filters
        parts = {
            "input_layer": (hidden, self.input.c),
            "self_layer": (hidden, hidden),
            "output_layer": (output, hidden),
        }
        for part, (filters, channels) in parts.items():
            shape = (filters, channels // self.groups, self.size, self.size)
            yield from convolution_slots(self.index, part + ".", shape, self.batch_normalize)

    @property
    def positions(self) -> int:
        """See `LayerSpec`."""
        return self.input.h * self.input.w // self.stride**2


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

    def slots(self, transposed: bool) -> Iterator[Slot]:
        """See `LayerSpec`."""
        for part in self.parts:
            channels = self.input.c if part[0] == "u" else self.filters
            shape = (self.filters, channels // self.groups, self.size, self.size)
            yield from convolution_slots(self.index, part + ".", shape, self.batch_normalize)

    @property
    def positions(self) -> int:
        """See `LayerSpec`."""
        return self.output.h * self.output.w


@dataclass(frozen=True, kw_only=True)
class History(LayerSpec):
    """The fork's memory of the last `history_size` inputs of a sequence, the newest first; 0 before it began."""

    keeps_size: ClassVar[bool] = True

    history_size: int
    steps: int = 1
