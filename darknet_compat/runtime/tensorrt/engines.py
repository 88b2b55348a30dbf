"""TensorRT engines, built on first use and cached under a key of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from darknet_compat import __version__
from darknet_compat.catalogue.catalog import cache_dir
from darknet_compat.catalogue.fetch.checksum import sha256_of
from darknet_compat.errors import BackendError, ExportError
from darknet_compat.export.tensorrt.build import BuildProgress
from darknet_compat.export.tensorrt.engine import build_engine
from darknet_compat.export.tensorrt.settings import EnginePrecision, Settings, settings_from
from darknet_compat.formats.exported.artefact import Artefact
from darknet_compat.formats.exported.enginefile import EngineRecord, read_plan, read_record
from darknet_compat.formats.words import EngineTarget, WidthHeight
from darknet_compat.nvidia.driver import Gpu
from darknet_compat.nvidia.library import load_tensorrt
from darknet_compat.runtime.base import Use
from darknet_compat.runtime.exported import read_artefact
from darknet_compat.runtime.registry import is_onnx
from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime


def open_model(model: Path, weights: Path | None, use: Use) -> TensorRtRuntime:
    """See `runtime.registry.Row`: an engine as it is, an `.onnx` built first."""
    if is_onnx(model):
        model = cached_engine(model, use.precision, use.size, gpu=use.gpu)  # type: ignore[arg-type]
    return TensorRtRuntime(model, size=use.size, gpu=use.gpu)


def open_rtx(model: Path, weights: Path | None, use: Use) -> TensorRtRuntime:
    """As `open_model`, by TensorRT-RTX."""
    if is_onnx(model):
        model = cached_engine(model, use.precision, use.size, gpu=use.gpu, target="rtx")  # type: ignore[arg-type]
    return TensorRtRuntime(model, size=use.size, gpu=use.gpu)


def is_for_tensorrt(engine: Path) -> bool:
    """Whether TensorRT proper runs this engine. Raises BackendError where its JSON is missing."""
    return read_record(engine).target == "tensorrt"


def is_for_rtx(engine: Path) -> bool:
    """Whether TensorRT-RTX runs this engine. Raises BackendError where its JSON is missing."""
    return read_record(engine).target == "rtx"


def artefact_of(engine: Path) -> Artefact:
    """What an engine's JSON says of the model. Raises BackendError where it is missing or not ours."""
    return read_record(engine).artefact


def cached_engine(
    model: Path,
    precision: EnginePrecision,
    size: WidthHeight | None = None,
    *,
    gpu: int = 0,
    target: EngineTarget = "tensorrt",
    progress: BuildProgress | None = None,
) -> Path:
    """The engine of an `.onnx` in the cache folder, built now unless that has been done; it takes minutes.

    Raises BackendError or ExportError where that is not possible here.
    """
    artefact = read_artefact(model)
    own = (artefact.width, artefact.height)
    trt, found = load_tensorrt(gpu, target)
    only = (found.capability,) if target == "rtx" else ()
    settings = Settings(precision=precision, sizes=((size or own),), target=target, capabilities=only)
    folder = engine_folder()
    path = folder / f"{model.stem}-{engine_key(sha256_of(model), settings, str(trt.__version__), found)}.engine"
    if not _usable(path):
        times = timing_cache(str(trt.__version__), found) if target == "tensorrt" else None
        build_engine(model, path, settings=settings, timing_cache=times, gpu=gpu, progress=progress)
    return path


def engine_key(onnx_sha256: str, settings: Settings, tensorrt: str, gpu: Gpu) -> str:
    """Twenty digits that change with everything that an engine depends on: the model, the settings, the version of
    TensorRT, the GPU and its driver, and us."""
    parts = {
        "version": __version__,
        "onnx": onnx_sha256,
        "settings": settings.to_json(),
        "tensorrt": tensorrt,
        "gpu": [gpu.name, gpu.capability, gpu.memory, gpu.cuda],
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:20]


def engine_folder() -> Path:
    """Where engines and timing caches are kept. Raises BackendError where it cannot be made."""
    folder = cache_dir() / "tensorrt"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(f"{folder}: cannot be made: {error.strerror or error}") from None
    return folder


def timing_cache(tensorrt: str, gpu: Gpu) -> Path:
    """Where it is remembered which kernels are fastest on this GPU. Raises CatalogError without a folder for caches."""
    name = "".join(c if c.isalnum() else "-" for c in gpu.name)
    return engine_folder() / f"timing-{name}-{tensorrt}.cache"


def rebuild_engine(engine: Path, model: Path | None = None, *, progress: BuildProgress | None = None) -> EngineRecord:
    """Build an engine again as it was built, for this TensorRT and this GPU, or the GPUs that an RTX engine names.

    From `model`, else from the ONNX file with the checksum that the engine remembers, which is looked for beside it and
    in the cache. Raises ExportError where that is nowhere.
    """
    record = read_record(engine)
    model = model or _origin(engine, record)
    settings = settings_from(record.settings)
    times = None
    if settings.target == "tensorrt":
        trt, gpu = load_tensorrt()
        times = timing_cache(str(trt.__version__), gpu)
    return build_engine(model, engine, settings=settings, timing_cache=times, progress=progress)


def _origin(engine: Path, record: EngineRecord) -> Path:
    beside = engine.parent / Path(record.onnx).name
    places = [beside, *sorted(engine.parent.glob("*.onnx")), *sorted((cache_dir() / "onnx").glob("*.onnx"))]
    for place in places:
        if place.is_file() and sha256_of(place) == record.onnx_sha256:
            return place
    raise ExportError(
        f"{engine}: was built from {record.onnx} (sha256 {record.onnx_sha256[:12]}…), which is neither beside it nor in"
        f" the cache; name it with --onnx, or export it again"
    )


def _usable(path: Path) -> bool:
    """Whether an engine of the cache is there and whole."""
    try:
        return bool(read_plan(path, read_record(path)))
    except BackendError:
        return False
