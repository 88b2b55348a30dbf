"""A definition for other purposes: another number of classes, other options of `[net]`."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import Any

from darknet_compat.definition.spec import Net
from darknet_compat.errors import CfgError
from darknet_compat.formats.cfg import Cfg, CfgOption, Section, SectionOptions

_OUTPUTS = {"convolutional": "filters", "conv": "filters", "connected": "output", "conn": "output"}
"""The layers that can give a head its values, and the option that says how many."""


def _region_values(head: SectionOptions, classes: int) -> int:
    return head.integer("num", 1) * (classes + head.integer("coords", 4) + 1)


def _yolo_values(head: SectionOptions, classes: int) -> int:
    return (len(head.integers("mask")) or head.integer("num", 1)) * (classes + 5)


def _gaussian_values(head: SectionOptions, classes: int) -> int:
    return (len(head.integers("mask")) or head.integer("num", 1)) * (classes + 9)


def _detection_values(head: SectionOptions, classes: int) -> int:
    boxes = head.integer("num", 1) * (1 + head.integer("coords", 1))
    return head.integer("side", 7) ** 2 * (classes + boxes)


def _softmax_values(head: SectionOptions, classes: int) -> int:
    return head.integer("groups", 1) * classes


_VALUES: dict[str, Callable[[SectionOptions, int], int]] = {
    "region": _region_values,
    "yolo": _yolo_values,
    "Gaussian_yolo": _gaussian_values,
    "detection": _detection_values,
    "softmax": _softmax_values,
    "soft": _softmax_values,
}
"""How many values a head of so many classes reads: per cell for [region] and [yolo], in all for the others."""

_OF_OTHER_CLASSES = ("tree", "map", "counters_per_class")


def with_classes(cfg: Cfg, classes: int) -> Cfg:
    """The same network for `classes` classes: each head's `classes`, and the `filters` or `output` of what feeds it.

    A tree, a map or counters of the old classes are left out. Raises CfgError where no head is found, or nothing in
    front of it whose outputs could be changed.
    """
    sections = list(cfg.sections)
    heads = [number for number, section in enumerate(sections) if section.type in _VALUES]
    if not heads:
        raise CfgError(f"{cfg.name}: has no head whose classes could be changed ({', '.join(_VALUES)})")
    for head in heads:
        section = sections[head]
        options = SectionOptions(section, cfg.name, head - 1)
        values = _VALUES[section.type](options, classes)
        feeder = next((at for at in range(head - 1, 0, -1) if sections[at].type in _OUTPUTS), None)
        if feeder is None:
            raise options.error("follows no layer whose outputs could be changed")
        sections[feeder] = _with(sections[feeder], _OUTPUTS[sections[feeder].type], values)
        kept = tuple(option for option in section.options if option.key not in _OF_OTHER_CLASSES)
        section = dataclasses.replace(section, options=kept)
        is_softmax = section.type in ("softmax", "soft")  # which has no such option
        sections[head] = section if is_softmax else _with(section, "classes", classes)
    return Cfg(tuple(sections), cfg.name)


def with_net_options(cfg: Cfg, options: Mapping[str, int | float | str]) -> Cfg:
    """The same network with other options in its `[net]`."""
    net, *layers = cfg.sections
    for key, value in options.items():
        net = _with(net, key, value)
    return Cfg((net, *layers), cfg.name)


def for_epochs(net: Net, epochs: float, pictures: int, options: Mapping[str, Any]) -> dict[str, Any]:
    """`options` with the `max_batches` of so many times all pictures, and `steps` moved in proportion."""
    batch = options.get("batch", net.batch)
    batches = max(1, math.ceil(epochs * pictures / batch))
    found = {**options, "max_batches": batches}
    if net.policy == "steps" and net.max_batches:
        moved = (step if step < 0 else round(step * batches / net.max_batches) for step in net.steps)
        found["steps"] = ",".join(map(str, moved))
    return found


def _with(section: Section, key: str, value: float | str) -> Section:
    """The section with an option set, where it stood or at the end."""
    old = section.find(key)
    new = CfgOption(key, str(value), old.line if old else section.line)
    options = tuple(new if option is old else option for option in section.options)
    return dataclasses.replace(section, options=options if old else (*options, new))
