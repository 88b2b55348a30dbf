"""Who takes part in a bench: our runtimes as asked for, and the peers, all with one model and one threshold.

torch is imported for what has to be seeded or exported only: an exported file is measured without it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from darknet_compat.benchmark.options import PEERS, BenchOptions
from darknet_compat.benchmark.peers.opencv_dnn import READERS
from darknet_compat.benchmark.peers.original import original_peer
from darknet_compat.benchmark.runners import Exports, NotRun, Ours, Runner, WantedRuntime, our_runners
from darknet_compat.catalogue.locate import Sources
from darknet_compat.definition.dialects import DialectName
from darknet_compat.errors import BackendError, DarknetCompatError
from darknet_compat.formats.words import WidthHeight
from darknet_compat.inference.about import own_size, task_of, usual_threshold
from darknet_compat.runtime import registry
from darknet_compat.runtime.registry import artefact_of, is_built

CANDIDATES = 20
"""How many scores of the first picture exceed the threshold where the weights are seeded: in pictures of trained
detectors it is about as many."""


@dataclass(frozen=True)
class Participants:
    """Everything that is ready, everything that is not, and the threshold of all (None for a classifier)."""

    runners: tuple[Runner, ...]
    not_run: tuple[NotRun, ...]
    thresh: float | None


def participants(
    sources: Sources, asked: BenchOptions, file: Path, folder: Path, *, seeded: bool, thresh: float = 0.5
) -> Participants:
    """Make all runners ready; `folder` is for what has to be exported, `file` the first picture.

    With `seeded` weights the threshold is the one that CANDIDATES scores of that picture exceed. Raises BackendError
    where nothing can run.
    """
    exports, detects = Exports(sources, folder, asked.dialect), task_of(sources.cfg) == "detect"
    made = list(our_runners(_wanted(sources, asked), exports, thresh))
    ours = [one for one in made if isinstance(one, Ours)]
    if seeded and detects and ours:
        thresh = usual_threshold(ours[0].model, file, CANDIDATES)
        for one in ours:
            one.set_threshold(thresh)
    letterbox = not ours or ours[0].model.runtime.description.resize == "letterbox"
    peers = [
        peer
        for size in (_sizes(sources, asked) if asked.peers else ())
        for peer in _peers(exports, size, detects, letterbox, thresh, asked.without or ())
    ]
    not_run = [one for one in (*made, *peers) if isinstance(one, NotRun)]
    ready = [*ours, *(peer for peer in peers if not isinstance(peer, NotRun))]
    if not ready:
        reasons = dict.fromkeys(one.why for one in not_run)
        if len(reasons) == 1:  # of the model, not of what runs it
            raise BackendError(next(iter(reasons)))
        why = "; ".join(f"{one.label}: {one.why}" for one in not_run)
        raise BackendError(f"nothing that was asked for can run here: {why}")
    return Participants(tuple(ready), tuple(not_run), thresh if detects else None)


def seeded_weights(cfg: Path, folder: Path, dialect: DialectName | None = None) -> Path:
    """Seeded weights for a network that has none here."""
    from darknet_compat.network.load import load_network, save_weights
    from darknet_compat.parity.seeded import seed_weights

    network = load_network(cfg, dialect=dialect)
    seed_weights(network)
    save_weights(network, folder / "seeded.weights")
    return folder / "seeded.weights"


def _wanted(sources: Sources, asked: BenchOptions) -> list[WantedRuntime]:
    backends = asked.backends or [row.name for row in registry.ROWS if row.installed]
    sizes = _sizes(sources, asked)
    exported = [backend for backend in backends if registry.ONNX in registry.named(backend).suffixes]
    if is_built(sources.cfg):
        wanted = list(_of_file(sources.cfg, sizes, exported))
    else:
        own = exported if artefact_of(sources.cfg) is not None and not asked.backends else backends
        wanted = [
            WantedRuntime(backend, precision, size)
            for size in sizes
            for backend in own
            for precision in asked.precisions
        ]
    for artefact in asked.artefact:
        wanted += _of_file(artefact, sizes, exported)
    return wanted


def _of_file(path: Path, sizes: Sequence[WidthHeight], backends: Sequence[str]) -> Iterator[WantedRuntime]:
    """An exported file in its own precision: an `.onnx` on each of the backends, an `.engine` on the one that runs it.

    Raises BackendError for what is neither.
    """
    artefact = artefact_of(path)
    if artefact is None:
        raise BackendError(f"{path}: expected an .onnx or an .engine")
    for size in sizes:
        for backend in [row.name for row in registry.running(path)] if is_built(path) else backends:
            yield WantedRuntime(backend, artefact.precision, size, path)


def _sizes(sources: Sources, asked: BenchOptions) -> Sequence[WidthHeight]:
    return asked.sizes or [own_size(sources.cfg)]


def _peers(
    exports: Exports, size: WidthHeight, detects: bool, letterbox: bool, thresh: float, without: Collection[str]
) -> Iterator[Runner | NotRun]:
    makers: dict[str, Callable[[], Runner]] = {
        label: lambda reader=reader: reader(exports, size, detects, thresh)  # type: ignore[misc]
        for label, reader in READERS.items()
    }
    makers["original"] = lambda: original_peer(exports.sources, size, detects, letterbox, thresh)
    for label in PEERS:
        if label in without:
            continue
        try:
            yield makers[label]()
        except DarknetCompatError as error:
            yield NotRun(f"{label}, {size[0]}x{size[1]}", str(error))
