"""An engine is given other weights, those of the same network trained further, without being built again."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from darknet_compat.catalogue.fetch.checksum import sha256_of
from darknet_compat.errors import BackendError, ExportError
from darknet_compat.export.tensorrt.engine import prepared
from darknet_compat.export.tensorrt.settings import settings_from
from darknet_compat.formats.exported.artefact import from_properties
from darknet_compat.formats.exported.enginefile import EngineRecord, read_plan, read_record, write_engine
from darknet_compat.formats.exported.onnxfile import read_top
from darknet_compat.nvidia.driver import on_gpu
from darknet_compat.nvidia.library import forget, load_tensorrt, logger_of, reason, strongly_typed


def refit_engine(
    engine: str | Path, model: str | Path, path: str | Path | None = None, *, gpu: int = 0
) -> EngineRecord:
    """Give a refittable engine the weights of `model`, the same network exported again, and write it to `path`
    (default: in its place).

    Raises BackendError or ExportError where the engine was not built for it, or the model is another network.
    """
    record, model = read_record(engine), Path(model)
    settings = settings_from(record.settings)
    if not (settings.refittable or settings.stripped):
        raise ExportError(f"{engine}: was not built refittable; build it again with --refittable")
    artefact = from_properties(read_top(model).properties, str(model))
    trt, found = load_tensorrt(gpu, settings.target)
    if problem := record.mismatch(str(trt.__version__), found.name, found.capability):
        raise BackendError(f"{engine}: {problem}")
    graph = prepared(model, settings, record.profiles, typed=strongly_typed(trt))
    with on_gpu(gpu):
        plan = _refitted(trt, read_plan(engine, record), graph, str(engine), str(model))
    changed = dataclasses.replace(
        record,
        artefact=dataclasses.replace(artefact, precision=record.precision, tools=record.artefact.tools),
        onnx=model.name,
        onnx_sha256=sha256_of(model),
        settings=settings.to_json() | {"refittable": True, "stripped": False},
    )
    return write_engine(engine if path is None else path, plan, changed)


def _refitted(trt: Any, plan: bytes, graph: bytes, engine_name: str, model: str) -> Any:
    logger = logger_of(trt)
    forget(logger)
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise BackendError(f"{engine_name}: TensorRT cannot load it: {reason(logger)}")
    refitter = trt.Refitter(engine, logger)
    named = set(refitter.get_all_weights())
    if kept := [name for name in _trained(graph) if name not in named]:
        raise ExportError(
            f"{engine_name}: {kept[0]}{f' and {len(kept) - 1} more' if len(kept) > 1 else ''} cannot be exchanged and"
            f" would stay as before: TensorRT {trt.__version__} does not name it; build the engine again from {model}"
        )
    forget(logger)
    if hasattr(trt, "OnnxParserRefitter"):
        parser_refitter = trt.OnnxParserRefitter(refitter, logger)
        good = parser_refitter.refit_from_bytes(graph)
    else:
        weights = _weights(trt, refitter, graph)  # held until they have been copied
        good = all(refitter.set_named_weights(name, values) for name, values in weights.items())
    if not good or not refitter.refit_cuda_engine():
        raise ExportError(f"{model}: its weights do not fit {engine_name}: {reason(logger)}")
    if not hasattr(engine, "create_serialization_config"):
        return engine.serialize()
    serialization = engine.create_serialization_config()
    serialization.clear_flag(trt.SerializationFlag.EXCLUDE_WEIGHTS)
    if hasattr(trt.SerializationFlag, "INCLUDE_REFIT"):
        serialization.set_flag(trt.SerializationFlag.INCLUDE_REFIT)  # so that it can be refitted again
    return engine.serialize_with_config(serialization)


def _trained(graph: bytes) -> list[str]:
    """The names of all values in a graph that training changes: they are named after their layer, constants are not.
    The zero points of quantized weights are always 0."""
    import onnx

    from darknet_compat.export.onnx.graph import layer_of

    kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16, onnx.TensorProto.INT8, onnx.TensorProto.FLOAT8E4M3FN)
    return [
        tensor.name
        for tensor in onnx.load_from_string(graph).graph.initializer
        if layer_of(tensor.name) and tensor.data_type in kinds and not tensor.name.endswith(" zeros")
    ]


def _weights(trt: Any, refitter: Any, graph: bytes) -> dict[str, Any]:
    """What the engine asks for, by name, where there is no refitter of the parser's (TensorRT 8)."""
    import onnx

    tensors: Mapping[str, Any] = {t.name: t for t in onnx.load_from_string(graph).graph.initializer}
    wanted = [name for name in refitter.get_all_weights() if name in tensors]
    return {name: trt.Weights(onnx.numpy_helper.to_array(tensors[name])) for name in wanted}
