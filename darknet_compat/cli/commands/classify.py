"""`darknet-compat classify`: what pictures show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from darknet_compat.cli.commands._video import frames_meant, named
from darknet_compat.cli.options import Json, Verbose
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.picture_report import AnswersReport, answer_all, find_pictures, open_model
from darknet_compat.errors import ImageError
from darknet_compat.inference.options import ClassifyOptions
from darknet_compat.inference.video_options import FrameOptions

if TYPE_CHECKING:
    from darknet_compat.inference.classification import Classification
    from darknet_compat.inference.classifier import Classifier


def classify(options: ClassifyOptions, frames: FrameOptions, verbose: Verbose = False, json: Json = False) -> None:
    """Name what pictures, videos, cameras or streams show.

    The likeliest classes and their probabilities, of each picture or frame. A picture that cannot be read is named, the
    others go on, and the exit code is 1.
    """
    options = replace(options, files=named(options.files))
    answers = AnswersReport(json)
    if frames_meant(options.files, frames):
        _classify_frames(options, frames, answers, verbose)
        return
    pictures = find_pictures(options.files, answers)
    if not pictures:
        answers.finish()
        return

    def ready(progress: terminal.Transfers) -> Classifier:
        from darknet_compat.inference.job import open_classifier

        return open_classifier(options, len(pictures), progress)

    def show(picture: Path, answer: Classification, seconds: float) -> None:
        _show(str(picture), answer, options.top, seconds, answers, {})

    answer_all(open_model(ready, options, json, verbose), pictures, answers, show, options.batch)
    answers.finish()


def _classify_frames(options: ClassifyOptions, frames: FrameOptions, answers: AnswersReport, verbose: bool) -> None:
    """Each frame of each file as it comes."""
    from darknet_compat.inference.batch import Failure
    from darknet_compat.inference.job import answers as answered
    from darknet_compat.inference.job import open_classifier
    from darknet_compat.inference.video import open_frames

    model = open_model(lambda progress: open_classifier(options, None, progress), options, answers.json, verbose)
    for file in options.files:
        try:
            source = open_frames(file, frames, lambda _, message: terminal.say(message))
            if source.remark:
                terminal.say(source.remark)
            for frame, answer, seconds in answered(model, source, 1 if source.live else options.batch):
                if isinstance(answer, Failure):
                    answers.fail(frame.name, str(answer.error))
                else:
                    at = {"frame": frame.index} | ({} if frame.time is None else {"time": round(frame.time, 4)})
                    _show(frame.name, answer, options.top, seconds, answers, at)
        except ImageError as error:
            answers.fail(file, str(error))
    answers.finish()


def _show(
    name: str, answer: Classification, top: int, seconds: float, answers: AnswersReport, at: Mapping[str, float]
) -> None:
    """Keep or print the answer to a picture, or to the frame `at` a place of a video."""
    if not answer.top(1):
        what = "probabilities" if answer.are_probabilities else "scores"
        answers.fail(name, f"{name}: {what} that are no numbers; are the weights this model's?")
        return
    answers.add(name, {**at, **answer.to_dict(top), "seconds": round(seconds, 4)})
    if not answers.json:
        _print(name, answer, top, seconds)


def _print(picture: str, answer: Classification, top: int, seconds: float) -> None:
    terminal.print_line(f"{picture}: {seconds:.2f} s", bold=True)
    if answer.path:
        terminal.print_line(f"  {terminal.path_text(answer.path)}")
    word, shown = ("probability", "{:.2%}") if answer.are_probabilities else ("score", "{:.6g}")
    rows = [(shown.format(guess.probability).replace("%", " %"), guess.name) for guess in answer.top(top)]
    terminal.print_table((word, "class"), rows, left=("class",), indent=2)
