"""Model names → files: packaged ones, and weights from this machine or, checked, from the internet.

The models themselves are the table in `models`.
"""

from __future__ import annotations

import difflib
import os
import shlex
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from darknet_compat.catalogue.fetch.provenance import record_path, verify
from darknet_compat.catalogue.models import ALIASES, MODELS, Model
from darknet_compat.errors import CatalogError
from darknet_compat.formats.jsonfile import read_json
from darknet_compat.formats.packaged import cfg_dir, weights_dir
from darknet_compat.formats.textfile import shown

if TYPE_CHECKING:
    from darknet_compat.catalogue.fetch.transfer import TransferProgress

__all__ = ["CACHE_VARIABLE", "MODELS", "Files", "Model", "cache_dir", "fetch", "files", "find", "local_weights"]

CACHE_VARIABLE = "DARKNET_COMPAT_CACHE"


@dataclass(frozen=True)
class Files:
    """A model's files, all of them there."""

    cfg: Path
    names: Path
    weights: Path
    labels: Path | None = None


def find(name: str) -> Model:
    """The model called `name`, upper or lower case, by its own or an older name.

    Raises CatalogError that suggests the closest name.
    """
    key = name.lower()
    key = ALIASES.get(key, key)
    if key in MODELS:
        return MODELS[key]
    close = difflib.get_close_matches(key, [*MODELS, *ALIASES], n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    raise CatalogError(f"no model is called {shown(name)}; {hint}known are {', '.join(MODELS)}")


def files(model: Model | str, weights: str | Path | None = None, *, progress: TransferProgress | None = None) -> Files:
    """All files of a model; its weights are fetched if they are on this machine nowhere yet.

    `weights` names a file to use instead, which nothing is expected of. Raises CatalogError or DownloadError.
    """
    model = find(model) if isinstance(model, str) else model
    if weights is None:
        path = fetch(model, progress=progress)
    elif not (path := Path(weights)).is_file():
        raise CatalogError(f"{path}: expected a .weights file, found {'a folder' if path.is_dir() else 'nothing'}")
    folder = cfg_dir()
    labels = folder / model.labels if model.labels else None
    return Files(folder / model.cfg, folder / model.names, path, labels)


def local_weights(model: Model | str) -> Path | None:
    """The model's weights where they are on this machine, unchecked: packaged, else in the cache, else None."""
    model = find(model) if isinstance(model, str) else model
    places = (weights_dir() / model.weights.file, cache_dir() / model.weights.file)
    return next((path for path in places if path.is_file()), None)


def fetch(model: Model | str, *, progress: TransferProgress | None = None) -> Path:
    """The model's weights, checked: from `weights/`, else from the cache folder, else downloaded into that.

    Raises CatalogError for a file that is not the published one or has changed, or where no address is known, and
    DownloadError for a download that fails.
    """
    model = find(model) if isinstance(model, str) else model
    path, file, mirrors = local_weights(model), model.weights.file, model.weights.mirrors
    shipped = _shipped(file)
    if path is None:
        path = cache_dir() / file
        if not mirrors and shipped:
            raise CatalogError(f"{weights_dir() / file}: is missing, which comes with the package; {_restore(file)}")
        if not mirrors:
            raise CatalogError(
                f"{model.name}: nobody is known to publish {file}; train it, and put it at {path}"
                " or name it with --weights"
            )
        from darknet_compat.catalogue.fetch.download import download  # here, as it brings in Python's whole web client

        download(mirrors, path, expected=model.weights.expected, progress=progress)
    if shipped and path.parent == weights_dir():
        verify(path, replace(model.weights.expected, sha256=shipped), _restore(file))
    else:
        record = record_path(path).name
        remedy = (
            f"remove it and {record} to fetch it again" if mirrors else f"put the right file there, remove {record}"
        )
        verify(path, model.weights.expected, remedy)
    return path


def _shipped(file: str) -> str | None:
    """The SHA-256 of a file that travels with the package, which another version of the package may change."""
    manifest = weights_dir() / "manifest.json"
    if not manifest.is_file():
        return None
    listed: dict[str, dict[str, str]] = read_json(manifest, CatalogError, "the shipped weights' manifest")["files"]
    return listed[file]["sha256"] if file in listed else None


def _restore(file: str) -> str:
    """What brings back a file that travels with the package, from a checkout or an installation."""
    folder = weights_dir()
    if not (folder.parent / ".git").exists():
        return "reinstall darknet-compat"
    return f"`{shlex.join(['git', '-C', str(folder.parent), 'checkout', f'{folder.name}/{file}'])}` restores it"


def cache_dir() -> Path:
    """The folder for downloads: DARKNET_COMPAT_CACHE, or the system's folder for caches. It need not exist yet.

    Raises CatalogError where neither is known.
    """
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    try:
        home = Path.home()
    except RuntimeError:
        raise CatalogError(f"there is no home folder for downloads; name a folder in {CACHE_VARIABLE}") from None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "darknet-compat"
