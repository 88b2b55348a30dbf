"""The original Darknet's networks, and this project's own small ones: what the papers and its definitions state."""

from __future__ import annotations

from tools.definitions.sections import Rows, Section, conv, linear, maxpool, net, plan, poly, route, steps

# Paper of YOLO9000, Table 6, up to the last 3x3 convolution.
DARKNET19 = "32 M 64 M 128 1x64 128 M 256 1x128 256 M 512 1x256 512 1x256 512 M 1024 1x512 1024 1x512 1024"
DARKNET53 = (  # paper of YOLOv3, Table 1
    "32"
    + " 64/2"
    + " 1x32 64 +" * 1
    + " 128/2"
    + " 1x64 128 +" * 2
    + " 256/2"
    + " 1x128 256 +" * 8
    + " 512/2"
    + " 1x256 512 +" * 8
    + " 1024/2"
    + " 1x512 1024 +" * 4
)
TINY = "16 M 32 M 64 M 128 M 256 M 512"  # the beginning of all small detectors
TINY_DARKNET = "16 M 32 M 1x16 128 1x16 128 M 1x32 256 1x32 256 M 1x64 512 1x64 512 1x128"
YOLOV1 = (  # paper of YOLO, Figure 3, with one hidden layer replaced by a local one in this release
    "7x64/2 M 192 M 1x128 256 1x256 512 M" + " 1x256 512" * 4 + " 1x512 1024 M" + " 1x512 1024" * 2
)

ANCHORS_COCO = "0.57273,0.677385, 1.87446,2.06253, 3.33843,5.47434, 7.88282,3.52778, 9.77052,9.16828"
ANCHORS_VOC = "1.3221,1.73145, 3.19275,4.00944, 5.05587,8.09892, 9.47112,4.84053, 11.2364,10.0071"
ANCHORS_TINY_VOC = "1.08,1.19, 3.42,4.41, 6.63,11.38, 9.42,5.11, 16.62,10.52"
ANCHORS_9000 = "0.77871,1.14074, 3.00525,4.31277, 9.22725,9.61974"
ANCHORS_DIGITS = "1.38,2.31, 4.10,6.47"  # `anchors digits --k 2 --size 192 --stride 8`
ANCHORS_CELLS = "1.28,1.21, 3.12,2.58, 2.99,3.28, 3.76,3.47, 6.7,6.1"  # `anchors BCCD --size 320x240 --stride 16`
ANCHORS_V3 = "10,13, 16,30, 33,23, 30,61, 62,45, 59,119, 116,90, 156,198, 373,326"
ANCHORS_V3_TINY = "10,14, 23,27, 37,58, 81,82, 135,169, 344,319"


def classifier(body: str, last: str = "conv", classes: int = 1000) -> Rows:
    """A classifier: its body, a score per class and cell, the mean over all cells (before the scores, or after)."""
    scores: Rows = [linear(classes), ("avgpool", {})]
    return plan(body) + (scores if last == "conv" else scores[::-1]) + [("softmax", {"groups": 1})]


def darknet9000() -> Rows:
    """Darknet-19 with a softmax in every group of siblings of the WordTree."""
    *rows, _ = classifier(DARKNET19, classes=9418)
    tree: dict[str, object] = {"groups": 1, "tree": "data/9k.tree"}
    return [*rows, ("softmax", tree), "only the label's own groups are learned from", ("cost", {"type": "masked"})]


def region(anchors: str, classes: int, jitter: float = 0.3, rescore: int = 1) -> Section:
    """YOLOv2's head; its anchors are in cells of the grid."""
    count = len(anchors.split(",")) // 2
    options: dict[str, object] = {"anchors": anchors, "num": count, "classes": classes, "coords": 4, "softmax": 1}
    options |= {"bias_match": 1, "jitter": jitter, "rescore": rescore, "random": 1, "absolute": 1, "thresh": 0.6}
    options |= {"object_scale": 5, "noobject_scale": 1, "class_scale": 1, "coord_scale": 1}
    return "region", options


def yolov2(anchors: str, classes: int) -> Rows:
    """Darknet-19 with two more convolutions, and layer 16's finer cells put beside theirs (section 2, passthrough)."""
    return [
        *plan(DARKNET19),
        "detection",
        *plan("1024 1024"),
        "passthrough: the finer cells of layer 16, four of them in one",
        route(-9),
        conv(64, 1),
        ("reorg", {"stride": 2}),
        route(-1, -4),
        conv(1024),
        linear(5 * (classes + 5)),
        region(anchors, classes),
    ]


def yolov2_tiny(anchors: str, classes: int, width: int, rescore: int) -> Rows:
    """Nine convolutions; `width` filters in the last but one."""
    head = [linear(5 * (classes + 5)), region(anchors, classes, 0.2, rescore)]
    return [*plan(f"{TINY} m 1024"), "detection", conv(width), *head]


DIGITS_FIRST = "16/2 24 M 48 1x24 48 M 80 1x40 80 1x40 80"
"""The first twelve layers, down to cells of 8 pixels."""


def digits(classes: int, tree: str | None = None) -> Rows:
    """YOLOv2 at the size of a thumb, to be trained on a processor: two anchors a cell of 8 pixels, and passthrough.

    A digit of 12 pixels asks for cells as small as that, one of 100 for a look at cells of 16.
    """
    kind, options = region(ANCHORS_DIGITS, classes, 0)
    options |= {"random": 0, "object_scale": 10, "class_scale": 8 if tree else 4, "coord_scale": 4}
    options |= {"tree": tree} if tree else {}
    return [
        *plan(DIGITS_FIRST),
        "what lies around, in cells of 16",
        *plan("M 96 1x48 96"),
        ("upsample", {"stride": 2}),
        "passthrough: the finer cells of layer 5, four of them in one",
        route(5),
        conv(12, 1),
        ("reorg", {"stride": 2}),
        route(-1, 11, 16),
        conv(96, 1),
        conv(96),
        linear(2 * (classes + 5)),
        (kind, options),
    ]


def cells() -> Rows:
    """YOLOv2 for three kinds of blood cells: cells of 16 pixels, and passthrough."""
    kind, options = region(ANCHORS_CELLS, 3, 0.2)
    return [
        *plan("16 M 32 M 64 1x32 64 M 128 1x64 128"),
        "cells of 16 pixels",
        *plan("M 256 1x128 256"),
        "passthrough: the finer cells of layer 10, four of them in one",
        route(10),
        conv(32, 1),
        ("reorg", {"stride": 2}),
        route(-1, 14),
        conv(256),
        linear(5 * (3 + 5)),
        (kind, options | {"random": 0}),
    ]


def yolo9000() -> Rows:
    """Darknet-19 with three anchors and the WordTree's 9418 classes."""
    kind, options = region(ANCHORS_9000, 9418, 0.2)
    options |= {"tree": "data/9k.tree", "map": "data/coco9k.map"}
    return [*plan(DARKNET19), "detection", linear(3 * (9418 + 5)), (kind, options)]


def yolo(anchors: str, first: int) -> Rows:
    """One of YOLOv3's heads, with three of the anchors, which are in pixels of the network's input."""
    count = len(anchors.split(",")) // 2
    options: dict[str, object] = {"anchors": anchors, "num": count, "mask": f"{first},{first + 1},{first + 2}"}
    options |= {"classes": 80, "jitter": 0.3, "random": 1, "ignore_thresh": 0.7, "truth_thresh": 1}
    return [linear(3 * (80 + 5)), ("yolo", options)]


def finer(filters: int, layer: int) -> Rows:
    """From a head's stem to cells half as large, joined by those of an earlier layer."""
    comment = f"cells half as large, joined by layer {layer}'s"
    return [comment, route(-4), conv(filters, 1), ("upsample", {"stride": 2}), route(-1, layer)]


def yolov3(spp: bool = False) -> Rows:
    """Darknet-53 and three heads; with `spp` the first looks at three windows at once."""
    stem: Rows = plan("1x512 1024 1x512 1024 1x512 1024")
    if spp:
        pyramid: Rows = [maxpool(5, 1), route(-2), maxpool(9, 1), route(-4), maxpool(13, 1), route(-1, -3, -5, -6)]
        stem = [*stem[:3], "spatial pyramid: windows of 5, 9 and 13 cells", *pyramid, conv(512, 1), *stem[3:]]
    return [
        *plan(DARKNET53),
        "large objects",
        *stem,
        *yolo(ANCHORS_V3, 6),
        *finer(256, 61),
        *plan("1x256 512" + " 1x256 512" * 2),
        *yolo(ANCHORS_V3, 3),
        *finer(128, 36),
        *plan("1x128 256" + " 1x128 256" * 2),
        *yolo(ANCHORS_V3, 0),
    ]


def yolov3_tiny() -> Rows:
    """Two heads on a small body."""
    rows: Rows = [*plan(f"{TINY} m 1024"), "large objects", *plan("1x256 512"), *yolo(ANCHORS_V3_TINY, 3)]
    return [*rows, *finer(128, 8), conv(256), *yolo(ANCHORS_V3_TINY, 0)]


def detection(num: int) -> Rows:
    """YOLO's first head: 7x7 cells, each with 20 class scores and `num` boxes, out of one connected layer."""
    options: dict[str, object] = {"side": 7, "num": num, "classes": 20, "coords": 4, "sqrt": 1, "softmax": 0}
    options |= {"rescore": 1, "jitter": 0.2}
    options |= {"object_scale": 1, "noobject_scale": 0.5, "class_scale": 1, "coord_scale": 5}
    return [("connected", {"output": 7 * 7 * (20 + 5 * num), "activation": "linear"}), ("detection", options)]


def yolov1() -> Rows:
    """24 convolutions, a local layer, a connected one."""
    local: dict[str, object] = {"filters": 256, "size": 3, "stride": 1, "pad": 1, "activation": "leaky"}
    more = plan("1024 1024/2 1024 1024")
    return [*plan(YOLOV1), "detection", *more, ("local", local), ("dropout", {"probability": 0.5}), *detection(3)]


COLOURS = {"hue": 0.1, "saturation": 1.5, "exposure": 1.5}
PALE = {"hue": 0.1, "saturation": 0.75, "exposure": 0.75}  # between 0.75 and 1/0.75, as the above between 1/1.5 and 1.5
CROPS = {"angle": 7, "aspect": 0.75, **PALE}
IMAGENET = {"min_crop": 128, "max_crop": 448, **CROPS, **poly(800_000, burn_in=1000)}
AT_448 = {"max_crop": 512, **CROPS, **poly(100_000, 0.001)}
LONG = steps(500_200, "400000,450000", burn_in=1000)
DETECTOR = {"angle": 0, **COLOURS}
DIGITS = {"flip": 0, **poly(6000, 0.008, burn_in=200), "power": 1}
DIGITS_JOINT = {"flip": 0, **poly(5000, 0.004, burn_in=400), "power": 1}

NETWORKS: dict[str, tuple[Section, Rows]] = {
    "darknet19": (net(256, 128, 2, **IMAGENET), classifier(DARKNET19)),
    "darknet19_448": (net(448, 128, 4, **AT_448), classifier(DARKNET19)),
    "darknet53": (net(256, 128, 4, **IMAGENET), classifier(DARKNET53, last="avgpool")),
    "darknet9000": (net(448, 128, 4, **AT_448), darknet9000()),
    "tiny": (net(224, 128, 1, max_crop=320, **CROPS, **poly(1_600_000)), classifier(TINY_DARKNET)),
    "yolov1": (
        net(448, 64, 8, **COLOURS, **steps(40_000, "200,400,600,20000,30000", "2.5,2,2,0.1,0.1", 0.0005)),
        yolov1(),
    ),
    "yolov1-tiny": (
        net(448, 64, 8, **PALE, **steps(40_000, "200,400,600,800,20000,30000", "2.5,2,2,2,0.1,0.1", 0.0005)),
        [*plan(f"{TINY} M 1024 256"), "detection", *detection(2)],
    ),
    "yolov2": (net(608, 64, 8, **DETECTOR, **LONG), yolov2(ANCHORS_COCO, 80)),
    "yolov2-voc": (
        net(416, 64, 8, **DETECTOR, **steps(80_200, "40000,60000", burn_in=1000)),
        yolov2(ANCHORS_VOC, 20),
    ),
    "yolov2-tiny": (net(416, 64, 2, **DETECTOR, **LONG), yolov2_tiny(ANCHORS_COCO, 80, 512, rescore=0)),
    "yolov2-tiny-voc": (
        net(416, 64, 2, **DETECTOR, **steps(40_200, "-1,100,20000,30000", "0.1,10,0.1,0.1")),
        yolov2_tiny(ANCHORS_TINY_VOC, 20, 1024, rescore=1),
    ),
    "yolo9000": (net(544, 64, 8, **PALE, **LONG), yolo9000()),
    "yolov3": (net(608, 64, 16, **DETECTOR, **LONG), yolov3()),
    "yolov3-spp": (net(608, 64, 16, **DETECTOR, **LONG), yolov3(spp=True)),
    "yolov3-tiny": (net(416, 64, 2, **DETECTOR, **LONG), yolov3_tiny()),
    "yolov2-digits": (net(192, 16, 1, **DIGITS), digits(10)),
    "yolo9000-digits": (net(192, 8, 1, **DIGITS_JOINT), digits(15, "data/digits.tree")),
}
OWN = ("yolov2-digits", "yolo9000-digits")
"""Definitions of this project, which the original does not have."""
