"""What is known of a float32 model's values after it has seen pictures, and the int8 forms that are made of that."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from darknet_compat.errors import ExportError
from darknet_compat.export.quantize.biases import MOST, Given, biases_of, corrected
from darknet_compat.export.quantize.fused import fused
from darknet_compat.export.quantize.quicker import pointwise
from darknet_compat.export.quantize.ranges import Observed, Signed
from darknet_compat.export.quantize.roundings import Flow, Group, Rounding, followed, roundings
from darknet_compat.export.quantize.weights import add_weights

Item = TypeVar("Item")

ZERO = "constant_int8_0"
"""The zero point of all tensors."""


class CalibratedModel:
    """A model and what its tensors hold on calibration pictures. `pictures`: how many these were; `kept`: some."""

    def __init__(self, model: ModelProto, candidates: Iterable[NodeProto], fed: Iterable[Given], where: str) -> None:
        """`candidates`: the convolutions of which some are going to be in int8. Raises ExportError without pictures,
        and for values that are not finite."""
        self.model, self.candidates = model, list(candidates)
        self.biases = biases_of(model)
        read = {node.input[0]: Observed() for node in self.candidates}
        self._seen = {name: Signed() for name in Flow(model, self.candidates).measured()}
        self.pictures, self.kept = observe(model, [read, self._seen], fed, where)
        self._scales = {name: observed.scale() for name, observed in read.items()}
        self._known: dict[Group, list[tuple[str, Rounding]]] = {}

    def symmetric(self, chosen: Collection[str]) -> ModelProto:
        """The model as a file has it, with these convolutions in int8."""
        return with_int8(self.model, chosen, self._scales)

    def roundings(self, chosen: Collection[str]) -> dict[str, Rounding]:
        """How ONNX Runtime is to round so that it computes these convolutions in integers."""
        groups = self.flow(chosen).groups()
        for group in groups:
            if group not in self._known:
                self._known[group] = list(roundings([group], self._seen))
        return {name: rounding for group in groups for name, rounding in self._known[group]}

    def flow(self, chosen: Collection[str]) -> Flow:
        """What the values go through where these convolutions are computed in integers."""
        return Flow(self.model, [node for node in self.candidates if node.name in chosen])

    def quantization(self, chosen: Collection[str]) -> dict[str, Any]:
        """What makes `fused` compute these convolutions in integers, as far as they can be: those whose results are
        rounded, or are pointwise and followed by no other."""
        found, later = self.roundings(chosen), followed(self.model.graph.node)
        whole = [
            node.name
            for node in self.candidates
            if node.name in chosen and (node.output[0] in found or (node.output[0] not in later and pointwise(node)))
        ]
        return {"roundings": found, "float32": {"onnxruntime": self.in_float32(whole)}}

    def in_float32(self, chosen: Collection[str]) -> list[str]:
        """The names of all other convolutions."""
        return [node.name for node in self.model.graph.node if node.op_type == "Conv" and node.name not in chosen]

    def corrected(self, chosen: Collection[str], integers: ModelProto, found: Mapping[str, Any]) -> dict[str, Any]:
        """The biases of convolutions that read rounded values, such that their results are right on average."""
        reading = [name for name in self.flow(chosen).reading(found) if name in self.biases]
        added = corrected(self.model, integers, reading, self.kept, open_session)
        return {name: [float(f"{value:.6g}") for value in self.biases[name] + more] for name, more in added.items()}

    def made(self, file: Collection[str], integers: Collection[str]) -> tuple[ModelProto, dict[str, Any]]:
        """The file in which the convolutions `file` are in int8, and what it has to say so that ONNX Runtime computes
        `integers` so.

        The file's own biases stay as they are: corrected, they help other networks in OpenVINO, but YOLO-LITE on VOC
        less.
        """
        candidate, found = self.symmetric(file), self.quantization(integers)
        found["float32"]["file"] = self.in_float32(file)
        return candidate, found | {"biases": self.corrected(integers, fused(candidate, found), found["roundings"])}


def observe(
    model: ModelProto, counters: Sequence[Mapping[str, Observed | Signed]], fed: Iterable[Given], where: str
) -> tuple[int, list[Given]]:
    """Count the values of tensors, by name, while ONNX Runtime runs the model on what it is `fed`.

    Returns how many pictures these were, and some of them, the same distance apart.
    """
    outputs, names = len(model.graph.output), sorted({name for counter in counters for name in counter})
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = open_session(model)
    del model.graph.output[outputs:]
    count, step = 0, 1
    kept: list[Given] = []
    for given in fed:
        for name, values in zip(names, session.run(names, dict(given)), strict=True):
            if not np.isfinite(values).all():
                raise ExportError(f"{where}: {name} is not finite on calibration picture {count + 1}")
            for counter in counters:
                if name in counter:
                    counter[name].add(values)
        if count % step == 0:
            kept.append(given)
        if len(kept) > MOST:
            kept, step = kept[::2], 2 * step
        count += 1
    if not count:
        raise ExportError(f"{where}: no calibration pictures")
    return count, kept


def evenly(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of the items, the same distance apart."""
    step = max(len(items) / most, 1.0)
    return [items[int(number * step)] for number in range(min(len(items), most))]


def open_session(model: ModelProto) -> Any:
    """The model in ONNX Runtime. Raises ExportError where that is missing."""
    try:
        import onnxruntime as ort
    except ModuleNotFoundError:
        raise ExportError("onnxruntime is not installed: pip install 'darknet-compat[onnxruntime]'") from None
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def with_int8(model: ModelProto, chosen: Collection[str], scales: Mapping[str, float]) -> ModelProto:
    """A copy of `model` in which the convolutions named in `chosen` read int8, each tensor at its scale."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    graph = onnx.GraphProto(name=model.graph.name, input=model.graph.input, output=model.graph.output)
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), ZERO))
    rounded: dict[str, str] = {}
    for node in model.graph.node:
        if node.name in chosen:
            node = deepcopy(node)
            given, weight = node.input[:2]
            if given not in rounded:
                rounded[given] = _add_rounding(graph, node.name, given, scales[given])
            graph.node.append(add_weights(graph, node.name, weight, numpy_helper.to_array(weights[weight])))
            node.input[0], node.input[1] = rounded[given], graph.node[-1].output[0]
        graph.node.append(node)
    read = {name for node in graph.node for name in node.input}
    graph.initializer.extend(tensor for name, tensor in weights.items() if name in read)
    made = deepcopy(model)
    made.graph.CopyFrom(graph)
    onnx.checker.check_model(made)
    return made


def _add_rounding(graph: onnx.GraphProto, reader: str, given: str, scale: float) -> str:
    """`given` to int8 and back, before the node `reader`; what it is called then."""
    quantized, back = f"{reader}/QuantizeLinear", f"{reader}/DequantizeLinear"
    parameters = [f"{reader}/scale", ZERO]
    graph.initializer.append(numpy_helper.from_array(np.array(scale, np.float32), parameters[0]))
    graph.node.append(helper.make_node("QuantizeLinear", [given, *parameters], [quantized], quantized))
    graph.node.append(helper.make_node("DequantizeLinear", [quantized, *parameters], [back], back))
    return back
