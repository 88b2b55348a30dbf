"""A module `tensorrt` for machines without one: the names and parameters that the real bindings of a version have
(`recorded_names.json`), and behind them ONNX Runtime, computing in the simulated driver's memory.

It keeps the real one's rules as far as our use of it goes: a plan belongs to a version, profiles have to contain every
input, tensors need addresses, nothing runs before its stream is waited for, the first run of a context may not be
recorded, a stripped plan computes nonsense until it is refitted.
"""

from __future__ import annotations

import ctypes
import enum
import json
import sys
import weakref
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, numpy_helper

from tests.runtime.tensorrt_names import recorded

MAGIC = b"simulated plan\0"

ALIVE: weakref.WeakSet[Any] = weakref.WeakSet()
"""Engines that have not been destroyed."""
_TYPES = {
    TensorProto.FLOAT: "FLOAT",
    TensorProto.FLOAT16: "HALF",
    TensorProto.UINT8: "UINT8",
    TensorProto.INT64: "INT64",
}
_NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "UINT8": np.uint8, "INT64": np.int64}
_TRAINED = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.INT8)
_HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


def make(version: str) -> ModuleType:
    """The module as of this version, one of those recorded."""
    names = recorded()[version]
    trt = ModuleType("tensorrt")
    trt.__version__ = f"{version.removeprefix('rtx ')}.0"  # type: ignore[attr-defined]
    trt.__spec__ = ModuleSpec("tensorrt", None)  # torch asks for it
    for name, members in names.items():
        if {"name", "value"} <= members.keys():  # an enumeration
            kinds = [member for member in members if member.isupper()]
            setattr(trt, name, enum.IntEnum(name, kinds, start=0))
    trt._rtx = version.startswith("rtx")  # type: ignore[attr-defined]
    for kind in (_Logger, Logger, Builder, Network, Layer, Config, Parser, OptimizationProfile, Cache, Runtime, Engine,
                 Context, Refitter, ParserRefitter, Serialization, Inspector, Weights, Monitor, Profiler):  # fmt: skip
        name = kind.__doc__.split(":")[0]  # type: ignore[union-attr]
        if name in names:
            attributes = {"_trt": trt, "_names": frozenset(names[name]) | {"log"}, "_of": name}
            setattr(trt, name, type(name, (kind,), attributes))
    for severity in ("INTERNAL_ERROR", "ERROR", "WARNING", "INFO", "VERBOSE"):
        setattr(trt.ILogger, severity, severity)  # type: ignore[attr-defined]
    trt.float32 = trt.DataType.FLOAT  # type: ignore[attr-defined]
    trt.nptype = lambda kind: _NUMPY[kind.name]  # type: ignore[attr-defined]
    return trt


class _Recorded:
    """Has no public name that the real class has not; subclasses of ours may have more."""

    _trt: Any
    _names: frozenset[str]
    _of: str

    def __setattr__(self, name: str, value: Any) -> None:
        self._check(name)
        object.__setattr__(self, name, value)

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            object.__getattribute__(self, "_check")(name)
        return object.__getattribute__(self, name)

    def _check(self, name: str) -> None:
        if not name.startswith("_") and name not in self._names and type(self).__name__ == self._of:
            raise AttributeError(f"the real {self._of} of TensorRT {self._trt.__version__} has no {name}")


class _Logger(_Recorded):
    """ILogger: what ours derives from."""

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class Logger(_Logger):
    """Logger: prints."""

    def log(self, severity: Any, msg: str) -> None:
        print(severity, msg, file=sys.stderr)


class Monitor(_Recorded):
    """IProgressMonitor: what ours derives from."""


class Profiler(_Recorded):
    """IProfiler: what ours derives from."""


class Weights(_Recorded):
    """Weights: an array."""

    def __init__(self, a: Any) -> None:
        self._array = a


class Builder(_Recorded):
    """Builder: makes plans, for the GPU that is current; TensorRT-RTX needs none."""

    def __init__(self, logger: Any) -> None:
        assert self._trt._rtx or ctypes.CDLL("libcuda.so.1").sim_depth() > 0
        self._logger = logger

    def create_network(self, flags: int = 0) -> Any:
        return self._trt.INetworkDefinition(flags)

    def create_builder_config(self) -> Any:
        return self._trt.IBuilderConfig()

    def create_optimization_profile(self) -> Any:
        return self._trt.IOptimizationProfile()

    def build_serialized_network(self, network: Any, config: Any) -> Any:
        sides = network._model.graph.input[0].type.tensor_type.shape.dim
        dynamic = any(not side.dim_value for side in sides)
        if dynamic and not config._profiles:
            self._logger.log(
                "ERROR", "Network has dynamic or shape inputs, but no optimization profile has been defined."
            )
            return None
        for shapes in config._profiles:
            for low, best, high, side in zip(*shapes, sides, strict=True):
                if not low <= best <= high or (side.dim_value and {low, best, high} != {side.dim_value}):
                    self._logger.log("ERROR", f"profile {shapes} does not suit the input")
                    return None
        monitor = getattr(config, "_values", {}).get("progress_monitor")
        if monitor is not None:
            monitor.phase_start("Building", None, 2)
            if not monitor.step_complete("Building", 0):
                return None
            monitor.phase_finish("Building")
        if config._cache is not None:
            config._cache._content = b"times"
        model = onnx.ModelProto()
        model.CopyFrom(network._model)
        if "STRIP_PLAN" in config._flags:
            _fill(model, None)
        header = {
            "version": self._trt.__version__,
            "flags": sorted(config._flags),
            "profiles": config._profiles or [[[side.dim_value for side in sides]] * 3],
            "typed": network._typed(),
            "values": {name: str(value) for name, value in config._values.items()},
            "single": network._single,
        }
        return bytearray(_plan(header, model))


class Network(_Recorded):
    """INetworkDefinition: a parsed model."""

    def __init__(self, flags: int) -> None:
        self._flags = flags
        self._single: list[str] = []
        self._layers: list[Any] = []
        self._kinds: dict[str, int] = {}

    def _typed(self) -> bool:
        creation = self._trt.NetworkDefinitionCreationFlag
        if not hasattr(creation, "EXPLICIT_BATCH"):
            return True
        return hasattr(creation, "STRONGLY_TYPED") and bool(self._flags >> int(creation.STRONGLY_TYPED) & 1)

    @property
    def num_layers(self) -> int:
        return len(self._layers)

    def get_layer(self, index: int) -> Any:
        return self._layers[index]


class Layer(_Recorded):
    """ILayer: a node."""

    def __init__(self, network: Network, node: Any) -> None:
        self._network, self._node = network, node

    @property
    def name(self) -> str:
        return str(self._node.name)

    @property
    def num_inputs(self) -> int:
        return len(self._node.input)

    def get_input(self, index: int) -> Any:
        return self._tensor(self._node.input[index])

    def get_output(self, index: int) -> Any:
        return self._tensor(self._node.output[0])

    def _tensor(self, name: str) -> Any:
        single = self._network._kinds.get(name, TensorProto.FLOAT) == TensorProto.FLOAT
        kind = self._trt.DataType.FLOAT if single else self._trt.DataType.INT32
        return type("ITensor", (), {"dtype": kind})() if name else None

    @property
    def precision(self) -> Any:
        return self.get_output(0).dtype

    @precision.setter
    def precision(self, value: Any) -> None:
        self._network._single.append(self._node.name)

    def set_output_type(self, index: int, dtype: Any) -> None:
        assert dtype == self._trt.DataType.FLOAT


class Config(_Recorded):
    """IBuilderConfig: flags and values."""

    def __init__(self) -> None:
        self._flags, self._profiles, self._values, self._cache = {"TF32"}, [], {}, None

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if not name.startswith("_"):
            self._values[name] = value

    def set_compute_capability(self, compute_capability: Any, index: int) -> bool:
        assert index < self._values["num_compute_capabilities"]
        self._values[f"capability {index}"] = compute_capability.name
        return True

    def set_flag(self, flag: Any) -> None:
        self._flags.add(flag.name)

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(flag.name)

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self._values[f"pool {pool.name}"] = pool_size

    def set_preview_feature(self, feature: Any, enable: bool) -> None:
        self._values[f"preview {feature.name}"] = enable

    def add_optimization_profile(self, profile: Any) -> int:
        self._profiles.append(profile._shapes)
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        cache = self._trt.ITimingCache()
        cache._content = bytes(serialized_timing_cache)
        return cache

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        if cache._content not in (b"", b"times"):
            return False
        self._cache = cache
        return True


class Cache(_Recorded):
    """ITimingCache: bytes."""

    def serialize(self) -> Any:
        return bytearray(self._content)


class OptimizationProfile(_Recorded):
    """IOptimizationProfile: three shapes."""

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        assert input == "images"
        self._shapes = [list(min), list(opt), list(max)]


class Parser(_Recorded):
    """OnnxParser: into a network."""

    def __init__(self, network: Any, logger: Any) -> None:
        self._network, self._error = network, ""

    def parse(self, model: bytes, path: str | None = None) -> bool:
        proto = onnx.load_from_string(model)
        onnx.checker.check_model(proto)
        for node in proto.graph.node:
            if node.op_type == "Einsum":  # something that it refuses
                self._error = "unsupported"
                return False
        self._network._model = proto
        known = onnx.shape_inference.infer_shapes(proto).graph
        values = (*known.value_info, *known.input)
        self._network._kinds = {value.name: value.type.tensor_type.elem_type for value in values}
        self._network._kinds |= {tensor.name: tensor.data_type for tensor in proto.graph.initializer}
        self._network._layers = [self._trt.ILayer(self._network, node) for node in proto.graph.node]
        return True

    @property
    def num_errors(self) -> int:
        return int(bool(self._error))

    def get_error(self, index: int) -> Any:
        error = {"desc": lambda self: "unsupported", "node_name": lambda self: "5_region/Einsum"}
        return type("ParserError", (), error)()


class Runtime(_Recorded):
    """Runtime: opens plans."""

    engine_host_code_allowed = False

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> Any:
        plan = bytes(serialized_engine)
        if not plan.startswith(MAGIC):
            self._logger.log("ERROR", "Error Code 1: Serialization (magic tag does not match)\nmore")
            return None
        header, model = _opened(plan)
        portable = "VERSION_COMPATIBLE" in header["flags"] and self.engine_host_code_allowed
        if header["version"] != self._trt.__version__ and not portable:
            self._logger.log("ERROR", "the engine plan file is not compatible with this version of TensorRT")
            return None
        return self._trt.ICudaEngine(header, model, self._logger)


class Engine(_Recorded):
    """ICudaEngine: a plan."""

    def __init__(self, header: dict[str, Any], model: Any, logger: Any) -> None:
        self._header, self._model, self._logger = header, model, logger
        self._open()
        ALIVE.add(self)

    def _open(self) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads, options.log_severity_level = 1, 4
        self._session = ort.InferenceSession(self._model.SerializeToString(), options)
        graph = self._model.graph
        self._types = {v.name: _TYPES[v.type.tensor_type.elem_type] for v in (*graph.input, *graph.output)}
        self._shapes: dict[tuple[int, ...], dict[str, tuple[int, ...]]] = {}

    @property
    def num_io_tensors(self) -> int:
        return len(self._types)

    def get_tensor_name(self, index: int) -> str:
        return sorted(self._types)[index]  # in no order that one could rely on

    def get_tensor_dtype(self, name: str) -> Any:
        return self._trt.DataType[self._types[name]]

    def get_tensor_mode(self, name: str) -> Any:
        return self._trt.TensorIOMode.INPUT if name == "images" else self._trt.TensorIOMode.OUTPUT

    @property
    def num_optimization_profiles(self) -> int:
        return len(self._header["profiles"])

    @property
    def num_layers(self) -> int:
        return len(self._model.graph.node)

    def create_execution_context(self, strategy: Any = None) -> Any:
        context = self._trt.IExecutionContext(self)
        context._strategy = strategy
        return context

    def create_engine_inspector(self) -> Any:
        return self._trt.EngineInspector(self)

    def create_serialization_config(self) -> Any:
        return self._trt.ISerializationConfig()

    def serialize_with_config(self, arg0: Any) -> Any:
        return bytearray(_plan(self._header, self._model))

    def serialize(self) -> Any:
        return bytearray(_plan(self._header, self._model))

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        return 1 << 20

    def get_device_memory_size_for_profile(self, profile_index: int) -> int:
        return 1 << 20

    @property
    def device_memory_size_v2(self) -> int:
        return 1 << 20

    @property
    def device_memory_size(self) -> int:
        return 1 << 20


class Inspector(_Recorded):
    """EngineInspector: tells of layers."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    def get_engine_information(self, format: Any) -> str:
        kind: dict[str, str] = {"Format/Datatype": "Row major linear FP32"}
        if self._trt.__version__.startswith("11."):
            kind = {"Format": "Row major linear", "DataType": "FP32"}
        layers = [
            {"Name": node.name, "LayerType": node.op_type, "TacticName": "plain",
             "Outputs": [{"Name": node.output[0]} | kind]}
            for node in self._engine._model.graph.node
        ]  # fmt: skip
        return json.dumps({"Layers": layers, "Bindings": sorted(self._engine._types)})


class Serialization(_Recorded):
    """ISerializationConfig: flags."""

    def clear_flag(self, flag: Any) -> bool:
        return True

    def set_flag(self, flag: Any) -> bool:
        return True


class Context(_Recorded):
    """IExecutionContext: one shape, addresses, runs."""

    profiler: Any = None
    enqueue_emits_profile = True
    nvtx_verbosity = "of the engine"

    def __init__(self, engine: Any) -> None:
        self._engine, self._addresses, self._runs = engine, {}, 0
        self._profile, self._shape, self._calls = 0, None, []
        self._driver = ctypes.CDLL("libcuda.so.1")

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        if not 0 <= profile_index < self._engine.num_optimization_profiles:
            raise RuntimeError("Error in set optimization profile async.")
        self._profile = profile_index
        return True

    def set_input_shape(self, name: str, shape: Any) -> bool:
        least, _, most = self._engine._header["profiles"][self._profile]
        good = name == "images" and all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True))
        if not good:
            self._engine._logger.log("ERROR", f"Supplied dims {shape} do not satisfy profile {self._profile}")
            return False
        self._shape = tuple(shape)
        if self._shape not in self._engine._shapes:
            kind = _NUMPY[self._engine._types["images"]]
            names = [output.name for output in self._engine._session.get_outputs()]
            found = self._engine._session.run(names, {"images": np.zeros(self._shape, kind)})
            shapes = {name: array.shape for name, array in zip(names, found, strict=True)}
            self._engine._shapes[self._shape] = shapes | {"images": self._shape}
        return True

    def get_tensor_shape(self, name: str) -> Any:
        return self._engine._shapes[self._shape][name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return name in self._engine._types

    def execute_async_v3(self, stream_handle: int) -> bool:
        if self._driver.sim_recording(ctypes.c_void_p(stream_handle)) and not self._runs:
            self._engine._logger.log("ERROR", "operation not permitted when stream is capturing")
            return False
        missing = set(self._engine._types) - set(self._addresses)
        if missing:
            self._engine._logger.log("ERROR", f"no address for {missing}")
            return False
        self._runs += 1
        shapes, addresses, engine, profiler = (
            self._engine._shapes[self._shape],
            dict(self._addresses),
            self._engine,
            self.profiler,
        )

        def compute(_: Any) -> None:
            arrays = {name: _array(addresses[name], shapes[name], engine._types[name]) for name in engine._types}
            names = sorted(set(arrays) - {"images"})
            found = engine._session.run(names, {"images": arrays["images"]})
            for name, array in zip(names, found, strict=True):
                arrays[name][...] = array
            if profiler is not None:
                for node in engine._model.graph.node:
                    profiler.report_layer_time(node.name, 0.5)

        call = _HOST_FUNCTION(compute)
        self._calls.append(call)
        return not self._driver.cuLaunchHostFunc(ctypes.c_void_p(stream_handle), call, None)


class Refitter(_Recorded):
    """Refitter: other weights."""

    def __init__(self, engine: Any, logger: Any) -> None:
        assert {"REFIT"} <= set(engine._header["flags"]) and ctypes.CDLL("libcuda.so.1").sim_depth() > 0
        self._engine, self._logger = engine, logger

    def get_all_weights(self) -> list[str]:
        graph = self._engine._model.graph
        unnamed = set()
        if self._trt.__version__.startswith("8."):  # its parser does not name the bias beside a dequantized kernel
            dequantized = {node.output[0] for node in graph.node if node.op_type == "DequantizeLinear"}
            unnamed = {n.input[2] for n in graph.node if n.op_type == "Conv" and n.input[1] in dequantized}
        return [tensor.name for tensor in graph.initializer if _large(tensor) and tensor.name not in unnamed]

    def set_named_weights(self, name: str, weights: Any) -> bool:
        return bool(_fill(self._engine._model, {name: weights._array}))

    def refit_cuda_engine(self) -> bool:
        self._engine._open()
        return True


class ParserRefitter(_Recorded):
    """OnnxParserRefitter: other weights from a model."""

    def __init__(self, refitter: Any, logger: Any) -> None:
        self._refitter, self._logger = refitter, logger

    def refit_from_bytes(self, model: bytes, path: str | None = None) -> bool:
        other = {t.name: numpy_helper.to_array(t) for t in onnx.load_from_string(model).graph.initializer}
        if not _fill(self._refitter._engine._model, other):
            self._logger.log("ERROR", "weights of another shape")
            return False
        return True


def _array(address: int, shape: tuple[int, ...], kind: str) -> Any:
    dtype = np.dtype(_NUMPY[kind])
    size = int(np.prod(shape)) * dtype.itemsize
    return np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(address)).view(dtype).reshape(shape)


def _large(tensor: Any) -> bool:
    _, slash, slot = tensor.name.partition("/")
    return bool(slash) and tensor.data_type in _TRAINED and not slot.endswith(" zeros")


def _fill(model: Any, values: dict[str, Any] | None) -> bool:
    """Exchange the weights, or take them away; False where one has another shape."""
    for tensor in model.graph.initializer:
        if not _large(tensor) or (values is not None and tensor.name not in values):
            continue
        old = numpy_helper.to_array(tensor)
        new = np.zeros_like(old) if values is None else values[tensor.name]
        if new.shape != old.shape or new.dtype != old.dtype:
            return False
        tensor.CopyFrom(numpy_helper.from_array(new, tensor.name))
    return True


def _plan(header: dict[str, Any], model: Any) -> bytes:
    text = json.dumps(header).encode()
    return MAGIC + len(text).to_bytes(8, "little") + text + model.SerializeToString()


def _opened(plan: bytes) -> tuple[dict[str, Any], Any]:
    length = int.from_bytes(plan[len(MAGIC) : len(MAGIC) + 8], "little")
    start = len(MAGIC) + 8
    return json.loads(plan[start : start + length]), onnx.load_from_string(plan[start + length :])


def header_of(plan: bytes) -> dict[str, Any]:
    """What a simulated plan was built with."""
    return _opened(plan)[0]
