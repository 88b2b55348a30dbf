"""What is evaluated: a model with all that decides its answers, as one value that can be varied."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darknet_compat.datasets.base import CountProgress
from darknet_compat.datasets.options import Reading
from darknet_compat.definition.dialects import DialectName
from darknet_compat.errors import BackendError
from darknet_compat.evaluation.material.entries import Entries, read_entries
from darknet_compat.evaluation.run.detections import (
    THRESH,
    AnswerStream,
    Results,
    at_level,
    detect_all,
    matched_classes,
    open_for,
)
from darknet_compat.evaluation.run.flip import FLIPPING, flip_averaged
from darknet_compat.evaluation.scores import imagenet
from darknet_compat.formats.words import Precision, Resize
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.hierarchy import HierarchyRule
from darknet_compat.inference.identity import model_key

if TYPE_CHECKING:
    from darknet_compat.catalogue.fetch.transfer import TransferProgress


@dataclass(frozen=True)
class EvaluatedModel:
    """The arguments of a Detector or Classifier; thresholds are those of the original's `detector valid`."""

    model: str
    weights: str | Path | None = None
    names: str | Path | None = None
    backend: str = "auto"
    precision: Precision = "fp32"
    size: tuple[int, int] | None = None
    resize: Resize | None = None
    dialect: DialectName | None = None
    thresh: float = THRESH
    nms: float = 0.45
    hier_thresh: float = 0.5
    hierarchy: HierarchyRule = "darknet"
    level: int | None = None
    map: str | None = None
    flip: bool = False
    threads: int | None = None

    @property
    def label(self) -> str:
        """What tables call it: the model's name, and what is not as usual."""
        size = f"{self.size[0]}x{self.size[1]}" if self.size else ""
        parts = [self.backend if self.backend != "auto" else "", self.precision if self.precision != "fp32" else ""]
        parts += [size, "flip" if self.flip else ""]
        return " ".join([Path(self.model).name, *filter(None, parts)])

    def detector(self, progress: TransferProgress | None = None) -> Detector:
        """Raises DarknetCompatError where it cannot be had."""
        shared = self._shared()
        made = Detector(self.model, thresh=self.thresh, nms=self.nms, map=self.map, progress=progress, **shared)
        if self.flip:
            made.runtime = flip_averaged(made.runtime)
        return made

    def classifier(self, progress: TransferProgress | None = None) -> Classifier:
        """Raises DarknetCompatError where it cannot be had."""
        return Classifier(self.model, progress=progress, **self._shared())

    def _shared(self) -> dict[str, Any]:
        left_out = {"model", "thresh", "nms", "map", "flip"}
        shared = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in left_out}
        return shared | ({"backend": FLIPPING} if self.flip and self.backend == "auto" else {})


def entries_for(
    detector: Detector,
    evaluated: EvaluatedModel,
    source: str | Path,
    split: str | None = None,
    progress: CountProgress | None = None,
    reading: Reading | None = None,
) -> Entries:
    """The pictures in `source` with their classes numbered as the detector's; with a WordTree and a `level`, lifted to
    that. DET's annotations call its classes by WordNet's ids. `progress`: see `read_entries`."""
    named = imagenet.labels() if evaluated.map == "imagenet-det" else detector.names
    entries = read_entries(open_for(source, named, split, "detect", reading), progress)
    if evaluated.map == "imagenet-det":
        return replace(entries, names=detector.names)
    entries = matched_classes(entries, detector.names)
    tree = detector.runtime.description.tree
    if evaluated.level is None:
        return entries
    if tree is None or evaluated.map is not None:
        raise BackendError(f"level: {evaluated.model} names no nodes of a WordTree")
    return at_level(entries, tree, evaluated.level)


def results_of(
    evaluated: EvaluatedModel,
    detector: Detector,
    entries: Entries,
    batch: int = 1,
    progress: CountProgress | None = None,
    stream: AnswerStream | None = None,
) -> Results:
    """What the model, of which `detector` was made, finds in the entries (`detect_all`)."""
    settings = model_key(evaluated.model, evaluated.weights, detector, batch) | {"flip": evaluated.flip}
    return detect_all(detector, entries, settings, batch=batch, progress=progress, stream=stream)
