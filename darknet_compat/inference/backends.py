"""Which runtime runs a model, and the way there: an exported file as it is, a `.cfg` by torch or exported first."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from darknet_compat import __version__
from darknet_compat.catalogue.catalog import cache_dir
from darknet_compat.catalogue.fetch.checksum import file_checksums
from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import BackendError, CatalogError, ExportError
from darknet_compat.formats.exported.artefact import Input
from darknet_compat.runtime.base import Mode, Precision, Resize, Runtime
from darknet_compat.runtime.exported import computed_in, read_artefact
from darknet_compat.runtime.processor import bf16_is_slow

BACKENDS = ("auto", "torch", "onnxruntime", "openvino", "tensorrt")

Size = tuple[int, int] | None


@dataclass(frozen=True)
class Choice:
    """The backend that runs a model, and why in a few words."""

    backend: str
    why: str


@dataclass(frozen=True)
class Use:
    """How a model is going to be used: many pictures or one at a time, on how many cores (None: all)."""

    mode: Mode = "latency"
    threads: int | None = None


def open_runtime(
    model: Path,
    weights: Path | None,
    backend: str,
    precision: Precision,
    size: Size,
    resize: Resize | None,
    use: Use = Use(),
) -> tuple[Runtime, Choice]:
    """Make `model`, a `.cfg`, an `.onnx` or an `.engine`, ready to run.

    Raises BackendError for a backend that is not installed or cannot run it, CatalogError for missing weights.
    """
    if model.suffix.lower() == ".engine":
        return _run_engine(model, backend, size, resize)
    expect_usable(backend)
    exported = model.suffix.lower() == ".onnx"
    if exported:
        precision = computed_in(read_artefact(model), str(model), precision)
    elif precision == "int8":
        raise BackendError(
            f"{model}: int8 takes a file made for it: `darknet-compat export {model.name} --precision int8 --calibrate"
            " PICTURES`"
        )
    choice = choose(exported, backend, precision, use.mode)
    if exported:
        return _run_exported(model, choice.backend, precision, size, resize, use), choice
    if weights is None:
        beside = model.with_suffix(".weights").name
        raise CatalogError(f"{model}: no weights are named, and there is no {beside} beside it")
    if choice.backend == "torch":
        return _run_torch(model, weights, precision, size, resize, use), choice
    # Where the layers are rounded anyway, so may pixels be, and travel to the GPU as bytes.
    pixels: Input = "uint8" if choice.backend == "tensorrt" and precision != "fp32" else "float"
    try:
        path = cached_export(model, weights, size, pixels)
    except BackendError as error:
        if backend != "auto":
            raise
        return _run_torch(model, weights, precision, size, resize, use), Choice("torch", str(error))
    return _run_exported(path, choice.backend, precision, size, resize, use), choice


def choose(exported: bool, backend: str, precision: Precision, mode: Mode = "latency") -> Choice:
    """What `backend` means for a model: itself, or with "auto" the best that is installed and can do it.

    For many pictures (mode "throughput") a `.cfg` is worth being exported into the cache, unless there is a GPU.
    """
    if backend == "torch" and exported:
        raise BackendError("backend: torch runs a .cfg and its .weights, not an .onnx; onnxruntime and openvino do")
    if backend != "auto":
        return Choice(backend, "as asked for")
    if not exported and mode == "latency":
        return Choice("torch", "a .cfg runs without being exported first, which pays for many pictures")
    if not exported and (why_not := _stays_with_torch(precision)):
        return Choice("torch", why_not)
    for name, why in _BEST.get(precision, ()):
        if _installed(name):
            if precision == "bf16" and bf16_is_slow():
                why += "; this processor computes bf16 more slowly than fp32"
            return Choice(
                name, why if exported else f"exported into {cache_dir()}, which pays for many pictures; {why}"
            )
    if _installed("onnxruntime") or _installed("openvino"):
        able = "openvino: pip install 'darknet-compat[openvino]'" if precision == "bf16" else "torch and the .cfg"
        raise BackendError(f"precision: an .onnx in {precision} needs {able}")
    raise BackendError("neither onnxruntime nor openvino is installed: pip install 'darknet-compat[onnxruntime]'")


def _stays_with_torch(precision: Precision) -> str | None:
    """Why a `.cfg` is run by torch although there are many pictures; None where exporting it is better."""
    if not all(map(_installed, ("onnx", "onnxslim"))):
        return "to export a .cfg for another runtime, 'darknet-compat[onnx]' has to be installed"
    if not any(_installed(name) for name, _ in _BEST.get(precision, ())):
        return f"no other runtime for {precision} is installed"
    import torch

    return "there is a GPU, which it uses" if torch.cuda.is_available() else None


_LEFT = "of what is installed it is what runs an .onnx in {}"
_BEST: dict[Precision, tuple[tuple[str, str], ...]] = {
    "fp32": (
        ("onnxruntime", "in fp32 it is no slower than openvino where measured"),
        ("openvino", _LEFT.format("fp32")),
    ),
    "bf16": (("openvino", _LEFT.format("bf16")),),
    "int8": (
        ("openvino", "it computes an int8 file in int8, 4.8 times as fast as onnxruntime where measured"),
        ("onnxruntime", "openvino is not installed, which would compute an int8 file in int8; here it is float32"),
    ),
}
"""What runs an .onnx best in a precision, with the reason; the first that is installed. Measured with yolov2-voc at
416 on two cores, in ms: fp32 134 and 133 (AMD, Zen 4), 100 and 107 (Intel, AVX-512 without AMX); int8 185 (its kernels
want values rounded before the activation too, which costs 3 to 15 points of agreement) and 38, 184 and 40."""


def cached_export(cfg: Path, weights: Path, size: Size, input: Input = "float", names: Sequence[str] = ()) -> Path:
    """The model as an `.onnx` in the cache folder, exported now unless that has been done.

    Its name holds a checksum of everything that its content depends on: the definition with the files that it names,
    the weights, the size, and our version. Without `names` it has none: whoever opens the `.cfg` knows them. Raises
    BackendError where exporting is not possible here.
    """
    spec = load_spec(cfg)
    parts = {
        "version": __version__,
        "size": size,
        "input": input,
        "names": list(names),
        "files": {name: _sha256(Path(path)) for name, path in sorted(spec.files.items())},
        "cfg": _sha256(cfg),
        "weights": _sha256(weights),
    }
    key = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
    path = cache_dir() / "onnx" / f"{cfg.stem}-{key[:20]}.onnx"
    if _usable(path):
        return path
    try:
        from darknet_compat.export.onnx.export import export_onnx
        from darknet_compat.network.load import load_network
    except ModuleNotFoundError as error:
        raise BackendError(
            f"{error.name} is not installed, to export {cfg.name} for this backend: pip install 'darknet-compat[onnx]'"
        ) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BackendError(f"{path.parent}: cannot be made: {error.strerror or error}") from None
    network = load_network(cfg, weights, size=size)
    try:
        export_onnx(network, path, cfg=cfg, outputs="boxes", input=input, names=names)
    except ExportError as error:
        raise BackendError(f"{error}; backend torch runs it as it is") from None
    return path


def _usable(path: Path) -> bool:
    """Whether a file of the cache is there, whole, and says all that this version asks of it."""
    try:
        return path.is_file() and bool(read_artefact(path))
    except BackendError:
        return False


def _run_torch(cfg: Path, weights: Path, precision: Precision, size: Size, resize: Resize | None, use: Use) -> Runtime:
    try:
        from darknet_compat.network.load import load_network
        from darknet_compat.runtime.torch import TorchRuntime, set_threads
    except ModuleNotFoundError as error:
        raise BackendError(f"{error.name} is not installed: pip install 'darknet-compat[torch]'") from None
    if use.threads is not None:
        set_threads(use.threads)
    return TorchRuntime(load_network(cfg, weights, size=size), precision=precision, resize=resize)


def _run_exported(
    model: Path, backend: str, precision: Precision, size: Size, resize: Resize | None, use: Use
) -> Runtime:
    return _resized(_RUNTIMES[backend](model, precision, size, use), resize)


def _run_engine(model: Path, backend: str, size: Size, resize: Resize | None) -> tuple[Runtime, Choice]:
    """An engine runs in the precision that it was built in."""
    if backend not in ("auto", "tensorrt"):
        raise BackendError(f"backend: {backend} does not run an .engine; tensorrt does")
    expect_usable("tensorrt")
    from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime

    return _resized(TensorRtRuntime(model, size=size), resize), Choice("tensorrt", "it alone runs an .engine")


def _resized(runtime: Runtime, resize: Resize | None) -> Runtime:
    if resize is not None:
        runtime.description = dataclasses.replace(runtime.description, resize=resize)
    return runtime


def _onnxruntime(model: Path, precision: Precision, size: Size, use: Use) -> Runtime:
    from darknet_compat.runtime.onnxruntime import OnnxRuntime

    return OnnxRuntime(model, precision=precision, size=size, threads=use.threads, mode=use.mode)


def _openvino(model: Path, precision: Precision, size: Size, use: Use) -> Runtime:
    from darknet_compat.runtime.openvino import OpenVinoRuntime

    return OpenVinoRuntime(model, precision=precision, size=size, threads=use.threads, mode=use.mode)


def _tensorrt(model: Path, precision: Precision, size: Size, use: Use) -> Runtime:
    try:
        from darknet_compat.runtime.tensorrt.engines import cached_engine
        from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime
    except ModuleNotFoundError as error:
        raise BackendError(f"{error.name} is not installed: pip install 'darknet-compat[tensorrt]'") from None
    return TensorRtRuntime(cached_engine(model, precision, size), size=size)  # type: ignore[arg-type]


_RUNTIMES: dict[str, Callable[[Path, Precision, Any, Use], Runtime]] = {
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "tensorrt": _tensorrt,
}


def expect_usable(backend: str) -> None:
    """Raise BackendError for a backend, named by the user, that cannot run anything here: no GPU, not installed."""
    if backend == "tensorrt":
        from darknet_compat.nvidia.library import load_tensorrt

        load_tensorrt()
    elif backend != "auto" and not _installed(backend):
        raise BackendError(f"{backend} is not installed: pip install 'darknet-compat[{backend}]'")


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ValueError:  # a package that a program has put out of reach
        return False


def _sha256(path: Path) -> str:
    try:
        return file_checksums(path, ["sha256"])["sha256"]
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror or error}") from None
