"""Pictures in, detections out, on any runtime."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

from darknet_compat.formats.fetch.transfer import Progress
from darknet_compat.inference.batch import Failure, Prepared, prepared_batches
from darknet_compat.inference.hierarchy import HierarchyRule, PathStep, path_steps
from darknet_compat.inference.model import class_map, expect_fraction, expect_way_down, load_model
from darknet_compat.inference.results import Detections
from darknet_compat.inference.select import Criteria, select
from darknet_compat.runtime.base import Precision, Resize, Runtime
from darknet_compat.vision.boxes import nms

Source = Any
"""A picture: a path, encoded bytes, a PIL image, or an ndarray uint8 [H, W, 3] in BGR as OpenCV gives it."""


class Detector:
    """A detecting network with its names and thresholds (original: `test_detector` in detector.c).

    `model` is a catalogue name or a `.cfg`, `weights` the file that belongs to it (for a catalogue name found or
    fetched). `thresh` is what a score has to exceed, `hier_thresh` the same for the probability of a WordTree's node,
    `nms` the overlap above which the weaker of two boxes of a class goes (1 keeps all), each from 0 to 1. `size` is
    another input size, a number or (width, height); `resize` how pictures are fitted to it, by default as the model was
    made for.

    With a WordTree a detection names the node at which the way down from the root stops; `hierarchy` says by which rule
    (`HierarchyRule`), `level` how deep at most, 0 being the roots. A `map` names other classes that are nodes of the
    tree: "coco", "imagenet-det", a file with a node's number a line, or such numbers.

    Can be shared between threads. Raises DarknetCompatError, one line, for whatever is missing or wrong.
    """

    def __init__(
        self,
        model: str | Path,
        weights: str | Path | None = None,
        *,
        names: str | Path | Sequence[str] | None = None,
        backend: str = "auto",
        precision: Precision = "fp32",
        thresh: float = 0.5,
        hier_thresh: float = 0.5,
        nms: float = 0.45,
        size: int | tuple[int, int] | None = None,
        resize: Resize | None = None,
        hierarchy: HierarchyRule = "darknet",
        level: int | None = None,
        map: str | Path | Sequence[int] | None = None,
        progress: Progress | None = None,
    ) -> None:
        expect_fraction("thresh", thresh)
        expect_fraction("nms", nms)
        expect_way_down(hier_thresh, hierarchy, level)
        loaded = load_model(
            model,
            weights,
            task="detect",
            names=names,
            backend=backend,
            precision=precision,
            size=size,
            resize=resize,
            progress=progress,
        )
        self.runtime: Runtime = loaded.runtime
        self.choice = loaded.choice
        self.names = self.node_names = loaded.names
        self.map: tuple[int, ...] | None = None
        if map is not None:
            self.map, self.names = class_map(map, loaded)
        self.thresh, self.hier_thresh, self.nms = thresh, hier_thresh, nms
        self.hierarchy, self.level = hierarchy, level

    @overload
    def __call__(self, source: list[Source]) -> list[Detections]: ...
    @overload
    def __call__(self, source: Source) -> Detections: ...
    def __call__(self, source: Source | list[Source]) -> Detections | list[Detections]:
        """Detections of one picture, or a list of them for a list.

        Raises ImageError for a picture that cannot be read; `stream` goes on instead.
        """
        found: list[Detections] = []
        for _, result in self.stream(source if isinstance(source, list) else [source]):
            if isinstance(result, Failure):
                raise result.error
            found.append(result)
        return found if isinstance(source, list) else found[0]

    def stream(self, sources: Iterable[Source], batch: int = 1) -> Iterator[tuple[Source, Detections | Failure]]:
        """Each picture with its detections, or with the Failure that says why it could not be read; in order.

        `batch` of them go through the network at once, while the next ones are read: up to twice `batch` sources are
        taken ahead of the picture that is answered.
        """
        for prepared in prepared_batches(sources, self.runtime.description, batch):
            yield from self._batch(prepared)

    def _batch(self, batch: list[Prepared | Failure]) -> Iterator[tuple[Source, Detections | Failure]]:
        readable = [item for item in batch if isinstance(item, Prepared)]
        outputs = self.runtime.infer(np.stack([item.pixels for item in readable]), self.thresh) if readable else {}
        rows = iter(range(len(readable)))
        for item in batch:
            if isinstance(item, Failure):
                yield item.source, item
            else:
                row = next(rows)
                yield item.source, self._detections(item, {name: array[row] for name, array in outputs.items()})

    def _detections(self, item: Prepared, outputs: dict[str, NDArray[np.float32]]) -> Detections:
        """From one picture's outputs (`Runtime.infer`, without N) to what is found in it."""
        tree = self.runtime.description.tree
        criteria = Criteria(self.thresh, self.hier_thresh, self.hierarchy, self.level, self.map)
        kept, scores, columns = select(outputs, criteria, tree)
        boxes = item.placement.to_image(outputs["boxes"][kept])  # [M, 4] x1 y1 x2 y2
        scores = nms(boxes, scores, self.nms)  # [M, classes present]
        row, column = np.nonzero(scores)
        order = np.argsort(-scores[row, column], kind="stable")
        row, column = row[order], column[order]
        class_ids = columns[column].astype(np.int64)
        names = tuple(self.names[number] for number in class_ids)
        width, height = item.placement.image_width, item.placement.image_height
        paths: tuple[tuple[PathStep, ...], ...] = ()
        if tree is not None:
            nodes = class_ids if self.map is None else np.array(self.map)[class_ids]
            conditional = outputs["classes"][kept[row]]
            paths = tuple(
                path_steps(values, tree, node, self.node_names) for values, node in zip(conditional, nodes, strict=True)
            )
        dropped = int(outputs["dropped"])
        return Detections(boxes[row], scores[row, column], class_ids, names, width, height, paths, dropped)
