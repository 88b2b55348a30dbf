"""Which runtime runs a model, and the way there: an exported file as it is, a `.cfg` by torch or exported first."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from darknet_compat import __version__
from darknet_compat.catalogue.catalog import cache_dir
from darknet_compat.catalogue.fetch.checksum import file_checksums
from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import BackendError, CatalogError, ExportError
from darknet_compat.formats.exported.artefact import Input
from darknet_compat.runtime import registry
from darknet_compat.runtime.base import Mode, Precision, Resize, Runtime, Size, Use
from darknet_compat.runtime.exported import computed_in, read_artefact
from darknet_compat.runtime.processor import bf16_is_slow


@dataclass(frozen=True)
class Choice:
    """The backend that runs a model, and why in a few words."""

    backend: str
    why: str


def open_runtime(
    model: Path,
    weights: Path | None,
    backend: str,
    precision: Precision,
    size: Size | None,
    resize: Resize | None,
    use: Use | None = None,
) -> tuple[Runtime, Choice]:
    """Make `model`, a `.cfg`, an `.onnx` or an `.engine`, ready to run.

    Raises BackendError for a backend that is not installed or cannot run it, CatalogError for missing weights.
    """
    runtime, choice = _opened(model, weights, backend, precision, size, use or Use())
    if resize is not None:
        runtime.description = dataclasses.replace(runtime.description, resize=resize)
    return runtime, choice


def _opened(
    model: Path, weights: Path | None, backend: str, precision: Precision, size: Size | None, use: Use
) -> tuple[Runtime, Choice]:
    if registry.is_built(model):  # and in a precision, whatever is asked for
        choice = _choose_built(model, backend)
        expect_usable(choice.backend)
        return registry.open_model(choice.backend, model, None, precision, size, use), choice
    expect_usable(backend)
    exported = registry.is_onnx(model)
    if exported:
        precision = computed_in(read_artefact(model), str(model), precision)
    elif precision == "int8":
        raise BackendError(
            f"{model}: int8 takes a file made for it: `darknet-compat export {model.name} --precision int8 --calibrate"
            " PICTURES`"
        )
    choice = choose(exported, backend, precision, use.mode, use.device)
    row = registry.named(choice.backend)
    if not exported and weights is None:
        beside = model.with_suffix(".weights").name
        raise CatalogError(f"{model}: no weights are named, and there is no {beside} beside it")
    if not exported and registry.ONNX in row.suffixes:
        assert weights is not None
        try:
            model = cached_export(model, weights, size, "float" if precision == "fp32" else row.reduced_input)
        except BackendError as error:
            if backend != "auto":
                raise
            choice = Choice("torch", str(error))
    return registry.open_model(choice.backend, model, weights, precision, size, use), choice


def choose(
    exported: bool, backend: str, precision: Precision, mode: Mode = "latency", device: str | None = None
) -> Choice:
    """What `backend` means for a model: itself, or with "auto" the best that is installed and can do it.

    For many pictures (mode "throughput") a `.cfg` is worth being exported into the cache, unless there is a GPU.
    """
    if backend != "auto":
        row = registry.named(backend)
        if exported and registry.ONNX not in row.suffixes:
            do = " and ".join(other.name for other, _ in registry.preferred("fp32"))
            raise BackendError(f"backend: {row.name} runs a {row.suffixes[0]}, not an .onnx; {do} do")
        return Choice(backend, "as asked for")
    able = [(row, why) for row, why in registry.preferred(precision) if row.runs_on(device)]
    if not exported and (why_not := _stays_with_torch(able, precision, mode, device)):
        return Choice("torch", why_not)
    for row, why in able:
        if row.installed:
            if precision == "bf16" and bf16_is_slow():
                why += "; this processor computes bf16 more slowly than fp32"
            return Choice(
                row.name, why if exported else f"exported into {cache_dir()}, which pays for many pictures; {why}"
            )
    raise _none_for(precision, device)


def _stays_with_torch(
    able: Sequence[tuple[registry.Row, str]], precision: Precision, mode: Mode, device: str | None
) -> str | None:
    """Why a `.cfg` is run by torch; None where exporting it for one of the `able` is better."""
    if mode == "latency":
        return "a .cfg runs without being exported first, which pays for many pictures"
    if not all(map(registry.installed, ("onnx", "onnxslim"))):
        return "to export a .cfg for another runtime, 'darknet-compat[onnx]' has to be installed"
    if not any(row.installed for row, _ in able):
        return f"no other runtime for {precision}{f' on {device}' if device else ''} is installed"
    if device is not None:
        return None
    import torch

    return "there is a GPU, which it uses" if torch.cuda.is_available() else None


def _none_for(precision: Precision, device: str | None) -> BackendError:
    """What to say where no runtime can run an `.onnx` so."""
    known = [row for row, _ in registry.preferred("fp32")]
    if not any(row.installed for row in known):
        names = " nor ".join(row.name for row in known)
        return BackendError(f"neither {names} is installed: pip install 'darknet-compat[{known[0].extra}]'")
    if device is not None:
        return BackendError(f"device: no runtime that `auto` would take runs an .onnx on {device}; name one")
    able = [f"{row.name}: pip install 'darknet-compat[{row.extra}]'" for row, _ in registry.preferred(precision)]
    return BackendError(f"precision: an .onnx in {precision} needs {able[0] if able else 'torch and the .cfg'}")


def _choose_built(model: Path, backend: str) -> Choice:
    """Who runs a file that was built for one runtime."""
    names = [row.name for row in registry.running(model)]
    suffix = model.suffix.lower()
    if backend not in ("auto", *names):
        raise BackendError(f"backend: {backend} does not run an {suffix}; {' and '.join(names)} does")
    return Choice(names[0] if backend == "auto" else backend, f"it alone runs an {suffix}")


def expect_usable(backend: str) -> None:
    """Raise BackendError for a backend, named by the user, that cannot run anything here: no GPU, not installed."""
    if backend != "auto":
        registry.expect_usable(backend)


def cached_export(
    cfg: Path, weights: Path, size: Size | None, input: Input = "float", names: Sequence[str] = ()
) -> Path:
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


def _sha256(path: Path) -> str:
    try:
        return file_checksums(path, ["sha256"])["sha256"]
    except OSError as error:
        raise CatalogError(f"{path}: cannot be read: {error.strerror or error}") from None
