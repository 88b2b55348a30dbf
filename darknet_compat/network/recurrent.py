"""Recurrent layers: sequences in, one output a step (original: rnn_layer.c, gru_layer.c, lstm_layer.c, crnn_layer.c).

As in the original, a batch holds `steps` steps of N sequences, all sequences' first steps before all second ones:
[steps·N, inputs]. Every call starts from a zero state.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from darknet_compat.definition import spec as s
from darknet_compat.definition.weights.slots import RECURRENT_PARTS
from darknet_compat.network.layers import Build, Connected, Convolutional


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
        inputs = {"input_layer": spec.input.size, "self_layer": spec.outputs, "output_layer": spec.outputs}
        parts: dict[str, nn.Module] = {
            name: Connected(size, spec.outputs, spec.activation, spec.batch_normalize, build)
            for name, size in inputs.items()
        }
        super().__init__(parts, spec.steps, spec.shortcut)
        self.outputs = spec.outputs

    def forward(self, x: Tensor) -> Tensor:
        """[steps·N, inputs] → [steps·N, outputs]."""
        return _over_steps(x, self.steps, x.new_zeros(len(x) // self.steps, self.outputs), self.step)


class Crnn(_Recurrent):
    """A recurrent layer of 3x3 convolutions. The original reads its input as [C, W, H]."""

    def __init__(self, spec: s.Crnn, build: Build) -> None:
        hidden = spec.hidden_filters
        shapes = {
            "input_layer": (spec.input.c, hidden),
            "self_layer": (hidden, hidden),
            "output_layer": (hidden, spec.output_filters),
        }
        parts: dict[str, nn.Module] = {
            name: Convolutional(_convolution_3x3(spec, inputs, filters), build)
            for name, (inputs, filters) in shapes.items()
        }
        super().__init__(parts, spec.steps, spec.shortcut)
        self.hidden = hidden

    def forward(self, x: Tensor) -> Tensor:
        """[steps·N, C, H, W] → [steps·N, output_filters, W, H]."""
        x = x.reshape(*x.shape[:2], x.shape[3], x.shape[2])  # [steps·N, C, W, H]
        state = x.new_zeros(len(x) // self.steps, self.hidden, *x.shape[2:])  # [N, hidden, W, H]
        return _over_steps(x, self.steps, state, self.step)


class _Gated(nn.Module):
    """One connected layer from the state (w) and one from the input (u) a gate."""

    def __init__(self, spec: s.Gru | s.Lstm, build: Build) -> None:
        super().__init__()
        from_state, from_input = RECURRENT_PARTS[type(spec)]
        for names, size in ((from_state, spec.outputs), (from_input, spec.input.size)):
            for name in names:
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


def _convolution_3x3(spec: s.Crnn, inputs: int, filters: int) -> s.Convolutional:
    """The spec of one of a crnn's convolutions."""
    height, width = spec.output.h, spec.output.w
    return s.Convolutional(
        index=spec.index,
        line=spec.line,
        type="convolutional",
        sources=spec.sources,
        input=s.Shape(inputs, height, width),
        output=s.Shape(filters, height, width),
        filters=filters,
        size=3,
        stride=1,
        padding=1,
        groups=1,
        activation=spec.activation,
        batch_normalize=spec.batch_normalize,
        binary=False,
        xnor=False,
        flipped=False,
    )
