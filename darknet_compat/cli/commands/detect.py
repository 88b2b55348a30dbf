"""`darknet-compat detect`: what is where in pictures."""

from __future__ import annotations

from functools import partial
from math import floor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from darknet_compat.cli.options import Json, Verbose
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.answers import Answers, answer_all, find_pictures, output_paths
from darknet_compat.inference.options import DetectOptions
from darknet_compat.options import Option

if TYPE_CHECKING:
    from darknet_compat.inference.answering import Answering
    from darknet_compat.inference.detector import Detector
    from darknet_compat.inference.results import Detections

Out = Annotated[Path | None, Option("Write copies of the pictures with the boxes drawn in here.", metavar="DIR")]


def detect(options: DetectOptions, out: Out = None, verbose: Verbose = False, json: Json = False) -> None:
    """Find objects in pictures, and draw them.

    Boxes are left, top, right and bottom in pixels of the picture. One that cannot be read is named, the others go on,
    and the exit code is 1.
    """
    answers = Answers(json)
    pictures = find_pictures(options.files, answers)
    if not pictures:
        answers.finish()
        return
    places = output_paths(pictures, out) if out else {}

    def ready(progress: terminal.Transfers) -> Detector:
        from darknet_compat.inference.job import open_detector

        return open_detector(options, len(pictures), progress)

    show = partial(_show, answers, places, alone=len(pictures) == 1)
    answer_all(ready, pictures, answers, show, options, verbose)


def _show(
    answers: Answers,
    places: dict[Path, Path],
    detector: Answering[Detections],
    picture: Path,
    found: Detections,
    seconds: float,
    *,
    alone: bool,
) -> None:
    """Keep, draw or print what was found, with a hint where that is nothing."""
    from numpy import isfinite

    if not isfinite(found.boxes).all():
        answers.fail(picture, f"{picture}: boxes that are not finite; are the weights this model's?")
        return
    _answer(picture, found, seconds, places.get(picture), answers)
    if not (answers.json or found):
        terminal.print_line(f"  {_hint(detector, picture if alone else None)}")


def _answer(picture: Path, found: Detections, seconds: float, place: Path | None, answers: Answers) -> None:
    """Draw into a copy at `place`, and keep or print what was found."""
    if found.dropped:
        terminal.say(f"{picture}: had no room for {found.dropped} more candidates; a higher --thresh leaves fewer")
    entry = {**found.to_dict(), "seconds": round(seconds, 4)}
    if place:
        _draw(picture, found, place)
        entry["picture"] = str(place)
    answers.add(picture, entry)
    if not answers.json:
        _print(picture, found, seconds, place)


def _draw(picture: Path, found: Detections, place: Path) -> None:
    from darknet_compat.vision.draw import draw, save
    from darknet_compat.vision.image import decode

    save(draw(decode(picture), found.boxes, found.names, found.scores, found.class_ids), place)


def _print(picture: Path, found: Detections, seconds: float, place: Path | None) -> None:
    what = terminal.count(len(found), "object") if found else "no objects"
    drawn = f" -> {place}" if place else ""
    terminal.print_line(f"{picture}: {found.width} x {found.height}, {what}, {seconds:.2f} s{drawn}", bold=True)
    paths = [terminal.path_text(path) for path in found.paths] or [""] * len(found)
    rows = [
        (one.name, f"{100 * one.score:.0f} %", *(f"{side:.0f}" for side in one.box), path)
        for one, path in zip(found, paths, strict=True)
    ]
    if rows:
        headers = ("class", "score", "left", "top", "right", "bottom", "path")
        terminal.print_table(headers, rows, left=("class", "path"), indent=2)


def _hint(detector: Answering[Detections], picture: Path | None) -> str:
    """What to do where nothing was found; given the only `picture`, after a second, closer look at it."""
    from darknet_compat.inference.detector import Detector

    assert isinstance(detector, Detector)
    thresh, least = detector.thresh, 0.05
    text = f"nothing scores above {thresh:g}"
    if detector.runtime.description.suppressed:
        return f"{text}; an export with --outputs boxes has weaker ones too"
    if thresh <= least:
        return text
    if picture is None:
        return f"{text}; --thresh {thresh / 2:g} shows weaker ones"
    detector.thresh = least
    try:
        weaker = next(iter(detector(picture)), None)
    finally:
        detector.thresh = thresh
    if weaker is None:
        return f"{text}, nor above {least:g}: are these the weights and the names that belong to the model?"
    shows = floor(20 * weaker.score) / 20
    return f"{text}; the best is {weaker.name} with {weaker.score:.2f}, which --thresh {shows:g} shows"
