"""Final answers of every stage in one form: what `Detector` and `Classifier` say, and what the original says."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from darknet_compat.definition.spec import Region
from darknet_compat.evaluation.compare.agreement import LEAST, agreement, same_best
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.heads.answers import splits
from darknet_compat.inference.about import usual_threshold
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.network.heads import Head
from darknet_compat.network.network import Network
from darknet_compat.parity import definition
from darknet_compat.parity.compare import Apart
from darknet_compat.parity.matching import Matching, ObjectAgreement, PictureAnswers, match
from darknet_compat.parity.picture import loaded
from darknet_compat.parity.reference import LayerOutput, Original
from darknet_compat.runtime.base import Description, Runtime
from darknet_compat.runtime.described import describe

CANDIDATES = 20
"""How many boxes of the first picture pass the threshold where weights are seeded and none is given."""

TOP = 5
"""How many of a classifier's classes are its answer."""


class PlainTorch:
    """A network as it is, nothing folded or split: the stage `torch` of the chain. A Runtime."""

    streams = 1

    def __init__(self, network: Network, description: Description) -> None:
        self.network, self.description = network, description

    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        """See `Runtime.infer`; of every cell and anchor."""
        with torch.inference_mode():
            raw = self.network(torch.from_numpy(images))
        return self.decoded([x for x in (raw if isinstance(raw, tuple) else (raw,))], images.shape)

    def decoded(self, raws: Sequence[torch.Tensor], shape: tuple[int, ...]) -> dict[str, Floats]:
        """The outputs (`Runtime.infer`) from what the heads read, for images of `shape`."""
        with torch.inference_mode():
            return self.boxes(self.network.activated(tuple(raws)), shape)

    def boxes(self, activated: Sequence[torch.Tensor], shape: tuple[int, ...]) -> dict[str, Floats]:
        """From what the heads give, for images of `shape`."""
        if self.description.task == "classify":
            return {"classes": activated[-1].flatten(1).numpy()}
        layers = [self.network.layers[head.index] for head in self.network.spec.heads]
        size = (shape[3], shape[2])
        parts = [
            layer.boxes(x, size)
            for layer, x in zip(layers, activated, strict=True)
            if isinstance(layer, Head) and layer.spec.detects
        ]
        found = {
            "boxes": torch.cat([part.xywh for part in parts], 1).numpy(),
            "objectness": torch.cat([part.objectness for part in parts], 1).numpy(),
            "classes": torch.cat([part.classes for part in parts], 1).numpy(),
        }
        return found | {"dropped": np.zeros(shape[0], np.float32)}


def torch_answers(network: Network) -> PlainTorch:
    """The network as a runtime. Raises BackendError for one that neither detects nor classifies pictures."""
    return PlainTorch(network, describe(network.spec))


class Fixed:
    """A runtime that gives what it was given, whatever it is asked."""

    streams = 1

    def __init__(self, outputs: Mapping[str, Floats], description: Description) -> None:
        self.outputs, self.description = outputs, description

    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        """See `Runtime.infer`."""
        return self.outputs


@dataclass
class OutputDecoder:
    """How answers come about: the model that turns outputs into them, whatever runtime the outputs are of."""

    model: Detector | Classifier
    cfg: Path
    weights: Path
    size: tuple[int, int] | None
    tree: WordTree | None

    @classmethod
    def of(
        cls,
        network: Network,
        cfg: Path,
        weights: Path,
        shared: dict[str, Any],
        thresh: float | None,
        seeded: bool,
        pictures: Sequence[Path],
    ) -> OutputDecoder:
        """For a network opened with `shared` (names, size, resize); with `seeded` weights and no `thresh` the one that
        CANDIDATES boxes of a picture pass."""
        runtime = torch_answers(network)
        kind = Detector if runtime.description.task == "detect" else Classifier
        model = kind(cfg, weights, backend="torch", **shared)
        answering = cls(model, cfg, weights, shared["size"], network.spec.tree)
        if isinstance(model, Detector):
            model.thresh = 0.25 if thresh is None else thresh
            model.nms_kind = "default"  # the only one that the original has
            if seeded and thresh is None:
                model.thresh = usual_threshold(answering._with(runtime), pictures[0], CANDIDATES)
        return answering

    @property
    def thresh(self) -> float | None:
        """What a score has to exceed; None for classifiers."""
        return self.model.thresh if isinstance(self.model, Detector) else None

    @property
    def detects_by_tree(self) -> bool:
        """Whether the original's own answers are not the model's (see `parity.definition`)."""
        return isinstance(self.model, Detector) and self.tree is not None

    def answers(self, runtime: Runtime, pictures: Sequence[Path]) -> list[PictureAnswers]:
        """A runtime's answers to pictures, each from its file to what is found in it."""
        model = self._with(runtime)
        return [
            _of_detector(model, file) if isinstance(model, Detector) else _of_classifier(model, file)
            for file in pictures
        ]

    def originals(self, original: Original, picture: Path) -> PictureAnswers:
        """The original's, from file to what it would print."""
        channels = self.model.runtime.description.channels
        image = picture if channels == 3 else loaded(original, picture, channels)
        if isinstance(self.model, Classifier):
            found = original.classify(self.cfg, self.weights, image, TOP, size=self.size)
            return PictureAnswers(found.class_ids, found.scores, np.zeros((len(found.scores), 4), np.float32))
        boxes, scores, class_ids = original.detections(
            self.cfg,
            self.weights,
            image,
            thresh=self.model.thresh,
            nms=self.model.nms,
            letterbox=self.model.runtime.description.resize == "letterbox",
            size=self.size,
        )
        return PictureAnswers(class_ids, scores, boxes)

    def by_definition(self, network: Network, outputs: Sequence[LayerOutput]) -> dict[str, Floats]:
        """What a [region] with a tree gives by its definition for the original's last convolution."""
        region = network.spec.layers[-1]
        assert isinstance(region, Region)
        raw = outputs[region.sources[0]].output
        activated = definition.region_with_tree(region, raw).astype(np.float32)
        shape = (len(raw), -1, region.output.h, region.output.w)
        net = network.spec.net
        runtime = torch_answers(network)
        return runtime.boxes(
            [torch.from_numpy(activated).reshape(shape)], (len(raw), net.channels, net.height, net.width)
        )

    def fixed(self, picture: Path, outputs: Mapping[str, Floats]) -> PictureAnswers:
        """The answers that certain outputs lead to."""
        return self.answers(Fixed(outputs, self.model.runtime.description), [picture])[0]

    def matched(
        self, runtime: Runtime, pictures: Sequence[Path], expected: Sequence[PictureAnswers], tolerance: Apart
    ) -> list[Matching]:
        """A runtime's answers held against `expected` ones, a picture each."""
        found = self.answers(runtime, pictures)
        return [
            match(picture.name, theirs, ours, tolerance)
            for picture, theirs, ours in zip(pictures, expected, found, strict=True)
        ]

    def agreement(
        self, runtime: Runtime, reference: Runtime, pictures: Sequence[Path], least: float
    ) -> ObjectAgreement:
        """How far a runtime's answers agree with those of `reference`; down to scores of LEAST, not to `thresh`."""
        before, after = self._with(reference), self._with(runtime)
        if isinstance(before, Detector) and isinstance(after, Detector):
            before.thresh = after.thresh = LEAST
            found = agreement([before(file) for file in pictures], [after(file) for file in pictures])
        else:
            assert isinstance(before, Classifier) and isinstance(after, Classifier)
            found = same_best([before(file) for file in pictures], [after(file) for file in pictures])
        return ObjectAgreement(found.int8, found.objects, least)

    def _with(self, runtime: Runtime) -> Detector | Classifier:
        """The model on another runtime."""
        model = copy.copy(self.model)
        model.runtime = runtime
        return model


def _of_detector(model: Detector, file: Path) -> PictureAnswers:
    found = model(file)
    return PictureAnswers(found.class_ids, found.scores, found.boxes)


def _of_classifier(model: Classifier, file: Path) -> PictureAnswers:
    best = model(file).top(TOP)
    scores = np.array([guess.probability for guess in best], np.float32)
    return PictureAnswers(
        np.array([guess.class_id for guess in best], np.int64), scores, np.zeros((len(best), 4), np.float32)
    )


def candidates_found(
    network: Network, every: Mapping[str, Floats], found: Mapping[str, Floats]
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Outputs of a graph beside those of torch for the same places: (torch's, the graph's).

    A graph with many classes gives each anchor's best candidates only. Each is looked up among all by its box and
    objectness, since those of about the same objectness may come in another order; one that is not among them differs.
    """
    names = [name for name in ("boxes", "objectness", "classes") if name in every]
    if not splits(network.spec):
        return {name: every[name] for name in names}, {name: found[name] for name in names}
    places = []
    for image in range(len(found["boxes"])):
        apart = np.abs(every["boxes"][image][None] - found["boxes"][image][:, None]).max(2)  # [K, D]
        apart += np.abs(every["objectness"][image] - found["objectness"][image][:, None])
        places.append(apart.argmin(1))
    index = np.stack(places)  # [N, K]
    region = network.spec.heads[-1]
    assert isinstance(region, Region)
    count, num = len(index), region.num
    by_anchor = -np.sort(-every["objectness"].reshape(count, num, -1))  # each anchor's, best first
    expected = {
        "boxes": np.take_along_axis(every["boxes"], index[..., None], 1),
        "objectness": by_anchor[:, :, : index.shape[1] // num].reshape(count, -1),
        "classes": np.take_along_axis(every["classes"], index[..., None], 1),
        "every_objectness": every["objectness"],
    }
    return expected, {name: found[name] for name in expected}
