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
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper

from darknet_compat.errors import ExportError
from darknet_compat.export.quantize.biases import Given
from darknet_compat.export.quantize.calibration import CalibratedModel
from darknet_compat.export.quantize.mixed import AnswersReader, PassProgress, choose, first_convolution
from darknet_compat.export.quantize.quicker import pointwise
from darknet_compat.export.quantize.roundings import followed, group_of, picked
from darknet_compat.formats.arrays import Array, Floats
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.exported.artefact import Artefact, from_properties, to_properties
from darknet_compat.formats.exported.onnxfile import read_top
from darknet_compat.heads.output_layouts import LAYOUTS


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
    mixed: bool = False,
    progress: PassProgress | None = None,
) -> Artefact:
    """Write the exported float32 file `source` as int8 to `path`, and return what that says of itself.

    `images`: calibration pictures as the network reads them, float32 [N, C, H, W] each. `judge` is shown a candidate
    and says what its answers are worth; one that loses more than `max_drop` points is not written. None: whatever it
    loses, and the file says nothing of it. `mixed`: leave in float32 what costs more than its time is worth, by
    measurement (`export.quantize.mixed`), of whose passes of the network `progress` hears.
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
    known = CalibratedModel(model, allowed(model) if mixed else convolutions, _fed(images, artefact), str(source))
    int8 = integers = frozenset(node.name for node in convolutions)
    calibrated: dict[str, Any] = {"calibration_pictures": known.pictures}
    if mixed:
        few = picked(model.graph.node)  # candidates, which are others in another precision
        int8, integers, calibrated["mixed"] = choose(known, None if few else _reader(artefact), progress)
    candidate, added = known.made(int8, integers)
    calibrated |= {"convolutions": len(int8)} | added
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


def _reader(artefact: Artefact) -> AnswersReader | None:
    """What makes candidates of the outputs, the same ones in every precision; None where nothing can."""
    if artefact.task == "classify":
        return lambda outputs, given: {"classes": outputs["classes"]}
    row = LAYOUTS.get(artefact.layout or artefact.outputs)
    if row is None or row.gives != "boxes" or artefact.outputs == "heads" or artefact.tree is not None:
        return None
    batch, classes = artefact.batch or 1, artefact.classes

    def read(outputs: Mapping[str, Array], given: Given) -> Mapping[str, Array]:
        sides = given["images"].shape[1:3] if artefact.input == "uint8" else given["images"].shape[2:]
        return row.decode(outputs, batch, classes, (sides[1], sides[0]))

    return read


def _fed(images: Iterable[Floats], artefact: Artefact) -> Iterator[Given]:
    """Images as the graph takes them: its own type, and a fixed batch filled with the same picture."""
    for batch in images:
        for image in batch:
            given: Array = image[None].repeat(artefact.batch or 1, 0)
            if artefact.input == "uint8":
                given = np.ascontiguousarray(np.rint(given * 255).astype(np.uint8).transpose(0, 2, 3, 1))
            yield {"images": given}


def quantizable(model: ModelProto) -> list[NodeProto]:
    """The convolutions that become int8.

    Not the first, which reads pixels: it takes ONNX Runtime longer in integers (yolov3-tiny 4 ms for 2), and saves
    OpenVINO 6 % for 1 dB of noise. Not those that no other follows, which give boxes: 4 % of the time, and a point of
    YOLO-LITE's agreement on COCO. Not grouped ones: bound by memory, they gain nothing, and cost Yolo-Fastest 9 points.
    """
    plain, later = _plain(model), followed(model.graph.node)
    return [node for node in plain if node.output[0] in later and node.name != first_convolution(model)]


def allowed(model: ModelProto) -> list[NodeProto]:
    """Those, and the ones that may become it where that costs little: the first, and the last where it is pointwise."""
    later = followed(model.graph.node)
    return [node for node in _plain(model) if node.output[0] in later or pointwise(node)]


def _plain(model: ModelProto) -> list[NodeProto]:
    weights = {tensor.name for tensor in model.graph.initializer}
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    later = picked(model.graph.node)
    return [
        node for node in convolutions if node.input[1] in weights and group_of(node) == 1 and node.input[0] not in later
    ]


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
