"""`darknet-compat engine`: a network as a TensorRT engine, and what is in one."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

from darknet_compat.cli.options import DialectOption, InputSize, Json, ModelOption, WeightsOption
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.errors import ExportError, OptionError
from darknet_compat.export.tensorrt.settings import EnginePrecision, Settings
from darknet_compat.formats.atomic import expect_no_input
from darknet_compat.formats.words import Input
from darknet_compat.options import Option, Options, parse_counts
from darknet_compat.runtime.registry import is_built, is_onnx

if TYPE_CHECKING:
    from darknet_compat.catalogue.locate import Sources
    from darknet_compat.export.tensorrt.build import BuildProgress
    from darknet_compat.formats.exported.enginefile import EngineRecord
    from darknet_compat.runtime.tensorrt.inspection import EngineLayer


@dataclass(frozen=True)
class EngineOptions(Options):
    """What to build and where to, or what to do with an engine; how it is built, `Settings` says. Raises OptionError
    for options that do not go together."""

    model: ModelOption
    weights: WeightsOption = None
    out: Annotated[Path | None, Option("The engine to write. Default: MODEL's name, here.", metavar="FILE")] = None
    precision: Annotated[
        EnginePrecision | None,
        Option("What the layers compute in; of a quantized .onnx int8 or fp8. Default: fp32."),
    ] = None
    size: InputSize = None
    batches: Annotated[
        tuple[int, ...] | None,
        Option(
            "How many pictures at once to tune for. Default: 1,8 (one, and two to eight); with --bundle 1.",
            metavar="A,B",
            parse=parse_counts,
        ),
    ] = None
    input: Annotated[
        Input | None, Option("Of a .cfg: planes of float, or pixels as bytes. Default: uint8, in fp32 float.")
    ] = None
    workspace: Annotated[int | None, Option("GPU memory to build with.", metavar="MB", least=1)] = None
    dla: Annotated[int | None, Option("Build for a Jetson's DLA core.", metavar="CORE", least=0)] = None
    bundle: Annotated[
        Path | None, Option("Write a folder to run it from: the engine, names, run.py, README.", metavar="DIR")
    ] = None
    rebuild: Annotated[bool, Option("Of an .engine: build it again, for this machine.")] = False
    onnx: Annotated[Path | None, Option("For --rebuild: the .onnx, where it has moved.", metavar="FILE")] = None
    refit: Annotated[Path | None, Option("Of an .engine: give it the weights of this .onnx.", metavar="ONNX")] = None
    layers: Annotated[bool, Option("Of an .engine: list its layers and how long each takes.")] = False
    dialect: DialectOption = None

    def __post_init__(self) -> None:
        super().__post_init__()
        built = is_built(Path(self.model))
        if self.bundle is not None and (self.out is not None or built):
            raise OptionError("--bundle takes a .cfg or an .onnx, and no --out: the engine goes into the folder")
        if not built and (self.rebuild or self.refit or self.layers or self.onnx):
            raise OptionError("--rebuild, --onnx, --refit and --layers are for an .engine as MODEL")


def engine(options: EngineOptions, settings: Settings, json: Json = False) -> None:
    """Build a TensorRT engine, or show what is in one.

    It is built of a .cfg or an .onnx. Building takes a GPU and minutes; with `--target rtx` seconds, and no GPU.
    `detect`, `classify`, `evaluate` and `bench` take the engine as MODEL; with `--backend tensorrt` they build one
    themselves and keep it.
    """
    if is_built(Path(options.model)):
        _existing(options, json)
        return
    asked: dict[str, Any] = {"precision": options.precision or "fp32", "dla": options.dla}
    if options.batches is not None or options.bundle is not None:
        asked["batches"] = options.batches or (1,)
    if options.workspace is not None:
        asked["workspace"] = options.workspace << 20
    start = time.perf_counter()
    record, place = _build(options, dataclasses.replace(settings, **asked), json)
    _tell(place, record, json, seconds=round(time.perf_counter() - start, 1))


def _build(options: EngineOptions, settings: Settings, json: bool) -> tuple[EngineRecord, Path]:
    from darknet_compat.catalogue.locate import locate
    from darknet_compat.export.bundle.write import expect_runnable, write_bundle
    from darknet_compat.export.tensorrt.engine import build_engine, chosen_capabilities
    from darknet_compat.nvidia.library import import_tensorrt, load_tensorrt
    from darknet_compat.runtime.exported import read_artefact
    from darknet_compat.runtime.tensorrt.engines import timing_cache

    times, bundle = None, options.bundle
    if settings.target == "rtx":  # before anything is fetched or exported
        chosen_capabilities(import_tensorrt("rtx"), settings)
    else:
        trt, gpu = load_tensorrt()
        times = timing_cache(str(trt.__version__), gpu)
    with terminal.Transfers(options.model, quiet=json) as progress:
        sources = locate(options.model, options.weights, progress=progress)
        onnx = sources.cfg if is_onnx(sources.cfg) else _exported(sources, options, settings)
    artefact = read_artefact(onnx)
    if options.precision is None and artefact.precision in get_args(EnginePrecision):
        settings = dataclasses.replace(settings, precision=artefact.precision)  # type: ignore[arg-type]
    place = options.out or Path(f"{sources.cfg.stem}.engine")
    if bundle is not None:
        expect_runnable(artefact, str(onnx), artefact.layout or artefact.outputs)
        if settings.batches != (1,) and artefact.batch is None:
            raise ExportError("batches: the bundle's run.py gives one picture at a time; leave --batches out")
        bundle.mkdir(parents=True, exist_ok=True)
        place = bundle / place
    expect_no_input(place, (sources.cfg, onnx), ExportError)
    with _steps(f"building {place.name}", quiet=json) as step:
        record = build_engine(onnx, place, settings=settings, timing_cache=times, progress=step)
    if bundle is not None:
        write_bundle(bundle, place, record.artefact, record)
        terminal.say(f"{bundle}/README.md says how to run it elsewhere")
    return record, place


def _exported(sources: Sources, options: EngineOptions, settings: Settings) -> Path:
    """The `.cfg` as an `.onnx` in the cache. Raises ExportError without weights."""
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.formats.metadata import class_names
    from darknet_compat.inference.cache import cached_export
    from darknet_compat.runtime.described import describe

    cfg = sources.cfg
    if sources.weights is None:
        raise ExportError(f"{cfg}: no weights are named, and there is no {cfg.stem}.weights beside it")
    kind = options.input or ("float" if settings.precision == "fp32" else "uint8")
    names = class_names(sources.names, describe(load_spec(cfg, dialect=options.dialect)).classes)
    return cached_export(cfg, sources.weights, options.size, kind, names, dialect=options.dialect)


def _existing(options: EngineOptions, json: bool) -> None:
    """What can be done with an engine that is there."""
    from darknet_compat.formats.exported.enginefile import read_record

    path = Path(options.model)
    record = read_record(path)
    if options.rebuild:
        from darknet_compat.runtime.tensorrt.engines import rebuild_engine

        with _steps(f"building {path.name}", quiet=json) as step:
            record = rebuild_engine(path, options.onnx, progress=step)
    if options.refit:
        from darknet_compat.export.tensorrt.refit import refit_engine

        record, path = refit_engine(path, options.refit, options.out), options.out or path
    found: dict[str, Any] = {}
    if options.layers:
        from darknet_compat.runtime.tensorrt.inspection import context_memory, timed_layers
        from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime

        runtime = TensorRtRuntime(path)
        best = min(profile.best for profile in record.profiles)
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


@contextmanager
def _steps(what: str, *, quiet: bool) -> Iterator[BuildProgress | None]:
    """A bar on stderr for what TensorRT says of its progress, which older versions do not."""
    import sys

    if quiet or not sys.stderr.isatty():
        yield None
        return
    bars = terminal.start_bar(what, None, "{task.description}", "bar", "took", width=40)

    def step(phase: str, done: int, steps: int) -> None:
        if steps > 1:
            bars.update(bars.task_ids[0], description=f"{what}: {phase}"[:50], completed=done, total=steps)

    try:
        yield step
    finally:
        bars.stop()
