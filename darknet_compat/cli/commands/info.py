"""`darknet-compat info`: what a network is, without running it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from darknet_compat.cli.options import DialectOption, InputSize, Json, NamesOption, WeightsOption, explaining
from darknet_compat.cli.terminal import data_report
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.datasets.options import LabelsRule, LayoutName, PicturesFolder, Reading
from darknet_compat.errors import OptionError
from darknet_compat.formats.words import LabelsFormat
from darknet_compat.options import MaxPixels, Option, Options

if TYPE_CHECKING:
    from darknet_compat.catalogue import catalog
    from darknet_compat.inference.about import About


@dataclass(frozen=True)
class InfoOptions(Options):
    """What to say something of, and what of a data set. Raises OptionError for what is of a data set only."""

    model: Annotated[
        str | None,
        Option(
            "A .cfg, or a name from the catalogue; an .onnx or .engine; or a data set: a folder of any labelling tool,"
            " a list, .data, data.yaml, COCO's JSON, CSV. Without: the catalogue.",
            metavar="MODEL|DATASET",
            positional=True,
        ),
    ] = None
    weights: WeightsOption = None
    size: InputSize = None
    names: NamesOption = None
    split: Annotated[str | None, Option("Which part of a data set. Default: training's.", metavar="NAME")] = None
    layout: LayoutName = None
    labels: LabelsRule = "clip"
    pictures: PicturesFolder = None
    decode: Annotated[bool, Option("Of a data set: read every picture, not its labels only.")] = False
    out: Annotated[
        Path | None,
        Option("Of a data set: write it there, pictures and labels, as --as says.", metavar="DIR"),
    ] = None
    as_: Annotated[LabelsFormat | None, Option("With --out: the layout that is written. Default: darknet.")] = None
    max_pixels: MaxPixels = None
    dialect: DialectOption = None

    def __post_init__(self) -> None:
        super().__post_init__()
        asked = self.out or self.decode or self.split or self.layout or self.pictures
        if asked and not (self.model and data_report.is_dataset(self.model)):
            raise OptionError("--out, --decode, --split, --layout and --pictures are for a data set")
        if self.as_ and not self.out:
            raise OptionError("says what is written, and nothing is without --out DIR", "as_")


def info(options: InfoOptions, json: Json = False) -> None:
    """Show what a network, an exported file or a data set is.

    Of a data set what is in it, and wrong there. Of a network shapes, parameters, the byte at which a layer's weights
    begin, operations; whether a .weights file is exactly the one it needs; classes and anchors; what nobody read in the
    .cfg; what was published about it. Nothing is downloaded. Without MODEL, list the catalogue.
    """
    model = options.model
    if model is None:
        _print_catalogue(json)
        return
    if data_report.is_dataset(model):
        source = data_report.DatasetSource(model, options.split, options.names, Reading.of(options))
        data_report.show(source, options.decode, json)
        if options.out is not None:
            data_report.write(source, options.out, options.as_ or "darknet", json)
        return
    from darknet_compat.cli.terminal import artefact_report
    from darknet_compat.cli.terminal import model_report as description
    from darknet_compat.inference.about import gather
    from darknet_compat.runtime.registry import artefact_of

    if (artefact := artefact_of(Path(model))) is not None:
        artefact_report.show(Path(model), artefact, json)
        return
    with explaining(options.size):
        about = gather(model, options.weights, options.size, options.dialect, options.names)
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
