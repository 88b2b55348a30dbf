"""What all runtimes of exported models share: the file's own description, and its outputs as the protocol has them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darknet_compat.definition.dialects import named
from darknet_compat.errors import BackendError
from darknet_compat.formats.exported.artefact import Artefact, from_properties
from darknet_compat.formats.exported.onnxfile import read_top
from darknet_compat.formats.words import Mode, Precision
from darknet_compat.runtime.base import Description, Floats

Array = NDArray[Any]

_BOXES = ("boxes", "objectness", "classes")

STREAMS = 16
"""How many inferences at once at most: each holds activations of its own."""


def cores() -> int:
    """How many threads to use by default: one for each core that this process may run on. What the engines take for
    physical cores is too few on some virtual machines."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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
    """What the layers compute in where `precision` is asked for: an int8 file is int8, whether that is said or not.

    Raises BackendError where the file cannot be run so.
    """
    if artefact.precision == "int8":
        if precision not in ("fp32", "int8"):
            raise BackendError(f"{where}: is an int8 file and runs as that; {precision} takes one exported in fp32")
        return "int8"
    if precision == "int8":
        raise BackendError(
            f"{where}: holds {artefact.precision}; `darknet-compat export --precision int8 --calibrate PICTURES` makes"
            " a file for int8"
        )
    return precision


def describe(artefact: Artefact, where: str, precision: Precision, size: tuple[int, int] | None) -> Description:
    """How pictures are to be prepared, for an input of `size` (width, height).

    Raises BackendError for a size that the artefact does not take, and for raw outputs, whose meaning it lacks.
    """
    if artefact.task is None or artefact.outputs == "heads":
        raise BackendError(f"{where}: gives raw outputs; for detections or classes export it with --outputs boxes")
    width, height = size or (artefact.width, artefact.height)
    if problem := artefact.size_problem(width, height):
        raise BackendError(f"{where}: {problem}")
    return Description(
        name=artefact.name,
        task=artefact.task,
        width=width,
        height=height,
        channels=artefact.channels,
        classes=artefact.classes,
        resize=artefact.resize,
        precision=computed_in(artefact, where, precision),
        tree=artefact.tree,
        map=artefact.map,
        names=artefact.names,
        thresh=artefact.thresh,
        hier_thresh=artefact.hier_thresh,
        nms=artefact.nms,
        nms_kind=artefact.nms_kind,
        leaves_first=named(artefact.dialect).leaves_first,
        beta_nms=artefact.beta_nms,
        suppressed=artefact.outputs == "detections",
    )


def layout(mode: Mode, threads: int | None) -> tuple[int, int]:
    """How many inferences run at once, and how many threads each has, of `threads` in all (None: one a core)."""
    threads = threads or cores()
    streams = min(threads, STREAMS) if mode == "throughput" else 1
    return streams, threads // streams


class ExportedRuntime(ABC):
    """An exported model on some engine, which only has to `run` it."""

    streams = 1

    def __init__(
        self, path: str | Path, precision: Precision, size: tuple[int, int] | None, artefact: Artefact | None = None
    ) -> None:
        """`artefact`: what the file says of itself, where it says so elsewhere."""
        self.path = Path(path)
        self.artefact = artefact or read_artefact(path)
        self.description = describe(self.artefact, str(path), precision, size)

    @abstractmethod
    def run(self, images: Array) -> dict[str, Array]:
        """The graph as it is: its input → its outputs by name."""

    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        """See `runtime.base.Runtime.infer`. Raises BackendError for images that the model does not take."""
        count, channels, height, width = images.shape
        if problem := self.artefact.size_problem(width, height):
            raise BackendError(f"{self.path}: {problem}")
        if channels != self.artefact.channels:
            raise BackendError(f"{self.path}: reads {self.artefact.channels} channels, found {channels}")
        batch = self.artefact.batch
        if batch is None or batch == count:
            return self._infer(images, thresh)
        parts = []
        for start in range(0, count, batch):
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
        outputs = self.run(given)
        if problem := broken_promise(self.artefact, outputs, len(images)):
            raise BackendError(f"{self.path}: its metadata promise {problem}; export it again")
        if self.artefact.task == "classify":
            return {"classes": outputs["classes"]}
        if self.artefact.outputs == "detections":
            return unpacked(outputs, len(images), self.artefact.classes, images.shape[:1:-1])
        found = {name: outputs[name] for name in (*_BOXES, "uncertainties") if name in outputs}
        dropped = np.zeros(len(images), np.float32)
        if (every := outputs.get("every_objectness")) is not None:
            dropped = ((every > thresh).sum(1) - (found["objectness"] > thresh).sum(1)).astype(np.float32)
        return found | {"dropped": dropped}


def broken_promise(artefact: Artefact, outputs: Mapping[str, Array], count: int) -> str | None:
    """What a graph does not give for `count` pictures though its metadata say so; None where it keeps its word."""
    classes = artefact.classes
    promised: dict[str, tuple[int | None, ...]]  # None: any number
    if artefact.task == "classify":
        promised = {"classes": (count, classes)}
    elif artefact.outputs == "detections":
        promised = {"boxes": (None, 4), "scores": (None,), "class_ids": (None,), "images_of": (None,)}
    else:
        promised = {"boxes": (count, None, 4), "objectness": (count, None), "classes": (count, None, classes)}
        if "uncertainties" in outputs:
            promised["uncertainties"] = (count, None, 4)
    for name, shape in promised.items():
        found = outputs[name].shape if name in outputs else ()
        if len(found) != len(shape) or any(a not in (None, b) for a, b in zip(shape, found, strict=True)):
            sides = ", ".join("any" if side is None else str(side) for side in shape)
            return f"an output {name} [{sides}], found {list(found) if name in outputs else 'none of that name'}"
    if "class_ids" in promised and (most := outputs["class_ids"].max(initial=0)) >= classes:
        return f"class_ids below {classes}, found {most}"
    return None


def unpacked(outputs: Mapping[str, Array], count: int, classes: int, size: tuple[int, ...]) -> dict[str, Floats]:
    """Detections of a graph with its own suppression, as candidates: as many an image as the one with the most has.

    `size`: the input's (width, height). Objectness is 1, and the class's probability is the score.
    """
    images, class_ids = outputs["images_of"], outputs["class_ids"]
    counts = np.bincount(images, minlength=count)
    order = np.argsort(images, kind="stable")
    rank = np.empty(len(images), np.int64)
    rank[order] = np.arange(len(images)) - np.repeat(np.cumsum(counts) - counts, counts)
    most = int(counts.max(initial=0))
    boxes, probabilities = np.zeros((count, most, 4), np.float32), np.zeros((count, most, classes), np.float32)
    corners = outputs["boxes"] / np.array([*size, *size], np.float32)
    boxes[images, rank] = np.concatenate([(corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]], 1)
    probabilities[images, rank, class_ids] = outputs["scores"]
    objectness = (np.arange(most) < counts[:, None]).astype(np.float32)
    return {
        "boxes": boxes,
        "objectness": objectness,
        "classes": probabilities,
        "dropped": np.zeros(count, np.float32),
    }


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
