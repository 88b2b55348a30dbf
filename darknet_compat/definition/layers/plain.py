"""Layers that change each value by itself, or where it stands: normalization, activation, rearranging."""

from __future__ import annotations

from typing import Literal, cast

from darknet_compat.definition import spec
from darknet_compat.definition.context import Context, Lowering, activation
from darknet_compat.definition.spec import LayerSpec, Shape, flat
from darknet_compat.formats.cfg import SectionOptions
from darknet_compat.formats.textfile import count, shown


def connected(options: SectionOptions, context: Context) -> LayerSpec:
    """The original gives it a 1x1 image as output."""
    outputs = options.integer("output", 1, minimum=1)
    context.weigh(options, outputs, context.input.size)
    return spec.Connected(
        **context.common(options, Shape(outputs)),
        activation=activation(options, context, "logistic"),
        batch_normalize=options.flag("batch_normalize"),
    )


def batchnorm(options: SectionOptions, context: Context) -> LayerSpec:
    """Same shape as its input."""
    common = context.common(options, context.image(options))
    return spec.Batchnorm(**common, biases=context.dialect.batchnorm_biases)


def activation_layer(options: SectionOptions, context: Context) -> LayerSpec:
    """Same shape as its input."""
    return spec.Activation(**context.common(options, context.input), activation=activation(options, context, "linear"))


def dropout(options: SectionOptions, context: Context) -> LayerSpec:
    """Same shape as its input, whose memory it shares in the original."""
    return spec.Dropout(
        **context.common(options, context.input),
        probability=options.real("probability", context.dialect.dropout, minimum=0.0, maximum=1.0),
    )


def normalization(options: SectionOptions, context: Context) -> LayerSpec:
    """Same shape as its input."""
    image = context.image(options)
    size = options.integer("size", 5, minimum=1)
    if size // 2 > image.c:
        raise options.error(f"size={size} reaches beyond the {count(image.c, 'channel')}", "size")
    return spec.Normalization(
        **context.common(options, image),
        size=size,
        alpha=options.real("alpha", 0.0001),
        beta=options.real("beta", 0.75),
        kappa=options.real("kappa", 1.0),
    )


def l2norm(options: SectionOptions, context: Context) -> LayerSpec:
    """Same shape as its input."""
    return spec.L2norm(**context.common(options, context.image(options)))


def upsample(options: SectionOptions, context: Context) -> LayerSpec:
    """Output w·stride; w/stride where stride is negative."""
    image = context.image(options)
    stride = options.integer("stride", 2)
    step = abs(stride)
    if stride < 0 and not (image.h % step or image.w % step):
        output = Shape(image.c, image.h // step, image.w // step)
    elif stride > 0:
        output = Shape(image.c, image.h * step, image.w * step)
    else:
        raise options.error(f"stride={stride} does not fit the input {image}", "stride")
    common = context.common(options, output)
    return spec.Upsample(**common, stride=step, reverse=stride < 0, scale=options.real("scale", 1.0))


def reorg(options: SectionOptions, context: Context) -> LayerSpec:
    """Blocks of stride x stride cells to channels, or back with `reverse`; `extra` appends that many zeros."""
    image = context.image(options)
    stride = options.integer("stride", 1, minimum=1)
    reverse, extra = options.flag("reverse"), options.integer("extra", 0, minimum=0)
    flatten = options.flag("flatten")
    if flatten and extra:
        raise options.error("flatten and extra together make the original read beyond its memory", "extra")
    block = stride * stride
    if extra:
        output = flat(image.size + extra)
    elif image.c % block or (not reverse and (image.h % stride or image.w % stride)):
        raise options.error(f"stride={stride} does not divide the input {image} evenly", "stride")
    elif reverse:
        output = Shape(image.c // block, image.h * stride, image.w * stride)
    else:
        output = Shape(image.c * block, image.h // stride, image.w // stride)
    return spec.Reorg(**context.common(options, output), stride=stride, reverse=reverse, flatten=flatten, extra=extra)


def reorg3d(options: SectionOptions, context: Context) -> LayerSpec:
    """Blocks of stride x stride cells to channels; `reverse` reads and writes other shapes of the same memory."""
    image = context.image(options)
    stride, reverse = options.integer("stride", 1, minimum=1), options.flag("reverse")
    block = stride * stride
    if (image.c % block**2) if reverse else (image.h % stride or image.w % stride):
        raise options.error(f"stride={stride} does not divide the input {image} evenly", "stride")
    if reverse:
        output = Shape(image.c // block, image.h * stride, image.w * stride)
    else:
        output = Shape(image.c * block, image.h // stride, image.w // stride)
    return spec.Reorg3d(**context.common(options, output), stride=stride, reverse=reverse)


def empty(options: SectionOptions, context: Context) -> LayerSpec:
    """Same shape as its input, which it passes on."""
    return spec.Empty(**context.common(options, context.input))


def contrastive(options: SectionOptions, context: Context) -> LayerSpec:
    """The fork's loss of a [yolo]'s embeddings; as many values as its input, which mean nothing outside training."""
    number = options.integer("yolo_layer", 0)
    index = context.earlier(options, "yolo_layer", number)
    if not isinstance(context.layers[index], spec.Yolo):
        raise options.error(f"layer {index} is no [yolo] but [{context.layers[index].type}]", "yolo_layer")
    return spec.Contrastive(**context.common(options, context.input))


def cost(options: SectionOptions, context: Context) -> LayerSpec:
    """[cost]: output of the input's size."""
    kind = options.text("type", "sse")
    if kind not in ("sse", "masked", "L1", "seg", "smooth", "wgan"):
        options.note(f"unknown type {shown(kind)} is taken for sse", "type")
        kind = "sse"
    return spec.Cost(
        **context.common(options, flat(context.input.size)),
        cost=cast(Literal["sse"], kind),
        scale=options.real("scale", 1.0),
        ratio=options.real("ratio", 0.0),
        noobj=options.real("noobj", 1.0),
        thresh=options.real("thresh", 0.0),
    )


LOWERINGS: dict[str, Lowering] = {
    "connected": connected,
    "conn": connected,
    "batchnorm": batchnorm,
    "activation": activation_layer,
    "dropout": dropout,
    "normalization": normalization,
    "lrn": normalization,
    "l2norm": l2norm,
    "upsample": upsample,
    "reorg": reorg,
    "reorg3d": reorg3d,
    "empty": empty,
    "silence": empty,
    "cost": cost,
    "contrastive": contrastive,
}
"""Section type, in each of its spellings → its function."""
