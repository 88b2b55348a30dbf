"""Which sizes of pictures one exported graph can serve."""

from __future__ import annotations

from darknet_compat.errors import ExportError
from darknet_compat.formats import spec as s
from darknet_compat.formats.spec import LayerSpec, NetworkSpec

Sizes = tuple[int, int]
"""The least and the most pixels of a side."""

DEFAULT: Sizes = (288, 608)
"""YOLOv2's own range in the paper (section 2, multi-scale training) begins at 320; 288 is its fastest in table 3."""

_MOST = 8192


def free_sizes(spec: NetworkSpec, wanted: Sizes | str | None, candidates: int = 0) -> tuple[int, int, int]:
    """(least, most, step) of a side; step 0 where only the network's own size is possible or `wanted`.

    By default no side is so small that there are fewer than `candidates` cells and anchors.
    Raises ExportError for a range that was asked for and that the layers do not permit.
    """
    net = spec.net
    step, why = _step(spec)
    if wanted == "fixed" or (wanted is None and not step):
        return min(net.width, net.height), max(net.width, net.height), 0
    if not step:
        raise ExportError(f"{spec.name}: takes {net.width} x {net.height} only: {why}")
    if wanted is None:
        least = -(-min(DEFAULT[0], net.width, net.height) // step) * step
        while candidates and grid_cells(spec, least) < candidates and least < min(net.width, net.height):
            least += step
        return least, max(DEFAULT[1], net.width, net.height) // step * step, step
    assert not isinstance(wanted, str)
    least, most = wanted
    if not 0 < least <= most <= _MOST or least % step or most % step:
        raise ExportError(
            f"{spec.name}: expected sizes from least to most, multiples of {step} up to {_MOST},"
            f" found {least} to {most}"
        )
    return least, most, step


def grid_cells(spec: NetworkSpec, side: int) -> int:
    """How many cells and anchors the last [region] has where the input is `side` x `side`."""
    region = spec.layers[-1]
    assert isinstance(region, s.Region)
    return region.num * (side * region.input.w // spec.net.width) * (side * region.input.h // spec.net.height)


def _step(spec: NetworkSpec) -> tuple[int, str]:
    """What a side must be a multiple of; 0 and the reason where it is not free."""
    net = spec.net
    for layer in spec.layers:
        if _fixes(layer):
            return 0, f"layer {layer.index} [{layer.type}] needs {layer.input}"
    ratios, pooled = {1}, set[int]()
    for layer in spec.layers:
        if isinstance(layer, s.Avgpool) or pooled.intersection(layer.sources):
            pooled.add(layer.index)  # what comes after the mean of a whole channel has no place any more
        elif layer.output.image:
            ratios |= {-(-net.width // layer.output.w), -(-net.height // layer.output.h)}
    step = max(ratios)
    if step & (step - 1) or net.width % step or net.height % step:
        return 0, f"{net.width} x {net.height} is no multiple of its layers' strides"
    return step, ""


def _fixes(layer: LayerSpec) -> bool:
    """Whether a layer's weights or values belong to places, so that its input's size cannot change."""
    if isinstance(layer, s.Local | s.Crop | s.Detection):
        return True
    if isinstance(layer, s.Reorg):
        return bool(layer.extra)
    spatial = layer.input.image and (layer.input.h, layer.input.w) != (1, 1)
    return spatial and isinstance(layer, s.Connected | s.Softmax | s.Logistic)
