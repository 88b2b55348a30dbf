"""One function a section: options and the layers before → the layer's spec.

Each follows the original's `parse_*` (options, defaults) and `make_*_layer` (shapes). To add a layer: its spec in
`spec`, its function and its row of `LOWERINGS` here, its slots in `weights` if it has weights, its module in
`network.layers`.
"""

from __future__ import annotations

from typing import Any, Literal, cast

from darknet_compat.definition import spec
from darknet_compat.definition.context import Context, Lowering, activation
from darknet_compat.definition.lower_heads import HEAD_LOWERINGS
from darknet_compat.definition.spec import LayerSpec, Shape, flat
from darknet_compat.formats.cfg import Options
from darknet_compat.formats.textfile import shown


def _window(options: Options, length: int, size: int, stride: int, padding: int) -> int:
    """How often a window of `size` fits into `length` with `padding` in all."""
    if length + padding < size:
        raise options.error(f"size={size} is larger than the input, {length} with padding {padding}")
    return (length + padding - size) // stride + 1


def convolutional(options: Options, context: Context) -> LayerSpec:
    """Output (w + 2·padding - size)/stride + 1; `pad=1` means padding size/2."""
    image = context.image(options)
    filters = options.integer("filters", 1, minimum=1)
    size = options.integer("size", 1, minimum=1)
    stride = options.integer("stride", 1, minimum=1)
    groups = options.integer("groups", 1, minimum=1)
    padding = options.integer("padding", 0, minimum=0)
    padding = size // 2 if options.flag("pad") else padding
    if image.c % groups or filters % groups:
        raise options.error(
            f"groups={groups} does not divide both channels ({image.c}) and filters ({filters})", "groups"
        )
    height, width = (_window(options, side, size, stride, 2 * padding) for side in (image.h, image.w))
    context.weigh(options, filters, image.c // groups, size, size)
    common = context.common(options, Shape(filters, height, width))
    if common["numload"] > filters:
        raise options.error(f"numload={common['numload']} is more than filters={filters}", "numload")
    if groups > 1 and options.flag("flipped"):
        raise options.error("flipped weights and groups: the original reads such ones beyond their array", "flipped")
    options.real("dot", 0.0)  # an experiment's penalty in training, which no released network uses
    return spec.Convolutional(
        **common,
        filters=filters,
        size=size,
        stride=stride,
        padding=padding,
        groups=groups,
        activation=activation(options, "logistic"),
        batch_normalize=options.flag("batch_normalize"),
        binary=options.flag("binary"),
        xnor=options.flag("xnor"),
        flipped=options.flag("flipped"),
    )


def deconvolutional(options: Options, context: Context) -> LayerSpec:
    """Output (w - 1)·stride + size - 2·padding."""
    image = context.image(options)
    filters = options.integer("filters", 1, minimum=1)
    size = options.integer("size", 1, minimum=1)
    stride = options.integer("stride", 1, minimum=1)
    padding = options.integer("padding", 0, minimum=0)
    padding = size // 2 if options.flag("pad") else padding
    height, width = ((side - 1) * stride + size - 2 * padding for side in (image.h, image.w))
    context.weigh(options, filters, image.c, size, size)
    return spec.Deconvolutional(
        **context.common(options, Shape(filters, height, width)),
        filters=filters,
        size=size,
        stride=stride,
        padding=padding,
        activation=activation(options, "logistic"),
        batch_normalize=options.flag("batch_normalize"),
    )


def connected(options: Options, context: Context) -> LayerSpec:
    """The original gives it a 1x1 image as output."""
    outputs = options.integer("output", 1, minimum=1)
    context.weigh(options, outputs, context.input.size)
    return spec.Connected(
        **context.common(options, Shape(outputs)),
        activation=activation(options, "logistic"),
        batch_normalize=options.flag("batch_normalize"),
    )


def local(options: Options, context: Context) -> LayerSpec:
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
        activation=activation(options, "logistic"),
    )


def batchnorm(options: Options, context: Context) -> LayerSpec:
    """Same shape as its input."""
    return spec.Batchnorm(**context.common(options, context.image(options)))


def activation_layer(options: Options, context: Context) -> LayerSpec:
    """Same shape as its input."""
    return spec.Activation(**context.common(options, context.input), activation=activation(options, "linear"))


def maxpool(options: Options, context: Context) -> LayerSpec:
    """Output (w + padding - size)/stride + 1, padding size-1 by default."""
    image = context.image(options)
    stride = options.integer("stride", 1, minimum=1)
    size = options.integer("size", stride, minimum=1)
    padding = options.integer("padding", size - 1, minimum=0)
    height, width = (_window(options, side, size, stride, padding) for side in (image.h, image.w))
    common = context.common(options, Shape(image.c, height, width))
    return spec.Maxpool(**common, size=size, stride=stride, padding=padding)


def avgpool(options: Options, context: Context) -> LayerSpec:
    """Output 1x1."""
    return spec.Avgpool(**context.common(options, Shape(context.image(options).c)))


def dropout(options: Options, context: Context) -> LayerSpec:
    """Same shape as its input, whose memory it shares in the original."""
    probability = options.real("probability", 0.5, minimum=0.0, maximum=1.0)
    return spec.Dropout(**context.common(options, context.input), probability=probability)


def crop(options: Options, context: Context) -> LayerSpec:
    """Output crop_height x crop_width."""
    image = context.image(options)
    height = options.integer("crop_height", 1, minimum=1, maximum=image.h)
    width = options.integer("crop_width", 1, minimum=1, maximum=image.w)
    return spec.Crop(
        **context.common(options, Shape(image.c, height, width)),
        flip=options.flag("flip"),
        angle=options.real("angle", 0.0),
        saturation=options.real("saturation", 1.0),
        exposure=options.real("exposure", 1.0),
        shift=options.real("shift", 0.0),
        noadjust=options.flag("noadjust"),
    )


def normalization(options: Options, context: Context) -> LayerSpec:
    """Same shape as its input."""
    image = context.image(options)
    size = options.integer("size", 5, minimum=1)
    if size // 2 > image.c:
        raise options.error(f"size={size} reaches beyond the {image.c} channels", "size")
    return spec.Normalization(
        **context.common(options, image),
        size=size,
        alpha=options.real("alpha", 0.0001),
        beta=options.real("beta", 0.75),
        kappa=options.real("kappa", 1.0),
    )


def l2norm(options: Options, context: Context) -> LayerSpec:
    """Same shape as its input."""
    return spec.L2norm(**context.common(options, context.image(options)))


def route(options: Options, context: Context) -> LayerSpec:
    """Channels add up; sources of differing sizes give plain values without height and width."""
    if not (numbers := options.integers("layers")):
        raise options.error("needs layers=, the layers to read", "layers")
    sources = tuple(_earlier(options, context, "layers", number) for number in numbers)
    groups = options.integer("groups", 1, minimum=1)
    group_id = options.integer("group_id", 0, minimum=0, maximum=groups - 1)
    shapes = [context.shape(source) for source in sources]
    if any(shape.c % groups for shape in shapes):
        raise options.error(f"groups={groups} does not divide the channels of every layer it reads", "groups")
    first = shapes[0]
    alike = all(shape.image and (shape.h, shape.w) == (first.h, first.w) for shape in shapes)
    if alike:
        output = Shape(sum(shape.c for shape in shapes) // groups, first.h, first.w)
    elif groups == 1:
        output = flat(sum(shape.size for shape in shapes))
    else:
        raise options.error("groups needs layers of one height and width", "groups")
    return spec.Route(**context.common(options, output, sources), groups=groups, group_id=group_id)


def shortcut(options: Options, context: Context) -> LayerSpec:
    """Same shape as its input, whatever the shape of the layer added."""
    if len(numbers := options.integers("from")) != 1:
        raise options.error(f"needs from= with one layer, found {len(numbers)}", "from")
    image = context.image(options)
    source = _earlier(options, context, "from", numbers[0])
    other = context.shape(source)
    if not other.image:
        raise options.error(f"layer {source} is no image, but {other.size} values", "from")
    if other.w // image.w != other.h // image.h or image.w // other.w != image.h // other.h:
        raise options.error(f"layer {source} ({other}) and the input ({image}) differ more in one direction", "from")
    return spec.Shortcut(
        **context.common(options, image, (context.index - 1, source)),
        other=other,
        alpha=options.real("alpha", 1.0),
        beta=options.real("beta", 1.0),
        activation=activation(options, "linear"),
    )


def upsample(options: Options, context: Context) -> LayerSpec:
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


def reorg(options: Options, context: Context) -> LayerSpec:
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


def cost(options: Options, context: Context) -> LayerSpec:
    """As many values as its input."""
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


def _recurrent(options: Options, context: Context, gates: int) -> dict[str, Any]:
    """What rnn, gru and lstm share; `gates` connected layers each from the input and from the state."""
    outputs = options.integer("output", 1, minimum=1)
    context.weigh(options, gates, outputs, context.input.size + outputs)
    return {
        **context.common(options, flat(outputs)),
        "outputs": outputs,
        "steps": context.net.time_steps,
        "batch_normalize": options.flag("batch_normalize"),
    }


def rnn(options: Options, context: Context) -> LayerSpec:
    """`output` values a step."""
    kind = activation(options, "logistic")
    return spec.Rnn(**_recurrent(options, context, 2), activation=kind, shortcut=options.flag("shortcut"))


def gru(options: Options, context: Context) -> LayerSpec:
    """`output` values a step."""
    return spec.Gru(**_recurrent(options, context, 3), tanh=options.flag("tanh"))


def lstm(options: Options, context: Context) -> LayerSpec:
    """`output` values a step."""
    return spec.Lstm(**_recurrent(options, context, 4))


def crnn(options: Options, context: Context) -> LayerSpec:
    """Output of the input's size; the original swaps width and height here, which shows if the two differ."""
    image = context.image(options)
    hidden = options.integer("hidden_filters", 1, minimum=1)
    output = options.integer("output_filters", 1, minimum=1)
    context.weigh(options, hidden, image.c + hidden + output, 9)
    return spec.Crnn(
        **context.common(options, Shape(output, image.w, image.h)),
        hidden_filters=hidden,
        output_filters=output,
        steps=context.net.time_steps,
        activation=activation(options, "logistic"),
        batch_normalize=options.flag("batch_normalize"),
        shortcut=options.flag("shortcut"),
    )


def _earlier(options: Options, context: Context, key: str, number: int) -> int:
    """The absolute index of a layer: below 0 counts back from this one. It has to be an earlier layer."""
    index = context.index + number if number < 0 else number
    if not 0 <= index < context.index:
        there = f"layers 0 to {context.index - 1}" if context.index else "none"
        raise options.error(f"{key}={number} means layer {index}; before layer {context.index} there are {there}", key)
    return index


LOWERINGS: dict[str, Lowering] = {
    "convolutional": convolutional,
    "conv": convolutional,
    "deconvolutional": deconvolutional,
    "deconv": deconvolutional,
    "connected": connected,
    "conn": connected,
    "local": local,
    "batchnorm": batchnorm,
    "activation": activation_layer,
    "maxpool": maxpool,
    "max": maxpool,
    "avgpool": avgpool,
    "avg": avgpool,
    "dropout": dropout,
    "crop": crop,
    "normalization": normalization,
    "lrn": normalization,
    "l2norm": l2norm,
    "route": route,
    "shortcut": shortcut,
    "upsample": upsample,
    "reorg": reorg,
    "cost": cost,
    "rnn": rnn,
    "gru": gru,
    "lstm": lstm,
    "crnn": crnn,
    **HEAD_LOWERINGS,
}
"""Section type, in each of its spellings → its function (original: `string_to_layer_type`)."""
