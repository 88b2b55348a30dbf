"""What becomes of a picture's sides from layer to layer, at other sizes than the definition's own."""

from __future__ import annotations

from collections.abc import Iterator

from darknet_compat.definition.spec import LayerSpec, NetworkSpec


def layer_sides(spec: NetworkSpec, axis: int, side: int) -> Iterator[tuple[LayerSpec, list[int], int]]:
    """Each layer, the sides of what it reads, and its own, where the picture's is `side`; `axis` is that of a Shape."""
    sides = {-1: side}
    for layer in spec.layers:
        read = [sides[source] for source in layer.sources]
        sides[layer.index] = layer.output_side(axis, read)
        yield layer, read, sides[layer.index]


def side_problem(spec: NetworkSpec, axis: int, side: int) -> str:
    """Which layer cannot serve pictures of `side` pixels, or could only by what it does at the network's own; or ""."""
    for layer, sources, own in layer_sides(spec, axis, side):
        if layer.fixes_size and layer.input.image and sources[0] != layer.input[axis]:
            return f"layer {layer.index} [{layer.type}] needs {layer.input}, which {side} pixels do not give it"
        if own < 1:
            return f"layer {layer.index} [{layer.type}] leaves nothing of {side} pixels"
        if not layer.meets(sources):
            met = " and ".join(map(str, sources))
            return f"layer {layer.index} [{layer.type}] reads layers with sides of {met} at {side} pixels"
    return ""
