"""What an artefact says of itself ⇄ the text properties inside it, such as an ONNX model's `metadata_props`.

One JSON value a property, all named `darknet_compat.…`; a tree is the text of its `.tree` file. The only place that
knows these names.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard, get_args

import numpy as np

from darknet_compat.errors import BackendError, DarknetCompatError
from darknet_compat.formats.jsonfile import is_whole, parse_json
from darknet_compat.formats.textfile import count, plain
from darknet_compat.formats.words import MOST_BATCH, MOST_DETECTIONS, Input, NmsKind, OtherLayout, Outputs, Resize, Task
from darknet_compat.formats.wordtree import WordTree, format_tree, parse_tree

FORMAT = 3
"""Raised when an older reader would misunderstand a newer file: one of 1 knows of no `nms_kind`, one of 2 of no
`layout`; what the latter would understand still says 2."""

PREFIX = "darknet_compat."

MOST_SIDE = 1 << 15
"""Of an input, in pixels, and how many channels it has at most."""

MOST_VALUES = 1 << 28
"""In one picture's input: a gigabyte."""

MOST_CLASSES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """How an artefact wants to be used, and where it comes from.

    `width`, `height`: the input it was made for, in pixels; with `sizes` (least, most) each side may be any multiple of
    `step` between the two, else only that. `batch`: how many pictures at once, None for any number. `outputs`: raw
    outputs of the heads, decoded boxes, or detections after non-maximum suppression. `input`: float [N, C, H, W],
    0..1, or uint8 [N, H, W, C], 0..255. The thresholds are in force inside the graph only for detections, and elsewhere
    what the model is meant to be used with; `nms_kind` and `beta_nms` are the suppression's (inside, only the plain
    one). `dialect`: whose words the `.cfg` was read as. `quantization`: of one in int8 what it was calibrated with and
    what it loses (`export.quantize.Accuracy`). `layout`: whose form the outputs have (`heads.output_layouts`), None for
    our own; with a WordTree `hier_thresh` then is in force inside. `max_detections`: of `nms`, how many a picture has.
    `target`: the only runtime that runs it, None for any. `cut`: how raw outputs are to be read (`heads.cut`).
    `are_probabilities`: whether a classifier's answers are; without a head they are its last layer's values.
    """

    name: str
    task: Task | None
    width: int
    height: int
    channels: int
    classes: int
    outputs: Outputs
    input: Input = "float"
    sizes: tuple[int, int] | None = None
    step: int = 1
    batch: int | None = None
    resize: Resize = "letterbox"
    precision: str = "fp32"
    thresh: float = 0.5
    hier_thresh: float = 0.5
    nms: float = 0.45
    nms_kind: NmsKind = "default"
    beta_nms: float = 0.6
    names: tuple[str, ...] | None = None
    map: tuple[int, ...] | None = None
    tree: WordTree | None = None
    cfg_sha256: str | None = None
    weights_sha256: str | None = None
    batchnorm: str = "cuda"
    dialect: str = "original"
    quantization: Mapping[str, Any] | None = None
    layout: OtherLayout | None = None
    max_detections: int | None = None
    target: Literal["tensorrt"] | None = None
    cut: Mapping[str, Any] | None = None
    are_probabilities: bool = True
    tools: Mapping[str, str] = field(default_factory=dict)

    def size_problem(self, width: int, height: int) -> str | None:
        """Why the artefact does not take pictures of `width` x `height`; None where it does."""
        if self.sizes is None:
            fits = (width, height) == (self.width, self.height)
            return None if fits else f"takes {self.width} x {self.height} only, found {width} x {height}"
        return sides_problem(self.sizes, self.step, width, height)


def sides_problem(sizes: tuple[int, int], step: int, width: int, height: int) -> str | None:
    """Why pictures of `width` x `height` are not taken by what takes sides of `sizes` (least, most), multiples of
    `step`; None where they are."""
    least, most = sizes
    if all(least <= side <= most and side % step == 0 for side in (width, height)):
        return None
    return f"takes sides from {least} to {most} in steps of {step}, found {width} x {height}"


_Check = tuple[str, Callable[[Any], bool]]
"""What a field has to be, in words, and whether a value is that."""


def _whole(least: int, most: int | None = None) -> _Check:
    expected = f"a whole number from {least}" + ("" if most is None else f" to {most}")
    return expected, lambda value: is_whole(value) and least <= value <= (value if most is None else most)


def _one_of(*known: str | None) -> _Check:
    *others, last = ["none" if one is None else one for one in known]
    return f"{', '.join(others)} or {last}", lambda value: isinstance(value, str | None) and value in known


def _tuple_of(expected: str, fits: Callable[[Any], bool]) -> _Check:
    return expected, lambda value: isinstance(value, tuple) and all(map(fits, value))


def _or_none(check: _Check) -> _Check:
    expected, fits = check
    return f"{expected}, or none", lambda value: value is None or fits(value)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def is_number(value: object) -> TypeGuard[float]:
    """Whether it is a finite number, which True is not."""
    return isinstance(value, int | float | np.floating) and not isinstance(value, bool) and bool(np.isfinite(value))


def _is_fraction(value: object) -> bool:
    return is_number(value) and 0 <= value <= 1


def _is_range(value: object) -> bool:
    return (
        isinstance(value, tuple)
        and len(value) == 2
        and all(map(is_whole, value))
        and 0 < value[0] <= value[1] <= MOST_SIDE
    )


_TEXT: _Check = ("text", _is_text)
_FRACTION: _Check = ("a number from 0 to 1", _is_fraction)
_CHECKS: dict[str, _Check] = {
    "name": _TEXT,
    "task": _one_of("detect", "classify", None),
    "width": _whole(1, MOST_SIDE),
    "height": _whole(1, MOST_SIDE),
    "channels": _whole(1, MOST_SIDE),
    "classes": _whole(0, MOST_CLASSES),
    "outputs": _one_of("heads", "boxes", "detections"),
    "input": _one_of("float", "uint8"),
    "sizes": _or_none(("least and most pixels of a side", _is_range)),
    "step": _whole(1, MOST_SIDE),
    "batch": _or_none(_whole(1, MOST_BATCH)),
    "resize": _one_of("letterbox", "stretch"),
    "precision": _one_of("fp32", "bf16", "fp16", "int8", "fp8"),
    "thresh": _FRACTION,
    "hier_thresh": _FRACTION,
    "nms": _FRACTION,
    "nms_kind": _one_of("default", "greedynms", "diounms", "cornersnms"),
    "beta_nms": ("a number", is_number),
    "names": _or_none(_tuple_of("names of classes", _is_text)),
    "map": _or_none(_tuple_of("numbers of classes", _whole(0)[1])),
    "tree": _or_none(("a WordTree", lambda value: isinstance(value, WordTree))),
    "cfg_sha256": _or_none(_TEXT),
    "weights_sha256": _or_none(_TEXT),
    "batchnorm": _TEXT,
    "dialect": _one_of("original", "fork"),
    "quantization": _or_none(("figures by name", lambda value: isinstance(value, Mapping))),
    "layout": _or_none(_one_of(*get_args(OtherLayout))),
    "max_detections": _or_none(_whole(1, MOST_DETECTIONS)),
    "target": _one_of("tensorrt", None),
    "cut": _or_none(("facts by name", lambda value: isinstance(value, Mapping))),
    "are_probabilities": ("true or false", lambda value: isinstance(value, bool)),
    "tools": ("versions by name", lambda value: isinstance(value, Mapping) and all(map(_is_text, value.values()))),
}
"""One a field."""

_OLDEST = 1
"""The oldest format that is read."""

_BEFORE = {
    name: json.dumps(value)
    for name, value in {
        "dialect": "original",
        "nms_kind": "default",
        "beta_nms": 0.6,
        **dict.fromkeys(("layout", "max_detections", "target", "cut")),
        "are_probabilities": True,
    }.items()
}
"""What older files say by saying nothing: the field is younger than they are."""

_UNREADABLE = object()
"""Which no field may be."""


def expected_of(field: str, value: object) -> str | None:
    """In words what a field of an Artefact has to be, where `value` is not that; None where it is."""
    expected, fits = _CHECKS[field]
    return None if fits(value) else expected


def to_properties(artefact: Artefact) -> dict[str, str]:
    """The properties to write into the artefact."""
    values = {name: getattr(artefact, name) for name in Artefact.__dataclass_fields__}
    values["tree"] = format_tree(artefact.tree) if artefact.tree else None
    values["tools"] = dict(artefact.tools)
    told = FORMAT if artefact.layout is not None or artefact.target is not None else FORMAT - 1
    return {f"{PREFIX}format": json.dumps(told)} | {PREFIX + name: _to_json(value) for name, value in values.items()}


def _to_json(value: object) -> str:
    """As it is read, but for bytes of a list of names that were no UTF-8, which a text property cannot hold."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "backslashreplace").decode()


def from_properties(properties: Mapping[str, str], where: str) -> Artefact:
    """What `to_properties` wrote. Raises BackendError, beginning with `where`, for a model that is not ours."""
    own = {name.removeprefix(PREFIX): text for name, text in properties.items() if name.startswith(PREFIX)}
    if not own:
        raise BackendError(
            f"{where}: not exported by darknet-compat, does not say how it is to be used (no {PREFIX}* metadata);"
            " export it from its .cfg and .weights with `darknet-compat export`"
        )
    fields = list(Artefact.__dataclass_fields__)
    own = _BEFORE | own
    if missing := sorted({"format", *fields} - own.keys()):
        raise BackendError(f"{where}: lacks the metadata {PREFIX}{missing[0]}; export it again")
    if own["format"] not in map(json.dumps, range(_OLDEST, FORMAT + 1)):
        raise BackendError(
            f"{where}: is of format {plain(own['format'])}, this version reads format {FORMAT}; export it again, or"
            " update"
        )
    artefact = Artefact(**{name: _from_json(name, own[name], where) for name in fields})
    if artefact.width * artefact.height * artefact.channels > MOST_VALUES:
        size = f"{artefact.width} x {artefact.height} x {artefact.channels}"
        raise BackendError(f"{where}: its metadata ask for inputs of {size} values, more than {MOST_VALUES:,}")
    if (artefact.outputs != "heads" or artefact.layout is not None) and (problem := _contradiction(artefact)):
        raise BackendError(f"{where}: {problem}; export it again")
    return artefact


def _from_json(name: str, text: str, where: str) -> Any:
    """A field's value."""
    try:
        value = parse_json(text)
        if name == "tree" and isinstance(value, str):
            value = parse_tree(value.splitlines(), "the model's tree")
    except (ValueError, TypeError, DarknetCompatError):
        value = _UNREADABLE
    if isinstance(value, list):
        value = tuple(value)
    if expected := expected_of(name, value):
        raise BackendError(
            f"{where}: the metadata {PREFIX}{name} cannot be used: expected {expected}, found {str(text)[:40]!r};"
            " export it again"
        )
    return value


def _contradiction(artefact: Artefact) -> str | None:
    """What one field says against another; None where they agree."""
    classes = artefact.classes
    if artefact.tree is not None and len(artefact.tree) != classes:
        return f"its tree has {count(len(artefact.tree), 'node')}, but it has {count(classes, 'class')}"
    if artefact.map is not None and (largest := max(artefact.map, default=0)) >= classes:
        return f"its map names class {largest}, but it has {count(classes, 'class')}"
    if artefact.layout is not None:
        gives = "detections" if artefact.layout == "nms" else "boxes"
        if (
            artefact.task != "detect"
            or artefact.outputs != gives
            or (gives != "boxes") != bool(artefact.max_detections)
        ):
            return f"it is to have the layout {artefact.layout}, but gives {artefact.outputs}"
    return None


def float32_layers(artefact: Artefact, backend: str) -> str | None:
    """The numbers of the layers whose convolutions a file in int8 leaves in float32 on a backend, such as "0, 4-6";
    None where it does not say so."""
    said = (artefact.quantization or {}).get("float32")
    names = said.get(backend, said.get("file")) if isinstance(said, Mapping) else None
    if not isinstance(names, list):
        return None
    numbers = sorted({int(found[0]) for name in names if (found := re.match(r"\d{1,9}(?=[ _])", str(name)))})
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs)
