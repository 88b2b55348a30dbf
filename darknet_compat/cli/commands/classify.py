"""`darknet-compat classify`: what pictures show."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from darknet_compat.cli.options import Json, Verbose
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.answers import Answers, answer_all, find_pictures, open_model
from darknet_compat.inference.options import ClassifyOptions

if TYPE_CHECKING:
    from darknet_compat.inference.classification import Classification
    from darknet_compat.inference.classifier import Classifier


def classify(options: ClassifyOptions, verbose: Verbose = False, json: Json = False) -> None:
    """Name what pictures show, with probabilities.

    A picture that cannot be read is named, the others go on, and the exit code is 1.
    """
    answers = Answers(json)
    pictures = find_pictures(options.files, answers)
    if not pictures:
        answers.finish()
        return

    def ready(progress: terminal.Transfers) -> Classifier:
        from darknet_compat.inference.job import open_classifier

        return open_classifier(options, len(pictures), progress)

    def show(picture: Path, answer: Classification, seconds: float) -> None:
        if not answer.top(1):
            answers.fail(picture, f"{picture}: probabilities that are no numbers; are the weights this model's?")
            return
        answers.add(picture, {**answer.to_dict(options.top), "seconds": round(seconds, 4)})
        if not json:
            _print(picture, answer, options.top, seconds)

    answer_all(open_model(ready, options, json, verbose), pictures, answers, show, options.batch)
    answers.finish()


def _print(picture: Path, answer: Classification, top: int, seconds: float) -> None:
    terminal.print_line(f"{picture}: {seconds:.2f} s", bold=True)
    if answer.path:
        terminal.print_line(f"  {terminal.path_text(answer.path)}")
    rows = [(f"{100 * guess.probability:.2f} %", guess.name) for guess in answer.top(top)]
    terminal.print_table(("probability", "class"), rows, left=("class",), indent=2)
