"""Which runtime runs a model, and the way there: an exported file as it is, a `.cfg` by torch or exported first."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from darknet_compat.catalogue.catalog import cache_dir
from darknet_compat.errors import BackendError, CatalogError, ExportError
from darknet_compat.formats.exported.artefact import float32_layers, sides_problem
from darknet_compat.formats.words import Input, Mode, Precision
from darknet_compat.inference.cache import cached_export
from darknet_compat.nvidia.driver import find_gpu
from darknet_compat.options import MOST_PIXELS
from darknet_compat.runtime import registry
from darknet_compat.runtime.base import Runtime, Use
from darknet_compat.runtime.exported import ExportedRuntime, computed_in, read_artefact
from darknet_compat.runtime.processor import bf16_is_slow


@dataclass(frozen=True)
class Choice:
    """The backend that runs a model, and why in a few words."""

    backend: str
    why: str


def open_runtime(model: Path, weights: Path | None, use: Use) -> tuple[Runtime, Choice]:
    """Make `model`, a `.cfg`, an `.onnx` or an `.engine`, ready to run.

    Raises BackendError for a backend that is not installed or cannot run it, CatalogError for missing weights.
    """
    runtime, choice = _opened(model, weights, use)
    if use.resize is not None:
        runtime.description = dataclasses.replace(runtime.description, resize=use.resize)
    return runtime, choice


def _opened(model: Path, weights: Path | None, use: Use) -> tuple[Runtime, Choice]:
    if registry.is_built(model):  # and in a precision, whatever is asked for
        choice = _choose_built(model, use.backend)
        expect_usable(choice.backend)
        return registry.open_model(choice.backend, model, None, use), choice
    expect_usable(use.backend)
    exported = registry.is_onnx(model)
    if exported:
        artefact = read_artefact(model)
        precision = computed_in(artefact, str(model), use.precision)
        use = dataclasses.replace(use, precision=precision)
    elif use.precision == "int8":
        raise BackendError(
            f"{model}: int8 takes a file made for it: `darknet-compat export {model.name} --precision int8 --calibrate"
            " PICTURES`"
        )
    elif use.size is not None:
        _expect_whole_cells(model, use)
    choice = choose(exported, use.backend, use.precision, use.mode, use.device)
    if exported:
        if layers := float32_layers(artefact, choice.backend):
            choice = Choice(choice.backend, f"{choice.why}; layers {layers} in float32")
        return registry.open_model(choice.backend, model, None, use), choice
    if weights is None:
        beside = model.with_suffix(".weights").name
        raise CatalogError(f"{model}: no weights are named, and there is no {beside} beside it")
    try:
        return _open_cfg(model, weights, choice.backend, use), choice
    except ExportError as error:
        if use.backend != "auto" or not registry.named("torch").installed:
            raise BackendError(f"{error}; backend torch runs it as it is") from None
        choice = Choice("torch", str(error))
    return registry.open_model("torch", model, weights, use), choice


def _expect_whole_cells(cfg: Path, use: Use) -> None:
    """Raise BackendError for a size that was asked for and that the exported file would refuse: one whose cells at the
    end would not cover the picture evenly. (Of a size that stands in the `.cfg` that is its author's business.)"""
    from darknet_compat.definition.lower import load_spec  # whoever asks for no size need not import these
    from darknet_compat.export.onnx.input_sizes import side_step

    assert use.size is not None
    step, _ = side_step(load_spec(cfg, dialect=use.dialect, quiet=True))
    if step and (problem := sides_problem((step, MOST_PIXELS), step, *use.size)):
        raise BackendError(f"{cfg}: {problem}")


def _open_cfg(model: Path, weights: Path, backend: str, use: Use) -> Runtime:
    """A `.cfg` and its weights in a runtime. Raises ExportError where they cannot be exported for it."""
    row = registry.named(backend)
    if registry.ONNX not in row.suffixes:
        return registry.open_model(backend, model, weights, use)
    input: Input = "float" if use.precision == "fp32" else row.reduced_input
    path = cached_export(model, weights, use.size, input, sizes="fixed", dialect=use.dialect, batchnorm=use.batchnorm)
    runtime = registry.open_model(backend, path, None, use)
    runtime.description = dataclasses.replace(runtime.description, name=str(model))
    if isinstance(runtime, ExportedRuntime):
        runtime.path = model  # what goes wrong is said of what the user knows
    return runtime


def choose(
    exported: bool, backend: str, precision: Precision, mode: Mode = "latency", device: str | None = None
) -> Choice:
    """What `backend` means for a model: itself, or with "auto" the best that is installed and can do it.

    A `.cfg` is exported into the cache, which takes less time than importing torch, unless there is a GPU for that.
    """
    if backend != "auto":
        row = registry.named(backend)
        if exported and registry.ONNX not in row.suffixes:
            do = " and ".join(other.name for other, _ in registry.preferred("fp32"))
            raise BackendError(f"backend: {row.name} runs a {row.suffixes[0]}, not an .onnx; {do} do")
        return Choice(backend, "as asked for")
    able = [
        (row, why)
        for row, why in registry.preferred(precision)
        if row.runs_on(device) and (exported or precision in row.precisions)
    ]
    if not exported and (why_not := _stays_with_torch(able, precision, device)):
        return Choice("torch", why_not)
    for row, why in able:
        if row.installed:
            if precision == "bf16" and bf16_is_slow():
                why += "; this processor computes bf16 more slowly than fp32"
            return Choice(row.name, why if exported else f"{_STARTS}, exported once into {cache_dir()}; {why}")
    raise _none_for(precision, device)


_STARTS = "it starts in a tenth of the time that torch takes to be imported"


def _stays_with_torch(able: Sequence[tuple[registry.Row, str]], precision: Precision, device: str | None) -> str | None:
    """Why a `.cfg` is run by torch; None where exporting it for one of the `able` is better."""
    if not registry.named("torch").installed:
        return None
    if not registry.installed("onnx"):
        return "to export a .cfg for another runtime, 'darknet-compat[onnx]' has to be installed"
    if not any(row.installed for row, _ in able):
        return f"no other runtime for {precision}{f' on {device}' if device else ''} is installed"
    return "there is a GPU, which it uses" if device is None and _torch_has_a_gpu() else None


def _torch_has_a_gpu() -> bool:
    """Whether torch would run on a GPU; torch is imported only where a driver is."""
    try:
        find_gpu()
    except BackendError:
        return False
    import torch

    return torch.cuda.is_available()


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
