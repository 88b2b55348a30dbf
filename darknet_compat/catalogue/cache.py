"""What can be made again and is kept in the cache folder: exports, optimised models, engines. Bounded in size.

A file is named after everything that its content depends on, so that it never has to be checked for being out of date;
one that has not been used for longest goes first. Downloads lie beside these and are no part of them.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from darknet_compat.catalogue.catalog import cache_dir
from darknet_compat.errors import CatalogError

KINDS = {
    "onnx": "networks exported for runtimes other than torch",
    "onnxruntime": "the same, optimised for this processor",
    "tensorrt": "engines, and which kernels are fastest on a GPU",
}
"""The folders, and what is in them."""

LIMIT_VARIABLE = "DARKNET_COMPAT_CACHE_LIMIT"
LIMIT = 4 * 2**30
"""How many bytes the folders that are filled without being asked for may hold, unless the variable names another
number."""

_BOUNDED = ("onnx", "onnxruntime")  # an engine takes minutes to build
_YOUNG = 600.0  # seconds for which a file counts as in use by whoever made or found it


@dataclass(frozen=True)
class CachedFile:
    """One file: its kind, its size in bytes, and when it was last used, in seconds since 1970."""

    path: Path
    kind: str
    bytes: int
    used: float


def folder(kind: str) -> Path:
    """The folder of one of KINDS, made if need be. Raises CatalogError where it cannot be."""
    path = cache_dir() / kind
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CatalogError(f"{path}: cannot be made: {error.strerror or error}") from None
    return path


def limit() -> int:
    """How many bytes may be kept. Raises CatalogError for a variable that holds no number."""
    text = os.environ.get(LIMIT_VARIABLE)
    if text is None:
        return LIMIT
    if not text.isdecimal():
        raise CatalogError(f"{LIMIT_VARIABLE}: expected a number of bytes, found {text!r}")
    return int(text)


def entries(kinds: Collection[str] = tuple(KINDS)) -> list[CachedFile]:
    """All files that are kept, the longest unused first."""
    return sorted((entry for kind in kinds for entry in _files(kind)), key=lambda entry: entry.used)


def _files(kind: str) -> Iterator[CachedFile]:
    with contextlib.suppress(OSError), os.scandir(cache_dir() / kind) as found:
        for file in found:
            with contextlib.suppress(OSError):  # gone meanwhile
                if file.is_file(follow_symlinks=False):
                    status = file.stat()
                    yield CachedFile(Path(file.path), kind, status.st_size, status.st_mtime)


def mark_used(path: Path) -> None:
    """Note that a file is in use, and those that belong to it (its name and a suffix more)."""
    now = time.time()
    for one in (path, path.with_name(f"{path.name}.data")):
        with contextlib.suppress(OSError):
            os.utime(one, (now, now))


def make_room() -> None:
    """Remove what has not been used for longest until the rest is within the limit; what is in use stays."""
    kept = entries(_BOUNDED)
    total, allowed, now = sum(entry.bytes for entry in kept), limit(), time.time()
    for entry in kept:
        if total <= allowed or now - entry.used < _YOUNG:
            return
        with contextlib.suppress(OSError):
            entry.path.unlink()
            total -= entry.bytes


def clear(kinds: Collection[str] = tuple(KINDS)) -> list[CachedFile]:
    """Remove all files of some kinds; those that were. Raises CatalogError for one that cannot be removed."""
    removed = entries(kinds)
    for kind in kinds:
        try:
            shutil.rmtree(cache_dir() / kind)
        except FileNotFoundError:
            continue
        except OSError as error:
            raise CatalogError(f"{error.filename}: cannot be removed: {error.strerror or error}") from None
    return removed
