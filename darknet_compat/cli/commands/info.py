"""`darknet-compat info`: what a network is, without running it."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darknet_compat.cli.options import DialectOption, InputSize, Json, MaxPixels, Names, Weights, explaining
from darknet_compat.cli.terminal import data_report
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.datasets.options import LabelsRule, LayoutName, PicturesFolder, Reading

if TYPE_CHECKING:
    from darknet_compat.catalogue import catalog
    from darknet_compat.inference.about import About


class Form(str, Enum):
    """What a data set can be written as (`datasets.writers.layouts.WRITERS`)."""

    darknet = "darknet"
    voc = "voc"
    coco = "coco"
    yolo = "yolo"


OptionalModel = Annotated[
    str | None,
    typer.Argument(
        metavar="MODEL|DATASET",
        help="A .cfg, or a name from the catalogue; an .onnx or .engine; or a data set: a folder of any labelling tool,"
        " a list, .data, data.yaml, COCO's JSON, CSV. Without: the catalogue.",
    ),
]
Split = Annotated[
    str | None, typer.Option("--split", metavar="NAME", help="Which part of a data set. Default: training's.")
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Of a data set: write it there, pictures and labels, as --as says."),
]
As = Annotated[Form, typer.Option("--as", help="With --out: the layout that is written.")]
Decode = Annotated[bool, typer.Option("--decode", help="Of a data set: read every picture, not its labels only.")]


def info(
    model: OptionalModel = None,
    weights: Weights = None,
    size: InputSize = None,
    names: Names = None,
    split: Split = None,
    layout: LayoutName = None,
    labels: LabelsRule = "clip",
    pictures: PicturesFolder = None,
    decode: Decode = False,
    out: Out = None,
    form: As = Form.darknet,
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
        source = data_report.Source(model, split, names, Reading(layout, labels, pictures))
        data_report.show(source, decode, json)
        if out is not None:
            data_report.write(source, out, form.value, json)
        return
    if out or decode or split or layout or pictures:
        raise typer.BadParameter("--out, --decode, --split, --layout and --pictures are for a data set")
    from darknet_compat.cli.terminal import artefact_report
    from darknet_compat.cli.terminal import model_report as description
    from darknet_compat.inference.about import gather
    from darknet_compat.runtime.registry import artefact_of

    if (artefact := artefact_of(Path(model))) is not None:
        artefact_report.show(Path(model), artefact, json)
        return
    with explaining(size):
        about = gather(model, weights, size, dialect, names)
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
    rows = layer_table.rows(about.spec, about.costs, number, short=not wide)
    terminal.print_table(headers, rows, left=layer_table.LEFT)


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
