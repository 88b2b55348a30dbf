"""Networks of the best-known fork (AlexeyAB/darknet) and of Yolo-Fastest (dog-qiuqiu), as their definitions state them.

What stands in quotation marks below is written as there (".3", not 0.3): the digest of a definition, by which its
published copies are recognized, is that of its text.
"""

from __future__ import annotations

from tools.definitions.original import ANCHORS_V3, ANCHORS_V3_TINY, TINY
from tools.definitions.sections import Rows, Section, conv, linear, net, plan, shortcut, steps

ANCHORS_V4 = "12,16, 19,36, 40,28, 36,75, 76,55, 72,146, 142,110, 192,243, 459,401"
ANCHORS_P5 = "13,17, 31,25, 24,51, 61,45, 48,102, 119,96, 97,189, 217,184, 171,384, 324,451, 616,618, 800,800"
ANCHORS_P6 = (
    "13,17, 31,25, 24,51, 61,45, 61,45, 48,102, 119,96, 97,189, "
    "97,189, 217,184, 171,384, 324,451, 324,451, 545,357, 616,618, 1024,1024"
)
ANCHORS_FASTEST = "12,18, 37,49, 52,132, 115,73, 119,199, 242,238"
PYRAMID = "M5/1 @-2 M9/1 @-4 M13/1 @-1,-3,-5,-6"
"""Spatial pyramid pooling: windows of 5, 9 and 13 cells beside what they look at."""

# ------------------------------------------------------------------------------------------------------------- heads

V3_LOSS: dict[str, object] = {"jitter": ".3", "ignore_thresh": ".7", "truth_thresh": 1}
_CIOU: dict[str, object] = {"cls_normalizer": "1.0", "iou_normalizer": "0.07", "iou_loss": "ciou"}
_GREEDY: dict[str, object] = {"nms_kind": "greedynms", "beta_nms": "0.6"}
V4_LOSS = {**V3_LOSS, "iou_thresh": "0.213", **_CIOU, **_GREEDY, "max_delta": 5}
V4_TINY_LOSS = {**V3_LOSS, "scale_x_y": "1.05", **_CIOU, "random": 0, "resize": "1.5", **_GREEDY}
FASTEST_LOSS: dict[str, object] = {"jitter": ".15", "ignore_thresh": ".5", "truth_thresh": 1, "random": 0}
FASTEST_LOSS |= {"iou_thresh": "0.213", **_CIOU, **_GREEDY}
SCALED_LOSS: dict[str, object] = {"jitter": ".1", "scale_x_y": "2.0", "ignore_thresh": ".7", "truth_thresh": 1}
SCALED_LOSS |= {"resize": "1.5", "iou_thresh": "0.2", "iou_normalizer": "0.05", "cls_normalizer": "0.5"}
SCALED_LOSS |= {"iou_loss": "ciou", "nms_kind": "diounms", "beta_nms": "0.6", "new_coords": 1}


def head(anchors: str, first: int, loss: dict[str, object], each: int = 3, classes: int = 80, **more: object) -> Rows:
    """`each` of the anchors from number `first` on, on the scores of the convolution before.

    With new_coords that convolution ends in the logistic function, and the head has none of its own.
    """
    mask = ",".join(str(first + number) for number in range(each))
    options: dict[str, object] = {"mask": mask, "anchors": anchors}
    options |= {"classes": classes, "num": len(anchors.split(",")) // 2}
    scores = linear(each * (classes + 5), "logistic" if "new_coords" in loss else "linear")
    return [scores, ("yolo", {**options, **loss, **more})]


def smooth(obj: str, delta: int, smoothed: int = 1) -> dict[str, object]:
    """What differs between the heads of the scaled networks."""
    return {"objectness_smooth": smoothed, "obj_normalizer": obj, "max_delta": delta}


# ----------------------------------------------------------------------------------------------- YOLOv4 and kin


def csp(filters: int, count: int) -> str:
    """A stage whose channels go two ways, through `count` residual blocks and past them (CSPNet, arXiv:1911.11929)."""
    blocks = f"1x{filters} {filters} + " * count
    way = f"1x{filters} @-2 1x{filters} {blocks}1x{filters} @-1,-{3 * count + 4}"
    return f"{2 * filters}/2 {way} 1x{2 * filters} "


CSPDARKNET53 = "32 64/2 1x64 @-2 1x64 1x32 64 + 1x64 @-1,-7 1x64 "
CSPDARKNET53 += csp(64, 2) + csp(128, 8) + csp(256, 8) + csp(512, 4)


def _five(filters: int) -> str:
    return f"1x{filters} {2 * filters} " * 2 + f"1x{filters} "


def panet(finer: int, finest: int, anchors: str, loss: dict[str, object], heads: list[dict[str, object]]) -> Rows:
    """Three heads on paths up, joined by layers `finer` and `finest`, and down again (PANet, arXiv:1803.01534)."""
    return [
        "the widest windows",
        *plan(f"1x512 1024 1x512 {PYRAMID} 1x512 1024 1x512"),
        f"cells half as large, joined by layer {finer}'s",
        *plan(f"1x256 U @{finer} 1x256 @-1,-3 {_five(256)}"),
        f"cells half as large, joined by layer {finest}'s",
        *plan(f"1x128 U @{finest} 1x128 @-1,-3 {_five(128)} 256"),
        *head(anchors, 0, loss, **heads[0]),
        "cells twice as large, joined by those on the way up",
        *plan(f"@-4 256/2 @-1,-16 {_five(256)} 512"),
        *head(anchors, 3, loss, **heads[1]),
        "cells twice as large, joined by those on the way up",
        *plan(f"@-4 512/2 @-1,-37 {_five(512)} 1024"),
        *head(anchors, 6, loss, **heads[2]),
    ]


def yolov4() -> Rows:
    """CSPDarknet-53, pyramid, PANet."""
    heads: list[dict[str, object]] = [{"scale_x_y": "1.2"}, {"scale_x_y": "1.1"}, {"random": 1, "scale_x_y": "1.05"}]
    return [*plan(CSPDARKNET53, "mish"), *panet(85, 54, ANCHORS_V4, V4_LOSS, heads)]


def csresnext50() -> Rows:
    """ResNeXt-50 in stages that go two ways."""

    def blocks(filters: int, count: int) -> str:
        return f"1x{filters} {filters}g32 1x{filters}= +-4a " * count

    def stage(filters: int, count: int, past: str = "=") -> str:
        first = f"{filters}/2g32 1x{filters}{past} @-2 1x{filters}{past} "
        return first + blocks(filters, count) + f"1x{filters} @-1,-{4 * count + 4} 1x{2 * filters} "

    body = f"7x64/2 M 1x128 @-2 1x64 {blocks(128, 3)}1x128 @-1,-16 1x256 "
    body += stage(256, 3) + stage(512, 5) + stage(1024, 2, "")
    return [*plan(body), *panet(65, 38, ANCHORS_V3, V3_LOSS, [{"random": 1}] * 3)]


def _half(filters: int) -> str:
    return f"{filters} half {filters // 2} {filters // 2} @-1,-2 1x{filters} @-6,-1 "


def yolov4_tiny(anchors: str, firsts: tuple[int, ...]) -> Rows:
    """Stages that go two ways by halves of the channels; a head for each of `firsts`, each on finer cells."""
    rows: Rows = [*plan("32/2 64/2 " + "M ".join(map(_half, (64, 128, 256))) + "M 512")]
    rows += ["large objects", *plan("1x256 512"), *head(anchors, firsts[0], V4_TINY_LOSS)]
    rows += ["cells half as large, joined by layer 23's", *plan("@-4 1x128 U @-1,23 256")]
    rows += head(anchors, firsts[1], V4_TINY_LOSS)
    if len(firsts) > 2:
        rows += ["cells half as large, joined by layer 15's", *plan("@-3 1x64 U @-1,15 128")]
        rows += head(anchors, firsts[2], V4_TINY_LOSS)
    return rows


# ------------------------------------------------------------------------------------- Scaled-YOLOv4 (arXiv:2011.08036)


def _merge(filters: int, count: int) -> str:
    return f"1x{filters} 1x{filters} @-2 " + f"1x{filters} {filters} " * count + f"@-1,-{2 * count + 2} 1x{filters} "


def _up(filters: int, layer: int, count: int) -> str:
    return f"1x{filters} U @{layer} 1x{filters} @-1,-3 {_merge(filters, count)}"


def _pyramid(filters: int, more: str = "", pyramid: str = PYRAMID) -> str:
    begun = f"1x{filters} @-2 1x{filters} {filters} 1x{filters} {pyramid} 1x{filters} {filters} {more}"
    return f"{begun} @-1,-{15 if more else 13} 1x{filters} "


def yolov4_csp(width: int, depths: tuple[int, ...], joined: tuple[int, ...], count: int) -> Rows:
    """Stages of `width`, 2·width ... filters and `depths` blocks; heads on merged cells, with new_coords.

    `joined` are the layers that come in on the way up, then how far back those lie that do on the way down.
    """
    body = f"32 {width}/2 1x{width // 2} {width} + "
    body += "".join(csp(width << number, depth) for number, depth in enumerate(depths))
    fine, large = width << 1, width << 3
    rows: Rows = [*plan(body, "mish"), "the widest windows"]
    rows += plan(_pyramid(large, f"1x{large} {large}" if count == 3 else ""), "mish")
    rows += ["up to cells a quarter as large"]
    rows += plan(_up(2 * fine, joined[0], count) + _up(fine, joined[1], count), "mish")
    if count == 3:
        rows[-1][1]["stopbackward"] = 800
    rows += [*plan(str(2 * fine), "mish"), *head(ANCHORS_V4, 0, SCALED_LOSS, **smooth("4.0", 5, 0))]
    downs = zip((2 * fine, large), joined[2:], ("1.0", "0.4"), (5, 2), (3, 6), strict=True)
    for filters, back, obj, delta, first in downs:
        rows += ["cells twice as large, joined by those on the way up"]
        rows += plan(f"@-4 {filters}/2 @-1,-{back} {_merge(filters, count)} {2 * filters}", "mish")
        rows += head(ANCHORS_V4, first, SCALED_LOSS, **smooth(obj, delta))
    return rows


Joined = tuple[int, int]
"""Filters of a step, and how many blocks it has, or which layer it is joined by."""


def yolov4_large(anchors: str, stages: list[Joined], ups: list[Joined], downs: list[Joined], heads: list[int]) -> Rows:
    """P5 and P6: the ways up and down first, then a head with four anchors on each of the layers `heads`."""
    rows: Rows = [*plan("32 " + "".join(csp(filters, depth) for filters, depth in stages), "mish")]
    rows += ["the widest windows", *plan(_pyramid(512), "mish")]
    rows += ["up to the smallest cells", *plan("".join(_up(filters, layer, 3) for filters, layer in ups), "mish")]
    way = "".join(f"{filters}/2 @-1,{layer} {_merge(filters, 3)}" for filters, layer in downs)
    rows += ["down again, joined by those on the way up", *plan(way, "mish")]
    for number, layer in enumerate(heads):
        rows += [f"head on layer {layer}", *plan(f"@{layer} {min(1024, 256 << number)}", "mish")]
        rows += head(anchors, 4 * number, SCALED_LOSS, 4, **smooth("1.0", 2))
    return rows


# ----------------------------------------------------------------------------------------- YOLOv7 (arXiv:2207.02696)


def elan(first: int, width: int, count: int, taps: str, out: int) -> str:
    """Two ways: past, and through `count` convolutions of which those at `taps` are all put side by side."""
    return f"1x{first} @-2 1x{first} " + f"{width} " * count + f"@{taps} 1x{out} "


def _heads_on(layers: tuple[int, ...], filters: int, anchors: str, activation: str) -> Rows:
    rows: Rows = []
    for number, layer in enumerate(layers):
        rows += [f"head on layer {layer}", *plan(f"@{layer} {filters << number}", activation)]
        rows += head(anchors, 3 * number, SCALED_LOSS, **smooth("1.0", 2))
    return rows


def yolov7_tiny() -> Rows:
    """Four stages, windows, up and down."""

    def stage(filters: int) -> str:
        return elan(filters, filters, 2, "-5,-3,-2,-1", 2 * filters)

    return [
        *plan("32/2 64/2 " + "M ".join(map(stage, (32, 64, 128, 256)))),
        "the widest windows",
        *plan(f"1x256 @-2 1x256 {PYRAMID} 1x256 @-10,-1 1x256"),
        "up to cells a quarter as large",
        *plan(f"1x128 U @24 1x128 @-1,-3 {stage(64)} 1x64 U @16 1x64 @-1,-3 {stage(32)}"),
        "down again, joined by those on the way up",
        *plan(f"128/2 @-1,56 {stage(64)} 256/2 @-1,44 {stage(128)}"),
        *_heads_on((68, 77, 86), 128, ANCHORS_V3, "leaky"),
    ]


def _smaller(filters: int, *joined: int) -> str:
    """Cells twice as large in two ways, by a maximum and by a stride, beside those of other layers."""
    return f"M 1x{filters} @-3 1x{filters} {filters}/2 @{','.join(map(str, (-1, -4, *joined)))} "


def yolov7(x: bool = False) -> Rows:
    """The one, and `x` the larger: wider, with two more convolutions in each stage."""
    unit, count, taps = (80, 6, "-1,-3,-5,-7,-9") if x else (64, 4, "-1,-3,-5,-7")
    fine, middle, large = 2 * unit, 4 * unit, 8 * unit

    def neck(filters: int) -> str:
        if x:
            return elan(filters * 4 // 5, filters * 4 // 5, count, taps, filters)
        return elan(filters, filters // 2, count, "-1,-2,-3,-4,-5,-7", filters)

    body = f"{unit // 2} {unit}/2 {unit} {fine}/2 " + elan(64, 64, count, taps, middle)
    body += _smaller(fine) + elan(128, 128, count, taps, large)
    body += _smaller(middle) + elan(256, 256, count, taps, 2 * large)
    body += _smaller(large) + elan(256, 256, count, taps, 2 * large)
    finer, finest, up, down = (48, 31, 96, 80) if x else (42, 27, 86, 72)
    way_up = f"1x{middle} U @{finer} 1x{middle} @-1,-3 {neck(middle)}1x{fine} U @{finest} 1x{fine} @-1,-3 {neck(fine)}"
    way_down = _smaller(fine, up) + neck(middle) + _smaller(middle, down) + neck(large)
    return [
        *plan(body, "swish"),
        "the widest windows",
        *plan(_pyramid(large, pyramid="M5/1 @-2 M9/1 @-4 M13/1 @-6,-5,-3,-1"), "swish"),
        "up to cells a quarter as large",
        *plan(way_up, "swish"),
        "down again, joined by those on the way up",
        *plan(way_down, "swish"),
        *_heads_on((112, 129, 146) if x else (100, 115, 130), middle, ANCHORS_V4, "swish"),
    ]


# -------------------------------------------------------------------------------------------------- small networks


def _partial(joined: int, random: int) -> Rows:
    """Two heads whose convolutions are added to a part of what they look at (partial residual networks)."""
    return [
        *head(ANCHORS_V3_TINY, 3, V3_LOSS, random=random),
        f"cells half as large, joined by layer {joined}'s",
        *plan(f"@-4 1x128 U +{joined}a 128 +-3a +{joined}a"),
        *head(ANCHORS_V3_TINY, 1, V3_LOSS, random=random),
    ]


def yolov3_tiny_prn() -> Rows:
    """YOLOv3's tiny body."""
    return [*plan(f"{TINY} m 512 +-3a"), "large objects", *plan("1x256 256 +-2a"), *_partial(8, 1)]


def point(filters: int, activation: str = "linear") -> Section:
    """A 1x1 convolution, batch-normalized."""
    kind, options = conv(filters, 1, 1, activation)
    return kind, options | {"pad": 0}


def past(probability: str, layer: int) -> Rows:
    """Dropout, and the sum with what the block began with."""
    return [("dropout", {"probability": probability}), shortcut(layer)]


def _squeezed(filters: int, squeezed: int, out: int, size: int = 3, stride: int = 1) -> Rows:
    """A depthwise convolution, each channel then scaled by what all of them hold on average (arXiv:1709.01507)."""

    def scale(number: int, activation: str) -> Section:
        return "convolutional", {"filters": number, "size": 1, "stride": 1, "activation": activation}

    rows: Rows = [point(filters, "swish"), conv(filters, size, stride, "swish", filters), ("avgpool", {})]
    rows += [scale(squeezed, "swish"), scale(filters, "logistic"), ("scale_channels", {"from": -4})]
    return [*rows, point(out)]


def enet() -> Rows:
    """EfficientNet-B0 (arXiv:1905.11946) with the heads of a partial residual network."""
    rows = plan("32/2", "swish")
    blocks = ((32, 8, 16, 3, 1, 0), (96, 16, 24, 3, 2, 0), (144, 8, 24, 3, 1, 1), (144, 8, 40, 5, 2, 0))
    blocks += ((192, 16, 40, 5, 1, 1), (192, 16, 80, 3, 1, 0), (384, 24, 80, 3, 1, 1), (384, 24, 80, 3, 1, 1))
    blocks += ((384, 24, 112, 5, 2, 0), (576, 32, 112, 5, 1, 1), (576, 32, 112, 5, 1, 1), (576, 32, 192, 5, 2, 0))
    blocks += ((960, 64, 192, 5, 1, 1),) * 3 + ((960, 64, 320, 3, 1, 0),)
    for filters, squeezed, out, size, stride, same in blocks:
        rows += _squeezed(filters, squeezed, out, size, stride) + (past(".0", -9) if same else [])
    return [*rows, point(1280, "swish"), "large objects", *plan("1x256 256 +-2a"), *_partial(90, 0)]


FASTEST_STAGES = ((8, 1, 4, 8, 1), (24, 2, 8, 32, 2), (32, 2, 8, 48, 2), (48, 1, 16, 96, 4), (96, 2, 24, 136, 4))
FASTEST_STAGES += ((136, 2, 48, 224, 5),)
"""Filters, stride and channels of the block that begins a stage; filters and number of the residual ones after it."""


def yolo_fastest(times: int, drop: str, fine: int) -> Rows:
    """Depthwise convolutions throughout, `times` as many channels as FASTEST_STAGES says."""

    def block(filters: int, out: int, stride: int = 1) -> Rows:
        wide = filters * times
        return [point(wide, "leaky"), conv(wide, 3, stride, "leaky", wide), point(out * times)]

    rows = plan(f"{8 * times}/2")
    for filters, stride, out, wide, count in FASTEST_STAGES:
        rows += block(filters, out, stride) + [*block(wide, out), *past(drop, -5)] * count
    return [
        *rows,
        "windows of 3, 5 and 9 cells",
        *plan("M3/1 @-2 M5/1 @-4 M9/1 @-1,-3,-5,-6"),
        point(96, "leaky"),
        *plan("5x96g 1x96= 5x96g 1x96="),
        *head(ANCHORS_FASTEST, 3, FASTEST_LOSS, scale_x_y="1.0"),
        "cells half as large, joined by layer 80's",
        *plan(f"@-7 U @-1,80 5x{fine}g 1x{fine}= 5x{fine}g 1x{fine}="),
        *head(ANCHORS_FASTEST, 0, FASTEST_LOSS, scale_x_y="1.00"),
    ]


# --------------------------------------------------------------------------------------------- this project's own

ANCHORS_CELLS = "26,26, 65,54, 63,69, 78,72, 140,127"  # `anchors BCCD --size 416x320`
CELLS_LOSS: dict[str, object] = {"jitter": ".2", "scale_x_y": "1.05", "ignore_thresh": ".7", "truth_thresh": 1}
CELLS_LOSS |= {"iou_thresh": "0.213", **_CIOU, "random": 0, **_GREEDY}


def cells_ciou() -> Rows:
    """Two heads for three kinds of blood cells: white and the larger red ones, then the others and platelets."""
    return [
        *plan("16 M 32 M 64 1x32 64 M 128 1x64 128"),
        "cells of 16 pixels",
        *plan("M 256 1x128 256 1x128 256"),
        *head(ANCHORS_CELLS, 2, CELLS_LOSS, classes=3),
        "cells half as large, joined by layer 10's",
        *plan("@-3 1x64 U @-1,10 128 1x64 128"),
        *head(ANCHORS_CELLS, 0, CELLS_LOSS, each=2, classes=3),
    ]


# ---------------------------------------------------------------------------------------------------------- training

COLOURS = {"angle": 0, "saturation": 1.5, "exposure": 1.5, "hue": 0.1}


def _net(size: int, subdivisions: int, batches: int, rate: float = 0.001, batch: int = 64, **more: object) -> Section:
    schedule = steps(batches, f"{batches // 100_000 * 80_000},{batches // 100_000 * 90_000}", rate=rate)
    return net(size, batch, subdivisions, **{**COLOURS, **schedule, "burn_in": 1000, **more})


_P5 = [(32, 1), (64, 3), (128, 15), (256, 15), (512, 7)]
_SCALED = {"momentum": 0.949, "mosaic": 1, "letter_box": 1}
_EMA = {**_SCALED, "ema_alpha": 0.9998}

NETWORKS: dict[str, tuple[Section, Rows]] = {
    "yolov3-tiny-prn": (_net(416, 8, 500_200), yolov3_tiny_prn()),
    "csresnext50-panet-spp": (_net(512, 16, 500_500), csresnext50()),
    "enet-coco": (_net(416, 8, 500_200), enet()),
    "yolov4": (_net(608, 8, 500_500, 0.0013, momentum=0.949, mosaic=1), yolov4()),
    "yolov4-tiny": (_net(416, 1, 2_000_200, 0.00261), yolov4_tiny(ANCHORS_V3_TINY, (3, 1))),
    "yolov4-tiny-3l": (_net(608, 1, 500_200, 0.00261), yolov4_tiny(ANCHORS_V4, (6, 3, 0))),
    "yolov4-csp": (_net(512, 8, 500_500, **_EMA), yolov4_csp(64, (2, 8, 8, 4), (79, 48, 20, 49), 2)),
    "yolov4x-mish": (_net(640, 8, 500_500, **_SCALED), yolov4_csp(80, (3, 10, 10, 5), (94, 57, 22, 55), 3)),
    "yolov4-p5": (
        _net(896, 8, 500_500, **_EMA),
        yolov4_large(ANCHORS_P5, _P5, [(256, 130), (128, 78)], [(256, 189), (512, 173)], [205, 218, 231]),
    ),
    "yolov4-p6": (
        _net(1280, 8, 500_500, **_EMA),
        yolov4_large(
            ANCHORS_P6,
            [*_P5, (512, 7)],
            [(512, 158), (256, 130), (128, 78)],
            [(256, 233), (512, 217), (512, 201)],
            [249, 262, 275, 288],
        ),
    ),
    "yolov7-tiny": (_net(416, 1, 2_000_200, 0.00261), yolov7_tiny()),
    "yolov7": (_net(640, 1, 2_000_200, 0.00261, 8), yolov7()),
    "yolov7x": (_net(640, 1, 2_000_200, 0.00261, 8), yolov7(x=True)),
    "yolo-fastest-1.1": (_net(320, 1, 500_000, batch=32, momentum=0.949, burn_in=4000), yolo_fastest(1, ".15", 120)),
    "yolo-fastest-1.1-xl": (_net(320, 1, 500_000, batch=32, momentum=0.949, burn_in=4000), yolo_fastest(2, ".2", 144)),
}
