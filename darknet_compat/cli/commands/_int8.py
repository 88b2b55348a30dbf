"""`export --precision int8`: the way from a float32 file and pictures to an int8 one."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from darknet_compat.cli.terminal import output as terminal

if TYPE_CHECKING:
    from darknet_compat.cli.commands.export import ExportOptions
    from darknet_compat.datasets.base import Labels
    from darknet_compat.formats.arrays import Floats
    from darknet_compat.formats.exported.artefact import Artefact

CALIBRATED, MEASURED = 100, 500
"""How many of the pictures at most tell the range of values, and how many what is lost; taken evenly from all."""


def quantize(source: Path, path: Path, calibrate: Path, options: ExportOptions, *, quiet: bool = False) -> Artefact:
    """Make the int8 file `path` of the float32 file `source`. Raises ExportError where it loses too much."""
    from darknet_compat.evaluation.compare.agreement import judge_of
    from darknet_compat.export.quantize.calibration import evenly
    from darknet_compat.export.quantize.quantize import quantize_onnx
    from darknet_compat.inference.batch import prepare
    from darknet_compat.runtime.exported import describe, read_artefact

    description = describe(read_artefact(source), str(source), "fp32", None)
    pictures, labels = calibration(calibrate, description.names)

    def images() -> Iterator[Floats]:
        for picture in evenly(pictures, CALIBRATED):
            yield prepare(picture, description).pixels[None]

    with _status(f"calibrating and comparing with {terminal.count(len(pictures), 'picture')}", quiet) as tell:

        def progress(done: int, most: int) -> None:
            if done == 1 and not quiet:
                terminal.say(f"--mixed: {most} passes of the network at most")
            tell(f"--mixed: pass {done} of {most} at most")

        judge = judge_of(source, pictures, labels)
        made = quantize_onnx(
            source, path, images(), judge, max_drop=options.max_drop, mixed=options.mixed, progress=progress
        )
    if options.mixed and not quiet:
        terminal.say(_chosen(made))
    return made


def _chosen(made: Artefact) -> str:
    """What was left in float32, and what that has brought."""
    from darknet_compat.formats.exported.artefact import float32_layers

    said = (made.quantization or {})["mixed"]
    parts = []
    for form, where in (("onnxruntime", "in onnxruntime"), ("file", "elsewhere")):
        before, after = said["decibels"][form]
        parts.append(f"{where} layers {float32_layers(made, form)} are in float32 ({before:.1f} to {after:.1f} dB)")
    return f"--mixed: {said['passes']} passes; {'; '.join(parts)}"


def calibration(source: Path, names: Sequence[str] | None) -> tuple[list[Any], list[Labels] | None]:
    """At most MEASURED pictures of `source`, and their labels where it has any. Raises DatasetError."""
    from darknet_compat.export.quantize.calibration import evenly
    from darknet_compat.sources.pictures import SUFFIXES

    if source.is_dir():
        plain = sorted(path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
        if plain:
            return evenly(plain, MEASURED), None
    from darknet_compat.datasets.open import open_dataset

    dataset = open_dataset(source, names=names)
    samples = [dataset[index] for index in evenly(range(len(dataset)), MEASURED)]
    return [sample.image for sample in samples], [sample.labels for sample in samples]


@contextmanager
def _status(text: str, quiet: bool) -> Iterator[Callable[[str], None]]:
    """A spinner, on a terminal; what changes its text."""
    if quiet or not sys.stderr.isatty():
        yield lambda text: None
        return
    with terminal.console(stderr=True).status(text) as status:
        yield status.update
