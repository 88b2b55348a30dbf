"""What is known of a model: without running it all that `info` shows, its task and its size; and a threshold to try
it with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from darknet_compat.catalogue import catalog
from darknet_compat.catalogue.locate import locate
from darknet_compat.definition.complexity import LayerCost, costs
from darknet_compat.definition.dialects import DialectName
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.definition.weights.file import Header, read_weights
from darknet_compat.errors import BackendError, DarknetCompatError, MetadataError, WeightsError
from darknet_compat.formats.metadata import class_names
from darknet_compat.formats.words import WidthHeight
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.runtime.registry import artefact_of

OpenModel = Detector | Classifier
"""A model that is open."""


@dataclass(frozen=True)
class About:
    """All there is to say. `problem` is what is wrong with the weights, else with the names; `known` the catalogue's
    entry."""

    spec: NetworkSpec
    costs: tuple[LayerCost, ...]
    known: catalog.Model | None
    names: tuple[str, ...]
    weights: Path | None
    header: Header | None
    problem: DarknetCompatError | None


def gather(
    model: str,
    weights: Path | None = None,
    size: tuple[int, int] | None = None,
    dialect: DialectName | None = None,
    names: Path | None = None,
) -> About:
    """Read what there is of `model` on this machine. Raises DarknetCompatError where its definition cannot be read."""
    sources = locate(model, weights, download=False)
    spec = load_spec(sources.cfg, size, dialect=dialect, quiet=True)
    header: Header | None = None
    found: tuple[str, ...] = ()
    problem: DarknetCompatError | None = None
    try:
        if classes := _classes(spec):
            found = class_names(names or sources.names, classes)
    except MetadataError as error:
        hint = "" if names else "; --names names another list"
        problem = MetadataError(f"{error}{hint}")
    try:  # whatever the names say: whether weights fit is another question
        if sources.weights is not None:
            header = read_weights(sources.weights, spec).header
    except WeightsError as error:
        problem = error
    expected = Header(minor=1) if sources.known and sources.known.weights.header == 16 else Header()
    return About(spec, costs(spec, header or expected), sources.known, found, sources.weights, header, problem)


def _classes(spec: NetworkSpec) -> int:
    """How many classes the heads tell apart; 0 where nothing of the kind is asked of pictures."""
    if spec.bare_classes:
        return spec.bare_classes
    head = spec.heads[-1] if spec.heads and spec.net.input.image else None
    if head is not None and hasattr(head, "classes"):
        return int(head.classes)
    return head.output.size if head else 0


def task_of(model: Path) -> str:
    """ "detect" or "classify". Raises BackendError for a network that does neither."""
    if (artefact := artefact_of(model)) is not None:
        if artefact.task is None:
            raise BackendError(f"{model}: gives raw outputs, which are neither detections nor classes")
        return artefact.task
    from darknet_compat.runtime.described import describe as described

    return described(load_spec(model)).task


def own_size(model: Path) -> WidthHeight:
    """(width, height) of the input that a model was made for. Raises DarknetCompatError for a file that is no model."""
    if (artefact := artefact_of(model)) is not None:
        return artefact.width, artefact.height
    net = load_spec(model).net
    return net.width, net.height


def usual_threshold(model: OpenModel, file: Path, candidates: int) -> float:
    """The threshold that this many scores of a picture exceed: what a network with seeded weights is asked for, whose
    scores mean nothing, so that choosing and suppressing are as much work as with trained ones. Raises ImageError."""
    from darknet_compat.inference.batch import prepare

    outputs = model.runtime.infer(prepare(file, model.runtime.description).pixels[None], 0.0)
    scores = outputs["objectness"][0]
    if model.runtime.description.tree is None:
        scores = scores * outputs["classes"][0].max(1, initial=0)
    ranked = np.sort(scores)[::-1]
    last = min(candidates, len(ranked) - 1)
    # Between two scores, since rounding would decide on one that is the threshold itself.
    return float(np.clip((ranked[last - 1] + ranked[last]) / 2, 0.0, 1.0))
