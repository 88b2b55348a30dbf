"""Layers that keep a state from one step of a sequence to the next."""

from __future__ import annotations

from typing import Any

from darknet_compat.definition import spec
from darknet_compat.definition.context import Context, Lowering, activation
from darknet_compat.definition.spec import LayerSpec, Shape, flat
from darknet_compat.formats.cfg import SectionOptions


def _recurrent(options: SectionOptions, context: Context, gates: int) -> dict[str, Any]:
    """What gru and lstm share; `gates` connected layers each from the input and from the state."""
    outputs = options.integer("output", 1, minimum=1)
    context.weigh(options, gates, outputs, context.input.size + outputs)
    return {
        **context.common(options, flat(outputs)),
        "outputs": outputs,
        "steps": context.net.time_steps,
        "batch_normalize": options.flag("batch_normalize"),
    }


def rnn(options: SectionOptions, context: Context) -> LayerSpec:
    """`output` values a step; the state is as large, or has the dialect's own option for its size."""
    outputs = options.integer("output", 1, minimum=1)
    key = context.dialect.rnn_hidden
    hidden = options.integer(key, 1, minimum=1) if key else outputs
    context.weigh(options, hidden, context.input.size + hidden + outputs)
    return spec.Rnn(
        **context.common(options, flat(outputs)),
        outputs=outputs,
        hidden=hidden,
        steps=context.net.time_steps,
        activation=activation(options, context, "logistic"),
        batch_normalize=options.flag("batch_normalize"),
        shortcut=options.flag("shortcut"),
        logistic=bool(key) and options.flag("logistic"),
    )


def gru(options: SectionOptions, context: Context) -> LayerSpec:
    """`output` values a step."""
    tanh = context.dialect.gru_tanh and options.flag("tanh")
    return spec.Gru(**_recurrent(options, context, 3), tanh=tanh, parts=context.dialect.gru_parts)


def lstm(options: SectionOptions, context: Context) -> LayerSpec:
    """`output` values a step."""
    return spec.Lstm(**_recurrent(options, context, 4), parts=context.dialect.lstm_parts)


def crnn(options: SectionOptions, context: Context) -> LayerSpec:
    """Output of the input's size; the original swaps width and height here, which shows if the two differ."""
    image = context.image(options)
    hidden, output = (options.integer(key, 1, minimum=1) for key in context.dialect.crnn_filters)
    free = context.dialect.crnn_any_size
    window = _window(options, image, (hidden, output)) if free else {}
    kernel = window["size"] if free else 3
    if free:
        _expect_off(options, "xnor")
    context.weigh(options, hidden, image.c + hidden + output, kernel, kernel)
    shape = _after(options, image, output, window) if free else Shape(output, image.w, image.h)
    return spec.Crnn(
        **context.common(options, shape),
        **window,
        hidden_filters=hidden,
        output_filters=output,
        steps=context.net.time_steps,
        activation=activation(options, context, "logistic"),
        batch_normalize=options.flag("batch_normalize"),
        shortcut=options.flag("shortcut"),
        turned=not free,
    )


def conv_lstm(options: SectionOptions, context: Context) -> LayerSpec:
    """`output` channels of the input's size."""
    image = context.image(options)
    filters = options.integer("output", 1, minimum=1)
    window = _window(options, image, (filters,))
    _expect_off(options, "bottleneck", "shortcut", "xnor")
    peephole = options.flag("peephole")
    kernel = window["size"] ** 2
    context.weigh(options, filters, 4 * (image.c + filters) + 3 * filters * peephole, kernel)
    return spec.ConvLstm(
        **context.common(options, _after(options, image, filters, window)),
        **window,
        filters=filters,
        steps=context.net.time_steps,
        activation=activation(options, context, "linear"),
        lstm_activation=activation(options, context, "tanh", "lstm_activation"),
        batch_normalize=options.flag("batch_normalize"),
        peephole=peephole,
        state_constrain=float(options.integer("state_constrain", 32 * context.net.time_steps, minimum=0)),
    )


def _expect_off(options: SectionOptions, *keys: str) -> None:
    """Refuse what only the fork's GPU build computes, or its CPU build wrongly: there is no answer to hold ours
    against."""
    for key in keys:
        if options.flag(key):
            raise options.error(f"{key}=1 is not supported in [{options.section.type}]; {_WHY[key]}", key)


_WHY = {
    "bottleneck": "the fork's CPU build stops at it",
    "shortcut": "only the fork's GPU build has it",
    "xnor": "the fork packs the bits of [convolutional] alone, and is at fault where it does not",
}


def _window(options: SectionOptions, image: Shape, filters: tuple[int, ...]) -> dict[str, Any]:
    """How the convolutions of such a layer look; those of the state have to keep its size."""
    size = options.integer("size", 3, minimum=1)
    stride = options.integer("stride", 1, minimum=1)
    padding = options.integer("padding", 0, minimum=0)
    padding = size // 2 if options.flag("pad") else padding
    groups = max(options.integer("groups", 1), 1)
    dilation = options.integer("dilation", 1, minimum=1)
    dilation = 1 if size == 1 else dilation
    if 2 * padding != size - 1:
        raise options.error(f"size={size} with padding={padding} changes the state's size at every step; set pad=1")
    if any(number % groups for number in (image.c, *filters)):
        raise options.error(f"groups={groups} does not divide the channels of all its convolutions", "groups")
    return {"size": size, "stride": stride, "padding": padding, "groups": groups, "dilation": dilation}


def _after(options: SectionOptions, image: Shape, filters: int, window: dict[str, Any]) -> Shape:
    """The shape that the first convolution leaves."""
    sides = [(side + 2 * window["padding"] - window["size"]) // window["stride"] + 1 for side in (image.h, image.w)]
    return Shape(filters, sides[0], sides[1])


def history(options: SectionOptions, context: Context) -> LayerSpec:
    """history_size times the channels: of single pictures the first are the input's, the others 0."""
    image = context.image(options)
    size = options.integer("history_size", 4, minimum=1)
    return spec.History(
        **context.common(options, Shape(size * image.c, image.h, image.w)),
        history_size=size,
        steps=context.net.time_steps,
    )


LOWERINGS: dict[str, Lowering] = {
    "rnn": rnn,
    "gru": gru,
    "lstm": lstm,
    "crnn": crnn,
    "conv_lstm": conv_lstm,
    "history": history,
}
"""Section type, in each of its spellings → its function."""
