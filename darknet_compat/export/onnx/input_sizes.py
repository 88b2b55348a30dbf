"""Which sizes of pictures one exported graph can serve."""

from __future__ import annotations

from darknet_compat.definition import spec as s
from darknet_compat.definition.sides import layer_sides, side_problem
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.errors import ExportError
from darknet_compat.options import MOST_PIXELS

SideRange = tuple[int, int]
"""The least and the most pixels of a side."""

DEFAULT: SideRange = (288, 608)
"""YOLOv2's own range in the paper (section 2, multi-scale training) begins at 320; 288 is its fastest in table 3."""


def free_sizes(spec: NetworkSpec, wanted: SideRange | str | None, candidates: int = 0) -> tuple[int, int, int]:
    """(least, most, step) of a side; step 0 where only the network's own size is possible or `wanted`.

    By default no side is so small that there are fewer than `candidates` cells and anchors.
    Raises ExportError for a range that was asked for and that the layers do not permit.
    """
    net = spec.net
    own = min(net.width, net.height), max(net.width, net.height), 0
    if wanted == "fixed":
        return own
    step, why = side_step(spec)
    if wanted is None:
        if not step:
            return own
        least = -(-min(DEFAULT[0], net.width, net.height) // step) * step
        while candidates and grid_cells(spec, least) < candidates and least < min(net.width, net.height):
            least += step
        most = max(DEFAULT[1], net.width, net.height) // step * step
        return own if _misfit(spec, least, most, step) else (least, most, step)
    if not step:
        raise ExportError(f"{spec.name}: takes {net.width} x {net.height} only: {why}")
    assert not isinstance(wanted, str)
    least, most = wanted
    if not 0 < least <= most <= MOST_PIXELS or least % step or most % step:
        raise ExportError(
            f"{spec.name}: expected sizes from least to most, multiples of {step} up to {MOST_PIXELS},"
            f" found {least} to {most}"
        )
    if why := _misfit(spec, least, most, step):
        raise ExportError(f"{spec.name}: does not take all sizes from {least} to {most}: {why}")
    return least, most, step


def grid_cells(spec: NetworkSpec, side: int) -> int:
    """How many cells and anchors the last [region] has where the input is `side` x `side`."""
    region = spec.layers[-1]
    assert isinstance(region, s.Region)
    across, down = ([*layer_sides(spec, axis, side)][-1][2] for axis in (2, 1))
    return region.num * across * down


def side_step(spec: NetworkSpec) -> tuple[int, str]:
    """What a side must be a multiple of; 0 and the reason where it is not free."""
    net = spec.net
    ratios, settled = {1}, set[int]()  # after the mean of a whole channel a layer has its size whatever the picture's
    for layer in spec.layers:
        follows = not settled.issuperset(layer.sources)
        if follows and layer.fixes_size:
            return 0, f"layer {layer.index} [{layer.type}] needs {layer.input}"
        if layer.settles or not follows:
            settled.add(layer.index)
        elif layer.output.image:
            ratios |= {-(-net.width // layer.output.w), -(-net.height // layer.output.h)}
    step = max(ratios)
    if step & (step - 1) or net.width % step or net.height % step:
        return 0, f"{net.width} x {net.height} is no multiple of its layers' strides"
    return step, ""


def _misfit(spec: NetworkSpec, least: int, most: int, step: int) -> str:
    """Which layer cannot serve which side of the range, or could only by what it does at the network's own; or ""."""
    sides = (spec.net.width, spec.net.height, *range(least, most + 1, step))
    return next((why for side in sides for axis in (1, 2) if (why := side_problem(spec, axis, side))), "")
