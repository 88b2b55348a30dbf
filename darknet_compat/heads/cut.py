"""Heads whose outputs leave a graph as they are: what a reader has to know of them, and the boxes that they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Array, Floats
from darknet_compat.formats.exported.artefact import is_number
from darknet_compat.formats.jsonfile import is_whole
from darknet_compat.formats.words import Build
from darknet_compat.formats.wordtree import WordTree
from darknet_compat.heads.answers import HEADS, Head, activated, boxes, detects, from_activated
from darknet_compat.heads.numpy_ops import NumpyOps
from darknet_compat.heads.ops import Ops, Value

AxisOrder = Literal["nchw", "nhwc"]
"""How a map's axes lie."""

_KINDS: dict[str, type[LayerSpec]] = {
    "region": s.Region,
    "yolo": s.Yolo,
    "gaussian_yolo": s.GaussianYolo,
    "detection": s.Detection,
}


def _whole(least: int, most: int = 1 << 20) -> Callable[[Any], bool]:
    return lambda value: is_whole(value) and least <= value <= most


def _flag(value: object) -> bool:
    return isinstance(value, bool)


def _anchors(value: object) -> bool:
    return isinstance(value, Sequence) and all(
        isinstance(pair, Sequence) and len(pair) == 2 and all(map(is_number, pair)) for pair in value
    )


def _mask(value: object) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(map(_whole(0), value))


_Fits = Callable[[Any], bool]
_COMMON: dict[str, _Fits] = {"classes": _whole(1)}
_YOLO: dict[str, _Fits] = {**_COMMON, "anchors": _anchors, "mask": _mask, "scale_x_y": is_number}
_FIELDS: dict[str, dict[str, _Fits]] = {
    "region": _COMMON
    | {"coords": _whole(4), "num": _whole(1), "anchors": _anchors}
    | {"softmax": _flag, "background": _flag, "logistic": _flag},
    "yolo": _YOLO | {"new_coords": _flag},
    "gaussian_yolo": _YOLO | {"yolo_point": lambda value: value in ("center", "left_top", "right_bottom")},
    "detection": _COMMON
    | {"coords": _whole(4), "num": _whole(1), "side": _whole(1, 1 << 10), "softmax": _flag, "sqrt": _flag},
}
"""What the formulas of each kind of head ask of its definition, beside the tree."""


@dataclass(frozen=True)
class Cut:
    """Where a graph ends before the boxes. `order`: of a map's axes. `activated`: with the logistic functions and
    softmaxes of the heads (`layer.output` of the original), but without anchors, cells and exponentials. `heads`: each
    output's name and what its formulas ask; None for a network that gives no boxes."""

    order: AxisOrder = "nchw"
    activated: bool = False
    heads: tuple[Mapping[str, Any], ...] | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {"order": self.order, "activated": self.activated, "heads": self.heads and list(map(dict, self.heads))}


def cut_of(spec: NetworkSpec, order: AxisOrder, activated: bool) -> Cut:
    """How a graph of this network ends."""
    if not detects(spec) or not all(head.detects for head in spec.heads):
        return Cut(order, activated)
    kinds = {kind: name for name, kind in _KINDS.items()}
    described = []
    for head in spec.heads:
        kind = kinds[type(head)]
        name = f"{'head' if activated else 'raw'}_{head.index}"
        described.append({"output": name, "type": kind} | {field: getattr(head, field) for field in _FIELDS[kind]})
    return Cut(order, activated, tuple(described))


def ended(ops: Ops, head: Head | None, raw: Value, cut: Cut, *, image: bool) -> Value:
    """A head's raw output as it leaves the graph; `image`: whether it is a map [N, C, H, W]."""
    found = activated(ops, head, raw) if cut.activated and head is not None else raw
    return ops.transpose(found, (0, 2, 3, 1)) if cut.order == "nhwc" and image else found


def cut_from(told: Any, where: str) -> Cut:
    """What `to_json` gave. Raises BackendError for anything else."""
    problem = BackendError(f"{where}: what its metadata say of its heads cannot be used; export it again")
    if not isinstance(told, Mapping) or told.get("order") not in ("nchw", "nhwc"):
        raise problem
    heads, after = told.get("heads"), told.get("activated")
    if not _flag(after) or not (heads is None or (isinstance(heads, Sequence) and heads)):
        raise problem
    for one in heads or ():
        fields = _FIELDS.get(str(one.get("type"))) if isinstance(one, Mapping) else None
        if fields is None or not isinstance(one.get("output"), str):
            raise problem
        if not all(fits(one.get(name)) for name, fits in fields.items()) or not _has_anchors(one):
            raise problem
    return Cut(told["order"], bool(after), None if heads is None else tuple(heads))


def _has_anchors(head: Mapping[str, Any]) -> bool:
    needed = 0 if head["type"] == "detection" else max(head["mask"]) + 1 if "mask" in head else head["num"]
    return len(head.get("anchors", ())) >= needed


class Decoder:
    """Outputs that were cut off → candidates. `size`: the input's (width, height)."""

    def __init__(self, cut: Cut, tree: WordTree | None, build: Build) -> None:
        self.cut = cut
        self.heads = [HEADS[_KINDS[one["type"]]](SimpleNamespace(**one, tree=tree), build) for one in cut.heads or ()]

    def __call__(self, outputs: Mapping[str, Array], size: tuple[int, int]) -> dict[str, Floats]:
        """Raw outputs [N, …] by name → `boxes`, `objectness` and `classes` as `runtime.base.Runtime.infer` has them.

        Raises BackendError for outputs that are not what the metadata promise.
        """
        ops, raws = NumpyOps(), []
        for one in self.cut.heads or ():
            raw = outputs.get(one["output"])
            if raw is None:
                raise BackendError(f"an output {one['output']}, found {', '.join(outputs)}")
            raws.append(raw.transpose(0, 3, 1, 2) if self.cut.order == "nhwc" and raw.ndim == 4 else raw)
        images = np.broadcast_to(np.float32(0), (1, 1, size[1], size[0]))  # for their size
        try:
            found = (from_activated if self.cut.activated else boxes)(ops, self.heads, raws, images)
        except ValueError:
            shapes = ", ".join(str(list(raw.shape)) for raw in raws)
            raise BackendError(f"outputs of its heads, found {shapes}") from None
        return dict(zip(("boxes", "objectness", "classes"), found, strict=True))
