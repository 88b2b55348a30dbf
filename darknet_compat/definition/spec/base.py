"""What every layer has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from darknet_compat.definition.shape import Shape

ActivationName = Literal[
    "logistic", "relu", "relie", "linear", "ramp", "tanh", "plse", "leaky", "elu", "loggy", "stair", "hardtan",
    "lhtan", "selu", "swish", "mish", "relu6", "gelu",
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

    index: int
    line: int
    type: str
    sources: tuple[int, ...]
    input: Shape
    output: Shape
    learning_rate: float = 1.0
    stopbackward: bool = False
    onlyforward: bool = False
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
