"""An exported graph in float32 → the same with its convolutions in int8: static, symmetric, as Q/DQ nodes.

Before a convolution its input is rounded to one scale a tensor, and its weights to one a filter; all zero points are 0,
which TensorRT asks for. After the activation, not before it, so that nothing is rounded twice. A tensor's scale is the
one that leaves the least squared error on the calibration pictures, so that a few outliers do not coarsen the rest.

The two tools there are measured worse in OpenVINO, by agreement with float32 on 42 pictures of YOLO-LITE on COCO, on
VOC, and Yolo-Fastest: NNCF 3.4's Q/DQ graphs gave 4, 22 and 95 %, ONNX Runtime 1.31's quantizer 74, 92 and 83 %, this
99, 99.6 and 97 %. Their speed is the same.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from darknet_compat.errors import ExportError
from darknet_compat.export.quantize.biases import MOST, Given, biases_of, corrected
from darknet_compat.export.quantize.fused import fused
from darknet_compat.export.quantize.ranges import LEAST_SCALE, LEVELS, Observed, Signed
from darknet_compat.export.quantize.roundings import Flow, group_of, roundings
from darknet_compat.formats.arrays import Array, Floats
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.exported.artefact import Artefact, from_properties, to_properties
from darknet_compat.formats.exported.onnxfile import read_top

ZERO = "constant_int8_0"
"""The zero point of all tensors."""


@dataclass(frozen=True)
class Accuracy:
    """What a file's answers are worth beside those of the float32 one that it was made from, in percent.

    `measure` names the yardstick: "mAP", "agreement". `pictures` and `objects` are how much was compared.
    """

    measure: str
    fp32: float
    int8: float
    pictures: int
    objects: int

    @property
    def drop(self) -> float:
        """Points lost."""
        return self.fp32 - self.int8


def quantize_onnx(
    source: str | Path,
    path: str | Path,
    images: Iterable[Floats],
    judge: Callable[[Path], Accuracy] | None,
    *,
    max_drop: float = 1.0,
) -> Artefact:
    """Write the exported float32 file `source` as int8 to `path`, and return what that says of itself.

    `images`: calibration pictures as the network reads them, float32 [N, C, H, W] each. `judge` is shown a candidate
    and says what its answers are worth; one that loses more than `max_drop` points is not written. None: whatever it
    loses, and the file says nothing of it.
    Raises ExportError for that, for a file that is no float32 one with answers, and without pictures.
    """
    source, path = Path(source), Path(path)
    artefact = from_properties(read_top(source).properties, str(source))
    unread = artefact.outputs == "heads" and not (artefact.cut or {}).get("heads")
    if artefact.precision != "fp32" or unread or artefact.target is not None:
        found = "raw outputs, which nobody can judge" if unread else artefact.precision
        found = f"one for {artefact.target} alone" if artefact.target is not None else found
        raise ExportError(f"{source}: expected a model in fp32 that gives boxes, detections or classes, found {found}")
    model = onnx.load(source)
    convolutions = quantizable(model)
    if not convolutions:
        raise ExportError(f"{source}: has no convolution between its first and its last, so that int8 gains nothing")
    candidate, calibrated = _calibrated(model, convolutions, _fed(images, artefact), str(source))
    made = dataclasses.replace(
        artefact, precision="int8", quantization=calibrated, tools={**artefact.tools, "onnxruntime": _version()}
    )
    helper.set_model_props(candidate, to_properties(made))
    if judge is not None:
        accuracy = _judged(candidate, judge, path)
        if accuracy.drop > max_drop:
            # As many digits as tell the two apart.
            digits = next((count for count in range(1, 16) if round(accuracy.drop, count) > max_drop), 16)
            raise ExportError(
                f"{path.name}: int8 loses {accuracy.drop:.{digits}f} points of {accuracy.measure} on"
                f" {accuracy.pictures} pictures, more than --max-drop {max_drop:g}; nothing was written. More pictures"
                " of what the model is for may help"
            )
        lost = dataclasses.asdict(accuracy) | {"drop": accuracy.drop, "max_drop": max_drop}
        made = dataclasses.replace(made, quantization=calibrated | lost)
        helper.set_model_props(candidate, to_properties(made))
    with atomic_write(path, ExportError) as file:
        file.write(candidate.SerializeToString())
    return made


def _calibrated(
    model: ModelProto, convolutions: Sequence[NodeProto], fed: Iterable[Given], where: str
) -> tuple[ModelProto, dict[str, Any]]:
    """The model in int8, and what is to be said of it: for `fused` its roundings and biases.

    The file's own biases stay as they are: corrected, they help other networks in OpenVINO, but YOLO-LITE on VOC less.
    """
    flow = Flow(model, convolutions)
    groups = flow.groups()
    read = {node.input[0]: Observed() for node in convolutions}
    seen = {source.measured: Signed() for group in groups for source in group.sources}
    count, kept = observe(model, [read, seen], fed, where)
    found = dict(roundings(groups, seen))
    chosen = [node.name for node in convolutions]
    candidate = with_int8(model, set(chosen), {name: observed.scale() for name, observed in read.items()})
    integers = fused(candidate, {"roundings": found})
    biases = biases_of(model)
    reading = [name for name in flow.reading(found) if name in biases]
    added = corrected(model, integers, reading, kept, _session)
    return candidate, {
        "convolutions": len(convolutions),
        "calibration_pictures": count,
        "roundings": found,
        "biases": {name: [float(f"{value:.6g}") for value in biases[name] + more] for name, more in added.items()},
    }


def observe(
    model: ModelProto, counters: Sequence[Mapping[str, Observed | Signed]], fed: Iterable[Given], where: str
) -> tuple[int, list[Given]]:
    """Count the values of tensors, by name, while ONNX Runtime runs the model on what it is `fed`.

    Returns how many pictures these were, and some of them, the same distance apart.
    """
    outputs, names = len(model.graph.output), sorted({name for counter in counters for name in counter})
    model.graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names)
    session = _session(model)
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


def _session(model: ModelProto) -> Any:
    """The model in ONNX Runtime. Raises ExportError where that is missing."""
    try:
        import onnxruntime as ort
    except ModuleNotFoundError:
        raise ExportError("onnxruntime is not installed: pip install 'darknet-compat[onnxruntime]'") from None
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _fed(images: Iterable[Floats], artefact: Artefact) -> Iterator[Given]:
    """As the graph takes them: its own type, and a fixed batch filled with the same picture."""
    for batch in images:
        for image in batch:
            given: Array = image[None].repeat(artefact.batch or 1, 0)
            if artefact.input == "uint8":
                given = np.ascontiguousarray(np.rint(given * 255).astype(np.uint8).transpose(0, 2, 3, 1))
            yield {"images": given}


def quantizable(model: ModelProto) -> list[NodeProto]:
    """The convolutions that become int8.

    Not the first, which reads pixels, and those that no other follows, which give boxes: together 3 % of yolov2-voc's
    time in int8, and 5 to 10 points of YOLO-LITE's agreement. Not grouped ones: bound by memory, they gain nothing, and
    cost Yolo-Fastest 9 points. Keeping more of them, by their loss of precision, changed nothing that could be
    measured.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    followed: set[str] = set()
    for node in reversed(model.graph.node):
        if node.op_type == "Conv" or followed.intersection(node.output):
            followed.update(node.input)
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    return [
        node
        for node in convolutions[1:]
        if followed.intersection(node.output) and node.input[1] in weights and group_of(node) == 1
    ]


def with_int8(model: ModelProto, chosen: set[str], scales: dict[str, float]) -> ModelProto:
    """A copy of `model` in which the convolutions named in `chosen` read int8, each tensor at its scale."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    graph = onnx.GraphProto(name=model.graph.name, input=model.graph.input, output=model.graph.output)
    graph.initializer.append(numpy_helper.from_array(np.array(0, np.int8), ZERO))
    rounded: dict[str, str] = {}
    for node in model.graph.node:
        if node.name in chosen:
            original, node = node, NodeProto()
            node.CopyFrom(original)
            given, weight = node.input[:2]
            if given not in rounded:
                rounded[given] = _add_rounding(graph, node.name, given, scales[given])
            node.input[0] = rounded[given]
            node.input[1] = _add_weights(graph, node.name, weight, numpy_helper.to_array(weights[weight]))
        graph.node.append(node)
    read = {name for node in graph.node for name in node.input}
    graph.initializer.extend(tensor for name, tensor in weights.items() if name in read)
    made = ModelProto()
    made.CopyFrom(model)
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


def _add_weights(graph: onnx.GraphProto, reader: str, name: str, values: Floats) -> str:
    """Weights [filters, …] as int8 with a scale a filter, and the node that makes floats of them; its output."""
    scales = weight_scales(values)
    integers = np.rint(values / scales.reshape(-1, *[1] * (values.ndim - 1))).astype(np.int8)
    parts = {"int8": integers, "scales": scales, "zeros": np.zeros(len(scales), np.int8)}
    for part, array in parts.items():
        graph.initializer.append(numpy_helper.from_array(array, f"{name}_{part}"))
    back = f"{reader}/weights/DequantizeLinear"
    graph.node.append(helper.make_node("DequantizeLinear", [f"{name}_{part}" for part in parts], [back], back, axis=0))
    return back


def weight_scales(values: Floats) -> Floats:
    """[filters], float32: each filter's largest weight becomes 127, unless that takes a scale below LEAST_SCALE."""
    largest = np.abs(values).reshape(len(values), -1).max(1)
    scales: Floats = np.where(largest > 0, np.maximum(largest / LEVELS, LEAST_SCALE), 1.0).astype(np.float32)
    return scales


def _judged(candidate: ModelProto, judge: Callable[[Path], Accuracy], path: Path) -> Accuracy:
    """Beside where it is going to lie, since that is where there is room."""
    try:
        with tempfile.TemporaryDirectory(prefix=".int8-", dir=path.parent) as folder:
            file = Path(folder) / path.name
            file.write_bytes(candidate.SerializeToString())
            return judge(file)
    except OSError as error:
        raise ExportError(f"{path}: cannot be written: {error.strerror or error}") from None


def _version() -> str:
    import onnxruntime as ort

    return str(ort.__version__)
