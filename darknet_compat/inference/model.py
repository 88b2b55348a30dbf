"""From what a user names (a catalogue name, a `.cfg`) to a runtime with names and defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from darknet_compat.errors import BackendError, CatalogError, MetadataError
from darknet_compat.formats import catalog
from darknet_compat.formats.metadata import read_map, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import shown
from darknet_compat.formats.transfer import Progress
from darknet_compat.runtime.base import Precision, Resize, Runtime, Task

BACKENDS = ("auto", "torch")

_NAMES_BY_COUNT = {20: "voc.names", 80: "coco.names", 1000: "imagenet1k.names", 9418: "9k.names"}
"""Class lists so widely used that their length tells them; only asked where nothing else names the classes."""


@dataclass(frozen=True)
class Sources:
    """Where a model's parts lie. `weights` is None where none were named and none are known; `known` is the entry of
    the catalogue where the model was called by name."""

    cfg: Path
    weights: Path | None
    names: Path | None = None
    resize: Resize = "letterbox"
    known: catalog.Model | None = None


@dataclass(frozen=True)
class Model:
    """A runtime and the names of its classes."""

    runtime: Runtime
    names: tuple[str, ...]


def locate(
    model: str | Path, weights: str | Path | None = None, *, download: bool = True, progress: Progress | None = None
) -> Sources:
    """The files of `model`: a `.cfg` as it is given, else a catalogue name, whose weights are fetched if `download`.

    Raises CatalogError where it is neither.
    """
    path = Path(model)
    weights = None if weights is None else Path(weights)
    if path.exists() and not path.is_dir():
        return Sources(path, weights or _beside(path, ".weights"), _beside(path, ".names"))
    if path.suffix or len(path.parts) > 1 or path.is_dir():
        found = "a folder" if path.is_dir() else "no such file"
        hint = f"; `{path.stem}` alone is in the catalogue" if path.stem in catalog.MODELS else ""
        raise CatalogError(f"{path}: expected a .cfg or a name of the catalogue, found {found}{hint}")
    known = catalog.find(str(model))
    if weights is None:
        weights = catalog.fetch(known, progress=progress) if download else catalog.local_weights(known)
    folder = cfg_dir()
    return Sources(folder / known.cfg, weights, folder / known.names, known.resize, known)


def load_model(
    model: str | Path,
    weights: str | Path | None = None,
    *,
    task: Task,
    names: str | Path | Sequence[str] | None = None,
    backend: str = "auto",
    precision: Precision = "fp32",
    size: int | tuple[int, int] | None = None,
    resize: Resize | None = None,
    progress: Progress | None = None,
) -> Model:
    """What a Detector or Classifier needs. Raises DarknetCompatError, one line, for whatever is missing or wrong."""
    _expect("backend", backend, BACKENDS, BackendError)
    _expect("precision", precision, get_args(Precision), BackendError)
    sources = locate(model, weights, progress=progress)
    if sources.weights is None:
        beside = sources.cfg.with_suffix(".weights").name
        raise CatalogError(f"{sources.cfg}: no weights are named, and there is no {beside} beside it")
    resize = resize or sources.resize
    _expect("resize", resize, get_args(Resize), BackendError)
    runtime = _torch_runtime(sources, precision, _pair(size), resize)
    if runtime.description.task != task:
        other = {"detect": "classify it with Classifier or `classify`", "classify": "use Detector or `detect`"}[task]
        raise BackendError(f"{sources.cfg}: this network does not {task}; {other}")
    return Model(runtime, class_names(names or sources.names, runtime.description.classes))


def class_names(names: str | Path | Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """One name a class: from a file, a list, or failing both the widely used list of that length, or numbers.

    Raises MetadataError where there are not exactly `classes` of them.
    """
    if names is None and classes in _NAMES_BY_COUNT:
        names = cfg_dir() / "data" / _NAMES_BY_COUNT[classes]
    if names is None:
        return tuple(f"class {number}" for number in range(classes))
    source = names if isinstance(names, str | Path) else "names"
    found = read_names(names) if isinstance(names, str | Path) else tuple(names)
    if len(found) != classes:
        raise MetadataError(f"{source}: has {len(found)} names, but the network has {classes} classes")
    return found


_MAPS = {"coco": ("coco9k.map", "coco.names"), "imagenet-det": ("inet9k.map", None)}
"""Maps that come with YOLO9000: file, and names where the nodes' own are not meant."""


def class_map(map: str | Path | Sequence[int], model: Model) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """A map's nodes and the names of its classes. Raises MetadataError where the model has no tree or no such nodes."""
    if model.runtime.description.tree is None:
        raise MetadataError("map: only for a network with a WordTree, such as yolo9000")
    names_file = None
    if isinstance(map, str | Path):
        map_file, names_file = _MAPS.get(str(map), (None, None))
        nodes = read_map(cfg_dir() / "data" / map_file if map_file else map, len(model.names))
    else:
        nodes = tuple(map)
        if not nodes or not all(0 <= node < len(model.names) for node in nodes):
            raise MetadataError(f"map: expected numbers of nodes, 0 to {len(model.names) - 1}")
    if names_file:
        return nodes, class_names(cfg_dir() / "data" / names_file, len(nodes))
    return nodes, tuple(model.names[node] for node in nodes)


def _torch_runtime(sources: Sources, precision: Precision, size: tuple[int, int] | None, resize: Resize) -> Runtime:
    try:
        from darknet_compat.network.load import load_network
        from darknet_compat.runtime.torch import TorchRuntime
    except ModuleNotFoundError as error:
        raise BackendError(f"{error.name} is not installed: pip install 'darknet-compat[torch]'") from None
    network = load_network(sources.cfg, sources.weights, size=size)
    return TorchRuntime(network, precision=precision, resize=resize)


def _pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """(width, height)."""
    if size is None:
        return None
    width, height = (size, size) if isinstance(size, int) else size
    if not (0 < width <= 8192 and 0 < height <= 8192):
        raise BackendError(f"size: expected 1 to 8192 pixels a side, found {width} x {height}")
    return width, height


def _beside(cfg: Path, suffix: str) -> Path | None:
    """The file of the same name with another suffix, where there is one."""
    path = cfg.with_suffix(suffix)
    return path if path.is_file() else None


def _expect(what: str, value: str, known: Sequence[str], error: type[BackendError]) -> None:
    if value not in known:
        raise error(f"{what}: expected one of {', '.join(known)}, found {shown(str(value))}")
