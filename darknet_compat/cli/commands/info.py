"""`darknet-compat info`: what a network is, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darknet_compat.cli.options import DialectOption, InputSize, Json, MaxPixels, Weights, explaining
from darknet_compat.cli.terminal import data_report
from darknet_compat.cli.terminal import output as terminal

if TYPE_CHECKING:
    from darknet_compat.catalogue import catalog
    from darknet_compat.cli.terminal.model_report import About

OptionalModel = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL|DATASET",
        help="A .cfg, or a name from the catalogue; an .onnx or .engine; or a data set: a list, .data, VOC folder,"
        " COCO's JSON, folders of classes. Without: the catalogue.",
    ),
]
Split = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="Which part of a data set. Default: training's.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Of a data set: write it there as lists, labels and .data for Darknet."),
]
Decode = Annotated[bool, typer.Option("--decode", help="Of a data set: read every picture, not its labels only.")]


def info(
    model: OptionalModel = None,
    weights: Weights = None,
    size: InputSize = None,
    split: Split = None,
    decode: Decode = False,
    out: Out = None,
    max_pixels: MaxPixels = None,
    dialect: DialectOption = None,
    json: Json = False,
) -> None:
    """Show a network's layers and costs, what an exported file says, or what is in a data set and wrong there.

    Shapes, parameters, the byte at which a layer's weights begin, operations; whether a .weights file is exactly the
    one it needs; classes and anchors; what nobody read in the .cfg; what was published about it. Nothing is downloaded.
    Without MODEL, list the catalogue.
    """
    if model is None:
        _print_catalogue(json)
        return
    if data_report.is_dataset(model):
        data_report.show(model, split, decode, json)
        if out is not None:
            data_report.write(model, split, out, json)
        return
    if out or decode or split:
        raise typer.BadParameter("--out, --decode and --split are for a data set")
    from darknet_compat.cli.terminal import artefact_report
    from darknet_compat.cli.terminal import model_report as description
    from darknet_compat.runtime.registry import artefact_of

    if (artefact := artefact_of(Path(model))) is not None:
        artefact_report.show(Path(model), artefact, json)
        return
    with explaining(size):
        about = description.gather(model, weights, size, dialect)
    if about.problem and json:
        raise about.problem
    if json:
        terminal.print_json(description.to_dict(about))
        return
    _print_layers(about)
    print()
    terminal.print_fields(description.fields(about))
    if about.problem:
        raise about.problem


def _print_layers(about: About) -> None:
    from darknet_compat.cli.terminal import layer_table

    wide = terminal.console().width >= 110
    headers = layer_table.HEADERS if wide else layer_table.SHORT_HEADERS
    number = "{:,}".format if wide else terminal.in_units
    terminal.print_table(headers, layer_table.rows(about.spec, about.costs, number), left=layer_table.LEFT)


def _print_catalogue(json: bool) -> None:
    from darknet_compat.catalogue import catalog
    from darknet_compat.cli.terminal.model_report import known_to_dict

    if json:
        terminal.print_json({"models": [known_to_dict(model) for model in catalog.MODELS.values()]})
        return

    def state(model: catalog.Model) -> str:
        if catalog.local_weights(model):
            return "here"
        return "" if model.weights.mirrors else "unpublished"

    rows = [
        (model.name, model.task, terminal.in_bytes(4 * model.weights.floats), state(model), model.title)
        for model in catalog.MODELS.values()
    ]
    terminal.print_table(("name", "task", "weights", "", "what it is"), rows, left=("name", "task", "", "what it is"))
    terminal.say("`info NAME` says more of one, `fetch NAME` brings its weights")
