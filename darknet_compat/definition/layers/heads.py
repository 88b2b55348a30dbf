"""The sections that give a network's answers: softmax, logistic, region, yolo, Gaussian_yolo, detection, iseg."""

from __future__ import annotations

from typing import Any

from darknet_compat.definition import spec
from darknet_compat.definition.context import Context, Lowering
from darknet_compat.definition.other_tools import ASFF
from darknet_compat.definition.spec import LayerSpec
from darknet_compat.formats.cfg import SectionOptions
from darknet_compat.formats.metadata import read_map
from darknet_compat.formats.textfile import count, plain, shown
from darknet_compat.formats.wordtree import WordTree, read_tree

_DEFAULT_ANCHOR = 0.5
_MAX_ANCHORS = 1024


def softmax(options: SectionOptions, context: Context) -> LayerSpec:
    """[softmax]: output of the input's size."""
    inputs = context.input.size
    groups = options.integer("groups", 1, minimum=1)
    if inputs % groups:
        raise options.error(f"groups={groups} does not divide its {count(inputs, 'input')}", "groups")
    temperature = options.real("temperature", 1.0)
    if temperature == 0:
        raise options.error("temperature=0 would divide by zero", "temperature")
    # Without `spatial` the original forgets height and width here; with it (GPU build only) they matter.
    spatial = options.real("spatial", 0.0) != 0
    output = context.image(options) if spatial else spec.flat(inputs)
    return spec.Softmax(
        **context.common(options, output),
        groups=groups,
        temperature=temperature,
        tree=_tree(options, context, inputs, "inputs"),
        spatial=spatial,
        noloss=options.flag("noloss"),
    )


def logistic(options: SectionOptions, context: Context) -> LayerSpec:
    """Same shape as its input."""
    return spec.Logistic(**context.common(options, context.input))


def region(options: SectionOptions, context: Context) -> LayerSpec:
    """num · (coords + 1 + classes) channels."""
    options.without_effect("classfix", 0.0)  # the original reads it and forgets it
    coords = options.integer("coords", 4, minimum=4)
    classes = options.integer("classes", 20, minimum=1)
    num = options.integer("num", 1, minimum=1, maximum=_MAX_ANCHORS)
    _expect_channels(options, context, "num, coords or classes", num, coords + 1 + classes)
    return spec.Region(
        **context.common(options, context.image(options)),
        **_boxes(options, context.dialect.region_max),
        **_scales(options),
        **_suppression(options),
        classes=classes,
        coords=coords,
        num=num,
        anchors=_anchors(options, context, num),
        softmax=options.flag("softmax"),
        background=options.flag("background"),
        tree=_tree(options, context, classes, "classes"),
        map=_map(options, context, classes),
        rescore=options.flag("rescore"),
        thresh=options.real("thresh", 0.5),
        bias_match=options.flag("bias_match"),
        mask_scale=options.real("mask_scale", 1.0),
        logistic=context.dialect.region_logistic,
        raw_deltas=context.dialect.region_raw,
        focal_loss=options.flag("focal_loss"),
    )


def yolo(options: SectionOptions, context: Context) -> LayerSpec:
    """(number of masks) · (4 + 1 + classes) channels."""
    if options.has("embedding_layer"):  # of vectors for tracking, which is refused where it is not there
        context.earlier(options, "embedding_layer", options.integer("embedding_layer", -1))
    return spec.Yolo(
        **_yolo(options, context, numbers=5),
        new_coords=options.flag("new_coords"),
        focal_loss=options.flag("focal_loss"),
    )


def gaussian_yolo(options: SectionOptions, context: Context) -> LayerSpec:
    """(number of masks) · (8 + 1 + classes) channels."""
    return spec.GaussianYolo(
        **_yolo(options, context, numbers=9),
        yolo_point=_choice(options, "yolo_point", ("center", "left_top", "right_bottom")),
        uc_normalizer=options.real("uc_normalizer", 1.0),
    )


def _yolo(options: SectionOptions, context: Context, numbers: int) -> dict[str, Any]:
    """What [yolo] and [Gaussian_yolo] share; a box has `numbers` and then its classes."""
    classes = options.integer("classes", 20, minimum=1)
    total = options.integer("num", 1, minimum=1, maximum=_MAX_ANCHORS)
    mask = options.integers("mask", context.dialect.list_end) or tuple(range(total))
    anchors = _anchors(options, context, total, mask)
    total = len(anchors)
    if not all(0 <= number < total for number in mask):
        raise options.error(f"mask: expected anchors 0 to {total - 1}, found {plain(options.text('mask'))}", "mask")
    if options.section.find("from") and context.image(options).c != len(mask) * (numbers + classes):
        raise options.error(f"from= is no word of Darknet's [yolo]; this seems to be {ASFF}", "from")
    _expect_channels(options, context, "num, mask or classes", len(mask), numbers + classes)
    counters = options.integers("counters_per_class")
    if counters and len(counters) != classes:
        raise options.error(
            f"counters_per_class: expected a number for each of {count(classes, 'class')}, found {len(counters)}",
            "counters_per_class",
        )
    return {
        **context.common(options, context.image(options)),
        **_boxes(options, context.dialect.yolo_max),
        **_suppression(options, corners=numbers == 9),
        "classes": classes,
        "anchors": anchors,
        "mask": mask,
        "map": _map(options, context, None),
        "ignore_thresh": options.real("ignore_thresh", 0.5),
        "truth_thresh": options.real("truth_thresh", 1.0),
        "scale_x_y": options.real("scale_x_y", 1.0),
        "resize": options.real("resize", 1.0),
        "iou_thresh": options.real("iou_thresh", 1.0),
        "iou_thresh_kind": _choice(options, "iou_thresh_kind", ("iou", "giou", "diou", "ciou")),
        "iou_loss": _choice(options, "iou_loss", ("mse", "iou", "giou", "diou", "ciou"), other="iou"),
        "iou_normalizer": options.real("iou_normalizer", context.dialect.iou_normalizer),
        **{key: options.real(key, 1.0) for key in ("obj_normalizer", "cls_normalizer", "delta_normalizer")},
        "max_delta": options.real("max_delta", 0.0) if options.has("max_delta") else None,
        "objectness_smooth": options.flag("objectness_smooth"),
        "label_smooth_eps": options.real("label_smooth_eps", 0.0),
        "counters_per_class": counters,
        "show_details": options.flag("show_details", default=True),
    }


def _choice(options: SectionOptions, key: str, known: tuple[str, ...], other: str | None = None) -> Any:
    """One of the words `known`, the first without the option; any other word is taken for `other`, or for the first."""
    word = options.text(key, known[0])
    if word in known:
        return word
    taken = other or known[0]
    options.note(f"unknown {key} {shown(word)} is taken for {taken}", key)
    return taken


def _suppression(options: SectionOptions, corners: bool = False) -> dict[str, Any]:
    """How its boxes suppress others; cornersnms is [Gaussian_yolo]'s alone."""
    kinds = ("default", "greedynms", "diounms", *(["cornersnms"] if corners else []))
    return {"nms_kind": _choice(options, "nms_kind", kinds), "beta_nms": options.real("beta_nms", 0.6)}


def detection(options: SectionOptions, context: Context) -> LayerSpec:
    """side² · (num · (1 + coords) + classes) values."""
    options.without_effect("reorg", 0.0)
    coords = options.integer("coords", 1, minimum=1)
    classes = options.integer("classes", 1, minimum=0)
    num = options.integer("num", 1, minimum=1)
    side = options.integer("side", 7, minimum=1)
    expected = side * side * (num * (1 + coords) + classes)
    if expected != context.input.size:
        raise options.error(f"needs side²·(num·(1+coords)+classes) = {expected} inputs, found {context.input.size}")
    return spec.Detection(
        **context.common(options, spec.flat(expected)),
        **_boxes(options, context.dialect.yolo_max),
        **_scales(options),
        classes=classes,
        coords=coords,
        num=num,
        side=side,
        softmax=options.flag("softmax"),
        sqrt=options.flag("sqrt"),
        forced=options.flag("forced"),
        rescore=options.flag("rescore"),
    )


def iseg(options: SectionOptions, context: Context) -> LayerSpec:
    """classes + ids channels."""
    classes = options.integer("classes", 20, minimum=1)
    ids = options.integer("ids", 32, minimum=0)
    _expect_channels(options, context, "classes or ids", 1, classes + ids)
    return spec.Iseg(**context.common(options, context.image(options)), classes=classes, ids=ids)


def _expect_channels(options: SectionOptions, context: Context, given: str, boxes: int, values: int) -> None:
    """Refuse an input that has not `boxes` x `values` channels, which the options `given` ask for."""
    image = context.image(options)
    if image.c != boxes * values:
        raise options.error(
            f"needs {boxes} x {values} = {boxes * values} channels, found {image.c}; "
            f"set filters={boxes * values} in the layer before, or correct {given}"
        )


def _anchors(
    options: SectionOptions, context: Context, num: int, mask: tuple[int, ...] = ()
) -> tuple[tuple[float, float], ...]:
    """`num` pairs (width, height), each 0.5 where it is missing.

    More than `num` are the fork's, which passes over them, and reads beyond its memory where `mask` names one: such a
    one counts here as it is listed.
    """
    values = options.reals("anchors", context.dialect.list_end)
    if len(values) == 2 * num + 1 and options.text("anchors").endswith(","):
        values = values[:-1]  # the one that the original writes beyond its array
    if len(values) > 2 * num and context.dialect.most_anchors:
        raise options.error(f"anchors: expected 2 x num = {2 * num} numbers, found {len(values)}", "anchors")
    if num <= max(mask, default=0) < len(values) // 2:
        options.note(f"num={num}, but mask names anchor {max(mask)} of those listed, which is taken", "mask")
        num = max(mask) + 1
    if values and len(values) != 2 * num:
        rest = "the others count for nothing" if len(values) > 2 * num else f"missing ones are {_DEFAULT_ANCHOR}"
        options.note(f"anchors: 2 x num = {2 * num} numbers count, found {len(values)}; {rest}", "anchors")
    values = (values + (_DEFAULT_ANCHOR,) * (2 * num))[: 2 * num]
    return tuple(zip(values[::2], values[1::2], strict=True))


def _boxes(options: SectionOptions, default_max: int) -> dict[str, Any]:
    """What all heads with boxes share for training."""
    return {
        "max_boxes": options.integer("max", default_max, minimum=0),
        "jitter": options.real("jitter", 0.2),
        "random": options.real("random", 0.0),
    }


def _scales(options: SectionOptions) -> dict[str, Any]:
    """The weights of the parts of the loss."""
    return {key: options.real(key, 1.0) for key in ("object_scale", "noobject_scale", "class_scale", "coord_scale")}


def _tree(options: SectionOptions, context: Context, number: int, what: str) -> WordTree | None:
    if (path := context.file(options, "tree")) is None:
        return None
    tree = read_tree(path)
    if len(tree) != number:
        raise options.error(f"tree: {path} has {len(tree)} nodes, but there are {number} {what}", "tree")
    return tree


def _map(options: SectionOptions, context: Context, classes: int | None) -> tuple[int, ...] | None:
    path = context.file(options, "map")
    return None if path is None else read_map(path, classes)


LOWERINGS: dict[str, Lowering] = {
    "softmax": softmax,
    "soft": softmax,
    "logistic": logistic,
    "region": region,
    "yolo": yolo,
    "Gaussian_yolo": gaussian_yolo,
    "detection": detection,
    "iseg": iseg,
}
"""Section type, in each of its spellings → its function."""
