"""What a model is for, before or after it is opened: its task, its size, and a threshold to try it with."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import BackendError
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.runtime.registry import artefact_of

Model = Detector | Classifier
"""A model that is open."""

Size = tuple[int, int]
"""(width, height) in pixels."""


def task_of(model: Path) -> str:
    """ "detect" or "classify". Raises BackendError for a network that does neither."""
    if (artefact := artefact_of(model)) is not None:
        if artefact.task is None:
            raise BackendError(f"{model}: gives raw outputs, which are neither detections nor classes")
        return artefact.task
    from darknet_compat.runtime.torch import describe as described

    return described(load_spec(model)).task


def own_size(model: Path) -> Size:
    """(width, height) of the input that a model was made for."""
    if (artefact := artefact_of(model)) is not None:
        return artefact.width, artefact.height
    net = load_spec(model).net
    return net.width, net.height


def usual_threshold(model: Model, file: Path, candidates: int) -> float:
    """The threshold that this many scores of a picture exceed: what a network with seeded weights is asked for, whose
    scores mean nothing, so that choosing and suppressing are as much work as with trained ones."""
    from darknet_compat.inference.batch import prepare

    outputs = model.runtime.infer(prepare(file, model.runtime.description).pixels[None], 0.0)
    scores = outputs["objectness"][0]
    if model.runtime.description.tree is None:
        scores = scores * outputs["classes"][0].max(1, initial=0)
    ranked = np.sort(scores)[::-1]
    last = min(candidates, len(ranked) - 1)
    # Between two scores, since rounding would decide on one that is the threshold itself.
    return float(np.clip((ranked[last - 1] + ranked[last]) / 2, 0.0, 1.0))
