"""What a worker can be asked: one function per request, and the table of them at the end.

Each takes the Session first and gives plain values and arrays back. Paths arrive absolute.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from darknet_compat.errors import OriginalError
from darknet_compat.formats.arrays import Floats, Ints
from darknet_compat.parity._original import loading, training
from darknet_compat.parity._original.networks import Setup
from darknet_compat.parity._original.session import Session


def layer_shapes(session: Session, setup: Setup) -> list[tuple[str, tuple[int, int, int], int]]:
    net = session.networks.get(setup)
    return [session.networks.layer(net, i) for i in range(net.n)]


def layer_outputs(session: Session, setup: Setup, images: Floats) -> list[tuple[str, tuple[int, int, int], Floats]]:
    net = session.networks.get(setup)
    session.networks.predict(net, images)
    found = []
    for i in range(net.n):
        type_, shape, outputs = session.networks.layer(net, i)
        found.append((type_, shape, session.floats(net.layers[i].output, setup.rows, outputs)))
    return found


def save_weights(session: Session, setup: Setup, out: str, cutoff: int | None, clear: bool) -> None:
    net = session.networks.get(setup)
    seen = net.seen[0]
    if clear:
        net.seen[0] = 0
    session.lib.save_weights_upto(net, os.fsencode(out), net.n if cutoff is None else cutoff)
    net.seen[0] = seen


def detections(
    session: Session, setup: Setup, image: Floats | str, thresh: float, hier_thresh: float, nms: float, letterbox: bool
) -> tuple[Floats, Floats, Ints]:
    ffi, lib = session.ffi, session.lib
    image = load_image(session, image) if isinstance(image, str) else image
    net = session.networks.get(setup)
    types = [net.layers[i].type for i in range(net.n)]
    if not {lib.REGION, lib.YOLO, lib.DETECTION}.intersection(types):
        raise OriginalError(f"{setup.cfg}: no [region], [yolo] or [detection] layer, so nothing that could be detected")
    session.networks.predict(net, _fitted(session, net, image, letterbox))
    _, height, width = image.shape
    # Boxes come back as fractions of the image. A stretched image has no border to subtract: its size is the network's.
    # [detection] knows of no border at all and multiplies by what it is told.
    given = (1, 1) if types[-1] == lib.DETECTION else (width, height) if letterbox else (net.w, net.h)
    count, classes = ffi.new("int *"), net.layers[net.n - 1].classes
    dets = lib.get_network_boxes(net, *given, thresh, hier_thresh, ffi.NULL, 1, count)
    if nms:
        lib.do_nms_sort(dets, count[0], classes, nms)
    boxes, scores, class_ids = [], [], []
    for i in range(count[0]):
        box, probabilities = dets[i].bbox, session.floats(dets[i].prob, classes)
        for class_id in np.flatnonzero(probabilities > thresh):
            boxes.append((box.x - box.w / 2, box.y - box.h / 2, box.x + box.w / 2, box.y + box.h / 2))
            scores.append(probabilities[class_id])
            class_ids.append(class_id)
    lib.free_detections(dets, count[0])
    pixels = np.array(boxes, np.float64).reshape(-1, 4) * (width, height, width, height)
    return pixels.astype(np.float32), np.array(scores, np.float32), np.array(class_ids, np.int64)


def classify(session: Session, setup: Setup, image: Floats | str, top: int) -> tuple[Ints, Floats]:
    image = load_image(session, image) if isinstance(image, str) else image
    net = session.networks.get(setup)
    predictions = session.networks.predict(net, _fitted(session, net, image, True))
    if net.hierarchy:
        session.lib.hierarchy_predictions(predictions, net.outputs, net.hierarchy, 1, 1)
    top = min(top, net.outputs)
    indices = session.ffi.new("int[]", top)
    session.lib.top_k(predictions, net.outputs, top, indices)
    ids = np.array(list(indices), np.int64)
    return ids, session.floats(predictions, net.outputs)[ids]


def load_image(session: Session, path: str) -> Floats:
    # The original copies the name into short buffers and, where it cannot read the file, into a shell command: so it
    # gets to see a harmless name, in a folder where its `bad.list` disturbs nobody.
    alias = session.scratch / "image"
    alias.unlink(missing_ok=True)
    alias.symlink_to(path)
    image = session.taken(session.lib.load_image_color(os.fsencode(alias), 0, 0))
    if b"Cannot load image" in os.pread(2, 1 << 16, 0):
        raise OriginalError(f"{path}: the original cannot load this as an image")
    return image


def call_image_function(session: Session, name: str, arguments: list[Floats | float | int]) -> Floats:
    images = [session.image(value) if isinstance(value, np.ndarray) else value for value in arguments]
    result = getattr(session.lib, name)(*images)
    if result is not None:
        return session.taken(result)
    return next(value for value in reversed(arguments) if isinstance(value, np.ndarray))


def nms(
    session: Session, kind: str, boxes: Floats, objectness: Floats, scores: Floats, threshold: float
) -> tuple[Floats, Floats]:
    count, classes = scores.shape
    dets = session.ffi.new("detection[]", count)
    rows = session.ffi.from_buffer("float[]", scores)
    for i in range(count):
        box = dict(zip("xywh", map(float, boxes[i]), strict=True))
        dets[i] = {"bbox": box, "classes": classes, "prob": rows + i * classes, "objectness": float(objectness[i])}
    getattr(session.lib, f"do_nms_{kind}")(dets, count, classes, threshold)
    # The original moves detections about, but each still points to its own row of `scores`.
    for i in range(count):
        objectness[(dets[i].prob - rows) // max(classes, 1)] = dets[i].objectness
    return objectness, scores


def time_forward(session: Session, setup: Setup, images: Floats, repeats: int) -> list[float]:
    net = session.networks.get(setup)
    return _timed(lambda: session.networks.predict(net, images), repeats)


def time_image_function(
    session: Session, name: str, arguments: list[Floats | float | int], repeats: int
) -> list[float]:
    images = [session.image(value) if isinstance(value, np.ndarray) else value for value in arguments]
    function = getattr(session.lib, name)
    return _timed(lambda: function(*images), repeats, session.lib.free_image)


def _fitted(session: Session, net: Any, image: Floats, letterbox: bool) -> Floats:
    resize = session.lib.letterbox_image if letterbox else session.lib.resize_image
    return session.taken(resize(session.image(image), net.w, net.h))


def _timed(call: Callable[[], Any], repeats: int, free: Callable[[Any], None] | None = None) -> list[float]:
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
        if free and result is not None:
            free(result)
    return seconds


REQUESTS: dict[str, Callable[..., Any]] = {
    "layer_shapes": layer_shapes,
    "layer_outputs": layer_outputs,
    "save_weights": save_weights,
    "detections": detections,
    "classify": classify,
    "load_image": load_image,
    "call_image_function": call_image_function,
    "nms": nms,
    "time_forward": time_forward,
    "time_image_function": time_image_function,
    "deltas": training.deltas,
    "rates": training.rates,
    "load_classification": loading.load_classification,
    "load_detection": loading.load_detection,
    "load_region": loading.load_region,
    "random_numbers": loading.random_numbers,
    "train": training.train,
    "time_train": training.time_train,
}
