"""`darknet-compat classify`: what pictures show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from darknet_compat.cli.options import (
    Backend,
    BackendName,
    Batch,
    Hierarchy,
    HierThresh,
    InputSize,
    Json,
    Level,
    Model,
    Names,
    Pictures,
    Precision,
    PrecisionMode,
    ResizeMode,
    Rule,
    RunMode,
    Threads,
    Verbose,
    Weights,
)
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.answers import Answers, answer_all, find_pictures, mode_for

if TYPE_CHECKING:
    from darknet_compat.inference.classifier import Classifier
    from darknet_compat.inference.results import Classification

Leaves = Annotated[
    Path | None,
    typer.Option(
        "--leaves", metavar="FILE", help="With a WordTree: choose from the nodes listed here, not from all its leaves."
    ),
]
Top = Annotated[int, typer.Option("--top", min=1, metavar="K", help="How many classes to show.")]


def classify(
    model: Model,
    files: Pictures,
    weights: Weights = None,
    names: Names = None,
    top: Top = 5,
    size: InputSize = None,
    resize: ResizeMode = None,
    hier_thresh: HierThresh = None,
    hierarchy: Hierarchy = Rule.darknet,
    level: Level = None,
    leaves: Leaves = None,
    precision: PrecisionMode = Precision.fp32,
    backend: BackendName = Backend.auto,
    batch: Batch = 1,
    mode: RunMode = None,
    threads: Threads = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Name what pictures show, with probabilities.

    A picture that cannot be read is named, the others go on, and the exit code is 1.
    """
    answers = Answers(json)
    pictures = find_pictures(files, answers)
    if not pictures:
        answers.finish()
        return

    def ready(progress: terminal.Transfers) -> Classifier:
        from darknet_compat.inference.classifier import Classifier

        return Classifier(
            model,
            weights,
            names=names,
            backend=backend.value,
            precision=precision.value,
            size=size,
            resize=resize.value if resize else None,
            mode=mode_for(pictures, mode),
            threads=threads,
            hier_thresh=hier_thresh,
            hierarchy=hierarchy.value,
            level=level,
            leaves=leaves,
            progress=progress,
        )

    def show(_: object, picture: Path, answer: Classification, seconds: float) -> None:
        if not answer.top(1):
            answers.fail(picture, f"{picture}: probabilities that are no numbers; are the weights this model's?")
            return
        answers.add(picture, {**answer.to_dict(top), "seconds": round(seconds, 4)})
        if not json:
            _print(picture, answer, top, seconds)

    answer_all(ready, pictures, answers, show, model=model, size=size, batch=batch, verbose=verbose)


def _print(picture: Path, answer: Classification, top: int, seconds: float) -> None:
    terminal.print_line(f"{picture}: {seconds:.2f} s", bold=True)
    if answer.path:
        terminal.print_line(f"  {terminal.path_text(answer.path)}")
    rows = [(f"{100 * guess.probability:.2f} %", guess.name) for guess in answer.top(top)]
    terminal.print_table(("probability", "class"), rows, left=("class",), indent=2)
