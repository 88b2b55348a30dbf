"""What all runtimes of exported models share: the file's own description, and its outputs as the protocol has them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from darknet_compat.definition.dialects import named
from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Array, Floats
from darknet_compat.formats.exported.artefact import Artefact, from_properties
from darknet_compat.formats.exported.onnxfile import read_top
from darknet_compat.formats.textfile import count
from darknet_compat.formats.words import Mode, Precision
from darknet_compat.heads.output_layouts import LAYOUTS, Output, axis_length
from darknet_compat.runtime.base import Description
from darknet_compat.runtime.processor import cores

Decode = Callable[[Mapping[str, Array], int, tuple[int, int]], dict[str, Floats]]
"""Outputs, the number of pictures, the input's (width, height) → candidates (`OutputLayout.decode`)."""

STREAMS = 16
"""How many inferences at once at most: each holds activations of its own."""


def read_artefact(path: str | Path) -> Artefact:
    """What an `.onnx` says of itself. Raises BackendError for one that is damaged or not ours."""
    try:
        stamp = os.stat(path)
    except OSError:
        return from_properties(read_top(path).properties, str(path))
    return _read(str(path), (stamp.st_mtime_ns, stamp.st_size, stamp.st_ino))


@lru_cache(maxsize=4)
def _read(path: str, stamp: tuple[int, ...]) -> Artefact:
    """The same of a file as it is: whoever looks for one in the cache and then opens it need look at it once."""
    return from_properties(read_top(path).properties, path)


def computed_in(artefact: Artefact, where: str, precision: Precision) -> Precision:
    """What the layers compute in where `precision` is asked for: a file in int8 or fp16 is that, whether it is said or
    not.

    Raises BackendError where the file cannot be run so.
    """
    held = artefact.precision
    if held in ("int8", "fp16"):
        if precision not in ("fp32", held):
            raise BackendError(f"{where}: is an {held} file and runs as that; {precision} takes one exported in fp32")
        return held  # type: ignore[return-value]
    if precision == "int8":
        raise BackendError(
            f"{where}: holds {artefact.precision}; `darknet-compat export --precision int8 --calibrate PICTURES` makes"
            " a file for int8"
        )
    return precision


def expect_able(artefact: Artefact, where: str, precision: Precision, name: str, able: Sequence[Precision]) -> None:
    """Raise BackendError for a precision that the file is not in, nor the runtime `name`, which has those of `able`."""
    if precision != artefact.precision and precision not in able:
        makes = {"fp16": "`darknet-compat export --precision fp16` makes a file in fp16", "bf16": "openvino has bf16"}
        more = f"; {makes[precision]}" if precision in makes else ""
        raise BackendError(
            f"{where}: {name} runs an {artefact.precision} file in {', '.join(able)}, not in {precision}{more}"
        )


def describe(artefact: Artefact, where: str, precision: Precision, size: tuple[int, int] | None) -> Description:
    """How pictures are to be prepared, for an input of `size` (width, height).

    Raises BackendError for a size that the artefact does not take, and for raw outputs, whose meaning it lacks.
    """
    if artefact.task is None or (artefact.outputs == "heads" and not (artefact.cut or {}).get("heads")):
        raise BackendError(f"{where}: gives raw outputs; for detections or classes export it with --outputs boxes")
    named_inside = artefact.tree is not None and artefact.layout is not None
    width, height = size or (artefact.width, artefact.height)
    if problem := artefact.size_problem(width, height):
        raise BackendError(f"{where}: {problem}")
    dialect = named(artefact.dialect)
    return Description(
        name=artefact.name,
        task=artefact.task,
        width=width,
        height=height,
        channels=artefact.channels,
        classes=artefact.classes,
        resize=artefact.resize,
        precision=computed_in(artefact, where, precision),
        tree=None if named_inside else artefact.tree,
        map=artefact.map,
        names=artefact.names,
        thresh=artefact.thresh,
        hier_thresh=artefact.hier_thresh,
        nms=artefact.nms,
        nms_kind=artefact.nms_kind,
        leaves_first=dialect.leaves_first,
        labels_beside=dialect.labels_beside,
        beta_nms=artefact.beta_nms,
        suppressed=artefact.outputs == "detections",
        named_inside=named_inside,
        are_probabilities=artefact.are_probabilities,
    )


def layout(mode: Mode, threads: int | None) -> tuple[int, int]:
    """How many inferences run at once, and how many threads each has, of `threads` in all (None: one a core)."""
    threads = threads or cores()
    streams = min(threads, STREAMS) if mode == "throughput" else 1
    return streams, threads // streams


class ExportedRuntime(ABC):
    """An exported model on some engine, which only has to `run` it."""

    streams = 1
    halved = False
    """Whether the graph's input is in float16, as others' tools make it of a file in float32."""

    def __init__(
        self, path: str | Path, precision: Precision, size: tuple[int, int] | None, artefact: Artefact | None = None
    ) -> None:
        """`artefact`: what the file says of itself, where it says so elsewhere."""
        self.path = Path(path)
        self.artefact = artefact or read_artefact(path)
        if artefact is None:
            refuse_target(self.artefact, str(path))
        self.description = describe(self.artefact, str(path), precision, size)
        self._decode = decoder(self.artefact, str(path))

    @abstractmethod
    def run(self, images: Array) -> dict[str, Array]:
        """The graph as it is: its input, [N, C, H, W] or as bytes [N, H, W, C] → its outputs [N, …] by name."""

    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        """See `runtime.base.Runtime.infer`. Raises BackendError for images that the model does not take."""
        pictures, channels, height, width = images.shape
        if problem := self.artefact.size_problem(width, height):
            raise BackendError(f"{self.path}: {problem}")
        if channels != self.artefact.channels:
            raise BackendError(f"{self.path}: reads {count(self.artefact.channels, 'channel')}, found {channels}")
        batch = self.artefact.batch
        if batch is None or batch == pictures:
            return self._infer(images, thresh)
        parts = []
        for start in range(0, pictures, batch):
            part = images[start : start + batch]
            missing = batch - len(part)
            padded = np.concatenate([part, np.zeros_like(images, shape=(missing, *images.shape[1:]))])
            found = self._infer(padded, thresh)
            parts.append({name: array[: len(part)] for name, array in found.items()})
        return _joined(parts)

    def _infer(self, images: Floats, thresh: float) -> dict[str, Floats]:
        given: Array = images
        if self.artefact.input == "uint8":
            given = np.ascontiguousarray(np.rint(images * 255).astype(np.uint8).transpose(0, 2, 3, 1))
        outputs = self.run(given.astype(np.float16) if self.halved else given)
        outputs = {name: x.astype(np.float32) if x.dtype == np.float16 else x for name, x in outputs.items()}
        problem = broken_promise(self.artefact, outputs, len(images))
        try:
            if problem is None and self.artefact.task == "detect":
                found = self._decode(outputs, len(images), (images.shape[3], images.shape[2]))
        except BackendError as error:
            problem = str(error)
        if problem is not None:
            raise BackendError(f"{self.path}: its metadata promise {problem}; export it again")
        if self.artefact.task == "classify":
            return {"classes": outputs["classes"]}
        dropped = np.zeros(len(images), np.float32)
        if (every := outputs.get("every_objectness")) is not None:
            dropped = ((every > thresh).sum(1) - (found["objectness"] > thresh).sum(1)).astype(np.float32)
        return found | {"dropped": dropped}


def refuse_target(artefact: Artefact, where: str) -> None:
    """Raise BackendError for a file that only TensorRT runs."""
    if artefact.target == "tensorrt":
        raise BackendError(
            f"{where}: has TensorRT's plug-in EfficientNMS_TRT inside, which only TensorRT runs: `darknet-compat engine"
            f" {where}` builds its engine; for other runtimes export it without --target"
        )


def decoder(artefact: Artefact, where: str) -> Decode:
    """What makes candidates of the outputs. Raises BackendError where the metadata do not suffice for that."""
    if artefact.outputs != "heads":
        row = LAYOUTS[artefact.layout or artefact.outputs]
        return lambda outputs, count, size: row.decode(outputs, count, artefact.classes, size)
    from darknet_compat.heads.cut import Decoder, cut_from  # which has to understand definitions

    cut = cut_from(artefact.cut, where)
    decode = Decoder(cut, artefact.tree, artefact.batchnorm)  # type: ignore[arg-type]
    return lambda outputs, count, size: decode(outputs, size)


def broken_promise(artefact: Artefact, outputs: Mapping[str, Array], count: int) -> str | None:
    """What a graph does not give for `count` pictures though its metadata say so; None where it keeps its word."""
    if artefact.outputs == "heads":
        return None
    known = {"N": count, "C": artefact.classes, "K": artefact.max_detections}
    row = LAYOUTS[artefact.layout or artefact.outputs]
    promised: Sequence[Output] = (Output("classes", ("N", "C")),)
    if artefact.task == "detect":
        promised = (*row.outputs, *(output for output in row.optional if output.name in outputs))
    numbers = {"detections": "class_ids", "nms": "det_classes"}.get(row.name, "") if artefact.task == "detect" else ""
    for output in promised:
        axes = output.axes[1:] if row.drops(artefact.batch) else output.axes
        shape = [axis_length(axis, known) for axis in axes]
        found = outputs[output.name].shape if output.name in outputs else ()
        if len(found) != len(shape) or any(a not in (None, b) for a, b in zip(shape, found, strict=True)):
            sides = ", ".join("any" if side is None else str(side) for side in shape)
            there = list(found) if output.name in outputs else "none of that name"
            return f"an output {output.name} [{sides}], found {there}"
    if numbers and (most := outputs[numbers].max(initial=0)) >= artefact.classes:
        return f"{numbers} below {artefact.classes}, found {most}"
    return None


def _joined(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    """Batches one after another; those with fewer candidates are filled up with zeros."""
    joined = {}
    for name in parts[0]:
        arrays = [part[name] for part in parts]
        if arrays[0].ndim > 1:
            most = max(array.shape[1] for array in arrays)
            arrays = [np.pad(x, [(0, 0), (0, most - x.shape[1])] + [(0, 0)] * (x.ndim - 2)) for x in arrays]
        joined[name] = np.concatenate(arrays)
    return joined
