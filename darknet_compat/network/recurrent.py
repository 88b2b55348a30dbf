"""Recurrent layers: sequences in, one output a step (original: rnn_layer.c, gru_layer.c, lstm_layer.c, crnn_layer.c).

As in the original, a batch holds `steps` steps of N sequences, all sequences' first steps before all second ones:
[steps·N, inputs]. Every call starts from a zero state.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.formats.words import Build
from darknet_compat.network.activations import ACTIVATIONS
from darknet_compat.network.layers import Connected, Modules
from darknet_compat.network.windows import Convolutional


def _over_steps(
    x: Tensor, steps: int, state: Tensor, step: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
) -> Tensor:
    """[steps·N, …] → [steps·N, …]: `step` maps (input, state) to (output, next state), the first dimension being N."""
    outputs = []
    for x_t in x.unflatten(0, (steps, -1)):
        output, state = step(x_t, state)
        outputs.append(output)
    return torch.cat(outputs)


class _Recurrent(nn.Module):
    """input_layer and self_layer make the state, output_layer reads it."""

    def __init__(self, parts: dict[str, nn.Module], steps: int, shortcut: bool) -> None:
        super().__init__()
        for name, part in parts.items():
            self.add_module(name, part)
        self.steps, self.shortcut = steps, shortcut

    def step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """One step: the state is the sum of what input and old state give, and with `shortcut` the old state."""
        new = self.get_submodule("input_layer")(x) + self.get_submodule("self_layer")(state)
        new = new + state if self.shortcut else new
        return self.get_submodule("output_layer")(new), new


class Rnn(_Recurrent):
    """A plain recurrent layer."""

    def __init__(self, spec: s.Rnn, build: Build) -> None:
        inputs, hidden, outputs = spec.input.size, spec.hidden, spec.outputs
        sizes = {"input_layer": (inputs, hidden), "self_layer": (hidden, hidden), "output_layer": (hidden, outputs)}
        kinds: dict[str, s.ActivationName] = {"self_layer": "logistic"} if spec.logistic else {}
        parts: dict[str, nn.Module] = {
            name: Connected(*size, kinds.get(name, spec.activation), spec.batch_normalize, build)
            for name, size in sizes.items()
        }
        super().__init__(parts, spec.steps, spec.shortcut)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        """[steps·N, inputs] → [steps·N, outputs]."""
        return _over_steps(x.flatten(1), self.steps, x.new_zeros(len(x) // self.steps, self.hidden), self.step)


class Crnn(_Recurrent):
    """A recurrent layer of convolutions. The original reads its input as [C, W, H]."""

    def __init__(self, spec: s.Crnn, build: Build) -> None:
        hidden = spec.hidden_filters
        shapes = {
            "input_layer": (spec.input.c, hidden),
            "self_layer": (hidden, hidden),
            "output_layer": (hidden, spec.output_filters),
        }
        parts: dict[str, nn.Module] = {
            name: Convolutional(_part(spec, inputs, filters, spec.stride if name == "input_layer" else 1), build)
            for name, (inputs, filters) in shapes.items()
        }
        super().__init__(parts, spec.steps, spec.shortcut)
        self.hidden, self.stride, self.turned = hidden, spec.stride, spec.turned

    def forward(self, x: Tensor) -> Tensor:
        """[steps·N, C, H, W] → [steps·N, output_filters, H', W'], or W and H where they are turned."""
        x = x.reshape(*x.shape[:2], x.shape[3], x.shape[2]) if self.turned else x
        sides = [(side - 1) // self.stride + 1 for side in x.shape[2:]]
        state = x.new_zeros(len(x) // self.steps, self.hidden, *sides)  # [N, hidden, H', W']
        return _over_steps(x, self.steps, state, self.step)


class _Gated(nn.Module):
    """One connected layer from the state (w) and one from the input (u) a gate."""

    def __init__(self, spec: s.Gru | s.Lstm, build: Build) -> None:
        super().__init__()
        for name in spec.parts:
            size = spec.outputs if name[0] == "w" else spec.input.size
            self.add_module(name, Connected(size, spec.outputs, "linear", spec.batch_normalize, build))
        self.steps, self.outputs = spec.steps, spec.outputs

    def gate(self, letter: str, x: Tensor, state: Tensor) -> Tensor:
        """What gate `letter` makes of input and state, before its activation."""
        wired: Tensor = self.get_submodule("u" + letter)(x) + self.get_submodule("w" + letter)(state)
        return wired


class Gru(_Gated):
    """Gates z (keep) and r (forget), candidate h."""

    def __init__(self, spec: s.Gru, build: Build) -> None:
        super().__init__(spec, build)
        self.candidate = torch.tanh if spec.tanh else torch.sigmoid

    def forward(self, x: Tensor) -> Tensor:
        """[steps·N, inputs] → [steps·N, outputs]."""
        return _over_steps(x.flatten(1), self.steps, x.new_zeros(len(x) // self.steps, self.outputs), self._step)

    def _step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        z = torch.sigmoid(self.gate("z", x, state))
        r = torch.sigmoid(self.gate("r", x, state))
        h = self.candidate(self.gate("h", x, r * state))
        state = z * state + (1 - z) * h
        return state, state


class Lstm(_Gated):
    """Gates f (forget), i (input), o (output), candidate g. The state is output and cell, [2, N, outputs]."""

    def forward(self, x: Tensor) -> Tensor:
        """[steps·N, inputs] → [steps·N, outputs]."""
        return _over_steps(x.flatten(1), self.steps, x.new_zeros(2, len(x) // self.steps, self.outputs), self._step)

    def _step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        output, cell = state
        f, i, o = (torch.sigmoid(self.gate(letter, x, output)) for letter in "fio")
        cell = f * cell + i * torch.tanh(self.gate("g", x, output))
        output = o * torch.tanh(cell)
        return output, torch.stack([output, cell])


class ConvLstm(nn.Module):
    """The fork's long short-term memory of convolutions: gates f, i, o, candidate g. The state is output and cell,
    [2, N, filters, H', W']."""

    def __init__(self, spec: s.ConvLstm, build: Build) -> None:
        super().__init__()
        for name in spec.parts:
            inputs, stride = (spec.input.c, spec.stride) if name[0] == "u" else (spec.filters, 1)
            self.add_module(name, Convolutional(_part(spec, inputs, spec.filters, stride), build))
        self.spec, self.activate = spec, ACTIVATIONS[spec.lstm_activation]

    def forward(self, x: Tensor) -> Tensor:
        """[steps·N, C, H, W] → [steps·N, filters, H', W']."""
        sides = [(side - 1) // self.spec.stride + 1 for side in x.shape[2:]]
        state = x.new_zeros(2, len(x) // self.spec.steps, self.spec.filters, *sides)
        return _over_steps(x, self.spec.steps, state, self._step)

    def _gate(self, letter: str, x: Tensor, output: Tensor, cell: Tensor | None = None) -> Tensor:
        """What a gate makes of input, output and, with peepholes, the cell, before its activation."""
        found: Tensor = self.get_submodule("u" + letter)(x) + self.get_submodule("w" + letter)(output)
        return found + self.get_submodule("v" + letter)(cell) if self.spec.peephole and cell is not None else found

    def _step(self, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        output, cell = state
        f, i = (torch.sigmoid(self._gate(letter, x, output, cell)) for letter in "fi")
        cell = f * cell + i * self.activate(self._gate("g", x, output))
        output = torch.sigmoid(self._gate("o", x, output, cell)) * self.activate(cell)
        most = self.spec.state_constrain
        return output, torch.stack([output, cell.clamp(-most, most)])


def _part(spec: s.Crnn | s.ConvLstm, inputs: int, filters: int, stride: int) -> s.Convolutional:
    """The spec of one of a recurrent layer's convolutions."""
    shape = s.Shape(filters, spec.output.h, spec.output.w)
    return s.Convolutional(
        index=spec.index,
        line=spec.line,
        type="convolutional",
        sources=spec.sources,
        input=s.Shape(inputs, spec.output.h, spec.output.w),
        output=shape,
        filters=filters,
        size=spec.size,
        stride_x=stride,
        stride_y=stride,
        padding=spec.padding,
        groups=spec.groups,
        dilation=spec.dilation,
        activation=spec.activation,
        batch_normalize=spec.batch_normalize,
        binary=False,
        xnor=False,
        flipped=False,
    )


MODULES: Modules = {
    s.Rnn: Rnn,
    s.Gru: Gru,
    s.Lstm: Lstm,
    s.Crnn: Crnn,
    s.ConvLstm: ConvLstm,
}
"""A layer's spec → the module that computes it."""
