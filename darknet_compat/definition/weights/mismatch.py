"""Why a file is not the `.weights` it was given for: the second half of one line for a person.

There is little to go by, a length and the first bytes: the format has no names and no checksum.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.definition.weights.slots import Header, Slot
from darknet_compat.formats.textfile import count, shown

_CONTROLS = frozenset(range(32)) - frozenset(b"\t\n\v\f\r")


def other_kind(start: bytes) -> str:
    """What a file with these first bytes is, where it is certain that they are no header; empty otherwise."""
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    begins = f"it begins with {shown(text[:64].decode('latin-1').strip(), 40)}"
    if text.startswith(b"<"):
        return f"a web page, not .weights; {begins}; download it again"
    if start.startswith(b"version https://git-lfs"):
        return "a git-lfs pointer, not the .weights it stands for; fetch it with git lfs pull"
    if not text or not _CONTROLS.isdisjoint(start[:64]):  # a version's bytes are mostly zeros
        return ""
    if text[:1] in (b"[", b"#", b";") and b"net" in start:
        return "a .cfg, not .weights; are the two swapped?"
    return f"text, not .weights; {begins}; download it again"


def divergence(spec: NetworkSpec, header: Header, size: int, wanted: Sequence[Slot]) -> str:
    """Where the length of a file of `size` bytes departs from that of the slots `wanted` of it, and why it may."""
    available = size - header.layout.size
    end = 0
    where = ""
    layer_ends = {}
    for layer, own in groupby(wanted, key=lambda slot: slot.layer):
        for slot in own:
            end += 4 * slot.size
            if end > available and not where:
                where = f"it ends in layer {layer} [{spec.layers[layer].type}] ({slot.name})"
        layer_ends[end] = layer
    where = where or f"{available - end} bytes are left after the last layer with weights"
    return f"{where}; {_cause(spec, header, available, end, layer_ends, wanted)}"


def _cause(
    spec: NetworkSpec, header: Header, available: int, end: int, layer_ends: dict[int, int], wanted: Sequence[Slot]
) -> str:
    """The likeliest reason why there are `available` bytes instead of `end`."""
    width = header.layout.size
    version = f"version {header.major}.{header.minor}"
    if available - end == 36 - 2 * width:
        fits = f"its length fits a header of {36 - width} bytes, but {version} has {width}"
        return f"{fits}; seen_bytes={24 - width} reads it so"
    if not available:
        return "it holds a header and nothing else"
    if not _is_version(header):
        return f"it is no .weights file at all, or its header would not be {version}"
    if available in layer_ends:
        last = layer_ends[available]
        return f"it holds exactly the layers up to {last}: a cut file, ask for cutoff {last + 1}"
    if other := _other_classes(spec, available, wanted):
        return f"it fits this network with {other}"
    if available > end:
        whose = "another network's weights" + (", or a damaged file" if available % 4 else "")
        few = available - end <= end // 100
        return whose + ("; longer=True passes over them, as Darknet does without a word" if few else "")
    return "a truncated or damaged download" if available % 4 else "another network's weights, or a truncated download"


def _is_version(header: Header) -> bool:
    """Whether a header is believable. The oldest files hold learning rate and momentum where the version is today."""
    if 0 <= header.major < 2000 and 0 <= header.minor < 2000:
        return True
    learning_rate, momentum = np.array([header.major, header.minor], "<i4").view("<f4").tolist()
    return bool(1e-7 < learning_rate < 10 and 0 <= momentum < 1)


def _other_classes(spec: NetworkSpec, available: int, wanted: Sequence[Slot]) -> str:
    """The number of classes (or else of the last layer's filters) with which the network would fit the file."""
    counts: dict[int, int] = {}  # layer → its floats
    rows: dict[int, int] = {}  # layer → its filters or outputs
    for slot in wanted:
        counts[slot.layer] = counts.get(slot.layer, 0) + slot.size
        rows.setdefault(slot.layer, slot.shape[0])
    surplus, remainder = divmod(available - 4 * sum(counts.values()), 4)
    if remainder or not counts:
        return ""
    boxes = {  # layer before a head → the head's boxes a cell, each of which takes one more filter for one more class
        head.index - 1: head.num if isinstance(head, s.Region) else len(head.mask)
        for head in spec.layers
        if isinstance(head, s.Region | s.YoloHead) and isinstance(spec.layers[head.index - 1], s.Convolutional)
    }
    each = sum(number * (counts[layer] // rows[layer]) for layer, number in boxes.items() if layer in counts)
    known = next((head.classes for head in spec.layers if isinstance(head, s.Region | s.YoloHead)), 0)
    if each and surplus % each == 0 and known + surplus // each > 0:
        return f"{count(known + surplus // each, 'class')} instead of {known:,}"
    last = spec.layers[max(counts)]
    each = counts[last.index] // rows[last.index]
    kind = {s.Convolutional: "filters", s.Connected: "outputs"}.get(type(last))
    number = rows[last.index] + surplus // each
    if kind is None or surplus % each or number <= 0:
        return ""
    return f"{number} {kind} instead of {rows[last.index]} in layer {last.index} [{last.type}]"
