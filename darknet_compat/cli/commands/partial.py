"""`darknet-compat partial`: the first layers of a weights file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from darknet_compat.cli.options import DialectOption, Json, ModelOption, WeightsOption
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.errors import OptionError, WeightsError
from darknet_compat.formats.atomic import expect_no_input
from darknet_compat.options import Option

OutOption = Annotated[Path, Option("The file to write, such as darknet19_448.conv.23.", metavar="OUT", positional=True)]


def _parse_layers(text: Any) -> int:
    """N, which someone who knows the original's order of arguments may have put elsewhere. Raises OptionError."""
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise OptionError(f"expected a number of layers, found '{text}'; the order is MODEL OUT N --weights FILE")


Layers = Annotated[int, Option("How many layers to keep.", metavar="N", parse=_parse_layers, positional=True)]


SeenWidth = Annotated[
    int | None,
    Option(
        "How wide the count of images seen is in the file's header, where that is not what its version says. What"
        " is written has a header of today's.",
        metavar="4|8",
    ),
]


Longer = Annotated[
    bool,
    Option("Take a file that holds more than MODEL needs, and pass over the rest, as Darknet does without a word."),
]


def _width(seen_bytes: int | None) -> Literal[4, 8] | None:
    if seen_bytes not in (None, 4, 8):
        raise OptionError(f"expected 4 or 8, found {seen_bytes}", "seen_bytes")
    return None if seen_bytes is None else 8 if seen_bytes == 8 else 4


def partial(
    model: ModelOption,
    out: OutOption,
    n: Layers,
    weights: WeightsOption = None,
    dialect: DialectOption = None,
    seen_bytes: SeenWidth = None,
    longer: Longer = False,
    json: Json = False,
) -> None:
    """Cut out the weights of the first N layers.

    For another network to start from, as YOLOv2 does from darknet19_448.conv.23.
    The bytes are those of the original's `darknet partial CFG WEIGHTS OUT N`.
    """
    from darknet_compat.catalogue.locate import locate
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.definition.weights.file import cut_weights

    with terminal.Transfers(model, quiet=json) as progress:
        sources = locate(model, weights, progress=progress)
    spec = load_spec(sources.cfg, dialect=dialect)
    if sources.weights is None:
        raise WeightsError(f"{sources.cfg}: name the weights to cut with --weights FILE")
    inputs: list[str | Path] = [sources.weights, sources.cfg, *spec.files.values()]
    expect_no_input(out, inputs, WeightsError, "the order is MODEL OUT N --weights FILE")
    cut_weights(sources.weights, spec, out, n, seen_bytes=_width(seen_bytes), longer=longer)
    size = out.stat().st_size
    if json:
        terminal.print_json({"file": str(out), "bytes": size, "layers": n, "of": len(spec.layers)})
        return
    last = spec.layers[n - 1]
    terminal.print_line(
        f"{out}: {size:,} bytes, layers 0 to {last.index} [{last.type}] of {len(spec.layers)}, from {sources.weights}"
    )
