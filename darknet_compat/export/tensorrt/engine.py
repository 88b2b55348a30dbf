"""An exported ONNX file is built into a TensorRT engine.

For TensorRT 8.6, 10 and 11, and TensorRT-RTX, told apart by what each has rather than by its number. Where networks can
be strongly typed (from 9 on) precision is in the graph that is handed over (`export.tensorrt.precision`); before that
it is in flags.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from darknet_compat.errors import ExportError
from darknet_compat.export.tensorrt.profiles import Size, input_shape, plan_profiles
from darknet_compat.export.tensorrt.settings import DEFAULT_BATCHES, EnginePrecision, Settings
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.exported.artefact import Artefact, from_properties
from darknet_compat.formats.exported.enginefile import EngineRecord, Profile, write_engine
from darknet_compat.formats.exported.onnxfile import read_top
from darknet_compat.nvidia.driver import on_gpu
from darknet_compat.nvidia.library import (
    capabilities,
    forget,
    import_tensorrt,
    load_tensorrt,
    make_logger,
    reason,
    strongly_typed,
)

BuildProgress = Callable[[str, int, int], None]
"""Called with what is being done, the steps that are done, and how many there are."""


def build_engine(
    model: str | Path,
    path: str | Path | None = None,
    *,
    precision: EnginePrecision = "fp32",
    sizes: Sequence[Size] | None = None,
    batches: Sequence[int] = DEFAULT_BATCHES,
    settings: Settings | None = None,
    timing_cache: str | Path | None = None,
    gpu: int = 0,
    progress: BuildProgress | None = None,
) -> EngineRecord:
    """Build the exported `model` (an `.onnx`) into `path`, by default the same name with `.engine`.

    `precision`, `sizes` and `batches` are the settings that matter most; `settings` has all of them, and is used
    instead of the three. `timing_cache`: a file that remembers which kernels were fastest. `gpu`: its number.
    With `settings.target` "rtx" no GPU is needed. Raises BackendError where there is no GPU or no TensorRT, ExportError
    where the model cannot be built as asked.
    """
    model = Path(model)
    path = model.with_suffix(".engine") if path is None else Path(path)
    settings = settings or Settings(
        precision=precision, sizes=None if sizes is None else tuple(sizes), batches=tuple(batches)
    )
    artefact = from_properties(read_top(model).properties, str(model))
    profiles = planned(artefact, settings, str(model))
    trt: Any
    place: AbstractContextManager[None]
    if settings.target == "rtx":
        trt, found, place = import_tensorrt("rtx"), None, nullcontext()
        settings = dataclasses.replace(settings, capabilities=chosen_capabilities(trt, settings))
    else:
        (trt, found), place = load_tensorrt(gpu), on_gpu(gpu)
    graph = prepared(model, settings, profiles, typed=strongly_typed(trt))
    with place:
        plan = _Build(trt, artefact, settings, profiles, progress).run(graph, timing_cache)
    record = EngineRecord(
        artefact=dataclasses.replace(artefact, precision=settings.precision, tools=_tools(trt, artefact, settings)),
        precision=settings.precision,
        profiles=profiles,
        onnx=model.name,
        onnx_sha256=sha256_of(model),
        tensorrt=str(trt.__version__),
        gpu=found.name if found else "",
        capability=found.capability if found else settings.capabilities[0],
        target=settings.target,
        capabilities=settings.capabilities,
        version_compatible=settings.version_compatible,
        hardware_compatible=settings.hardware_compatible,
        settings=settings.to_json(),
    )
    return write_engine(path, plan, record)


def planned(artefact: Artefact, settings: Settings, where: str) -> tuple[Profile, ...]:
    """The engine's profiles. Raises ExportError for an artefact or sizes of which none can be built."""
    if artefact.outputs == "detections":
        raise ExportError(
            f"{where}: has the suppression inside, so that its outputs' sizes depend on the picture; export it with"
            " --outputs boxes, and Detector suppresses"
        )
    return plan_profiles(artefact, settings.sizes, settings.batches, settings.any_size, fixed=settings.dla is not None)


def prepared(model: Path, settings: Settings, profiles: Sequence[Profile], *, typed: bool) -> bytes:
    """The ONNX model that is handed to TensorRT; `typed` where it takes precision from the graph.

    Raises ExportError for what its parser would not take.
    """
    import onnx

    from darknet_compat.export.tensorrt import candidates, parserforms, precision

    try:
        proto = onnx.load(model)
    except OSError as error:
        raise ExportError(f"{error.filename or model}: cannot be read: {error.strerror or error}") from None
    artefact = from_properties({p.key: p.value for p in proto.metadata_props}, str(model))
    if limit := candidates.MOST if settings.candidates is None else settings.candidates:
        least = tuple(min(sides) for sides in zip(*(profile.least for profile in profiles), strict=True))
        candidates.limit_candidates(proto, limit, input_shape(artefact, (least[0], least[1], least[2])))
    quantized = any(node.op_type in precision.QUANTIZING for node in proto.graph.node)
    if quantized != (settings.precision in ("int8", "fp8")):
        hint = "export it with --precision int8" if not quantized else "build it with precision int8 or fp8"
        raise ExportError(f"{model}: is {'' if quantized else 'not '}quantized; {hint}")
    if settings.precision == "fp8":
        if not typed:
            raise ExportError("precision: fp8 takes TensorRT 10 or later")
        precision.to_fp8(proto)
    if typed and settings.precision != "fp32":
        single, proto = proto, precision.to_half(proto)
        if quantized and settings.target == "rtx":
            precision.keep_scales(proto, single)
    _mark(proto, settings.outputs, str(model))
    parserforms.shorten_ends(proto)
    if found := parserforms.problems(proto):
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise ExportError(f"{model}: TensorRT's parser does not take {found[0]}{more}")
    try:
        content: bytes = proto.SerializeToString()
    except ValueError:
        raise ExportError(f"{model}: has more than 2 GiB of weights, which cannot be handed over at once") from None
    return content


def _mark(proto: Any, names: Sequence[str], where: str) -> None:
    """Make tensors of the graph outputs."""
    import onnx

    if not names:
        return
    known = {v.name: v for v in onnx.shape_inference.infer_shapes(proto).graph.value_info}
    for name in names:
        if name not in known:
            raise ExportError(f"{where}: there is no tensor {name!r} in the graph")
        proto.graph.output.append(known[name])


def sha256_of(path: Path) -> str:
    """The checksum of an ONNX file, by which an engine remembers what it was built from."""
    with open(path, "rb") as file:
        digest = hashlib.sha256()
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


class _Build:
    """One run of TensorRT's builder."""

    def __init__(
        self,
        trt: Any,
        artefact: Artefact,
        settings: Settings,
        profiles: Sequence[Profile],
        progress: BuildProgress | None,
    ) -> None:
        self.trt, self.artefact, self.settings, self.profiles = trt, artefact, settings, profiles
        self.progress = progress
        self.logger = make_logger(trt)

    def run(self, graph: bytes, timing_cache: str | Path | None) -> Any:
        """The plan, as a buffer. Raises ExportError with TensorRT's own reason."""
        trt = self.trt
        builder = trt.Builder(self.logger)
        network = builder.create_network(self._creation())
        parser = trt.OnnxParser(network, self.logger)
        if not parser.parse(graph):
            raise ExportError(f"{self.artefact.name}: TensorRT's parser refuses it: {self._parser_error(parser)}")
        config = builder.create_builder_config()
        self._configure(config)
        self._precision(network, config)
        if self.artefact.batch is None or self.artefact.sizes is not None:
            self._add_profiles(builder, config)
        cache = self._timing_cache(config, timing_cache)
        monitor = None
        if self.progress is not None and hasattr(trt, "IProgressMonitor"):
            monitor = config.progress_monitor = make_monitor(trt, self.progress)
        forget(self.logger)  # a timing cache, say, complains of what is no reason for what comes
        plan = builder.build_serialized_network(network, config)
        if monitor is not None and monitor.raised is not None:
            raise monitor.raised
        if plan is None:
            raise ExportError(f"{self.artefact.name}: TensorRT cannot build it: {reason(self.logger)}")
        if timing_cache is not None and cache is not None:
            with atomic_write(timing_cache, ExportError) as file:
                file.write(memoryview(cache.serialize()))
        return plan

    def _creation(self) -> int:
        trt = self.trt
        if strongly_typed(trt):
            return 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        return 1 << int(trt.NetworkDefinitionCreationFlag.EXPLICIT_BATCH)

    def _parser_error(self, parser: Any) -> str:
        if not parser.num_errors:
            return reason(self.logger)
        parser_error = parser.get_error(0)
        node = parser_error.node_name() if hasattr(parser_error, "node_name") else ""
        return f"{node}: {parser_error.desc()}" if node else str(parser_error.desc())

    def _configure(self, config: Any) -> None:
        trt, settings = self.trt, self.settings
        if settings.target == "rtx":
            known = capabilities(trt)
            config.num_compute_capabilities = len(settings.capabilities)
            for index, one in enumerate(settings.capabilities):
                config.set_compute_capability(known[one], index)
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        config.clear_flag(trt.BuilderFlag.TF32)  # set by default; fp32 means fp32
        if settings.workspace is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, settings.workspace)
        if settings.level is not None:
            config.builder_optimization_level = settings.level
        if settings.refittable or settings.stripped:
            config.set_flag(trt.BuilderFlag.REFIT)
        if settings.stripped:
            if not hasattr(trt.BuilderFlag, "STRIP_PLAN"):
                raise ExportError("stripped: takes TensorRT 10 or later; this one builds refittable engines")
            config.set_flag(trt.BuilderFlag.STRIP_PLAN)
        if settings.version_compatible:
            config.set_flag(trt.BuilderFlag.VERSION_COMPATIBLE)
        if settings.hardware_compatible:
            config.hardware_compatibility_level = trt.HardwareCompatibilityLevel.AMPERE_PLUS
        if settings.dla is not None:
            config.default_device_type = trt.DeviceType.DLA
            config.DLA_core = settings.dla
            config.set_flag(trt.BuilderFlag.GPU_FALLBACK)
        if hasattr(trt.PreviewFeature, "PROFILE_SHARING_0806"):  # later versions let contexts share profiles anyway
            config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)

    def _precision(self, network: Any, config: Any) -> None:
        """Where precision is no part of the graph: flags, and layers that are held to float32."""
        trt = self.trt
        if strongly_typed(trt) or self.settings.precision == "fp32":
            return
        from darknet_compat.export.tensorrt.precision import layer_keeps_single

        config.set_flag(trt.BuilderFlag.FP16)
        if self.settings.precision == "int8":
            config.set_flag(trt.BuilderFlag.INT8)
        config.set_flag(trt.BuilderFlag.PREFER_PRECISION_CONSTRAINTS)
        for index in range(network.num_layers):
            layer = network.get_layer(index)
            if layer_keeps_single(layer.name) and self._all_float(layer):
                layer.precision = trt.float32
                layer.set_output_type(0, trt.float32)

    def _all_float(self, layer: Any) -> bool:
        """Whether a layer reads and gives float32 only: the precision of others is not ours to say."""
        given = [layer.get_input(index) for index in range(layer.num_inputs)]
        tensors = [tensor for tensor in given if tensor is not None] + [layer.get_output(0)]
        return bool(given) and all(tensor.dtype == self.trt.float32 for tensor in tensors)

    def _add_profiles(self, builder: Any, config: Any) -> None:
        forget(self.logger)
        for wanted in self.profiles:
            optimization_profile = builder.create_optimization_profile()
            shapes = (input_shape(self.artefact, triple) for triple in (wanted.least, wanted.best, wanted.most))
            try:
                optimization_profile.set_shape("images", *shapes)
                taken = config.add_optimization_profile(optimization_profile) >= 0
            except (RuntimeError, ValueError):  # which is how some bindings say no
                taken = False
            if not taken:
                raise ExportError(f"{self.artefact.name}: TensorRT refuses the profile {wanted}: {reason(self.logger)}")

    def _timing_cache(self, config: Any, path: str | Path | None) -> Any:
        """What is known of kernels' times; a file that TensorRT cannot use, of another GPU say, is begun anew."""
        if path is None:
            return None
        try:
            known = Path(path).read_bytes()
        except OSError:
            known = b""
        cache = config.create_timing_cache(known)
        if cache is None or not config.set_timing_cache(cache, False):
            cache = config.create_timing_cache(b"")
            config.set_timing_cache(cache, False)
        return cache


def make_monitor(trt: Any, progress: BuildProgress) -> Any:
    """TensorRT's progress monitor, which calls `progress`. What that raises, Ctrl-C too, must not pass through
    TensorRT, which only prints it: it ends the build at the next step, and is kept in `raised`."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self.steps: dict[str, int] = {}
            self.raised: BaseException | None = None

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self.steps[phase_name] = num_steps
            self._tell(phase_name, 0, num_steps)

        def phase_finish(self, phase_name: str) -> None:
            steps = self.steps.pop(phase_name, 0)
            self._tell(phase_name, steps, steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            self._tell(phase_name, step + 1, self.steps.get(phase_name, 0))
            return self.raised is None

        def _tell(self, phase: str, done: int, steps: int) -> None:
            try:
                if self.raised is None:
                    progress(phase, done, steps)
            except BaseException as error:
                self.raised = error

    return Monitor()


def _tools(trt: Any, artefact: Artefact, settings: Settings) -> dict[str, str]:
    name = "tensorrt-rtx" if settings.target == "rtx" else "tensorrt"
    return dict(artefact.tools) | {name: str(trt.__version__)}


def chosen_capabilities(trt: Any, settings: Settings) -> tuple[tuple[int, int], ...]:
    """The compute capabilities to build for with TensorRT-RTX. Raises ExportError for those that it has no code for."""
    known = capabilities(trt)
    least = (8, 9) if settings.precision == "fp8" else (0, 0)
    able = tuple(one for one in known if one >= least)
    for one in settings.capabilities:
        if one not in able:
            listed = ", ".join(map(_dotted, able))
            what = f" {settings.precision}" if one in known else ""
            raise ExportError(
                f"capabilities: TensorRT-RTX {trt.__version__} builds{what} for {listed}, found {_dotted(one)};"
                " `--target tensorrt` builds for the GPU that is here, whichever it is"
            )
    return tuple(dict.fromkeys(settings.capabilities)) or able


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
