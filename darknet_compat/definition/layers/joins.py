"""Layers that read several: routes, shortcuts, and what scales one by another."""

from __future__ import annotations

from typing import Any

from darknet_compat.definition import spec
from darknet_compat.definition.context import Context, Lowering, activation
from darknet_compat.definition.spec import LayerSpec, Shape, flat
from darknet_compat.formats.cfg import SectionOptions
from darknet_compat.formats.textfile import count, shown


def route(options: SectionOptions, context: Context) -> LayerSpec:
    """Channels add up; sources of differing sizes give plain values without height and width."""
    if not (numbers := options.integers("layers")):
        raise options.missing("layers", ", the layers to read")
    sources = tuple(context.source(options, "layers", number) for number in numbers)
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


def shortcut(options: SectionOptions, context: Context) -> LayerSpec:
    """Same shape as its input, whatever the shapes of the layers added."""
    numbers = options.integers("from")
    if not numbers or (len(numbers) > 1 and not context.dialect.flat_shortcuts):
        raise options.missing("from", f" with one layer, found {len(numbers)}")
    image = context.image(options)
    sources = tuple(context.source(options, "from", number) for number in numbers)
    others = tuple(context.shape(source) for source in sources)
    common = context.common(options, image, (context.index - 1, *sources))
    if not context.dialect.flat_shortcuts:
        _expect_strided(options, image, sources[0], others[0])
        factors: dict[str, Any] = {key: options.real(key, 1.0) for key in ("alpha", "beta")}
        kind = activation(options, context, "linear")
        return spec.Shortcut(**common, **factors, other=others[0], activation=kind)
    weights, normalization = _shares(options)
    kind = activation(options, context, "linear")
    if weights is None and len(others) == 1 and others[0].image and others[0][1:3] == image[1:3]:
        return spec.Shortcut(**common, alpha=1.0, beta=1.0, other=others[0], activation=kind)
    if weights is not None:
        context.weigh(options, len(sources) + 1, image.c if weights == "per_channel" else 1)
    return spec.Sum(**common, others=others, activation=kind, weights=weights, weights_normalization=normalization)


def _expect_strided(options: SectionOptions, image: Shape, source: int, other: Shape) -> None:
    """Refuse what the original cannot add cell by cell."""
    if not other.image:
        raise options.error(f"layer {source} is no image, but {count(other.size, 'value')}", "from")
    if other.w // image.w != other.h // image.h or image.w // other.w != image.h // other.h:
        raise options.error(f"layer {source} ({other}) and the input ({image}) differ more in one direction", "from")


_WEIGHTS: dict[str, Any] = {
    "none": None,
    "per_feature": "per_feature",
    "per_layer": "per_feature",
    "per_channel": "per_channel",
}
_NORMALIZATIONS: dict[str, Any] = {"relu": "relu", "avg_relu": "relu", "softmax": "softmax"}


def _shares(options: SectionOptions) -> tuple[Any, Any]:
    """By what each layer of a sum counts, and how these weights become shares."""
    weights = options.text("weights_type", "none")
    if weights not in _WEIGHTS:
        raise options.error(
            f"weights_type: expected one of {', '.join(_WEIGHTS)}, found {shown(weights)}", "weights_type"
        )
    normalization = options.text("weights_normalization", "none")
    if _WEIGHTS[weights] is None:
        return None, "relu"
    if normalization not in _NORMALIZATIONS:
        known = ", ".join(_NORMALIZATIONS)
        raise options.error(
            f"weights_type={weights} needs weights_normalization, one of {known}; found {shown(normalization)}",
            "weights_normalization",
        )
    return _WEIGHTS[weights], _NORMALIZATIONS[normalization]


def _from(options: SectionOptions, context: Context) -> tuple[int, Shape]:
    """The one layer that from= names, and its shape, an image."""
    if len(numbers := options.integers("from")) != 1:
        raise options.missing("from", f" with one layer, found {len(numbers)}")
    source = context.source(options, "from", numbers[0])
    shape = context.shape(source)
    if not shape.image:
        raise options.error(f"layer {source} is no image, but {count(shape.size, 'value')}", "from")
    return source, shape


def scale_channels(options: SectionOptions, context: Context) -> LayerSpec:
    """The shape of the layer that is scaled."""
    source, scaled = _from(options, context)
    image, whole = context.image(options), options.flag("scale_wh")
    wanted = Shape(1, scaled.h, scaled.w) if whole else Shape(scaled.c)
    if image != wanted:
        raise options.error(f"needs {wanted} before it to scale layer {source} ({scaled}), found {image}", "from")
    common = context.common(options, scaled, (context.index - 1, source))
    return spec.ScaleChannels(**common, scale_wh=whole, activation=activation(options, context, "linear"))


def sam(options: SectionOptions, context: Context) -> LayerSpec:
    """The shape of both."""
    source, other = _from(options, context)
    image = context.image(options)
    if image != other:
        raise options.error(f"layer {source} ({other}) and the input ({image}) have different shapes", "from")
    common = context.common(options, image, (context.index - 1, source))
    return spec.Sam(**common, activation=activation(options, context, "linear"))


def implicit(options: SectionOptions, context: Context) -> LayerSpec:
    """filters x atoms x 1, which are its weights."""
    drawn = {"mean": options.real("mean", 0.0), "std": options.real("std", 0.2)}
    return _implicit(options, context, filters=128, atoms=options.integer("atoms", 1, minimum=1), **drawn)


def implicit_add(options: SectionOptions, context: Context) -> LayerSpec:
    """YOLOR's (PyTorch): a value a channel for [shift_channels]."""
    return _implicit(options, context, filters=1, atoms=1, mean=0.0, std=0.02, normal=True)


def implicit_mul(options: SectionOptions, context: Context) -> LayerSpec:
    """YOLOR's (PyTorch): a value a channel for [control_channels]."""
    return _implicit(options, context, filters=1, atoms=1, mean=1.0, std=0.02, normal=True)


def _implicit(options: SectionOptions, context: Context, *, filters: int, atoms: int, **drawn: Any) -> LayerSpec:
    filters = options.integer("filters", filters, minimum=1)
    context.weigh(options, filters, atoms)
    common = context.common(options, Shape(filters, atoms, 1), (-1,))
    return spec.Implicit(**common, filters=filters, atoms=atoms, **drawn)


def shift_channels(options: SectionOptions, context: Context) -> LayerSpec:
    """YOLOR's (PyTorch): the input plus a value a channel."""
    return _broadcast(options, context, multiply=False)


def control_channels(options: SectionOptions, context: Context) -> LayerSpec:
    """YOLOR's (PyTorch): the input times a value a channel."""
    return _broadcast(options, context, multiply=True)


def _broadcast(options: SectionOptions, context: Context, multiply: bool) -> LayerSpec:
    source, other = _from(options, context)
    image = context.image(options)
    if other != Shape(image.c):
        raise options.error(f"layer {source} ({other}) has to be {Shape(image.c)} for the input {image}", "from")
    return spec.Broadcast(**context.common(options, image, (context.index - 1, source)), multiply=multiply)


LOWERINGS: dict[str, Lowering] = {
    "route": route,
    "shortcut": shortcut,
    "scale_channels": scale_channels,
    "sam": sam,
    "implicit": implicit,
    "implicit_add": implicit_add,
    "implicit_mul": implicit_mul,
    "shift_channels": shift_channels,
    "control_channels": control_channels,
}
"""Section type, in each of its spellings → its function."""
