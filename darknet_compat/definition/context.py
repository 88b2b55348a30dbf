"""What a section's lowering may look at, and the checks that all of them share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args

from darknet_compat.definition.dialects import ORIGINAL, Dialect
from darknet_compat.definition.other_tools import whose_activation
from darknet_compat.definition.spec import ActivationName, LayerSpec, Net, Shape
from darknet_compat.errors import CfgError
from darknet_compat.formats.cfg import SectionOptions
from darknet_compat.formats.metadata import resolve_inside
from darknet_compat.formats.textfile import count, shown

LIMIT = 2**31 - 1
"""The original counts values and weights in C ints; a layer beyond this is a mistake or an attack."""

_DEBIAN_HOME = "/usr/share/darknet/"
"""Debian's package writes its data files' places into the cfgs as absolute paths below this folder."""


@dataclass
class Context:
    """What a layer's lowering may look at: the layers before it, and where files lie."""

    net: Net
    cfg_name: str
    roots: Sequence[Path]
    dialect: Dialect = ORIGINAL
    layers: list[LayerSpec] = field(default_factory=list)
    files: dict[str, str] = field(default_factory=dict)
    parameters: int = 0

    @property
    def index(self) -> int:
        """The number of the layer that is being lowered."""
        return len(self.layers)

    @property
    def input(self) -> Shape:
        """The shape of what the previous layer puts out."""
        return self.shape(self.index - 1)

    def shape(self, index: int) -> Shape:
        """The shape of layer `index`'s output; of the network's input for -1."""
        return self.net.input if index < 0 else self.layers[index].output

    def common(self, options: SectionOptions, output: Shape, sources: tuple[int, ...] | None = None) -> dict[str, Any]:
        """The fields every LayerSpec has, `output` checked against what the original could count."""
        if min(output.c, output.h, output.w) < 1:
            raise options.error(f"input {self.input} leaves an empty output ({output})")
        self.hold(options, f"output of {output}", output.size)
        options.without_effect("onlyforward", 0.0)
        return {
            "index": self.index,
            "line": options.section.line,
            "type": options.section.type,
            "sources": (self.index - 1,) if sources is None else sources,
            "input": self.input,
            "output": output,
            "learning_rate": options.real("learning_rate", 1.0),
            "stopbackward": self.dialect.stops_backward(options.integer("stopbackward", 0)),
            "truth": options.flag("truth"),
            "smooth": options.real("smooth", 0.0),
            "dontload": options.flag("dontload"),
            "dontsave": options.flag("dontsave"),
            "dontloadscales": options.flag("dontloadscales"),
            "numload": options.integer("numload", 0, minimum=0),
            "clip": options.real("clip", 0.0),
            "dont_update": options.integer("dont_update", 0),
            "burnin_update": options.integer("burnin_update", 0),
            "train_only_bn": options.flag("train_only_bn"),
        }

    def image(self, options: SectionOptions) -> Shape:
        """The input, which has to be an image."""
        if not self.input.image:
            raise options.error(
                f"needs an image before it, found {count(self.input.size, 'value')} without"
                f" height and width{self._why_flat()}"
            )
        return self.input

    def _why_flat(self) -> str:
        """What made plain values of images, if it is the layer before."""
        before = self.layers[-1] if self.layers else None
        if before is None or before.type != "route":
            return ""
        shapes = [self.shape(source) for source in before.sources]
        sides = list(dict.fromkeys(f"{shape.w} x {shape.h}" for shape in shapes if shape.image))
        if len(sides) < 2:
            return ""
        heights = [shape.h for shape in shapes if shape.image]
        hint = ""
        if max(heights) - min(heights) == 1:  # halved and doubled again, which an odd side does not survive
            step = 2 ** (1 + round(math.log2(self.net.height / min(heights))))
            width, height = (-(-side // step) * step for side in (self.net.width, self.net.height))
            hint = f"; a width and height that {step} divides would not, such as {width} x {height}"
        return f": layer {before.index} [route] joins layers of {' and '.join(sides)}{hint}"

    def earlier(self, options: SectionOptions, key: str, number: int) -> int:
        """The absolute index of a layer: below 0 counts back from this one. It has to be an earlier layer."""
        index = self.index + number if number < 0 else number
        if not 0 <= index < self.index:
            there = f"layers 0 to {self.index - 1}" if self.index else "none"
            raise options.error(f"{key}={number} means layer {index}; before layer {self.index} there are {there}", key)
        return index

    def source(self, options: SectionOptions, key: str, number: int) -> int:
        """The same for a layer whose output is read: what the fork filters afterwards has none of a known shape."""
        index = self.earlier(options, key, number)
        if getattr(self.layers[index], "antialiasing", 0):
            raise options.error(f"layer {index} has antialiasing; the fork reads such a one's memory unfiltered", key)
        return index

    def weigh(self, options: SectionOptions, *counts: int) -> None:
        """Refuse a layer whose weights, the product of `counts`, nobody could hold; and the network they add up to."""
        number = 1
        for one in counts:
            number *= one
        if number > LIMIT:
            raise options.error(f"needs {_gigabytes(number)} of weights; {_REFUSED}")
        self.parameters += number
        if self.parameters > LIMIT:
            raise options.error(f"brings the network to {_gigabytes(self.parameters)} of weights; {_REFUSED}")

    def hold(self, options: SectionOptions, what: str, number: int) -> None:
        """Refuse `number` values of one picture, which `what` takes, if nobody could hold them."""
        if number > LIMIT:
            raise options.error(f"{what} takes {_gigabytes(number)}; {_REFUSED}")

    def file(self, options: SectionOptions, key: str) -> Path | None:
        """The file that option `key` names, inside the model's folder or the packaged one; None without the option."""
        if not (name := options.text(key)):
            return None
        path = resolve_inside(name.removeprefix(_DEBIAN_HOME), self.roots, f"{options.where(key)} {key}", CfgError)
        self.files[name] = str(path)
        return path


_SAME_AS = {"silu": "swish", "revleaky": "leaky"}
"""Activations by another name: PyTorch's, and one of the fork's."""


def activation(
    options: SectionOptions, context: Context, default: ActivationName, key: str = "activation"
) -> ActivationName:
    """The layer's activation. Both take one they do not know for relu, in which case all results are wrong: that is
    refused, or noted where the dialect says so."""
    name = options.text(key, default)
    name = _SAME_AS.get(name, name)
    if name in get_args(ActivationName):
        return cast(ActivationName, name)
    if whose := whose_activation(name):
        raise options.error(f"unknown activation {shown(name)}, which seems to be {whose}", key)
    if context.dialect.relu_for_unknown:
        options.note(f"unknown {key} {shown(name)} is taken for relu, as the fork does", key)
        return "relu"
    known = ", ".join(get_args(ActivationName))
    raise options.error(f"unknown activation {shown(name)}; known are {known}", key)


def _gigabytes(floats: int) -> str:
    return f"{4e-9 * floats:.1f} GB"


_REFUSED = f"more than {_gigabytes(LIMIT)} are refused"

Lowering = Callable[[SectionOptions, Context], LayerSpec]
"""Options of a section and what came before → its layer."""
