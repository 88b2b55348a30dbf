"""A model as a user names it (`catalogue.locate`) on a runtime, with the names of its classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from difflib import get_close_matches
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from darknet_compat.catalogue.locate import locate
from darknet_compat.errors import BackendError, MetadataError
from darknet_compat.formats.metadata import class_names, read_map
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.words import Task
from darknet_compat.inference.backends import Choice, expect_usable, open_runtime
from darknet_compat.inference.options import expected
from darknet_compat.runtime.base import Runtime, Use, UseOptions
from darknet_compat.runtime.registry import is_exported

if TYPE_CHECKING:
    from darknet_compat.catalogue.fetch.transfer import TransferProgress


_Init = TypeVar("_Init", bound=Callable[..., None])


@dataclass(frozen=True)
class LoadedModel:
    """A runtime, the names of its classes, and why this runtime."""

    runtime: Runtime
    names: tuple[str, ...]
    choice: Choice


def load_model(
    model: str | Path,
    weights: str | Path | None = None,
    *,
    task: Task,
    names: str | Path | Sequence[str] | None = None,
    asked: UseOptions,
    progress: TransferProgress | None = None,
) -> LoadedModel:
    """What a Detector or Classifier needs. Raises DarknetCompatError, one line, for whatever is missing or wrong."""
    use = Use(**expected(asked))
    if use.dialect is not None and is_exported(Path(model)):
        raise BackendError(f"{model}: its dialect was settled when it was exported; leave out {use.dialect}")
    if weights is not None and is_exported(Path(model)):
        raise BackendError(f"{model}: holds its own weights; leave out {weights}")
    expect_usable(use.backend)  # before anything is fetched for it
    known = locate(model, weights, download=False).known
    if known is not None and known.task != task:
        raise _other_task(model, task)  # before anything is fetched for it
    sources = locate(model, weights, progress=progress)
    runtime, choice = open_runtime(sources.cfg, sources.weights, use)
    if runtime.description.task != task:
        raise _other_task(sources.cfg, task)
    usual = runtime.description.names or sources.names
    return LoadedModel(runtime, class_names(usual if names is None else names, runtime.description.classes), choice)


def _other_task(model: str | Path, task: Task) -> BackendError:
    other = {"detect": "classify it with Classifier or `classify`", "classify": "use Detector or `detect`"}[task]
    return BackendError(f"{model}: this network does not {task}; {other}")


_MAPS = {"coco": ("coco9k.map", "coco.names"), "imagenet-det": ("inet9k.map", None), "digits": ("digits.map", None)}
"""Maps onto the trees of YOLO9000 and of yolo9000-digits: file, and names where the nodes' own are not meant."""


def class_map(map: str | Path | Sequence[int], model: LoadedModel) -> tuple[tuple[int, ...], tuple[str, ...]]:
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


def spelled_out(init: _Init) -> _Init:
    """The constructor of a Detector or Classifier as `help` and completion should know it, with the fields of `Use` for
    its `**use`."""
    *own, _ = signature(init).parameters.values()
    use = [Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=one.type) for one in fields(Use)]
    vars(init)["__signature__"] = Signature([*own, *use])
    return init


def expect_arguments(kind: type, given: Iterable[str]) -> None:
    """Raise TypeError for a keyword that a Detector or Classifier does not take; it names the nearest that it does."""
    known = list(signature(kind).parameters)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
            raise TypeError(f"{kind.__name__} has no argument {name!r}; {hint}")
