"""An exported ONNX file is built into a TensorRT engine.

For TensorRT 8.6, 10 and 11, and TensorRT-RTX, told apart by what each has rather than by its number. Where networks can
be strongly typed (from 9 on) precision is in the graph that is handed over (`export.onnx.half`); before that
it is in flags.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from darknet_compat.catalogue.fetch.checksum import sha256_of
from darknet_compat.errors import ExportError
from darknet_compat.export.tensorrt.build import BuildProgress, EngineBuild
from darknet_compat.export.tensorrt.build_process import build_in_own_process
from darknet_compat.export.tensorrt.profiles import input_shape, plan_profiles, ranges_first
from darknet_compat.export.tensorrt.settings import DEFAULT_BATCHES, EnginePrecision, Settings
from darknet_compat.formats.exported.artefact import Artefact, from_properties
from darknet_compat.formats.exported.enginefile import EngineRecord, Profile, write_engine
from darknet_compat.formats.exported.onnxfile import read_top
from darknet_compat.formats.words import WidthHeight
from darknet_compat.nvidia.driver import on_gpu
from darknet_compat.nvidia.library import capabilities, import_tensorrt, load_tensorrt, strongly_typed


def build_engine(
    model: str | Path,
    path: str | Path | None = None,
    *,
    precision: EnginePrecision = "fp32",
    sizes: Sequence[WidthHeight] | None = None,
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
        build = EngineBuild(artefact, settings, profiles)
        if settings.target == "rtx":
            plan = build_in_own_process(build, graph, progress)
        else:
            plan = build.run(trt, graph, progress, timing_cache)
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
    if artefact.target is not None and artefact.target != settings.target:
        raise ExportError(
            f"{where}: suppresses by a plug-in of TensorRT's, which TensorRT-RTX does not have; export it with"
            " --outputs boxes, and Detector suppresses"
        )
    if artefact.outputs == "detections" and artefact.target is None:
        raise ExportError(
            f"{where}: has the suppression inside, so that its outputs' sizes depend on the picture; export it with"
            " --outputs boxes, and Detector suppresses"
        )
    profiles = plan_profiles(
        artefact, settings.sizes, settings.batches, settings.any_size, fixed=settings.dla is not None
    )
    return ranges_first(profiles, settings.any_size) if settings.target == "rtx" else profiles


def prepared(model: Path, settings: Settings, profiles: Sequence[Profile], *, typed: bool) -> bytes:
    """The ONNX model that is handed to TensorRT; `typed` where it takes precision from the graph.

    Raises ExportError for what its parser would not take.
    """
    import onnx

    from darknet_compat.export.onnx.half import QUANTIZING, to_half
    from darknet_compat.export.tensorrt import candidates, parser_checks, precision

    try:
        proto = onnx.load(model)
    except OSError as error:
        raise ExportError(f"{error.filename or model}: cannot be read: {error.strerror or error}") from None
    artefact = from_properties({p.key: p.value for p in proto.metadata_props}, str(model))
    if limit := candidates.MOST if settings.candidates is None else settings.candidates:
        least = tuple(min(sides) for sides in zip(*(profile.least for profile in profiles), strict=True))
        candidates.limit_candidates(proto, limit, input_shape(artefact, (least[0], least[1], least[2])))
    quantized = any(node.op_type in QUANTIZING for node in proto.graph.node)
    if quantized != (settings.precision in ("int8", "fp8")):
        hint = "export it with --precision int8" if not quantized else "build it with precision int8 or fp8"
        raise ExportError(f"{model}: is {'' if quantized else 'not '}quantized; {hint}")
    halved = artefact.precision == "fp16"
    if halved and settings.precision != "fp16":
        raise ExportError(f"{model}: is in fp16; build it with precision fp16, or of a file exported in fp32")
    if settings.precision == "fp8":
        if not typed:
            raise ExportError("precision: fp8 takes TensorRT 10 or later")
        precision.to_fp8(proto)
    if typed and settings.precision != "fp32" and not halved:
        single, proto = proto, to_half(proto)
        if quantized and settings.target == "rtx":
            precision.keep_scales(proto, single)
    _mark(proto, settings.outputs, str(model))
    parser_checks.shorten_ends(proto)
    if found := parser_checks.problems(proto):
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
