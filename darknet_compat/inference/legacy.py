"""The values of Darknet's Python module, and its candidates before and after suppression (`darknet_compat.darknet`)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darknet_compat.errors import ImageError
from darknet_compat.formats.words import Resize

if TYPE_CHECKING:
    from darknet_compat.formats.arrays import Bytes, Floats
    from darknet_compat.inference.classifier import Classifier
    from darknet_compat.inference.detector import Detector
    from darknet_compat.inference.results import Detections

CentreBox = tuple[float, float, float, float]
"""Centre x, centre y, width, height."""


@dataclass(eq=False)
class IMAGE:
    """A picture of `w` x `h` pixels and `c` channels. `pixels`: uint8 [h, w, c] in RGB, or as Darknet has them floats
    [c, h, w] from 0 to 1, in an array of numpy or ctypes or behind a pointer; None once freed."""

    w: int
    h: int
    c: int
    pixels: Any = None


@dataclass
class METADATA:
    """A `.data` file: how many classes, and their names as str."""

    classes: int
    names: list[str]


@dataclass(eq=False)
class DETECTION:
    """One candidate: `bbox` (centre x, centre y, width, height), `prob` a value a class (0: not above the threshold),
    `objectness` the highest of them, `best_class_idx` its class, -1 where there is none."""

    bbox: CentreBox
    classes: int
    prob: list[float]
    objectness: float
    best_class_idx: int = -1
    sort_class: int = -1


@dataclass(eq=False)
class DETNUMPAIR:
    """The candidates of one picture of several."""

    dets: list[DETECTION]
    num: int


@dataclass(eq=False)
class LegacyNetwork:
    """A network, opened when it is first used; a Detector a way of fitting pictures, on one runtime.

    Raises DarknetCompatError for files that do not make one.
    """

    cfg: Path
    weights: Path | None
    batch: int = 1
    names: tuple[str, ...] | None = None
    last: tuple[Any, bool] | None = None
    _detectors: dict[bool, Detector] = field(default_factory=dict)
    _classifier: Classifier | None = None

    def size(self) -> tuple[int, int, int]:
        """Width, height and channels of the input."""
        from darknet_compat.definition.lower import load_spec

        net = load_spec(self.cfg).net
        return net.width, net.height, net.channels

    def detector(self, letterbox: bool) -> Detector:
        """What detects in pictures fitted with a border or stretched, by plain suppression as the fork's Python."""
        if letterbox not in self._detectors:
            from copy import copy

            from darknet_compat.inference.detector import Detector

            made = copy(next(iter(self._detectors.values()), None)) or Detector(
                self.cfg, self.weights, names=self._class_names(), thresh=0.5
            )
            made.nms_kind = "default"
            made.runtime = copy(made.runtime)
            fitting: Resize = "letterbox" if letterbox else "stretch"
            made.runtime.description = replace(made.runtime.description, resize=fitting)
            self._detectors[letterbox] = made
        return self._detectors[letterbox]

    def classifier(self) -> Classifier:
        """What classifies pictures with a border, as the original's."""
        if self._classifier is None:
            from darknet_compat.inference.classifier import Classifier

            self._classifier = Classifier(self.cfg, self.weights, names=self._class_names(), resize="letterbox")
        return self._classifier

    def _class_names(self) -> tuple[str, ...] | None:
        """The first of the names, as many as there are classes."""
        if self.names is None:
            return None
        from darknet_compat.definition.lower import load_spec
        from darknet_compat.runtime.described import describe

        return self.names[: describe(load_spec(self.cfg)).classes]

    def found(self, image: Any, letterbox: bool, thresh: float, nms: float) -> Detections:
        """What is in a picture: an IMAGE, or anything that a Detector takes."""
        detector = self.detector(letterbox)
        taken = picture(image, detector.runtime.description.channels)
        found: Detections = detector(taken, thresh=thresh, nms=nms)
        return found


def as_text(path: Any) -> str:
    """A path that may be bytes, as ctypes wanted them."""
    return path.decode() if isinstance(path, bytes) else os.fspath(path)


def picture(image: Any, channels: int) -> Any:
    """An IMAGE as a Detector takes it whose network reads so many `channels`; anything else as it is. Raises ImageError
    for one without pixels, or with too few or too many of them."""
    import numpy as np

    from darknet_compat.sources.base import Frame

    if not isinstance(image, IMAGE):
        return as_text(image) if isinstance(image, bytes | str | os.PathLike) else image
    pixels = pixels_of(image)
    if pixels.dtype == np.float32 and image.c == channels == 3:
        return Frame(lambda: pixels, "image")  # not rounded to bytes
    if pixels.dtype == np.float32:
        pixels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    return pixels[..., ::-1] if image.c == 3 else pixels


def pixels_of(image: IMAGE) -> Bytes | Floats:
    """Its pixels where they lie: uint8 [h, w, c] or float32 [c, h, w]. Raises ImageError as `picture` does."""
    import numpy as np

    pixels, shape = image.pixels, (image.c, image.h, image.w)
    pointer = hasattr(type(pixels), "contents")
    if pixels is None or (pointer and not pixels):
        raise ImageError("an image without pixels: freed, or nothing was copied into it yet")
    array: Bytes | Floats = np.ctypeslib.as_array(pixels, shape) if pointer else np.ctypeslib.as_array(pixels)
    if array.dtype == np.uint8:
        return array
    if array.dtype != np.float32 or array.size != prod(shape):
        wanted = f"{prod(shape)} of float32 for an image of {image.w} x {image.h} x {image.c}"
        raise ImageError(f"expected {wanted}, found {array.size} of {array.dtype}")
    return array.reshape(shape)


def centred(box: tuple[float, float, float, float]) -> CentreBox:
    """Centre and size of a box of corners."""
    left, top, right, bottom = box
    return (left + right) / 2, (top + bottom) / 2, right - left, bottom - top


def predict_image(network: LegacyNetwork, image: IMAGE) -> None:
    """Put a picture, stretched, to the network, for `get_network_boxes`."""
    network.last = (image, False)


def predict_image_letterbox(network: LegacyNetwork, image: IMAGE) -> None:
    """As `predict_image`, letterboxed instead of stretched."""
    network.last = (image, True)


def get_network_boxes(
    network: LegacyNetwork,
    width: int,
    height: int,
    thresh: float,
    hier_thresh: float = 0.5,
    map: Any = None,
    relative: int = 0,
    num: Any = None,
    letter: int = 0,
) -> list[DETECTION]:
    """The candidates above `thresh` in the picture that was put to the network last, unsuppressed; their number goes
    into `num`, a pointer to a c_int. Boxes are in pixels of a picture of `width` x `height`, or with `relative`
    fractions of it. Raises ImageError where none was."""
    if network.last is None:
        raise ImageError("no picture has been put to the network yet: predict_image does that")
    image, letterbox = network.last
    found = network.found(image, letterbox, thresh, 1.0)
    classes = len(network.detector(letterbox).names)
    wide, high = (1, 1) if relative else (width, height)
    dets = _grouped(found, classes, wide / found.width, high / found.height)
    if num is not None:
        num[0] = len(dets)
    return dets


def _grouped(found: Detections, classes: int, across: float, down: float) -> list[DETECTION]:
    """A DETECTION a box, with all its classes."""
    boxes: dict[tuple[float, float, float, float], DETECTION] = {}
    for one in found:  # the best first
        if one.box not in boxes:
            x, y, w, h = centred(one.box)
            bbox = (x * across, y * down, w * across, h * down)
            boxes[one.box] = DETECTION(bbox, classes, [0.0] * classes, one.score, one.class_id)
        boxes[one.box].prob[one.class_id] = one.score
    return list(boxes.values())


def do_nms_sort(dets: Sequence[DETECTION], num: int, classes: int, thresh: float) -> None:
    """Set to 0 the `prob` of each class of which a surer box overlaps by more than `thresh`."""
    from darknet_compat.vision.boxes import nms

    if not num:
        return
    boxes, scores, _ = _columns(dets[:num])
    for one, row in zip(dets, nms(boxes, scores, thresh).tolist(), strict=False):
        one.prob[:] = row
        one.best_class_idx = row.index(max(row)) if any(row) else -1


def do_nms_obj(dets: Sequence[DETECTION], num: int, classes: int, thresh: float) -> None:
    """As `do_nms_sort`, but across classes and by objectness."""
    from darknet_compat.vision.boxes import nms_obj

    if not num:
        return
    scores, left = nms_obj(*_columns(dets[:num]), thresh)
    for one, row, value in zip(dets, scores.tolist(), left.tolist(), strict=False):
        one.prob[:], one.objectness = row, value


def _columns(dets: Sequence[DETECTION]) -> tuple[Floats, Floats, Floats]:
    """Corners [M, 4], scores [M, classes] and objectness [M]."""
    import numpy as np

    from darknet_compat.vision.boxes import xywh_to_xyxy

    boxes, scores, objectness = (np.array([getattr(one, name) for one in dets], np.float32) for name in _COLUMNS)
    return xywh_to_xyxy(boxes), scores, objectness


_COLUMNS = ("bbox", "prob", "objectness")


def remove_negatives(
    dets: Sequence[DETECTION], class_names: Sequence[str], num: int
) -> list[tuple[str, float, CentreBox]]:
    """(name, score from 0 to 1, box) of each class that is left."""
    return [
        (name, one.prob[number], one.bbox)
        for one in dets[:num]
        for number, name in enumerate(class_names[: one.classes])
        if one.prob[number] > 0
    ]


def free_detections(dets: Sequence[DETECTION], num: int) -> None:
    """Does nothing: Python frees them."""


def remove_negatives_faster(
    dets: Sequence[DETECTION], class_names: Sequence[str], num: int
) -> list[tuple[str, str, CentreBox]]:
    """(name, percent as text, box) of the best class of each box that has any."""
    best = ((one, one.best_class_idx) for one in dets[:num] if one.best_class_idx >= 0)
    return [(class_names[number], str(round(one.prob[number] * 100, 2)), one.bbox) for one, number in best]


def network_predict_batch(
    network: LegacyNetwork,
    images: IMAGE | Sequence[IMAGE],
    batch_size: int,
    width: int,
    height: int,
    thresh: float,
    hier_thresh: float = 0.5,
    map: Any = None,
    relative: int = 0,
    letter: int = 0,
) -> list[DETNUMPAIR]:
    """`get_network_boxes` of several pictures: for each `.dets` and `.num`. `images` are IMAGEs, or as in the fork one
    IMAGE with a pointer to the floats of all, [batch, channels, height, width] in RGB from 0 to 1.

    Raises ImageError.
    """
    batches = []
    for image in _apart(images, batch_size) if isinstance(images, IMAGE) else images[:batch_size]:
        network.last = (image, bool(letter))
        dets = get_network_boxes(network, width, height, thresh, hier_thresh, map, relative)
        batches.append(DETNUMPAIR(dets, len(dets)))
    return batches


def _apart(images: IMAGE, count: int) -> list[IMAGE]:
    """The pictures that lie one after the other behind a pointer to floats."""
    import numpy as np

    planes = np.ctypeslib.as_array(images.pixels, (count, images.c, images.h, images.w)).copy()
    return [IMAGE(images.w, images.h, images.c, one) for one in planes]


def free_batch_detections(batches: Sequence[DETNUMPAIR], count: int) -> None:
    """Does nothing: Python frees them."""
