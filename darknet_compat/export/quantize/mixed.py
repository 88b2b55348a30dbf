"""Which convolutions to leave in float32, by what each costs the answers and what it would take in time.

The noise of a form of the file is how far its answers on calibration pictures are from those in float32: the scores of
all classes of all candidates, and where each candidate's box lies, by the square of its best score; in decibels below
the scores' power. First every convolution that can be computed in integers is, the first and the last ones too; then
each in turn is not. What gains the most decibels for its share of the multiplications is left in float32, then the
next, until ENOUGH is reached or none is worth its time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper

from darknet_compat.export.quantize.biases import Given, mean_of, recentred, with_means
from darknet_compat.export.quantize.calibration import CalibratedModel, evenly, open_session
from darknet_compat.export.quantize.fused import fused
from darknet_compat.export.quantize.roundings import followed, picked
from darknet_compat.formats.arrays import Array

ENOUGH = 25.0
"""Decibels above which agreement with float32 is 99 % and more."""

WORTH = 0.1
"""Decibels that a percent of the network's multiplications has to bring to be done in float32."""

PICTURES = 8
"""How many pictures are looked at, at most; `passes` says what that makes."""

AnswersReader = Callable[[Mapping[str, Array], Given], Mapping[str, Array]]
"""A graph's outputs, and what it was given → `classes` and, of candidates, `boxes` and `objectness`."""

PassProgress = Callable[[int, int], None]
"""Called with how many passes of the network are done, and how many there are at most."""


@dataclass(frozen=True)
class IntegerChoice:
    """Convolutions that stay in integers, by name, and the decibels before and after others were left in float32."""

    integers: frozenset[str]
    before: float
    after: float


def leave(
    names: Sequence[str], shares: Mapping[str, float], measured: Callable[[frozenset[str]], float]
) -> IntegerChoice:
    """Leave some of `names` in float32. `shares`: what each takes of the time, percent; `measured`: decibels where
    these are computed in integers. It is called 1 + 2 N times at most."""
    chosen = frozenset(names)
    before = now = measured(chosen)
    if before >= ENOUGH:
        return IntegerChoice(chosen, before, before)
    whole = _power(before)
    brought = {name: whole - _power(measured(chosen - {name})) for name in names}
    left = list(names)
    while now < ENOUGH and left:
        noise = _power(now)
        gains = {name: _decibels(max(noise - brought[name], noise / 1000)) - now for name in left}
        best = max(left, key=lambda name: gains[name] / shares[name])
        if gains[best] < WORTH * shares[best]:
            break
        left.remove(best)
        found = measured(chosen - {best})
        if found - now >= WORTH * shares[best]:
            chosen, now = chosen - {best}, found
    return IntegerChoice(chosen, before, now)


def _power(decibels: float) -> float:
    return float(10 ** (-decibels / 10))


def _decibels(power: float) -> float:
    return float(-10 * np.log10(power))


def choose(
    known: CalibratedModel, read: AnswersReader | None, progress: PassProgress | None = None
) -> tuple[frozenset[str], frozenset[str], dict[str, Any]]:
    """The convolutions that are in int8 in the file, those that ONNX Runtime computes in integers, and what has been
    measured of both. `read`: see `Noise`. `progress` hears of passes of the network."""
    noise = Noise(known, read, progress)
    names = [node.name for node in known.candidates]
    counts = products(known.model, noise.pictures[0])
    shares = {name: 100 * counts[name] / sum(counts.values()) for name in names}
    file = leave(names, shares, noise.in_file)
    first = first_convolution(known.model)  # of three planes, for which ONNX Runtime takes longer in integers
    integers = leave([name for name in names if name != first], shares, noise.in_integers)
    decibels = {
        form: [round(chosen.before, 1), round(chosen.after, 1)]
        for form, chosen in (("onnxruntime", integers), ("file", file))
    }
    measured = {"decibels": decibels, "pictures": len(noise.pictures), "passes": noise.passes}
    return file.integers, integers.integers, measured


def first_convolution(model: ModelProto) -> str:
    """The name of the convolution that reads pixels."""
    return str(next(node.name for node in model.graph.node if node.op_type == "Conv"))


class Noise:
    """Measures how much noise there is in the answers. `passes`: how often the network has been run so far."""

    def __init__(
        self, known: CalibratedModel, read: AnswersReader | None, progress: PassProgress | None = None
    ) -> None:
        """`read`: makes candidates of the outputs; None where nothing can, so that the results of the convolutions
        that no other follows are compared instead."""
        self.known, self.progress, self._read = known, progress, read
        self.pictures = evenly(known.kept, PICTURES)
        self.ends = [] if read else self._last()
        self.passes, self.most = 0, len(self.pictures) * (1 + 2 * (1 + 2 * len(known.candidates)))
        self._found: dict[tuple[str, frozenset[str]], float] = {}
        self._means = self._run(with_means(known.model, list(known.biases)), [{}] * len(self.pictures))
        self._exact = [self._answer(*each) for each in zip(self._means, self.pictures, strict=True)]

    def _last(self) -> list[str]:
        nodes = self.known.model.graph.node
        others = followed(nodes) | picked(nodes)
        return [node.output[0] for node in nodes if node.op_type == "Conv" and node.output[0] not in others]

    def in_file(self, chosen: frozenset[str]) -> float:
        """Decibels of the file with these convolutions in int8, as OpenVINO and TensorRT compute it."""
        return self._once("file", chosen, lambda: (self.known.symmetric(chosen), []))

    def in_integers(self, chosen: frozenset[str]) -> float:
        """The same where ONNX Runtime computes these in integers, all but the last with biases that are right for each
        picture."""
        return self._once("integers", chosen, lambda: self._recentred(chosen))

    def _recentred(self, chosen: frozenset[str]) -> tuple[ModelProto, list[str]]:
        quantization, flow = self.known.quantization(chosen), self.known.flow(chosen)
        # Not the last ones: what is right on average there would be right behind an [avgpool], whatever came before.
        later = followed(flow.nodes)
        made = {node.name for node in flow.nodes if node.output[0] in later}
        names = [name for name in flow.reading(quantization["roundings"]) if name in self.known.biases and name in made]
        return recentred(fused(self.known.symmetric(chosen), quantization), names), [mean_of(name) for name in names]

    def _once(self, form: str, chosen: frozenset[str], made: Callable[[], tuple[ModelProto, list[str]]]) -> float:
        """Decibels of a model that reads these means too, measured once."""
        if (form, chosen) not in self._found:
            model, names = made()
            outputs = self._run(model, [{name: means[name] for name in names} for means in self._means])
            noise = power = 0.0
            for exact, found, given in zip(self._exact, outputs, self.pictures, strict=True):
                more = compared(exact, self._answer(found, given))
                noise, power = noise + more[0], power + more[1]
            self._found[form, chosen] = _decibels(max(noise / power, 1e-12)) if power else 0.0
        return self._found[form, chosen]

    def _run(self, model: ModelProto, beside: Sequence[Given]) -> list[dict[str, Array]]:
        """The outputs for each picture, to which something may be given beside."""
        made = deepcopy(model)
        there = {output.name for output in made.graph.output}
        made.graph.output.extend(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.ends if name not in there
        )
        session, found = open_session(made), []
        names = [output.name for output in session.get_outputs()]
        for given, more in zip(self.pictures, beside, strict=True):
            found.append(dict(zip(names, session.run(names, {**given, **more}), strict=True)))
            self.passes += 1
            if self.progress is not None:
                self.progress(self.passes, self.most)
        return found

    def _answer(self, outputs: Mapping[str, Array], given: Given) -> Mapping[str, Array]:
        if self._read is not None:
            return self._read(outputs, given)
        return {name: outputs[name] for name in self.ends}


def products(model: ModelProto, given: Given) -> dict[str, int]:
    """How many multiplications each convolution takes for a picture."""
    made = deepcopy(model)
    del made.graph.output[:]
    weights = {tensor.name: tensor.dims for tensor in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type == "Conv"]
    names = [f"{node.name}/shape" for node in nodes]
    made.graph.node.extend(
        helper.make_node("Shape", [node.output[0]], [name]) for node, name in zip(nodes, names, strict=True)
    )
    made.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.INT64, None) for name in names)
    shapes = open_session(made).run(names, dict(given))
    return {
        node.name: int(np.prod(shape[2:]) * np.prod(weights[node.input[1]]))
        for node, shape in zip(nodes, shapes, strict=True)
    }


def compared(exact: Mapping[str, Array], found: Mapping[str, Array]) -> tuple[float, float]:
    """The noise in answers to a picture, and their power."""
    if "boxes" not in exact:
        pairs = [(exact[name].astype(np.float64), found[name]) for name in exact]
        return sum(float(((b - a) ** 2).sum()) for a, b in pairs), sum(float((a**2).sum()) for a, _ in pairs)
    scores, others = (one["objectness"][..., None] * one["classes"] for one in (exact, found))
    best = scores.max(-1, initial=0.0).astype(np.float64) ** 2
    sizes = np.maximum((exact["boxes"][..., 2:].astype(np.float64) ** 2).sum(-1), 1e-12)
    moved = ((found["boxes"] - exact["boxes"]).astype(np.float64) ** 2).sum(-1) / sizes
    noise = ((others - scores).astype(np.float64) ** 2).sum() + (best * moved).sum()
    return float(noise), float((scores.astype(np.float64) ** 2).sum())
