"""What can run a model and be timed: our runtimes, behind the one small protocol that peers have too."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

from darknet_compat.catalogue.locate import Sources
from darknet_compat.definition.dialects import DialectName
from darknet_compat.errors import BackendError, DarknetCompatError, ImageError
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.words import Mode, Precision, WidthHeight
from darknet_compat.inference.about import OpenModel, task_of
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.detector import Detector
from darknet_compat.runtime.registry import ONNX, is_built, is_exported, is_onnx, named, running


class Runner(Protocol):
    """A model on something that runs it, ready for pictures of one size.

    `network` and `pictures` return None, to be timed from outside, or the seconds that they have measured themselves;
    they may raise DarknetCompatError.
    """

    @property
    def label(self) -> str:
        """Its name in tables."""

    @property
    def precision(self) -> str:
        """What its layers compute in."""

    @property
    def size(self) -> WidthHeight:
        """(width, height) of the input."""

    @property
    def channels(self) -> int:
        """Channels of the network's input: 3, or 1 if grey."""

    @property
    def batches(self) -> bool:
        """Whether it takes several pictures at once."""

    def network(self, images: Floats) -> float | None:
        """From the network's input, float32 [N, C, H, W], to boxes and scores of all its cells, or classes."""

    def pictures(self, files: Sequence[Path], batch: int) -> float | None:
        """From files to detections or classes, `batch` at once."""

    def close(self) -> None:
        """Release what it holds: processes, memory."""


@dataclass(frozen=True)
class NotRun:
    """What was asked for and is not measured, and why."""

    label: str
    why: str


@dataclass
class Ours:
    """One of our runtimes, through the Detector or Classifier that `make` makes for a mode."""

    label: str
    precision: str
    size: WidthHeight
    make: Callable[[Mode], OpenModel]
    batches: bool = True

    def __post_init__(self) -> None:
        self.model = self.make("latency")
        self._streaming: OpenModel | None = None

    @property
    def channels(self) -> int:
        """See `Runner.channels`."""
        return self.model.runtime.description.channels

    def network(self, images: Floats) -> None:
        """See `Runner.network`."""
        self.model.runtime.infer(images, self._thresh)

    def pictures(self, files: Sequence[Path], batch: int) -> None:
        """See `Runner.pictures`; more than one batch of them is a stream, in the mode for these."""
        for _, found in (self.model if len(files) <= batch else self._for_streams()).stream(files, batch):
            if isinstance(found, Failure):
                raise ImageError(str(found.error))

    def close(self) -> None:
        """See `Runner.close`: there is nothing to release."""

    def set_threshold(self, thresh: float) -> None:
        """What a detector's scores have to exceed."""
        if isinstance(self.model, Detector):
            self.model.thresh = thresh

    def _for_streams(self) -> OpenModel:
        if self._streaming is None:
            self._streaming = self.make("throughput")
        if isinstance(self._streaming, Detector):
            self._streaming.thresh = self._thresh
        return self._streaming

    @property
    def _thresh(self) -> float:
        return self.model.thresh if isinstance(self.model, Detector) else 0.0


@dataclass(frozen=True)
class WantedRuntime:
    """One of our runtimes to be measured. `artefact`: a file that was exported before, in place of the model's own."""

    backend: str
    precision: str
    size: WidthHeight
    artefact: Path | None = None

    @property
    def label(self) -> str:
        """`onnxruntime`, `openvino-bf16`, `openvino-int8 file`, …"""
        runtime = self.backend if self.precision == "fp32" else f"{self.backend}-{self.precision}"
        return runtime if self.artefact is None else f"{runtime} {self.artefact.stem}"


NEEDS_ARTEFACT = {
    "int8": "is made by `darknet-compat export --precision int8 --calibrate PICTURES`; name its file with --artefact"
}
"""Precisions that no runtime turns a network into by itself."""


def darknet_files(sources: Sources) -> tuple[Path, Path]:
    """The `.cfg` and `.weights` for a peer that reads only these. Raises BackendError for an exported file."""
    if sources.weights is None or is_exported(sources.cfg):
        raise BackendError(f"reads a .cfg and its .weights, not an {sources.cfg.suffix}")
    return sources.cfg, sources.weights


class Exports:
    """The model as `.onnx` files in a folder, exported once for each size and kind."""

    def __init__(self, sources: Sources, folder: Path, dialect: DialectName | None = None) -> None:
        self.sources, self.folder, self.dialect = sources, folder, dialect
        self.seconds: dict[Path, float] = {}

    def boxes(self, size: WidthHeight, *, fixed: bool = False) -> Path:
        """The file for `size`, with any batch; `fixed` for that size and one picture only, which simpler readers need.

        An `.onnx` is itself. Raises ExportError or CfgError where that is not possible.
        """
        if is_onnx(self.sources.cfg):
            return self.sources.cfg
        if is_built(self.sources.cfg):
            raise BackendError(f"is an {self.sources.cfg.suffix}, which {running(self.sources.cfg)[0].name} alone runs")
        path = self.folder / f"{self.sources.cfg.stem}-{size[0]}x{size[1]}{'-fixed' if fixed else ''}.onnx"
        if path not in self.seconds:
            from darknet_compat.export.onnx.export import export_onnx
            from darknet_compat.network.load import load_network

            start = time.perf_counter()
            network = load_network(self.sources.cfg, self.sources.weights, size=size, dialect=self.dialect)
            export_onnx(network, path, sizes="fixed" if fixed else None, batch=1 if fixed else None, names=())
            self.seconds[path] = time.perf_counter() - start
        return path


def our_runner(wanted: WantedRuntime, exports: Exports, thresh: float) -> Ours:
    """Make one of our runtimes ready. Raises DarknetCompatError where it cannot run the model so."""
    sources = exports.sources
    if wanted.artefact is not None:
        model, weights = wanted.artefact, None
    elif ONNX not in named(wanted.backend).suffixes:
        model, weights = sources.cfg, sources.weights
    else:
        model, weights = exports.boxes(wanted.size), None
    arguments: dict[str, Any] = {"backend": wanted.backend, "size": wanted.size}
    if weights is not None:  # of an exported file it is settled
        arguments["dialect"] = exports.dialect
    if wanted.precision in get_args(Precision):
        arguments["precision"] = wanted.precision
    detects = task_of(sources.cfg) == "detect"

    def make(mode: Mode) -> OpenModel:
        if detects:
            detector = Detector(model, weights, mode=mode, **arguments)
            detector.thresh = thresh  # of a graph with the suppression inside it may be less than that leaves
            return detector
        return Classifier(model, weights, mode=mode, **arguments)

    return Ours(wanted.label, wanted.precision, wanted.size, make)


def our_runners(wanted: Sequence[WantedRuntime], exports: Exports, thresh: float) -> Iterator[Ours | NotRun]:
    """Each of `wanted` made ready, or why it cannot be."""
    for one in wanted:
        name = f"{one.label}, {one.size[0]}x{one.size[1]}"
        if one.precision in NEEDS_ARTEFACT and one.artefact is None:
            yield NotRun(name, f"{one.precision} {NEEDS_ARTEFACT[one.precision]}")
            continue
        try:
            yield our_runner(one, exports, thresh)
        except DarknetCompatError as error:
            yield NotRun(name, str(error))


def cycled(files: Sequence[Path], count: int) -> list[Path]:
    """`count` files, from the first on and over again."""
    return list(itertools.islice(itertools.cycle(files), count))
