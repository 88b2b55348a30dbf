"""One run of TensorRT's builder: from a graph to a plan, or the reason why not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from mmap import mmap
from pathlib import Path
from typing import Any

from darknet_compat.errors import ExportError
from darknet_compat.export.tensorrt.profiles import input_shape
from darknet_compat.export.tensorrt.settings import Settings
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.exported.artefact import Artefact
from darknet_compat.formats.exported.enginefile import Profile
from darknet_compat.nvidia.library import capabilities, forget, logger_of, reason, strongly_typed

BuildProgress = Callable[[str, int, int], None]
"""Called with what is being done, the steps that are done, and how many there are."""


class EngineBuild:
    """What is to be built of an artefact: it can be handed to another process, and `run` there."""

    def __init__(self, artefact: Artefact, settings: Settings, profiles: Sequence[Profile]) -> None:
        self.artefact, self.settings, self.profiles = artefact, settings, profiles

    def run(
        self,
        trt: Any,
        graph: bytes | mmap,
        progress: BuildProgress | None = None,
        timing_cache: str | Path | None = None,
    ) -> Any:
        """The plan of an ONNX graph, as a buffer, by the module `trt`. Raises ExportError with its own reason."""
        self.trt, self.logger = trt, logger_of(trt)
        forget(self.logger)
        if self.artefact.target == "tensorrt":
            trt.init_libnvinfer_plugins(self.logger, "")
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
        if progress is not None and hasattr(trt, "IProgressMonitor"):
            monitor = config.progress_monitor = make_monitor(trt, progress)
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
        from darknet_compat.export.onnx.half import layer_keeps_single

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
