"""The networks on the path from YOLO to YOLOv2 (paper, Table 2), each of which differs from the last in one thing.

The same steps in two scales: `DIGITS`, where a network trains in minutes on one core, and `VOC`, the paper's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from darknet_compat.formats.packaged import cfg_dir
from tools.definitions.original import ANCHORS_VOC, CROPS, DARKNET19, DETECTOR, YOLOV1
from tools.definitions.sections import Rows, Section, conv, linear, net, plan, poly, route, steps

Part = Literal["yolo", "batchnorm", "hires", "convolutional", "hand", "network", "priors", "location", "passthrough"]
GRID: tuple[Part, ...] = ("yolo", "batchnorm", "hires")
"""Those that end in connected layers and [detection]."""
Options = dict[str, object]


@dataclass(frozen=True)
class Training:
    """How networks are trained: `batches` of `batch` pictures, computed in parts, and [net]'s options for so many."""

    batch: int
    parts: int
    batches: int
    options: Callable[[int], Options]


@dataclass(frozen=True)
class Scale:
    """What differs between the paper's networks and those in miniature.

    `old` and `new` are bodies, down to the `stride` at which detection happens, as classifiers learn them; `fine` is
    the layer of `new` that passthrough takes, `narrow` the filters that it makes of it. `added` are the filters of the
    convolutions for detection; `hidden` the outputs of YOLO's connected layer. `yolo`, `size` and `large` are sides of
    a detector's input in pixels, `sizes` those of multi-scale training; `low` and `high` of a classifier's. `hand` and
    `priors` are anchors in cells. `scales` are [region]'s for objects, classes and coordinates. Detectors are trained
    as `training` says, those with connected layers at `grid` times the rate; classifiers as `first` and `then`.
    """

    names: str
    classes: int
    old: str
    new: str
    fine: int
    narrow: int
    added: int
    hidden: int
    yolo: int
    size: int
    large: int
    sizes: tuple[int, ...]
    stride: int
    low: int
    high: int
    hand: str
    priors: str
    scales: tuple[float, float, float]
    jitter: float
    pictures: int
    training: Training
    grid: float
    first: Training
    then: Training


def _down(rate: float, part: int, **more: object) -> Callable[[int], Options]:
    """Options for a rate that falls to nothing in a straight line, after a start of one in `part` of all batches."""
    return lambda batches: {"flip": 0, **poly(batches, rate, burn_in=max(1, batches // part)), "power": 1, **more}


def _epochs(batches: int) -> Options:
    """The paper's: a tenth of the rate after 60 of 160 epochs, and again after 90."""
    return {**DETECTOR, **steps(batches, f"{batches * 60 // 160},{batches * 90 // 160}", burn_in=batches // 40)}


DIGITS = Scale(
    names="digits.names",
    classes=10,
    old="7x16/2 M 24 M 1x24 48 1x24 64 1x32 64 1x32 80",
    new="12/2 16 M 32 1x16 32 M 64 1x32 64 1x32 64",
    fine=4,
    narrow=12,
    added=80,
    hidden=256,
    yolo=128,
    size=120,
    large=152,
    sizes=tuple(range(88, 153, 8)),
    stride=8,
    low=48,
    high=96,
    hand="0.71,1.41, 1,1, 1.41,0.71, 1.77,3.54, 2.5,2.5, 3.54,1.77, 3.18,6.36, 4.5,4.5, 6.36,3.18",
    priors="0.63,1.10, 0.98,1.59, 1.50,2.42, 2.32,3.73, 3.93,5.93",
    scales=(10, 4, 4),
    jitter=0,
    pictures=10,
    training=Training(8, 1, 5000, _down(0.002, 15)),
    grid=10,
    first=Training(64, 1, 5000, _down(0.1, 10, min_crop=48, max_crop=48)),
    then=Training(64, 1, 1000, _down(0.02, 10, min_crop=96, max_crop=96)),
)
VOC = Scale(
    names="voc.names",
    classes=20,
    old=YOLOV1,
    new=DARKNET19,
    fine=16,
    narrow=64,
    added=1024,
    hidden=4096,
    yolo=448,
    size=416,
    large=544,
    sizes=tuple(range(320, 609, 32)),
    stride=32,
    low=224,
    high=448,
    hand="1.47,2.94, 2.08,2.08, 2.94,1.47, 2.94,5.88, 4.16,4.16, 5.88,2.94, 5.88,11.77, 8.32,8.32, 11.77,5.88",
    priors=ANCHORS_VOC,
    scales=(5, 1, 1),
    jitter=0.3,
    pictures=1000,
    training=Training(64, 8, 41_378, _epochs),
    grid=5,
    first=Training(128, 1, 1_601_459, lambda batches: {"min_crop": 224, "max_crop": 320, **CROPS, **poly(batches)}),
    then=Training(128, 4, 100_092, lambda batches: {"max_crop": 512, **CROPS, **poly(batches, 0.001)}),
)
"""The anchors by hand are Faster R-CNN's, as in `priors.HAND`; how long is as in cfg/recipes. Darknet's yolov1.cfg has
five times the rate of its yolov2-voc.cfg, and `DIGITS` twice and four times the scales of that cfg's [region]."""
SCALES = {"digits": DIGITS, "voc": VOC}


TREE = "data/digits.tree"


def node_names() -> tuple[str, ...]:
    """What the nodes of the digits' tree are called."""
    return tuple((cfg_dir() / "data" / "digits-nodes.names").read_text("utf-8").split())


def classifier(scale: Scale, body: str, high: bool, batches: int, on_tree: bool = False) -> tuple[Section, Rows]:
    """What a detector's first layers are learned as; `on_tree` with a softmax in every group of siblings."""
    size, training = (scale.high, scale.then) if high else (scale.low, scale.first)
    classes = len(node_names()) if on_tree else scale.pictures
    last: Rows = [("softmax", {"groups": 1, "tree": TREE}), ("cost", {"type": "masked"})]
    last = last if on_tree else [("softmax", {"groups": 1})]
    section = net(size, training.batch, training.parts, **training.options(batches))
    return section, [*plan(body), linear(classes), ("avgpool", {}), *last]


def detector(scale: Scale, step: Part, batches: int, tree: str | None = None, rate: float = 1) -> tuple[Section, Rows]:
    """The network of a step, with a `tree` for classes that hang on it, to be trained at a part of the usual rate."""
    on_grid = step in GRID
    normalized, training = step != "yolo", scale.training
    options = training.options(batches)
    options["learning_rate"] *= rate * (scale.grid if on_grid else 1)  # type: ignore[operator]
    section = net(scale.yolo if on_grid else scale.size, training.batch, training.parts, **options)
    if on_grid:
        return section, [*_body(scale.old, normalized), *_connected(scale, normalized)]
    body = plan(scale.new if step in ("network", "priors", "location", "passthrough") else scale.old)
    by_hand = {"convolutional": _average(scale.priors), "hand": scale.hand, "network": scale.hand}
    head = _region(scale, by_hand.get(step, scale.priors), tree)
    return section, [*body, *_added(scale, len(body), step == "passthrough"), *head]


def layers(text: str) -> int:
    """How many a body has."""
    return len(plan(text))


def _body(text: str, normalized: bool) -> Rows:
    rows = plan(text)
    return rows if normalized else [_bare(row) for row in rows]


def _bare(row: str | Section) -> str | Section:
    """Without batch normalization."""
    if isinstance(row, str):
        return row
    kind, options = row
    return kind, {name: value for name, value in options.items() if name != "batch_normalize"}


def _connected(scale: Scale, normalized: bool) -> Rows:
    """YOLO's end: cells twice as large, two connected layers, two boxes a cell. Dropout goes where batch normalization
    comes (paper, section 2)."""
    side = scale.yolo // (2 * scale.stride)
    more: Rows = [conv(scale.added), conv(scale.added, 3, 2), conv(scale.added)]
    options: dict[str, object] = {
        "side": side,
        "num": 2,
        "classes": scale.classes,
        "coords": 4,
        "sqrt": 1,
        "softmax": 0,
    }
    options |= {"rescore": 1, "jitter": scale.jitter}
    options |= {"object_scale": 1, "noobject_scale": 0.5, "class_scale": 1, "coord_scale": 5}
    return [
        *(more if normalized else [_bare(row) for row in more]),
        ("connected", {"output": scale.hidden, "activation": "leaky"}),
        *([] if normalized else [("dropout", {"probability": 0.5})]),
        ("connected", {"output": side * side * (scale.classes + 10), "activation": "linear"}),
        ("detection", options),
    ]


def _added(scale: Scale, body: int, passthrough: bool) -> Rows:
    """Three convolutions; with passthrough the finer cells of the body beside the last but one's."""
    rows: Rows = [conv(scale.added), conv(scale.added)]
    if passthrough:
        rows += [route(scale.fine - body - 2), conv(scale.narrow, 1), ("reorg", {"stride": 2}), route(-1, -4)]
    return [*rows, conv(scale.added)]


def _region(scale: Scale, anchors: str, tree: str | None) -> Rows:
    count, classes = len(anchors.split(",")) // 2, len(node_names()) if tree else scale.classes
    options: dict[str, object] = {"anchors": anchors, "num": count, "classes": classes, "coords": 4, "softmax": 1}
    options |= {"bias_match": 1, "jitter": scale.jitter, "rescore": 1, "random": 0, "absolute": 1, "thresh": 0.6}
    options |= {"object_scale": scale.scales[0], "noobject_scale": 1}
    options |= {"class_scale": scale.scales[1] * (2 if tree else 1), "coord_scale": scale.scales[2]}
    options |= {"tree": tree} if tree else {}
    return [linear(count * (classes + 5)), ("region", options)]


def _average(anchors: str) -> str:
    """One shape between all."""
    numbers = [float(number) for number in anchors.split(",")]
    width, height = (sum(side) / len(side) for side in (numbers[::2], numbers[1::2]))
    return f"{width:.2f},{height:.2f}"
