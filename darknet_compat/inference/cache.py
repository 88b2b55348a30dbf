"""A `.cfg` and its weights as an exported file, made once and kept."""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from darknet_compat import __version__
from darknet_compat.catalogue import cache
from darknet_compat.catalogue.fetch.checksum import sha256_of
from darknet_compat.definition.dialects import DialectName
from darknet_compat.errors import BackendError, CatalogError
from darknet_compat.formats.words import Build, Input, WidthHeight
from darknet_compat.runtime.exported import read_artefact

REVISION = 2
"""To be counted up with each change of what is exported between two versions."""

CANDIDATES = 256
"""How many candidates of a network with many classes: as many as torch has (`runtime.torch`), for the same answers."""


def cached_export(
    cfg: Path,
    weights: Path,
    size: WidthHeight | None,
    input: Input = "float",
    names: Sequence[str] = (),
    *,
    sizes: Literal["fixed"] | None = None,
    dialect: DialectName | None = None,
    batchnorm: Build = "cuda",
) -> Path:
    """The model as an `.onnx` in the cache folder, for `sizes` as `export_onnx` has them, exported now unless that has
    been done.

    Its name holds a checksum of everything that its content depends on: the definition with the files that it names,
    the weights, the size, the dialect, `batchnorm`, and our version. Two that begin at once both export it, and the
    later one's file, which is the same, takes the place of the other's. Without `names` it has none: whoever opens the
    `.cfg` knows them. Raises ExportError for what has no counterpart in ONNX, BackendError where the onnx package is
    missing or the network answers no pictures.
    """
    parts: dict[str, Any] = {
        "version": [__version__, REVISION],
        "size": [size, sizes],
        "input": input,
        "dialect": dialect,
        **({} if batchnorm == "cuda" else {"batchnorm": batchnorm}),
        "names": list(names),
        "cfg": _sha256(cfg),
        "weights": _sha256(weights),
    }
    path = _place(cfg, parts)
    if _usable(path):  # of a definition that names no other files, which then need not be understood
        return path
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.definition.weights.network_weights import StoredWeights
    from darknet_compat.runtime.described import describe

    spec = load_spec(cfg, size, dialect=dialect)
    describe(spec)
    if spec.files:
        parts["files"] = {name: _sha256(Path(file)) for name, file in sorted(spec.files.items())}
        path = _place(cfg, parts)
        if _usable(path):
            return path
    try:
        from darknet_compat.export.onnx.export import export_onnx
    except ModuleNotFoundError as error:
        raise BackendError(
            f"{error.name} is not installed, to export {cfg.name} for this backend: pip install 'darknet-compat[onnx]'"
        ) from None
    trained = StoredWeights(spec, weights, batchnorm)
    export_onnx(trained, path, cfg=cfg, outputs="boxes", input=input, sizes=sizes, names=names, candidates=CANDIDATES)
    cache.make_room()
    return path


def _place(cfg: Path, parts: dict[str, Any]) -> Path:
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    try:
        folder = cache.folder("onnx")
    except CatalogError:
        folder = _for_this_process()
    return (folder if os.access(folder, os.W_OK) else _for_this_process()) / f"{cfg.stem}-{key[:20]}.onnx"


@lru_cache(maxsize=1)
def _for_this_process() -> Path:
    """A folder for exports where the cache cannot be written into, removed at the end."""
    folder = tempfile.mkdtemp(prefix="darknet-compat-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def _usable(path: Path) -> bool:
    """Whether a file of the cache is there, whole, and says all that this version asks of it; then it is in use."""
    try:
        usable = path.is_file() and bool(read_artefact(path))
    except BackendError:
        return False
    if usable:
        cache.mark_used(path)
    return usable


def _sha256(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror or error}") from None
