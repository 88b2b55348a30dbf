"""A network's layers as rows, in the columns in which the original prints them and with what they cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from darknet_compat.definition import spec as s
from darknet_compat.definition.complexity import LayerCost
from darknet_compat.definition.spec import LayerSpec, NetworkSpec, Shape

HEADERS = ("#", "layer", "filters", "size", "input", "output", "parameters", "offset", "operations")
SHORT_HEADERS = (*HEADERS[:6], "params", "offset", "ops")
LEFT = ("layer",)


def rows(
    spec: NetworkSpec, costs: tuple[LayerCost, ...], number: Callable[[int], str], *, short: bool = False
) -> Iterator[tuple[object, ...]]:
    """One row a layer under HEADERS; `number` writes parameters and operations. A `short` row names two layers that
    it reads, and leaves the others out."""
    for layer, cost in zip(spec.layers, costs, strict=True):
        yield (
            layer.index,
            short_name(layer),
            _text(_FILTERS, layer),
            _text(_SIZES, layer),
            (_sources(layer, 2 if short else None) if isinstance(layer, s.Route) else _shape(layer.input)),
            _shape(layer.output),
            number(cost.parameters) if cost.parameters else "",
            "" if cost.offset is None else cost.offset,
            number(cost.operations) if cost.operations else "",
        )


def to_dict(layer: LayerSpec, cost: LayerCost) -> dict[str, Any]:
    """One layer for JSON; shapes are [c, h, w], or [values] where there is no image."""
    return {
        "index": layer.index,
        "line": layer.line,
        "type": layer.type,
        "filters": getattr(layer, "filters", None),
        "size": getattr(layer, "size", None),
        "stride": _stride(layer),
        "sources": list(layer.sources),
        "input": _list(layer.input),
        "output": _list(layer.output),
        "parameters": cost.parameters,
        "offset": cost.offset,
        "operations": cost.operations,
    }


def _stride(layer: LayerSpec) -> int | list[int] | None:
    """One number, or those down and across where they differ; None for a layer that has none."""
    strides: tuple[int, int] | None = getattr(layer, "strides", None)
    if strides is None:
        return getattr(layer, "stride", None)
    return strides[0] if strides[0] == strides[1] else list(strides)


def short_name(layer: LayerSpec) -> str:
    """What the original calls the layer in its table, where it has a short name for it."""
    return _SHORT.get(type(layer), layer.type)


def _shape(shape: Shape) -> str:
    return f"{shape.w}x{shape.h}x{shape.c}" if shape.image else str(shape.c)


def _list(shape: Shape) -> list[int]:
    return [shape.c, shape.h, shape.w] if shape.image else [shape.c]


def _text(texts: dict[type[LayerSpec], Callable[[Any], str]], layer: LayerSpec) -> str:
    return texts[type(layer)](layer) if type(layer) in texts else ""


def _window(layer: Any) -> str:
    down, across = getattr(layer, "strides", None) or (layer.stride, layer.stride)
    steps = f"{across}" if down == across else f"{across}x{down}"
    return f"{layer.size}x{layer.size}/{steps}" + (
        f" d{dilation}" if (dilation := getattr(layer, "dilation", 1)) > 1 else ""
    )


def _filters(layer: Any) -> str:
    return str(layer.filters)


_SHORT: dict[type[LayerSpec], str] = {
    s.Convolutional: "conv",
    s.Deconvolutional: "deconv",
    s.Connected: "connected",
    s.Maxpool: "max",
    s.Avgpool: "avg",
    s.Normalization: "lrn",
    s.Shortcut: "res",
}

_FILTERS: dict[type[LayerSpec], Callable[[Any], str]] = {
    s.Convolutional: lambda layer: f"{layer.filters}" + (f"/{layer.groups}" if layer.groups > 1 else ""),
    s.Deconvolutional: _filters,
    s.Local: _filters,
    s.Crnn: lambda layer: str(layer.output_filters),
}

_SIZES: dict[type[LayerSpec], Callable[[Any], str]] = {
    s.Convolutional: _window,
    s.Deconvolutional: _window,
    s.Local: _window,
    s.Maxpool: _window,
    s.Crnn: lambda layer: "3x3/1",
    s.Avgpool: lambda layer: "global",
    s.Dropout: lambda layer: f"p {layer.probability:g}",
    s.Reorg: lambda layer: f"{'x' if layer.reverse else '/'}{layer.stride}",
    s.Upsample: lambda layer: f"{'/' if layer.reverse else 'x'}{layer.stride}",
    s.Softmax: lambda layer: "tree" if layer.tree else (f"{layer.groups} groups" if layer.groups > 1 else ""),
    s.Shortcut: lambda layer: f"+ {layer.sources[1]}",
}


def _sources(layer: s.Route, most: int | None) -> str:
    """What a [route] reads, which is seldom the layer before it."""
    shown = ", ".join(map(str, layer.sources[:most])) + (", …" if most and len(layer.sources) > most else "")
    return shown + (f" ({layer.group_id + 1}/{layer.groups})" if layer.groups > 1 else "")
