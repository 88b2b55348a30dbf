"""`darknet-compat detect`: what is where in pictures."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from math import floor
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Annotated, Any

from darknet_compat.cli.commands._video import Destinations, detect_video, is_video_run, named
from darknet_compat.cli.options import Json, Verbose
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.cli.terminal.crops import cut_out
from darknet_compat.cli.terminal.picture_report import (
    WRITTEN,
    AnswersReport,
    answer_all,
    find_pictures,
    open_model,
    output_paths,
)
from darknet_compat.cluster.options import ClusterOptions, parse_place
from darknet_compat.errors import OptionError
from darknet_compat.formats.words import AnswersFormat
from darknet_compat.inference.options import DetectOptions
from darknet_compat.inference.video_options import VideoOptions
from darknet_compat.options import Option

if TYPE_CHECKING:
    from darknet_compat.inference.detector import Detector
    from darknet_compat.inference.results import Detections
    from darknet_compat.inference.writers import Writer

ResultsOption = Annotated[
    Path | str | None,
    Option(
        "Write copies of the pictures with the boxes drawn in here; or what --format says. A name that ends in .csv,"
        " .json or .jsonl is such a file. Of a video: one with the boxes drawn in (.mp4, .mkv, ...).",
        metavar="DIR|FILE",
        parse=parse_place,
    ),
]
FormatOption = Annotated[
    AnswersFormat | None,
    Option("What to write into --out; csv, coco, json and jsonl without one onto standard output."),
]
CropOption = Annotated[
    Path | None, Option("Write what is inside each box here, in a folder for each class.", metavar="DIR")
]


def detect(
    options: DetectOptions,
    video: VideoOptions,
    cluster: ClusterOptions,
    out: ResultsOption = None,
    format: FormatOption = None,
    crop: CropOption = None,
    verbose: Verbose = False,
    json: Json = False,
) -> None:
    """Find objects in pictures, videos, cameras or streams.

    Draws them where --out or --show asks for it. FILES may be pictures, folders, lists, videos, a camera's number,
    addresses (rtsp://, http://), or - for standard input. Boxes are left, top, right and bottom in pixels of the
    picture. One that cannot be read is named, the others go on, and the exit code is 1. With --engine ray, pictures,
    also at addresses such as s3://, become Parquet in the folder or address --out.
    """
    if cluster.engine == "ray":
        from darknet_compat.cli.commands._cluster import detect_on_cluster

        if format or crop or video != VideoOptions():
            raise OptionError("ray writes what is found in pictures as Parquet, and nothing else", "engine")
        detect_on_cluster(options, cluster, out, json)
        return
    if isinstance(out, str):
        raise OptionError(f"an address is for --engine ray, found {out}", "out")
    options = replace(options, files=named(options.files))
    if is_video_run(options.files, out, video):
        detect_video(options, video, Destinations(out, format, crop, json, verbose))
        return
    answers = AnswersReport(json)
    pictures = find_pictures(options.files, answers)
    if not pictures:
        answers.finish()
        return
    results = _Results(pictures, answers, out, format, crop)
    results.blurred = video.blur or ()

    def ready(progress: terminal.Transfers) -> Detector:
        from darknet_compat.inference.job import open_detector

        return open_detector(options, len(pictures), progress)

    detector = open_model(ready, options, results.quiet, verbose)
    began = perf_counter()
    with results.writing(detector):
        show = results.shown(detector, clip=options.clip)
        answer_all(detector, pictures, answers, show, options.batch, classes=options.classes)
    results.finish(perf_counter() - began)


class _Results:
    """Where what is found goes: files, pictures, the terminal."""

    def __init__(
        self, pictures: list[Path], answers: AnswersReport, out: Path | None, format: Any, crop: Path | None
    ) -> None:
        from darknet_compat.inference import writers

        self.pictures, self.answers, self.out, self.crop = pictures, answers, out, crop
        self.form = writers.format_of(out, format)
        self.writer: Writer | None = None
        self.quiet = answers.json or (self.form is not None and out is None)
        if answers.json and self.form is not None and out is None:
            raise OptionError("goes to standard output, as --json does; name a file with --out", "format")
        self.places: dict[Path, Path] = {}
        if out is not None and self.form is None:
            self.places = self._drawings(out)
        elif out is not None and self.form in writers.FOLDERS:
            self.places = output_paths(pictures, out, writers.SUFFIX[self.form])
        self.cut = output_paths(pictures, crop) if crop is not None else {}
        self.blurred: tuple[str, ...] = ()
        self.objects = 0
        self.done = 0

    def _drawings(self, out: Path) -> dict[Path, Path]:
        """Where copies go: into a folder, or one picture's into a file, which it must not be itself."""
        own = {os.path.realpath(picture) for picture in self.pictures}
        if out.suffix.lower() not in WRITTEN or os.path.isdir(out) or os.path.realpath(out) in own:
            return output_paths(self.pictures, out)
        if len(self.pictures) > 1:
            raise OptionError(f"{out} is one picture, and there are {len(self.pictures)}; name a folder", "out")
        return {self.pictures[0]: out}

    def writing(self, detector: Detector) -> AbstractContextManager[Any]:
        """A context at whose end the files are there."""
        if self.blurred:
            from darknet_compat.inference.video import expect_classes

            expect_classes(self.blurred, detector.names)
        if self.form is None:
            return nullcontext()
        from darknet_compat.inference.writers import open_writer

        self.writer = open_writer(self.form, self.out, detector.names, self.places)
        self.answers.listener = self.writer.fail
        for entry in self.answers.entries:
            self.writer.fail(entry)
        return self.writer

    def shown(self, detector: Detector, *, clip: bool) -> Callable[[Path, Detections, float], None]:
        """What is done with each picture."""

        def show(picture: Path, found: Detections, seconds: float) -> None:
            if not found.finite:
                self.answers.fail(picture, f"{picture}: boxes that are not finite; are the weights this model's?")
                return
            self._take(picture, found.clipped() if clip else found, seconds)
            if not (self.quiet or found):
                terminal.print_line(f"  {_hint(detector, picture if len(self.pictures) == 1 else None)}")

        return show

    def _take(self, picture: Path, found: Detections, seconds: float) -> None:
        """Draw, write, keep and print what was found in one picture."""
        self.objects += len(found)
        self.done += 1
        if found.dropped:
            terminal.say(f"{picture}: had no room for {found.dropped} more candidates; a higher --thresh leaves fewer")
        entry = {**found.to_dict(), "seconds": round(seconds, 4)}
        place = self.places.get(picture)
        if place and self.form is None:
            _save(found, place, self.blurred)
            entry["picture"] = str(place)
        if self.crop is not None and len(found):
            entry["crops"] = cut_out(found, self.cut[picture])
        if self.writer is not None:
            self.writer.add(picture, found, {"file": str(picture), **entry})
        self.answers.add(picture, entry)
        if not self.quiet:
            _print(picture, found, seconds, place)

    def finish(self, seconds: float) -> None:
        """Say where the one file is, and how much there was; print the document."""
        if self.writer is not None and self.out is not None and not self.places and not self.quiet:
            terminal.print_line(f"-> {self.out}")
        if self.done > 1:
            what = f"{terminal.count(self.done, 'picture')}, {terminal.count(self.objects, 'object')}"
            terminal.say_last(f"{what}, {self.done / seconds:.3g} images/s", quiet=self.quiet)
        self.answers.finish()


def _save(found: Detections, place: Path, blurred: tuple[str, ...]) -> None:
    """Write a copy of the picture with what was found drawn in."""
    if not blurred:
        found.save(place)
        return
    from darknet_compat.inference.video import annotated
    from darknet_compat.vision.draw import save
    from darknet_compat.vision.image import decode

    save(annotated(decode(found.source), found, blurred), place)


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


def _hint(detector: Detector, picture: Path | None) -> str:
    """What to do where nothing was found; given the only `picture`, after a second, closer look at it."""
    thresh, least = detector.thresh, 0.05
    text = f"nothing scores above {thresh:g}"
    if detector.runtime.description.suppressed:
        return f"{text}; an export with --outputs boxes has weaker ones too"
    if thresh <= least:
        return text
    if picture is None:
        return f"{text}; --thresh {thresh / 2:g} shows weaker ones"
    # The best one is suppressed by none; among all boxes of an untrained network that would take minutes to find out.
    weaker = next(iter(detector(picture, thresh=least, nms=1)), None)
    if weaker is None:
        return f"{text}, nor above {least:g}: are these the weights and the names that belong to the model?"
    shows = floor(20 * weaker.score) / 20
    return f"{text}; the best is {weaker.name} with {weaker.score:.2f}, which --thresh {shows:g} shows"
