"""The original's activations in ONNX's standard operators; the formulas are `network.activations`'s."""

from __future__ import annotations

from collections.abc import Callable

from darknet_compat.definition.spec import ActivationName
from darknet_compat.export.onnx.graph import Graph


def _leaky(slope: float) -> Callable[[Graph, str], str]:
    return lambda graph, x: graph.add("LeakyRelu", x, alpha=slope)


def _plain(operator: str) -> Callable[[Graph, str], str]:
    return lambda graph, x: graph.add(operator, x)


def _affine(graph: Graph, x: str, scale: float, shift: float) -> str:
    """scale·x + shift."""
    return graph.add("Add", graph.add("Mul", x, graph.constant(scale)), graph.constant(shift))


def _clipped(low: float, high: float) -> Callable[[Graph, str], str]:
    return lambda graph, x: graph.add("Clip", x, graph.constant(low), graph.constant(high))


def _loggy(graph: Graph, x: str) -> str:
    return _affine(graph, graph.add("Sigmoid", x), 2.0, -1.0)


def _ramp(graph: Graph, x: str) -> str:
    return graph.add("Add", graph.add("Relu", x), graph.add("Mul", x, graph.constant(0.1)))


def _plse(graph: Graph, x: str) -> str:
    below = graph.add("Less", x, graph.constant(-4.0))
    above = graph.add("Greater", x, graph.constant(4.0))
    high = graph.add("Where", above, _affine(graph, x, 0.01, 0.96), _affine(graph, x, 0.125, 0.5))
    return graph.add("Where", below, _affine(graph, x, 0.01, 0.04), high)


def _stair(graph: Graph, x: str) -> str:
    whole, two = graph.add("Floor", x), graph.constant(2.0)
    steps = graph.add("Floor", graph.add("Mul", x, graph.constant(0.5)))
    even = graph.add("Equal", graph.add("Sub", whole, graph.add("Mul", steps, two)), graph.constant(0.0))
    rising = graph.add("Add", graph.add("Sub", x, whole), steps)
    return graph.add("Where", even, steps, rising)


def _lhtan(graph: Graph, x: str) -> str:
    above = graph.add("Greater", x, graph.constant(1.0))
    high = graph.add("Where", above, _affine(graph, x, 0.001, 0.999), x)
    return graph.add(
        "Where", graph.add("Less", x, graph.constant(0.0)), graph.add("Mul", x, graph.constant(1e-3)), high
    )


def _swish(graph: Graph, x: str) -> str:
    return graph.add("Mul", x, graph.add("Sigmoid", x))


def _mish(graph: Graph, x: str) -> str:
    """x·tanh(log(1 + eˣ)) = x·n/(n + 2) with n = eˣ·(eˣ + 2); from 20 on both are x in float32.

    One exponential in place of softplus and tanh, which take runtimes longer than the convolutions: 2e-6 of the largest
    value apart. (The operator Mish begins with opset 18, and runtimes expand it to those.)
    """
    e = graph.add("Exp", graph.add("Min", x, graph.constant(20.0)))
    n = graph.add("Mul", e, graph.add("Add", e, graph.constant(2.0)))
    return graph.add("Mul", x, graph.add("Div", n, graph.add("Add", n, graph.constant(2.0))))


def _gelu(graph: Graph, x: str) -> str:
    cube = graph.add("Mul", graph.add("Mul", x, x), x)
    inner = graph.add("Add", x, graph.add("Mul", cube, graph.constant(0.044715)))
    bell = graph.add("Tanh", graph.add("Mul", inner, graph.constant(0.7978845608028654)))
    return graph.add("Mul", x, _affine(graph, bell, 0.5, 0.5))


def _hard_mish(graph: Graph, x: str) -> str:
    curve = graph.add("Add", graph.add("Mul", graph.add("Mul", x, x), graph.constant(0.5)), x)
    curve = graph.add("Where", graph.add("Greater", x, graph.constant(-2.0)), curve, graph.constant(0.0))
    return graph.add("Where", graph.add("Greater", x, graph.constant(0.0)), x, curve)


def _by_channels(graph: Graph, x: str) -> str:
    """Each place's values by the sum of all channels there."""
    sums = graph.add("ReduceSum", x, graph.constant([1]), keepdims=1)
    return graph.add("Div", x, graph.add("Add", sums, graph.constant(1e-4)))


def _normalize_channels(graph: Graph, x: str) -> str:
    return _by_channels(graph, graph.add("Relu", x))


def _normalize_channels_softmax(graph: Graph, x: str) -> str:
    return _by_channels(graph, graph.add("Exp", x))


def _normalize_channels_softmax_maxval(graph: Graph, x: str) -> str:
    return _normalize_channels_softmax(graph, graph.add("Sub", x, graph.add("ReduceMax", x, axes=[1], keepdims=1)))


ACTIVATIONS: dict[ActivationName, Callable[[Graph, str], str]] = {
    "linear": lambda graph, x: x,
    "logistic": _plain("Sigmoid"),
    "loggy": _loggy,
    "relu": _plain("Relu"),
    "elu": lambda graph, x: graph.add("Elu", x, alpha=1.0),
    "selu": lambda graph, x: graph.add("Selu", x, alpha=1.6732, gamma=1.0507),
    "relie": _leaky(0.01),
    "ramp": _ramp,
    "leaky": _leaky(0.1),
    "tanh": _plain("Tanh"),
    "plse": _plse,
    "stair": _stair,
    "hardtan": _clipped(-1.0, 1.0),
    "lhtan": _lhtan,
    "swish": _swish,
    "mish": _mish,
    "relu6": _clipped(0.0, 6.0),
    "hard_mish": _hard_mish,
    "gelu": _gelu,
    "normalize_channels": _normalize_channels,
    "normalize_channels_softmax": _normalize_channels_softmax,
    "normalize_channels_softmax_maxval": _normalize_channels_softmax_maxval,
}
"""An activation's name in a cfg → what computes it, of a value's name."""
