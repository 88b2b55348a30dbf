"""Pictures in, detections out, on any runtime."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.textfile import shown
from darknet_compat.inference.answering import Answering, Source, picture_of
from darknet_compat.inference.batch import Failure, Prepared
from darknet_compat.inference.follow import follow
from darknet_compat.inference.hierarchy import HierarchyRule, PathStep, path_steps
from darknet_compat.inference.model import class_map, expect_arguments, load_model, spelled_out
from darknet_compat.inference.options import expected
from darknet_compat.inference.results import Detections
from darknet_compat.inference.select import Criteria, darknet_places, select, surest
from darknet_compat.runtime.base import Description, UseOptions
from darknet_compat.sources.open import open_source
from darknet_compat.vision.boxes import distance_exponent, nms

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from darknet_compat.catalogue.fetch.transfer import TransferProgress

__all__ = ["Detector", "Source"]


OBJECTNESS = "objectness"
"""An `nms_kind` that no `.cfg` has: boxes suppress others whatever their classes, as in the original's `demo`."""


@dataclass(frozen=True)
class _Asked:
    """What one call asks for."""

    thresh: float
    nms: float
    classes: tuple[int, ...] | None
    level: int | None


class Detector(Answering[Detections]):
    """A detecting network with its names and thresholds (original: `test_detector` in detector.c).

    `model` is a catalogue name or a `.cfg`, `weights` the file that belongs to it (for a catalogue name found or
    fetched). `thresh` is what a score has to exceed, `hier_thresh` the same for the probability of a WordTree's node,
    `nms` the overlap above which the weaker of two boxes of a class goes (1 keeps all), each from 0 to 1; by default
    those that an exported model was given, else 0.5, 0.5 and 0.45. What counts as overlap is the model's own rule: the
    attributes `nms_kind` and `beta_nms`. Pictures of more than `max_pixels` (by default 100 million) are refused by
    their headers.

    `backend` is what runs the network, by default "auto", the best that is installed (`runtime.registry`), `precision`
    what its layers compute in, by default "fp32"; `size` another input size, a number or (width, height), and `resize`
    how pictures are fitted to it, by default as the model was made for. `dialect`, "original" or "fork", is whose words
    a `.cfg` is read as, by default what they tell themselves; `batchnorm` "cpu" equals the original's CPU build in
    batch normalization, "cuda", the default, the one that weights were trained with (`load_network`).

    With a WordTree a detection names the node at which the way down from the root stops; `hierarchy` says by which rule
    (`HierarchyRule`; "darknet" is that of the model's dialect), `level` how deep at most, 0 being the roots. A `map`
    names other classes that are nodes of the tree: "coco", "imagenet-det", "digits", a file with a node's number a
    line, or such numbers.

    `mode` "throughput" (by default "latency") is for `stream`s of many pictures: several at a time, each on few cores,
    where the backend can share them out (onnxruntime, openvino). `threads` is how many cores to use, by default all.
    `device` is where the network runs, as torch names it ("cpu", "cuda:1"), by default where the backend runs it by
    itself.

    A call, and `stream`, take `thresh`, `nms`, `level` and `classes` (names or numbers, of which alone detections are
    wanted) for their own pictures: `detector("dog.jpg", thresh=0.25, classes=["dog"])`.

    Can be shared between threads. Raises DarknetCompatError, one line, for whatever is missing or wrong; TypeError for
    an argument that there is not.
    """

    @spelled_out
    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        *,
        names: str | Path | Sequence[str] | None = None,
        thresh: float | None = None,
        hier_thresh: float | None = None,
        nms: float | None = None,
        hierarchy: HierarchyRule = "darknet",
        level: int | None = None,
        map: str | Path | Sequence[int] | None = None,
        max_pixels: int | None = None,
        progress: TransferProgress | None = None,
        **use: Unpack[UseOptions],
    ) -> None:
        expect_arguments(Detector, use)
        expected({"thresh": thresh, "nms": nms, "hier_thresh": hier_thresh, "hierarchy": hierarchy, "level": level})
        loaded = load_model(model, weights, task="detect", names=names, asked=use, progress=progress)
        super().__init__(loaded, hier_thresh, hierarchy, level, max_pixels)
        self.node_names = self.names
        self.map: tuple[int, ...] | None = None
        if map is not None:
            self.map, self.names = class_map(map, loaded)
        own = self.runtime.description
        self.thresh = own.thresh if thresh is None else thresh
        self.nms = own.nms if nms is None else nms
        self.nms_kind, self.beta_nms = own.nms_kind, own.beta_nms
        _expect_not_suppressed(str(model), own, self.thresh, self.nms)
        if own.named_inside and (self.hier_thresh != own.hier_thresh or hierarchy != "darknet"):
            raise BackendError(
                f"{model}: names the nodes of its tree itself, with hier_thresh {own.hier_thresh:g}, found"
                f" {self.hier_thresh:g} and hierarchy {hierarchy}; for others export it with --outputs boxes"
            )

    def stream(
        self,
        sources: Iterable[Source] | str | Path,
        batch: int = 1,
        *,
        track: bool = False,
        smooth: bool = False,
        **asked: Any,
    ) -> Iterator[tuple[Source, Detections | Failure]]:
        """Each picture with what was found in it; see `Answering.stream`.

        `track` gives detections ids that stay from frame to frame (`inference.tracking`); `smooth` averages over three
        frames as the original's `demo` (`inference.smoothing`). Both are for frames in order, such as a video's.
        """
        if isinstance(sources, str | os.PathLike):
            sources = open_source(sources)
        if track or smooth:
            yield from follow(self, sources, batch, track=track, smooth=smooth, **asked)
        else:
            yield from super().stream(sources, batch, **asked)

    def _asked(self, asked: Mapping[str, Any]) -> _Asked:
        left = set(asked) - {"thresh", "nms", "classes", "level"}
        if left:
            raise BackendError(f"{min(left)}: a call takes thresh, nms, classes and level")
        given = expected({name: asked.get(name) for name in ("thresh", "nms", "level")})
        level, classes = given.pop("level"), asked.get("classes")
        values = {name: getattr(self, name) if value is None else value for name, value in given.items()}
        _expect_not_suppressed(self.runtime.description.name, self.runtime.description, **values)
        self._expect_tree_for(level)
        numbers = None if classes is None else class_numbers(classes, self.names)
        return _Asked(**values, classes=numbers, level=self.level if level is None else level)

    def _least(self, asked: _Asked) -> float:
        return asked.thresh

    def _answer(self, item: Prepared, outputs: Mapping[str, Floats], asked: _Asked) -> Detections:
        tree = self.runtime.description.tree
        leaves_first = self.runtime.description.leaves_first and self.hierarchy == "darknet"
        criteria = Criteria(asked.thresh, self.hier_thresh, self.hierarchy, asked.level, self.map, leaves_first)
        if self.nms_kind == OBJECTNESS:
            outputs = surest(outputs, asked.thresh, asked.nms)
        kept, scores, columns = select(outputs, criteria, tree)
        boxes = item.placement.to_image(outputs["boxes"][kept])  # [M, 4] x1 y1 x2 y2
        ranks = outputs["objectness"][kept, None] if self.nms_kind == OBJECTNESS else scores
        places = darknet_places(ranks)
        width, height = item.placement.image_width, item.placement.image_height
        scores = self._suppressed(boxes, scores, asked.nms, (width, height))  # [M, classes present]
        row, column = np.nonzero(scores)
        order = np.argsort(-scores[row, column], kind="stable")
        row, column = row[order], column[order]
        class_ids = columns[column].astype(np.int64)
        names = tuple(self.names[number] for number in class_ids)
        paths: tuple[tuple[PathStep, ...], ...] = ()
        if tree is not None:
            nodes = class_ids if self.map is None else np.array(self.map)[class_ids]
            conditional = outputs["classes"][kept[row]]
            paths = tuple(
                path_steps(values, tree, node, self.node_names) for values, node in zip(conditional, nodes, strict=True)
            )
        dropped = int(outputs["dropped"])
        places = np.lexsort((column, places[row])).argsort()
        sure = outputs["uncertainties"][kept][row] if "uncertainties" in outputs else None
        found = Detections(
            boxes[row],
            scores[row, column],
            class_ids,
            names,
            width,
            height,
            paths,
            dropped,
            places,
            picture_of(item.source),
            uncertainties=sure,
        )
        return found if asked.classes is None else found[np.isin(class_ids, asked.classes)]

    def _suppressed(self, boxes: Floats, scores: Floats, limit: float, size: tuple[int, int]) -> Floats:
        """`scores` [M, K] with 0 where a better one of the class is too near; boxes [M, 4] in pixels of a picture."""
        if self.nms_kind == OBJECTNESS:
            return scores
        exponent = distance_exponent(self.nms_kind, self.beta_nms)
        if exponent is not None:
            boxes = np.divide(boxes, [*size, *size], dtype=np.float32)
        return nms(boxes, scores, limit, exponent=exponent)


def class_numbers(classes: Any, names: Sequence[str]) -> tuple[int, ...]:
    """The numbers of classes that are given by name or number, one or several. Raises BackendError for others."""
    numbers: list[int] = []
    for one in [classes] if isinstance(classes, str | int) else classes:
        if isinstance(one, str):
            found = [number for number, name in enumerate(names) if name == one]
            if not found and one.isdecimal() and int(one) < len(names):
                found = [int(one)]
            if not found:
                near = get_close_matches(one, names, 1)
                hint = f"; did you mean {shown(near[0])}?" if near else ""
                raise BackendError(f"classes: {shown(one)} is not one of the {len(names)} classes{hint}")
            numbers += found
        elif 0 <= one < len(names):
            numbers.append(int(one))
        else:
            raise BackendError(f"classes: expected names, or numbers from 0 to {len(names) - 1}, found {one!r}")
    return tuple(numbers)


def _expect_not_suppressed(model: str, own: Description, thresh: float, nms: float) -> None:
    """Raise BackendError for what a graph with the suppression inside no longer has: weaker detections, and those that
    another `nms` would have kept."""
    if own.suppressed and (thresh < own.thresh or nms != own.nms):
        raise BackendError(
            f"{model}: has the suppression inside, with thresh {own.thresh:g} and nms {own.nms:g}, found"
            f" {thresh:g} and {nms:g}; for others export it with --outputs boxes"
        )
