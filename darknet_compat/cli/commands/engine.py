"""`darknet-compat engine`: a network as a TensorRT engine, and what is in one."""

from __future__ import annotations

import dataclasses
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from darknet_compat.cli.arguments import parser
from darknet_compat.cli.options import DialectOption, InputSize, Json, Model, Size, Weights
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.errors import ExportError
from darknet_compat.formats.atomic import expect_no_input
from darknet_compat.options import parse_sizes
from darknet_compat.runtime.registry import is_built, is_onnx

if TYPE_CHECKING:
    from darknet_compat.definition.dialects import DialectName
    from darknet_compat.export.tensorrt.engine import BuildProgress
    from darknet_compat.export.tensorrt.settings import Settings
    from darknet_compat.formats.exported.enginefile import EngineRecord
    from darknet_compat.formats.words import Input as Kind
    from darknet_compat.runtime.tensorrt.inspection import EngineLayer


class Input(str, Enum):
    """What the graph takes (`formats.artefact.Input`)."""

    float = "float"
    uint8 = "uint8"


class Target(str, Enum):
    """What runs the engine (`nvidia.library.Target`)."""

    tensorrt = "tensorrt"
    rtx = "rtx"


class EnginePrecision(str, Enum):
    """What the layers compute in (`export.settings.EnginePrecision`)."""

    fp32 = "fp32"
    fp16 = "fp16"
    int8 = "int8"
    fp8 = "fp8"


def parse_batches(text: str | tuple[int, ...]) -> tuple[int, ...]:
    """`1,8,64`. Raises BadParameter."""
    from darknet_compat.formats.exported.artefact import MOST_BATCH

    if isinstance(text, tuple):
        return text
    if not re.fullmatch(r"\d{1,4}(,\d{1,4})*", text.strip()):
        raise typer.BadParameter(f"expected numbers of pictures such as 1,8, found '{text}'")
    batches = tuple(int(part) for part in text.split(","))
    if not all(1 <= batch <= MOST_BATCH for batch in batches):
        raise typer.BadParameter(f"expected numbers of pictures from 1 to {MOST_BATCH}, found '{text}'")
    return batches


def parse_capabilities(text: str | tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    """`8.6,8.9`. Raises BadParameter."""
    if isinstance(text, tuple):
        return text
    if not re.fullmatch(r"\d{1,2}\.\d(,\d{1,2}\.\d)*", text.strip()):
        raise typer.BadParameter(f"expected compute capabilities such as 8.6,8.9, found '{text}'")
    pairs = (part.split(".") for part in text.strip().split(","))
    return tuple((int(major), int(minor)) for major, minor in pairs)


Out = Annotated[
    Path | None, typer.Option("--out", metavar="FILE", help="The engine to write. Default: MODEL's name, here.")
]
PrecisionMode = Annotated[
    EnginePrecision | None,
    typer.Option("--precision", help="What the layers compute in; of a quantized .onnx int8 or fp8. Default: fp32."),
]
Sizes = Annotated[
    str | None,
    typer.Option(
        "--sizes", parser=parser(parse_sizes), metavar="A,B,WxH", help="Input sizes to tune for. Default: its own."
    ),
]
Batches = Annotated[
    str | None,
    typer.Option(
        "--batches",
        parser=parse_batches,
        metavar="A,B",
        help="How many pictures at once to tune for. Default: 1,8 (one, and two to eight); with --bundle 1.",
    ),
]
AnySize = Annotated[bool, typer.Option("--any-size", help="Take every other size too that the model does.")]
InputKind = Annotated[
    Input | None,
    typer.Option("--input", help="Of a .cfg: planes of float, or pixels as bytes. Default: uint8, in fp32 float."),
]
Candidates = Annotated[
    int | None, typer.Option("--candidates", min=0, max=3840, help="The most boxes a picture; 0: all. Default: 1024.")
]
Workspace = Annotated[int | None, typer.Option("--workspace", min=1, metavar="MB", help="GPU memory to build with.")]
Level = Annotated[int | None, typer.Option("--level", min=0, max=5, help="0: quick to build. 5: quick to run.")]
Refittable = Annotated[bool, typer.Option("--refittable", help="Let --refit exchange its weights later.")]
Stripped = Annotated[bool, typer.Option("--stripped", help="Write it without weights, for --refit.")]
VersionCompatible = Annotated[bool, typer.Option("--version-compatible", help="Let later versions of TensorRT run it.")]
HardwareCompatible = Annotated[bool, typer.Option("--hardware-compatible", help="Let all GPUs from Ampere on run it.")]
TargetKind = Annotated[
    Target,
    typer.Option("--target", help="tensorrt: for the GPU that is here. rtx: TensorRT-RTX, built without a GPU."),
]
Capabilities = Annotated[
    str | None,
    typer.Option(
        "--capabilities",
        parser=parse_capabilities,
        metavar="A,B",
        help="With --target rtx: the compute capabilities of the GPUs to build for. Default: all that it knows.",
    ),
]
Dla = Annotated[int | None, typer.Option("--dla", min=0, metavar="CORE", help="Build for a Jetson's DLA core.")]
Bundle = Annotated[
    Path | None,
    typer.Option("--bundle", metavar="DIR", help="Write a folder to run it from: the engine, names, run.py, README."),
]
Rebuild = Annotated[bool, typer.Option("--rebuild", help="Of an .engine: build it again, for this machine.")]
Onnx = Annotated[
    Path | None, typer.Option("--onnx", metavar="FILE", help="For --rebuild: the .onnx, where it has moved.")
]
Refit = Annotated[
    Path | None, typer.Option("--refit", metavar="ONNX", help="Of an .engine: give it the weights of this .onnx.")
]
Layers = Annotated[bool, typer.Option("--layers", help="Of an .engine: list its layers and how long each takes.")]


def engine(
    model: Model,
    weights: Weights = None,
    out: Out = None,
    precision: PrecisionMode = None,
    size: InputSize = None,
    sizes: Sizes = None,
    batches: Batches = None,
    any_size: AnySize = False,
    input: InputKind = None,
    candidates: Candidates = None,
    workspace: Workspace = None,
    level: Level = None,
    refittable: Refittable = False,
    stripped: Stripped = False,
    version_compatible: VersionCompatible = False,
    hardware_compatible: HardwareCompatible = False,
    dla: Dla = None,
    target: TargetKind = Target.tensorrt,
    capabilities: Capabilities = None,
    bundle: Bundle = None,
    rebuild: Rebuild = False,
    onnx: Onnx = None,
    refit: Refit = None,
    layers: Layers = False,
    dialect: DialectOption = None,
    json: Json = False,
) -> None:
    """Build a TensorRT engine of a .cfg or an .onnx, or say what is in one.

    Building takes a GPU and minutes; with `--target rtx` seconds, and no GPU. `detect`, `classify`, `evaluate` and
    `bench` take the engine as MODEL; with `--backend tensorrt` they build one themselves and keep it.
    """
    path = Path(model)
    if bundle is not None and (out is not None or is_built(path)):
        raise typer.BadParameter("--bundle takes a .cfg or an .onnx, and no --out: the engine goes into the folder")
    if is_built(path):
        _existing(path, rebuild, onnx, refit, out, layers, json)
        return
    if rebuild or refit or layers or onnx:
        raise typer.BadParameter("--rebuild, --onnx, --refit and --layers are for an .engine as MODEL")
    from darknet_compat.export.tensorrt.settings import Settings

    settings = Settings(
        precision=precision.value if precision else "fp32",
        sizes=_pairs(sizes),
        batches=parse_batches(batches or ((1, 8) if bundle is None else (1,))),
        any_size=any_size,
        candidates=candidates,
        workspace=workspace << 20 if workspace else None,
        level=level,
        refittable=refittable,
        stripped=stripped,
        version_compatible=version_compatible,
        hardware_compatible=hardware_compatible,
        dla=dla,
        target=target.value,
        capabilities=parse_capabilities(capabilities or ()),
    )
    start = time.perf_counter()
    record, place = _build(model, weights, out, bundle, settings, precision is None, size, input, dialect, json)
    _tell(place, record, json, seconds=round(time.perf_counter() - start, 1))


def _build(
    model: str,
    weights: Path | None,
    out: Path | None,
    bundle: Path | None,
    settings: Settings,
    default: bool,
    size: Size | None,
    input: Input | None,
    dialect: DialectName | None,
    json: bool,
) -> tuple[EngineRecord, Path]:
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.export.bundle.write import expect_runnable, left_out, write_bundle
    from darknet_compat.export.tensorrt.engine import build_engine, chosen_capabilities
    from darknet_compat.formats.metadata import class_names
    from darknet_compat.inference.cache import cached_export
    from darknet_compat.inference.model import locate
    from darknet_compat.nvidia.library import import_tensorrt, load_tensorrt
    from darknet_compat.runtime.exported import read_artefact
    from darknet_compat.runtime.tensorrt.engines import timing_cache

    times = None
    if settings.target == "rtx":  # before anything is fetched or exported
        chosen_capabilities(import_tensorrt("rtx"), settings)
    else:
        trt, gpu = load_tensorrt()
        times = timing_cache(str(trt.__version__), gpu)
    from darknet_compat.runtime.described import describe

    with terminal.Transfers(model, quiet=json) as progress:
        sources = locate(model, weights, progress=progress)
        onnx = sources.cfg
        if not is_onnx(onnx):
            if sources.weights is None:
                raise ExportError(f"{onnx}: no weights are named, and there is no {onnx.stem}.weights beside it")
            kind: Kind = input.value if input else "float" if settings.precision == "fp32" else "uint8"
            names = class_names(sources.names, describe(load_spec(onnx, dialect=dialect)).classes)
            onnx = cached_export(onnx, sources.weights, size, kind, names, dialect=dialect)
    artefact = read_artefact(onnx)
    if default and artefact.precision == "int8":
        settings = dataclasses.replace(settings, precision="int8")
    place = out or Path(f"{sources.cfg.stem}.engine")
    if bundle is not None:
        expect_runnable(artefact, str(onnx), artefact.outputs)
        bundle.mkdir(parents=True, exist_ok=True)
        place = bundle / place
    expect_no_input(place, (sources.cfg, onnx), ExportError)
    with _steps(f"building {place.name}", quiet=json) as step:
        record = build_engine(onnx, place, settings=settings, timing_cache=times, progress=step)
    if bundle is not None:
        write_bundle(bundle, place, record.artefact, record)
        missing = left_out(artefact)
        terminal.say(f"{bundle}/README.md says how to run it elsewhere{f'; {missing}' if missing else ''}")
    return record, place


def _existing(
    path: Path, rebuild: bool, onnx: Path | None, refit: Path | None, out: Path | None, layers: bool, json: bool
) -> None:
    """What can be done with an engine that is there."""
    from darknet_compat.formats.exported.enginefile import read_record

    record = read_record(path)
    if rebuild:
        from darknet_compat.runtime.tensorrt.engines import rebuild_engine

        with _steps(f"building {path.name}", quiet=json) as step:
            record = rebuild_engine(path, onnx, progress=step)
    if refit:
        from darknet_compat.export.tensorrt.refit import refit_engine

        record, path = refit_engine(path, refit, out), out or path
    found: dict[str, Any] = {}
    if layers:
        from darknet_compat.runtime.tensorrt.inspection import context_memory, timed_layers
        from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime

        runtime = TensorRtRuntime(path)
        best = record.profiles[0].best
        found = {"layers": timed_layers(runtime, best[0], (best[2], best[1])), "memory": context_memory(runtime)}
        runtime.close()
    _tell(path, record, json, **found)


def _tell(path: Path, record: EngineRecord, json: bool, **found: Any) -> None:
    layers: list[EngineLayer] = found.pop("layers", [])
    if json:
        values = {name: getattr(record, name) for name in record.__dataclass_fields__ if name != "artefact"}
        profiles = [dataclasses.asdict(profile) for profile in record.profiles]
        extra = {"layers": [dataclasses.asdict(layer) for layer in layers]} if layers else {}
        terminal.print_json({"file": str(path)} | values | {"profiles": profiles} | found | extra)
        return
    seconds = f", built in {found['seconds']:.0f} s" if "seconds" in found else ""
    terminal.print_line(f"{path}: {terminal.in_bytes(record.bytes)}, {record.precision}{seconds}", bold=True)
    memory = found.get("memory", [])
    name = "TensorRT-RTX" if record.target == "rtx" else "TensorRT"
    known = ", ".join(f"{major}.{minor}" for major, minor in record.capabilities)
    gpu = f"any of compute capability {known}" if known else record.gpu
    rows = [(name, record.tensorrt), ("GPU", gpu), ("from", f"{record.onnx} {record.onnx_sha256[:12]}")]
    for number, profile in enumerate(record.profiles):
        rows.append(("for", str(profile) + (f", {terminal.in_bytes(memory[number])}" if memory else "")))
    asked = [name for name in ("version_compatible", "hardware_compatible") if getattr(record, name)]
    asked += [name for name in ("refittable", "stripped") if record.settings.get(name)]
    terminal.print_fields([*rows, *([("is", ", ".join(asked).replace("_", "-"))] if asked else [])])
    if layers:
        print()
        cells = [(_ms(layer.ms), layer.type, layer.output, layer.tactic, layer.name) for layer in layers]
        terminal.print_table(
            ("ms", "type", "output", "kernel", "layer"), cells, left=("type", "output", "kernel", "layer")
        )


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _pairs(sizes: Any) -> tuple[tuple[int, int], ...] | None:
    return None if sizes is None else tuple((size.width, size.height) for size in parse_sizes(sizes))


@contextmanager
def _steps(what: str, *, quiet: bool) -> Iterator[BuildProgress | None]:
    """A bar on stderr for what TensorRT says of its progress, which older versions do not."""
    import sys

    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich import progress

    columns = (progress.TextColumn("{task.description}"), progress.BarColumn(), progress.TimeElapsedColumn())
    with progress.Progress(*columns, console=terminal.console(stderr=True), transient=True) as bars:
        task = bars.add_task(what, total=None)

        def step(phase: str, done: int, steps: int) -> None:
            if steps > 1:
                bars.update(task, description=f"{what}: {phase}"[:50], completed=done, total=steps)

        yield step
