"""Sessions of ONNX Runtime: in integers for int8 files; as it has optimised them before for large models.

Most of the time that a session takes to be made goes into laying weights out for this processor's instructions:
yolov2-voc opens in 0.39 s, and in 0.08 s when that has been done before.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnxruntime as ort

from darknet_compat.catalogue import cache
from darknet_compat.catalogue.catalog import cache_dir
from darknet_compat.errors import CatalogError
from darknet_compat.runtime.exported import read_artefact
from darknet_compat.runtime.processor import abilities
from darknet_compat.runtime.registry import installed

_CPU = "CPUExecutionProvider"

LARGE = 16 * 2**20
"""From how many bytes on that is worth a second file; smaller ones open in hundredths of a second."""


def open_session(path: Path, options: Any, providers: Sequence[str]) -> Any:
    """A session for a model. One of the cache, which never changes, is optimised only once for a processor and a
    version of ONNX Runtime. Raises what ONNX Runtime raises."""
    ours = path.parent == cache_dir() / "onnx" and list(providers) == [_CPU]
    if not ours or path.stat().st_size < LARGE:
        return ort.InferenceSession(str(path), options, providers=list(providers))
    try:
        kept = cache.folder("onnxruntime") / f"{path.stem}-{_key()}.onnx"
    except CatalogError:
        return _session(path, options)
    if kept.is_file():
        level = options.graph_optimization_level
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = _session(kept, options)
        except Exception:  # ONNX Runtime's exceptions have no base of their own; the disk may have damaged it
            options.graph_optimization_level = level
            with contextlib.suppress(OSError):
                kept.unlink()
        else:
            cache.mark_used(kept)
            return session
    part = kept.with_name(f".{kept.stem}.{os.getpid()}.part")
    options.optimized_model_filepath = str(part)
    try:
        session = _session(path, options)
        os.replace(part, kept)
        cache.make_room()
    except OSError:  # no room: it is as good without
        pass
    finally:
        part.unlink(missing_ok=True)
    return session


def open_int8(path: Path, options: Any, providers: Sequence[str]) -> Any:
    """A session for an int8 file in the form that ONNX Runtime computes in integers; as the file is, in float32, where
    the onnx package is missing. Raises what ONNX Runtime raises."""
    if not installed("onnx"):
        return ort.InferenceSession(str(path), options, providers=list(providers))
    import onnx

    from darknet_compat.export.quantize.fused import fused

    model = fused(onnx.load(path), read_artefact(path).quantization or {})
    # It would round before pooling, where what is pooled is still in float32 and laid out for that.
    unwanted = ["QDQPropagationTransformer"]
    return ort.InferenceSession(
        model.SerializeToString(), options, providers=list(providers), disabled_optimizers=unwanted
    )


def _session(path: Path, options: Any) -> Any:
    return ort.InferenceSession(str(path), options, providers=[_CPU])


def _key() -> str:
    """What the layout depends on."""
    parts = [ort.__version__, *sorted(abilities())]
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:12]
