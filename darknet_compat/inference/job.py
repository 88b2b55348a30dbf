"""A run over pictures: a model made ready by one options value, and every source with its answer and its time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, Generic, NamedTuple

from darknet_compat.errors import BackendError
from darknet_compat.formats.words import Mode
from darknet_compat.inference.answering import Answer, Answering, Source
from darknet_compat.inference.backends import choose
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.inference.options import ClassifyOptions, DetectOptions
from darknet_compat.runtime.registry import is_exported

if TYPE_CHECKING:
    from darknet_compat.catalogue.fetch.transfer import TransferProgress

MANY = 32
"""From how many pictures on several are worked on at a time."""


class Answered(NamedTuple, Generic[Answer]):
    """A source, what the model answered or why it could not be read, and the seconds it took."""

    source: Source
    answer: Answer | Failure
    seconds: float


def mode_for(sources: int | None, asked: Mode | None) -> Mode:
    """The mode that was asked for, else what suits so many sources; None where nobody knows how many come."""
    return asked or ("throughput" if sources is not None and sources >= MANY else "latency")


def open_detector(
    options: DetectOptions,
    sources: int | None = None,
    progress: TransferProgress | None = None,
    names: Sequence[str] | None = None,
) -> Detector:
    """The detector that the options mean, for so many sources. Raises DarknetCompatError.

    `progress` is called with bytes done and in all, where the weights have to be fetched. `names` stand in place of
    those in the options' file.
    """
    given = _arguments(options, sources, names, "batch", "classes", "clip")
    return Detector(options.model, progress=progress, **given)


def open_for_frames(options: DetectOptions, live: bool, progress: TransferProgress | None = None) -> Detector:
    """The detector for very many frames: those of a file as many a second as there can be, a live source's each as soon
    as possible. Either is worth exporting a `.cfg` for. Raises DarknetCompatError."""
    if options.mode is not None or not live:
        return open_detector(options, MANY, progress)
    soon = replace(options, mode="latency")
    if options.backend == "auto" and not is_exported(Path(options.model)):
        try:
            best = choose(False, "auto", options.precision, "throughput", options.device)
            return open_detector(replace(soon, backend=best.backend), None, progress)
        except BackendError:  # of an export that is not possible: torch needs none
            pass
    return open_detector(soon, None, progress)


def open_classifier(
    options: ClassifyOptions,
    sources: int | None = None,
    progress: TransferProgress | None = None,
    names: Sequence[str] | None = None,
) -> Classifier:
    """The classifier that the options mean; as `open_detector`. Raises DarknetCompatError."""
    return Classifier(options.model, progress=progress, **_arguments(options, sources, names, "batch", "top"))


def answers(
    model: Answering[Answer], sources: Iterable[Source], batch: int = 1, **asked: Any
) -> Iterator[Answered[Answer]]:
    """Each source with its answer, in order; those of one batch come together and get an equal share of its time.

    `sources` may be any iterator, of pictures as of a video's frames: see `Answering.stream` for how many of them are
    taken ahead. `asked` is what the model's calls take.
    """
    stream = model.stream(sources, batch, **asked)
    while True:
        start = perf_counter()
        group = list(islice(stream, batch))
        share = (perf_counter() - start) / max(1, len(group))
        if not group:
            return
        yield from (Answered(source, answer, share) for source, answer in group)


def _arguments(
    options: DetectOptions | ClassifyOptions, sources: int | None, names: Sequence[str] | None, *others: str
) -> dict[str, Any]:
    """A model's keyword arguments, which are called as the options are."""
    left_out = {"model", "files", *others}
    values = {one.name: getattr(options, one.name) for one in fields(options) if one.name not in left_out}
    return values | {"mode": mode_for(sources, options.mode)} | ({} if names is None else {"names": names})
