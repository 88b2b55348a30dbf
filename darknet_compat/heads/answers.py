"""What a whole network answers: the heads of a definition, and their outputs together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.heads.boxes import Boxes, BoxHead, joined
from darknet_compat.heads.classes import Iseg, Logistic, Softmax
from darknet_compat.heads.detection import Detection
from darknet_compat.heads.gaussian import GaussianYolo
from darknet_compat.heads.ops import Ops, Value
from darknet_compat.heads.region import Region
from darknet_compat.heads.split import splittable
from darknet_compat.heads.yolo import Yolo

Head = Softmax | Logistic | Iseg | Region | Yolo | GaussianYolo | Detection

HEADS: dict[type[LayerSpec], Any] = {
    s.Softmax: Softmax,
    s.Logistic: Logistic,
    s.Region: Region,
    s.Yolo: Yolo,
    s.GaussianYolo: GaussianYolo,
    s.Detection: Detection,
    s.Iseg: Iseg,
}
"""A head's spec → what its raw output means: a class that takes (spec, build)."""

SPLIT_FROM = 200
"""From how many classes on only candidates get class probabilities (`split`). It is quicker from 20 on (20, 80, 200,
1000 classes at 17 x 17, 5 % of candidates, torch on one core: 0.6, 0.7, 0.8, 2.1 ms against the full head's 0.7, 1.9,
4.4, 22), but below some hundred that is so little of an image's time that a limit on candidates is not worth it."""


def detects(spec: NetworkSpec) -> bool:
    """Whether the heads give boxes."""
    return bool(spec.heads) and spec.heads[-1].detects


def splits(spec: NetworkSpec) -> bool:
    """Whether the head is one for candidates only."""
    head = spec.layers[-1]
    return isinstance(head, s.Region) and head.classes >= SPLIT_FROM and splittable(spec)


def boxes(ops: Ops, heads: Sequence[Head], raws: Sequence[Value], images: Value) -> Boxes:
    """The raw outputs of all heads that detect → their boxes, objectness and classes together.

    `images` [N, C, H, W] is what the network reads, for its size.
    """
    return _boxes(ops, heads, [head.activate(ops, raw) for head, raw in zip(heads, raws, strict=True)], raws, images)


def from_activated(ops: Ops, heads: Sequence[Head], outputs: Sequence[Value], images: Value) -> Boxes:
    """The boxes, from what `activated` gives."""
    parts = [head.parts(ops, x) if isinstance(head, BoxHead) else x for head, x in zip(heads, outputs, strict=True)]
    return _boxes(ops, heads, parts, outputs, images)


def _boxes(ops: Ops, heads: Sequence[Head], activated: Sequence[Any], likes: Sequence[Value], images: Value) -> Boxes:
    found = []
    for head, parts, like in zip(heads, activated, likes, strict=True):
        if not isinstance(head, BoxHead):
            raise TypeError(f"{type(head).__name__} gives no boxes")
        found.append(head.boxes(ops, parts, like, ops.size(images) if head.needs_input_size else None))
    return joined(ops, found)


def activated(ops: Ops, head: Head, raw: Value) -> Value:
    """A head's output, activated where the original's `layer.output` is, in the raw one's shape."""
    if not isinstance(head, BoxHead):
        return head.activate(ops, raw)
    return ops.shaped(ops.concat(head.activate(ops, raw), head.axis), raw)


def uncertain(spec: NetworkSpec) -> bool:
    """Whether every box has uncertainties beside its four numbers."""
    return detects(spec) and all(HEADS[type(head)].uncertain for head in spec.heads)


def uncertainties(ops: Ops, heads: Sequence[Any], raws: Sequence[Value]) -> Value:
    """The uncertainties of `boxes`' four numbers, [N, D, 4], of a network that is `uncertain`."""
    parts = [head.uncertainties(ops, head.activate(ops, raw)) for head, raw in zip(heads, raws, strict=True)]
    return parts[0] if len(parts) == 1 else ops.concat(parts, 1)


def probabilities(ops: Ops, head: Head, raw: Value) -> Value:
    """A classifier's last raw output → its classes [N, C]."""
    if isinstance(head, Softmax | Logistic | Iseg):
        return ops.reshape(head.activate(ops, raw), (0, -1))
    raise TypeError(f"{type(head).__name__} gives no classes alone")
