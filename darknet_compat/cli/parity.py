"""`darknet-compat parity`: every layer against the original's."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darknet_compat.cli import terminal
from darknet_compat.cli.options import InputSize, Json, Model, Weights, explaining

if TYPE_CHECKING:
    from darknet_compat.parity.compare import Difference
    from darknet_compat.parity.layers import LayerParity

Image = Annotated[
    Path | None,
    typer.Option("--image", metavar="FILE", help="A picture to send through. Default: seeded noise."),
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="Of the noise, and of the weights where there are none.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Write the table as JSON and a plot of the differences by depth there."),
]


def parity(
    model: Model,
    weights: Weights = None,
    image: Image = None,
    seed: Seed = 0,
    size: InputSize = None,
    out: Out = None,
    json: Json = False,
) -> None:
    """Hold every layer's output against the original Darknet's.

    Both run the same input with the same weights; without any, with seeded ones. The original has to be installed
    (Debian: apt-get install darknet). Differences are parts of each layer's largest value. Exit code 1 if one is
    above the tolerance, or if nothing could be compared.
    """
    from darknet_compat.inference.model import locate
    from darknet_compat.parity.layers import layer_parity

    sources = locate(model, weights, download=False)
    with terminal.Transfers(model, quiet=json), explaining(size):
        result = layer_parity(sources.cfg, sources.weights, image=image, seed=seed, size=size)
    written = _write(result, out) if out else []
    if json:
        terminal.print_json(result.to_dict())
    else:
        _print(result, written)
    if not result.passed:
        raise typer.Exit(1)


def _write(result: LayerParity, out: Path) -> list[Path]:
    import json

    from darknet_compat.formats.atomic import atomic_write
    from darknet_compat.parity.plot import save_plot

    out.mkdir(parents=True, exist_ok=True)
    stem = f"{Path(result.cfg).stem}-parity"
    table, picture = out / f"{stem}.json", out / f"{stem}.png"
    with atomic_write(table) as file:
        file.write(json.dumps(result.to_dict(), indent=1).encode())
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
    if failed:
        print(f"FAILED: {len(failed)} of {len(compared)} layers differ, the first is {failed[0].name}")
    elif worst is None:
        print("FAILED: nothing could be compared")
    else:
        at = f"{worst.relative:.1e} of scale at {worst.name}, tolerance {worst.tolerance:.0e}"
        print(f"passed: {len(compared)} layers equal the original's; largest difference {at}")
    for path in written:
        print(path)


def _cells(row: Difference) -> tuple[str, ...]:
    shape = "x".join(str(side) for side in row.shape[1:])
    if row.verdict == "nothing to compare":
        return row.name, shape, "", "", "", "", row.note
    at = ",".join(str(index) for index in row.worst[1:])
    mark = "DIFFERS" if row.verdict == "differs" else row.note
    return row.name, shape, f"{row.max_abs:.1e}", f"{row.relative:.1e}", f"{row.mean_abs:.1e}", at, mark
