"""What an artefact says of itself ⇄ the text properties inside it, such as an ONNX model's `metadata_props`.

One JSON value a property, all named `darknet_compat.…`; a tree is the text of its `.tree` file. The only place that
knows these names.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from darknet_compat.errors import BackendError, DarknetCompatError
from darknet_compat.formats.wordtree import WordTree, format_tree, parse_tree

FORMAT = 1
"""Raised when an older reader would misunderstand a newer file."""

PREFIX = "darknet_compat."

Outputs = Literal["heads", "boxes", "detections"]
Input = Literal["float", "uint8"]


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """How an artefact wants to be used, and where it comes from.

    `width`, `height`: the input it was made for, in pixels; with `sizes` (least, most) each side may be any multiple of
    `step` between the two, else only that. `batch`: how many pictures at once, None for any number. `outputs`: raw
    outputs of the heads, decoded boxes, or detections after non-maximum suppression. `input`: float [N, C, H, W],
    0..1, or uint8 [N, H, W, C], 0..255. The thresholds are in force inside the graph only for detections, and elsewhere
    what the model is meant to be used with. `quantization`: of one in int8 what it was calibrated with and what it
    loses (`export.quantize.Accuracy`).
    """

    name: str
    task: Literal["detect", "classify"] | None
    width: int
    height: int
    channels: int
    classes: int
    outputs: Outputs
    input: Input = "float"
    sizes: tuple[int, int] | None = None
    step: int = 1
    batch: int | None = None
    resize: Literal["letterbox", "stretch"] = "letterbox"
    precision: str = "fp32"
    thresh: float = 0.5
    hier_thresh: float = 0.5
    nms: float = 0.45
    names: tuple[str, ...] | None = None
    map: tuple[int, ...] | None = None
    tree: WordTree | None = None
    cfg_sha256: str | None = None
    weights_sha256: str | None = None
    batchnorm: str = "cuda"
    quantization: Mapping[str, Any] | None = None
    tools: Mapping[str, str] = field(default_factory=dict)

    def size_problem(self, width: int, height: int) -> str | None:
        """Why the artefact does not take pictures of `width` x `height`; None where it does."""
        if self.sizes is None:
            fits = (width, height) == (self.width, self.height)
            return None if fits else f"takes {self.width} x {self.height} only, found {width} x {height}"
        least, most = self.sizes
        if all(least <= side <= most and side % self.step == 0 for side in (width, height)):
            return None
        return f"takes sides from {least} to {most} in steps of {self.step}, found {width} x {height}"


_FROM_JSON: dict[str, Callable[[Any], Any]] = {
    "sizes": lambda value: None if value is None else (int(value[0]), int(value[1])),
    "names": lambda value: None if value is None else tuple(map(str, value)),
    "map": lambda value: None if value is None else tuple(map(int, value)),
    "tree": lambda value: None if value is None else parse_tree(value.splitlines(), "the model's tree"),
}
"""Fields whose JSON value is not their own value."""

_CHOICES = {
    "task": ("detect", "classify", None),
    "outputs": ("heads", "boxes", "detections"),
    "input": ("float", "uint8"),
    "resize": ("letterbox", "stretch"),
}
_NUMBERS = ("width", "height", "channels", "classes", "step")


def to_properties(artefact: Artefact) -> dict[str, str]:
    """The properties to write into the artefact."""
    values = {name: getattr(artefact, name) for name in Artefact.__dataclass_fields__}
    values["tree"] = format_tree(artefact.tree) if artefact.tree else None
    values["tools"] = dict(artefact.tools)
    return {f"{PREFIX}format": json.dumps(FORMAT)} | {
        PREFIX + name: json.dumps(value, ensure_ascii=False) for name, value in values.items()
    }


def from_properties(properties: Mapping[str, str], where: str) -> Artefact:
    """What `to_properties` wrote. Raises BackendError, beginning with `where`, for a model that is not ours."""
    own = {name.removeprefix(PREFIX): text for name, text in properties.items() if name.startswith(PREFIX)}
    if not own:
        raise BackendError(
            f"{where}: not exported by darknet-compat, does not say how it is to be used (no {PREFIX}* metadata);"
            " export it from its .cfg and .weights with `darknet-compat export`"
        )
    values: dict[str, Any] = {}
    missing = sorted({"format", *Artefact.__dataclass_fields__} - own.keys())
    if missing:
        raise BackendError(f"{where}: lacks the metadata {PREFIX}{missing[0]}; export it again")
    for name, text in own.items():
        try:
            value = json.loads(text)
            values[name] = _FROM_JSON[name](value) if name in _FROM_JSON else value
        except (ValueError, TypeError, AttributeError, IndexError, DarknetCompatError):
            raise _unusable(where, name, text) from None
    if values.pop("format") != FORMAT:
        raise BackendError(
            f"{where}: is of format {own['format']}, this version reads format {FORMAT}; export it again, or update"
        )
    for name in (*_NUMBERS, *_CHOICES):
        value = values[name]
        good = value in _CHOICES[name] if name in _CHOICES else isinstance(value, int) and value >= (name != "classes")
        if not good:
            raise _unusable(where, name, own[name])
    return Artefact(**{name: values[name] for name in Artefact.__dataclass_fields__})


def _unusable(where: str, name: str, text: str) -> BackendError:
    return BackendError(f"{where}: the metadata {PREFIX}{name} cannot be used: {text[:40]!r}; export it again")
