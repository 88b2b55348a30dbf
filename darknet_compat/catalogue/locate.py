"""From what a user names (a catalogue name, a `.cfg`, an exported file) to where the model's parts lie."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from darknet_compat.catalogue import catalog
from darknet_compat.errors import CatalogError
from darknet_compat.formats.metadata import names_beside
from darknet_compat.formats.packaged import cfg_dir

if TYPE_CHECKING:
    from darknet_compat.catalogue.fetch.transfer import TransferProgress


@dataclass(frozen=True)
class Sources:
    """Where a model's parts lie.

    `weights` is None where none were named and none are known; `known` is the entry of the catalogue where the model
    was called by name.
    """

    cfg: Path
    weights: Path | None
    names: Path | None = None
    known: catalog.Model | None = None


def locate(
    model: str | Path,
    weights: str | Path | None = None,
    *,
    download: bool = True,
    progress: TransferProgress | None = None,
) -> Sources:
    """The files of `model`: a `.cfg` or `.onnx` as it is given, else a catalogue name.

    The weights of the latter are fetched if `download`. Raises CatalogError where it is neither.
    """
    path = Path(model)
    weights = None if weights is None else Path(weights)
    if _is_file(path):
        return Sources(path, weights or _beside(path, ".weights"), names_beside(path))
    if not is_name(model):
        found = "a folder" if os.path.isdir(path) else "no such file"
        hint = f"; `{path.stem}` alone is in the catalogue" if path.stem in catalog.MODELS else ""
        wanted = "a .cfg, an .onnx, an .engine or a name of the catalogue"
        raise CatalogError(f"{path}: expected {wanted}, found {found}{hint}")
    known = catalog.find(str(model))
    if weights is None:
        weights = catalog.fetch(known, progress=progress) if download else catalog.local_weights(known)
    packaged = cfg_dir()
    return Sources(packaged / known.cfg, weights, packaged / known.names, known)


def is_name(model: str | Path) -> bool:
    """Whether `model` can only be a name of the catalogue: it is no file, and does not look like a path."""
    path = Path(model)
    if _is_file(path):
        return False
    named = str(model).lower() in catalog.MODELS  # .1 of yolo-fastest-1.1 is no suffix
    return named or not (path.suffix or len(path.parts) > 1 or os.path.isdir(path))


def _is_file(path: Path) -> bool:
    # os.path, since Path's own answer to a name that is too long, or a folder that may not be read, is an error.
    return os.path.exists(path) and not os.path.isdir(path)


def _beside(cfg: Path, suffix: str) -> Path | None:
    """The file of the same name with another suffix, where there is one."""
    path = cfg.with_suffix(suffix)
    return path if os.path.isfile(path) else None
