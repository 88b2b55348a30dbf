"""Layers that look through a window: convolutions, pooling, crops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from darknet_compat.definition import spec
from darknet_compat.definition.context import Context, Lowering, activation
from darknet_compat.definition.spec import BLURS, LayerSpec, Shape
from darknet_compat.formats.cfg import SectionOptions
from darknet_compat.formats.textfile import count


def _window(options: SectionOptions, length: int, size: int, stride: int, padding: int) -> int:
    """How often a window of `size` fits into `length` with `padding` in all."""
    if length + padding < size:
        raise options.error(f"size={size} is larger than the input, {length} with padding {padding}")
    return (length + padding - size) // stride + 1


def _places(
    options: SectionOptions, sides: Sequence[int], strides: Sequence[int], size: int, padding: int
) -> list[int]:
    """Height and width after windows of `size`, and after the filter of antialiasing, which then has the strides."""
    if not (kind := _antialiasing(options)):
        return [_window(options, side, size, step, padding) for side, step in zip(sides, strides, strict=True)]
    whole = [_window(options, side, size, 1, padding) for side in sides]
    blur, around = BLURS[kind]
    return [_window(options, side, blur, step, 2 * around) for side, step in zip(whole, strides, strict=True)]


def _antialiasing(options: SectionOptions) -> int:
    """0, 1 or 2; the fork takes all others for 1."""
    kind = options.integer("antialiasing", 0)
    return kind if kind in (0, *BLURS) else 1


def _strides(options: SectionOptions) -> dict[str, Any]:
    """stride_x and stride_y, the fork's, or else stride."""
    stride = options.integer("stride", 1, minimum=1)
    given = {key: options.integer(key, stride) for key in ("stride_x", "stride_y")}
    return {key: value if value > 0 else stride for key, value in given.items()}


def convolutional(options: SectionOptions, context: Context) -> LayerSpec:
    """Output (w + 2·padding - size)/stride + 1, whatever the dilation; `pad=1` means padding size/2."""
    image = context.image(options)
    filters = options.integer("filters", 1, minimum=1)
    size = options.integer("size", 1, minimum=1)
    strides = _strides(options)
    padding = _padding(options, size)
    groups = _groups(options, context, filters)
    dilation = options.integer("dilation", 1, minimum=1)
    dilation = 1 if size == 1 else dilation
    if dilation > 1 and 2 * padding != size - 1:
        raise options.error(
            f"dilation={dilation} with size={size} and padding={padding}: what the fork computes there is no"
            " convolution; it needs pad=1 and an odd size",
            "dilation",
        )
    step = (strides["stride_y"], strides["stride_x"])
    height, width = _places(options, (image.h, image.w), step, size, 2 * padding)
    common = context.common(options, Shape(filters, height, width))
    if common["numload"] > filters:
        raise options.error(f"numload={common['numload']} is more than filters={filters}", "numload")
    if groups > 1 and options.flag("flipped"):
        raise options.error("flipped weights and groups: the original reads such ones beyond their array", "flipped")
    xnor = options.flag("xnor")
    layer = spec.Convolutional(
        **common,
        **strides,
        filters=filters,
        size=size,
        padding=padding,
        groups=groups,
        activation=activation(options, context, "logistic"),
        batch_normalize=options.flag("batch_normalize") or options.flag("cbn"),
        binary=options.flag("binary"),
        xnor=xnor,
        flipped=options.flag("flipped"),
        dilation=dilation,
        antialiasing=_antialiasing(options),
        xnor_padding=context.dialect.xnor_padding if xnor else 0.0,
        bin_output=options.flag("bin_output") and xnor,
        uniform=context.dialect.uniform_weights,
    )
    if options.has("share_index"):
        return _shared(options, context, layer)
    context.weigh(options, filters, image.c // groups, size, size)
    return layer


def _padding(options: SectionOptions, size: int) -> int:
    """Cells on every side."""
    padding = options.integer("padding", 0, minimum=0)
    return size // 2 if options.flag("pad") else padding


def _groups(options: SectionOptions, context: Context, filters: int) -> int:
    """In how many parts channels and filters are convolved, each by itself."""
    lenient = context.dialect.lenient_groups
    groups = options.integer("groups", 1, minimum=None if lenient else 1)
    if lenient and (groups < 1 or options.flag("xnor")):
        return 1
    channels = context.image(options).c
    if channels % groups or filters % groups:
        raise options.error(
            f"groups={groups} does not divide both channels ({channels}) and filters ({filters})", "groups"
        )
    return groups


def _shared(options: SectionOptions, context: Context, layer: spec.Convolutional) -> LayerSpec:
    """The layer with another's weights (fork: share_index)."""
    index = context.earlier(options, "share_index", options.integer("share_index", 0))
    owner = context.layers[index]
    if not isinstance(owner, spec.Convolutional):
        raise options.error(f"layer {index} is no [convolutional] but [{owner.type}]", "share_index")
    same = ("filters", "size", "groups")
    if owner.input.c != layer.input.c or any(getattr(owner, key) != getattr(layer, key) for key in same):
        found, wanted = (
            f"{count(one.filters, 'filter')} of {count(one.input.c, 'channel')}, size {one.size}, groups {one.groups}"
            for one in (owner, layer)
        )
        raise options.error(f"layer {index} has {found}; this one {wanted}", "share_index")
    return replace(
        layer,
        share_index=index if owner.share_index is None else owner.share_index,
        batch_normalize=owner.batch_normalize,
    )


def deconvolutional(options: SectionOptions, context: Context) -> LayerSpec:
    """Output (w - 1)·stride + size - 2·padding."""
    image = context.image(options)
    filters = options.integer("filters", 1, minimum=1)
    size = options.integer("size", 1, minimum=1)
    stride = options.integer("stride", 1, minimum=1)
    padding = _padding(options, size)
    height, width = ((side - 1) * stride + size - 2 * padding for side in (image.h, image.w))
    context.weigh(options, filters, image.c, size, size)
    return spec.Deconvolutional(
        **context.common(options, Shape(filters, height, width)),
        filters=filters,
        size=size,
        stride=stride,
        padding=padding,
        activation=activation(options, context, "logistic"),
        batch_normalize=options.flag("batch_normalize"),
    )


def local(options: SectionOptions, context: Context) -> LayerSpec:
    """Output (w - 1)/stride + 1 with `pad`, else (w - size)/stride + 1; the padding itself is `pad` cells."""
    image = context.image(options)
    filters = options.integer("filters", 1, minimum=1)
    size = options.integer("size", 1, minimum=1)
    stride = options.integer("stride", 1, minimum=1)
    pad = options.integer("pad", 0, minimum=0)
    sides = [_window(options, side, size, stride, 2 * pad) for side in (image.h, image.w)]
    if pad and sides != [(side - 1) // stride + 1 for side in (image.h, image.w)]:
        raise options.error(
            f"pad={pad} with size={size}: the original sizes such a layer in two ways that differ", "pad"
        )
    context.weigh(options, filters, image.c, size, size, *sides)
    return spec.Local(
        **context.common(options, Shape(filters, sides[0], sides[1])),
        filters=filters,
        size=size,
        stride=stride,
        padding=pad,
        activation=activation(options, context, "logistic"),
    )


def maxpool(options: SectionOptions, context: Context) -> LayerSpec:
    """Output (w + padding - size)/stride + 1, padding size-1 by default."""
    image = context.image(options)
    if options.flag("maxpool_depth"):
        channels = options.integer("out_channels", 1, minimum=1, maximum=image.c)
        for ignored in ("size", "stride", "stride_x", "stride_y", "padding"):
            options.integer(ignored, 0)
        return spec.MaxpoolDepth(**context.common(options, Shape(channels, image.h, image.w)), out_channels=channels)
    pool = _pool(options, context)
    height, width = _places(options, (image.h, image.w), pool.pop("step"), pool["size"], pool["padding"])
    common = context.common(options, Shape(image.c, height, width))
    return spec.Maxpool(**common, **pool, antialiasing=_antialiasing(options))


def local_avgpool(options: SectionOptions, context: Context) -> LayerSpec:
    """[local_avgpool]: windows as a maxpool's."""
    image = context.image(options)
    pool = _pool(options, context)
    height, width = _places(options, (image.h, image.w), pool.pop("step"), pool["size"], pool["padding"])
    return spec.LocalAvgpool(**context.common(options, Shape(image.c, height, width)), **pool)


def _pool(options: SectionOptions, context: Context) -> dict[str, Any]:
    """The window of a pooling layer; `step` are its strides down and across."""
    strides = _strides(options)
    size = options.integer("size", options.integer("stride", 1, minimum=1), minimum=1)
    padding = options.integer("padding", size - 1, minimum=0)
    image = context.image(options)
    context.hold(options, f"padding {padding}", image.c * (image.h + padding) * (image.w + padding))
    return {**strides, "step": (strides["stride_y"], strides["stride_x"]), "size": size, "padding": padding}


def avgpool(options: SectionOptions, context: Context) -> LayerSpec:
    """Output 1x1."""
    return spec.Avgpool(**context.common(options, Shape(context.image(options).c)))


def crop(options: SectionOptions, context: Context) -> LayerSpec:
    """Output crop_height x crop_width."""
    image = context.image(options)
    for key, neutral in (("angle", 0.0), ("saturation", 1.0), ("exposure", 1.0), ("shift", 0.0)):
        options.without_effect(key, neutral)  # pictures are augmented before they come here
    height = options.integer("crop_height", 1, minimum=1, maximum=image.h)
    width = options.integer("crop_width", 1, minimum=1, maximum=image.w)
    return spec.Crop(
        **context.common(options, Shape(image.c, height, width)),
        flip=options.flag("flip"),
        noadjust=options.flag("noadjust"),
    )


LOWERINGS: dict[str, Lowering] = {
    "convolutional": convolutional,
    "conv": convolutional,
    "deconvolutional": deconvolutional,
    "deconv": deconvolutional,
    "local": local,
    "maxpool": maxpool,
    "max": maxpool,
    "local_avgpool": local_avgpool,
    "local_avg": local_avgpool,
    "avgpool": avgpool,
    "avg": avgpool,
    "crop": crop,
}
"""Section type, in each of its spellings → its function."""
