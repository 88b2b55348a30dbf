"""`darknet-compat parity`: every layer against the original's."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darknet_compat.cli.arguments import parser
from darknet_compat.cli.options import (
    InputSize,
    Json,
    MaxPixels,
    Model,
    Names,
    PrecisionMode,
    Weights,
    explaining,
)
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.parity_report import finite, photographs, print_chain, write_chain
from darknet_compat.formats.atomic import results_folder
from darknet_compat.options import parse_fraction

if TYPE_CHECKING:
    from darknet_compat.parity.compare import Difference
    from darknet_compat.parity.layers import LayerParity
    from darknet_compat.parity.stages import Chain

Image = Annotated[
    list[Path] | None,
    typer.Option(
        "--image",
        metavar="FILE",
        help="A picture to send through; with --stages repeatable. Default: seeded noise; with --stages the photographs"
        " that come with the original.",
    ),
]
Stages = Annotated[
    bool,
    typer.Option(
        "--stages", help="The whole chain: original, torch, and the exported file in each runtime, down to detections."
    ),
]
Layers = Annotated[
    bool, typer.Option("--layers", help="With --stages: also every layer's value inside the exported graph.")
]
Thresh = Annotated[
    float | None,
    typer.Option(
        "--thresh",
        parser=parser(parse_fraction),
        metavar="0..1",
        help="With --stages: the least score of a detection. Default: 0.25; of seeded weights what 20 boxes pass.",
    ),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the noise, and of the weights where there are none.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        metavar="DIR",
        help="Write the tables as JSON there, and a plot of the differences; with --stages a page to send.",
    ),
]


class Reader(str, Enum):
    """What a network can be held against."""

    original = "original"
    opencv = "opencv"


Against = Annotated[
    Reader,
    typer.Option(
        "--reader", help="Whose answers to hold every layer against: the original Darknet's, or OpenCV 4's own reader."
    ),
]


def parity(
    model: Model,
    weights: Weights = None,
    names: Names = None,
    image: Image = None,
    seed: Seed = 0,
    size: InputSize = None,
    reader: Against = Reader.original,
    stages: Stages = False,
    layers: Layers = False,
    thresh: Thresh = None,
    precision: PrecisionMode = "fp32",
    out: Out = None,
    max_pixels: MaxPixels = None,
    json: Json = False,
) -> None:
    """Hold every layer's output against the original Darknet's.

    Both run the same input with the same weights; without any, with seeded ones. The original has to be installed
    (Debian: apt-get install darknet). What it does not know, such as the fork's words, `--reader opencv` holds against
    OpenCV's reader of Darknet's files. Differences are parts of each layer's largest value. Exit code 1 if one is
    above the tolerance, or if nothing could be compared.
    """
    from darknet_compat.inference.model import locate
    from darknet_compat.parity.layers import layer_parity
    from darknet_compat.parity.reference import require_original
    from darknet_compat.runtime.registry import is_exported

    if not stages and (layers or thresh is not None or precision != "fp32" or len(image or ()) > 1):
        raise typer.BadParameter("--layers, --thresh, --precision and several pictures go with --stages")
    if stages and reader is Reader.opencv:
        raise typer.BadParameter("--reader opencv compares layers, not --stages")
    sources = locate(model, weights, download=False)
    if is_exported(sources.cfg):
        raise typer.BadParameter(
            f"{model} is what comes out at the chain's end; name the .cfg that it was made from, which --stages exports"
        )
    if reader is Reader.original:
        require_original()
    if out is not None:
        results_folder(out)
    with terminal.Transfers(model, quiet=json), explaining(size):
        if stages:
            from darknet_compat.parity.stages import stage_parity

            chain = stage_parity(
                sources.cfg,
                sources.weights,
                image or photographs(),
                seed=seed,
                size=size,
                precision=precision,
                thresh=thresh,
                layers=layers,
                names=names,
            )
        else:
            compared = _opencv_parity if reader is Reader.opencv else layer_parity
            result = compared(sources.cfg, sources.weights, image=image[0] if image else None, seed=seed, size=size)
    passed = _show_chain(chain, out, json) if stages else _show_layers(result, out, json)
    if not passed:
        raise typer.Exit(1)


def _opencv_parity(*arguments: Any, **named: Any) -> LayerParity:
    from darknet_compat.parity.opencv import opencv_parity

    return opencv_parity(*arguments, **named)


def _show_chain(chain: Chain, out: Path | None, json: bool) -> bool:
    written = write_chain(chain, out) if out else []
    terminal.print_json(finite(chain.to_dict())) if json else print_chain(chain, written)
    return chain.passed


def _show_layers(result: LayerParity, out: Path | None, json: bool) -> bool:
    written = _write(result, out) if out else []
    terminal.print_json(finite(result.to_dict())) if json else _print(result, written)
    return result.passed


def _write(result: LayerParity, out: Path) -> list[Path]:
    import json

    from darknet_compat.formats.atomic import atomic_write
    from darknet_compat.parity.plot import save_plot

    stem = f"{Path(result.cfg).stem}-parity"
    table, picture = out / f"{stem}.json", out / f"{stem}.png"
    with atomic_write(table) as file:
        file.write(json.dumps(finite(result.to_dict()), indent=1).encode())
    save_plot(result, picture)
    return [table, picture]


def _print(result: LayerParity, written: list[Path]) -> None:
    rows = [_cells(row) for row in result.rows]
    headers = ("layer", "output", "max abs", "relative", "mean", "worst at", "")
    terminal.print_table(headers, rows, left=("layer", "worst at", ""))
    compared = [row for row in result.rows if row.verdict != "nothing to compare"]
    failed = [row for row in compared if row.verdict == "differs"]
    worst = max(compared, key=lambda row: row.relative, default=None)
    print(f"\nweights {result.weights}, input {result.input}")
    for remark in result.remarks:
        print(remark)
    if failed:
        print(f"FAILED: {len(failed)} of {len(compared)} layers differ, the first is {failed[0].name}")
    elif worst is None:
        print("FAILED: nothing could be compared")
    else:
        at = f"{worst.relative:.1e} of scale at {worst.name}, tolerance {worst.tolerance:.0e}"
        print(f"passed: {len(compared)} layers equal {result.reader}'s; largest difference {at}")
    for path in written:
        print(path)


def _cells(row: Difference) -> tuple[str, ...]:
    shape = "x".join(str(side) for side in row.shape[1:])
    if row.verdict == "nothing to compare":
        return row.name, shape, "", "", "", "", row.note
    at = ",".join(str(index) for index in row.worst[1:])
    mark = f"DIFFERS {row.note}".rstrip() if row.verdict == "differs" else row.note
    return row.name, shape, f"{row.max_abs:.1e}", f"{row.relative:.1e}", f"{row.mean_abs:.1e}", at, mark
