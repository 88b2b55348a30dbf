"""What every layer has."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from darknet_compat.definition.shape import Shape
from darknet_compat.definition.spec.slot import Slot
from darknet_compat.formats.words import Build

ActivationName = Literal[
    "logistic", "relu", "relie", "linear", "ramp", "tanh", "plse", "leaky", "elu", "loggy", "stair", "hardtan",
    "lhtan", "selu", "swish", "mish", "hard_mish", "relu6", "gelu", "normalize_channels", "normalize_channels_softmax",
    "normalize_channels_softmax_maxval",
]  # fmt: skip
"""The original's activations, and after `selu` its best-known fork's."""


@dataclass(frozen=True, kw_only=True)
class LayerSpec:
    """What every layer has. `sources` are the layers it reads, -1 being the network's input.

    The class variables are traits: what other stages want to know of a kind of layer without knowing the kind.
    """

    answers: ClassVar[bool] = False
    """Its input is a raw answer of the network and its output that answer's meaning: a head."""
    detects: ClassVar[bool] = False
    """It is a head that gives boxes, and has `classes`."""
    recurrent: ClassVar[bool] = False
    """It keeps a state from one step of a sequence to the next."""
    keeps_size: ClassVar[bool] = False
    """Height and width of its output are its input's, whatever these are."""
    settles: ClassVar[bool] = False
    """Height and width of its output are always the same, whatever its input's."""
    silent: ClassVar[bool] = False
    """Its output means nothing outside training."""

    index: int
    line: int
    type: str
    sources: tuple[int, ...]
    input: Shape
    output: Shape
    learning_rate: float = 1.0
    stopbackward: bool = False
    truth: bool = False
    smooth: float = 0.0
    dontload: bool = False
    dontsave: bool = False
    dontloadscales: bool = False
    numload: int = 0
    clip: float = 0.0
    dont_update: int = 0
    burnin_update: int = 0
    train_only_bn: bool = False

    def slots(self, transposed: bool) -> Iterable[Slot]:
        """Its weights in file order; `transposed` as the file's header says. None of a kind without weights."""
        return ()

    @property
    def positions(self) -> int:
        """How often each weight of a kind that has some is used (`definition.complexity`)."""
        raise NotImplementedError(f"{type(self).__name__} says nothing of how often its weights are used")

    @property
    def fixes_size(self) -> bool:
        """Whether its weights or values belong to places, so that its input's height and width cannot change."""
        return False

    def output_side(self, axis: int, sides: Sequence[int]) -> int:
        """The output's height (`axis` 1) or width (2) where those of its sources are `sides`."""
        if self.settles or self.fixes_size:
            return self.output[axis]
        if not self.keeps_size:
            raise NotImplementedError(f"{type(self).__name__} says nothing of its output's sides")
        return sides[0]

    def meets(self, sides: Sequence[int]) -> bool:
        """Whether it can read sources with such sides together."""
        return self.fixes_size or len(set(sides)) == 1

    def overwrites(self, build: Build) -> bool:
        """Whether the original's way back through it overwrites the gradient that later readers of the same input have
        left there, so that these count for nothing."""
        return False


def windows(side: int, size: int, stride: int, padding: int) -> int:
    """How often a window of `size` fits into `side` cells with `padding` more in all."""
    return (side + padding - size) // stride + 1
