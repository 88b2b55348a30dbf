"""The names that we use against the real bindings of TensorRT and of CUDA, without their libraries."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.tensorrt_names import (
    REPOSITORY,
    VERSIONS,
    Absent,
    Bindings,
    Name,
    kept,
    real_names,
    recorded,
    used_names,
)

_WEAK_ONLY = {
    ("BuilderFlag", "FP16"),
    ("BuilderFlag", "INT8"),
    ("BuilderFlag", "PREFER_PRECISION_CONSTRAINTS"),
    ("ILayer", "precision"),
    ("ILayer", "set_output_type"),
    ("NetworkDefinitionCreationFlag", "EXPLICIT_BATCH"),
}
_SINCE_10 = {
    ("BuilderFlag", "STRIP_PLAN"),
    ("ExecutionContextAllocationStrategy",),
    ("ExecutionContextAllocationStrategy", "ON_PROFILE_CHANGE"),
    ("IBuilderConfig", "progress_monitor"),
    ("ICudaEngine", "create_serialization_config"),
    ("ICudaEngine", "serialize_with_config"),
    ("IProgressMonitor",),
    ("ISerializationConfig", "clear_flag"),
    ("ISerializationConfig", "set_flag"),
    ("NetworkDefinitionCreationFlag", "STRONGLY_TYPED"),
    ("OnnxParserRefitter",),
    ("OnnxParserRefitter", "refit_from_bytes"),
    ("ParserError", "node_name"),
    ("SerializationFlag",),
    ("SerializationFlag", "EXCLUDE_WEIGHTS"),
}
_REFIT_AGAIN = {("SerializationFlag", "INCLUDE_REFIT")}
_SCRATCH_NEW = {("ICudaEngine", "get_device_memory_size_for_profile_v2")}
_SCRATCH_OLD = {("ICudaEngine", "device_memory_size")}
_SHARING = {("PreviewFeature", "PROFILE_SHARING_0806")}
_AHEAD = {
    ("ComputeCapability",),
    ("IBuilderConfig", "num_compute_capabilities"),
    ("IBuilderConfig", "set_compute_capability"),
}
"""What TensorRT-RTX alone is asked for."""
ABSENT: dict[str, set[Name]] = {
    "8.6.1": _SINCE_10 | _REFIT_AGAIN | _SCRATCH_NEW | _AHEAD,
    "10.0.1": _REFIT_AGAIN | _SCRATCH_NEW | _AHEAD,
    "10.16.1": _AHEAD,
    "11.0.0": _WEAK_ONLY | _SHARING | _SCRATCH_OLD | _AHEAD,
    "11.4.0": _WEAK_ONLY | _SHARING | _SCRATCH_OLD | _AHEAD,
    "rtx 1.7.1": _WEAK_ONLY | _SHARING | _SCRATCH_OLD,
}
"""What each version lacks of the names that we use, all of it behind a question for a feature (`hasattr`)."""


def missing(found: Bindings, names: set[Name]) -> set[Name]:
    """Those that are not there."""
    return {
        name
        for name in names
        if (name[0] not in found.get("", {}) if len(name) == 1 else name[1] not in found.get(name[0], {}))
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_the_real_bindings_have_every_name_that_we_use(version: str, tmp_path: Path) -> None:
    try:
        found = real_names(version, tmp_path)
    except Absent as reason:
        pytest.skip(str(reason))
    used = used_names()
    assert len(used.names) > 90
    assert missing(found, used.names) == ABSENT[version]
    assert kept(found, used) == recorded()[version], "run python tests/runtime/tensorrt_names.py"


@pytest.mark.parametrize("version", VERSIONS)
def test_the_recorded_names_are_those_that_we_use(version: str) -> None:
    """The same without the real ones, so that a new name is noticed anywhere."""
    assert missing(recorded()[version], used_names().names) == ABSENT[version]


def test_a_name_that_no_version_has_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "wrong.py"
    source.write_text(
        "def f(trt, config, self):\n    config.set_flags(trt.BuilderFlag.FP17)\n    self.engine.get_binding_index\n"
    )
    used = used_names([source]).names
    assert missing(recorded()["11.4.0"], used) == {
        ("IBuilderConfig", "set_flags"),
        ("BuilderFlag", "FP17"),
        ("ICudaEngine", "get_binding_index"),
    }


@pytest.mark.parametrize("version", VERSIONS)
def test_the_simulation_has_no_name_or_parameter_of_its_own(version: str) -> None:
    pytest.importorskip("onnxruntime")
    from tests.runtime.simulated.tensorrt import make

    trt, names = make(version), recorded()[version]
    checked = 0
    for name, kind in vars(trt).items():
        if not isinstance(kind, type) or name not in names:
            continue
        for base in kind.__mro__[1:2]:
            for member, function in vars(base).items():
                if member.startswith("_") or member not in names[name] or not inspect.isfunction(function):
                    continue
                parameters = list(inspect.signature(function).parameters)[1:]
                assert set(parameters) <= set(names[name][member] or parameters), (name, member)
                checked += 1
    assert checked > 20


# -------------------------------------------------------------------------------------------------- CUDA itself


def test_cuda_bindings_have_every_function_that_we_call() -> None:
    pytest.importorskip("cuda.bindings")
    source = (REPOSITORY / "darknet_compat/nvidia/cuda_bindings.py").read_text()
    names = sorted(set(re.findall(r"driver\.(\w+(?:\.\w+)?)", source)))
    assert len(names) >= 25
    # In a process of its own, since importing it may look for the driver.
    check = f"from cuda.bindings import driver\nfor name in {names}:\n    eval(f'driver.{{name}}')\n"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


PYCUDA = (
    "init", "Device", "Device.retain_primary_context", "Context.push", "Context.pop", "Context.detach", "Stream",
    "Stream.handle", "Stream.synchronize", "Event", "Event.record", "Event.synchronize", "Event.time_since",
    "mem_alloc", "mem_get_info", "MemoryError", "pagelocked_empty", "memcpy_htod_async", "memcpy_dtoh_async",
    "DeviceAllocation.free", "Error",
)  # fmt: skip
"""What PyCUDA 2026.1's wrapper defines (src/wrapper/wrap_cudadrv.cpp); compiling it takes CUDA's headers, so this is
read off its source."""


def test_only_known_names_of_pycuda_are_used() -> None:
    tree = ast.parse((REPOSITORY / "darknet_compat/nvidia/cuda_pycuda.py").read_text())
    used = {ast.unparse(node).removeprefix("driver.") for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("driver.")}  # fmt: skip
    methods = {"retain_primary_context", "push", "pop", "detach", "record", "synchronize", "time_since", "free"}
    assert {name.split("(")[0].split(".")[0] for name in used} <= {name.split(".")[0] for name in PYCUDA}
    assert methods <= {name.split(".")[-1] for name in PYCUDA}
    installed = pytest.importorskip("pycuda.driver", exc_type=ImportError)
    for name in PYCUDA:
        assert eval(f"installed.{name}", {"installed": installed})


# ------------------------------------------------------------------------------------------------- without a GPU

_WITHOUT = """
import sys
sys.modules["tensorrt"] = None   # touching it is an error
from darknet_compat.errors import BackendError
from darknet_compat.export.tensorrt.engine import build_engine
from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime
from darknet_compat.nvidia.driver import find_gpu
for work in (lambda: find_gpu(), lambda: TensorRtRuntime(sys.argv[1]), lambda: build_engine(sys.argv[2])):
    try:
        work()
    except BackendError as error:
        print(error)
"""


def test_without_a_gpu_one_line_says_so_before_tensorrt_is_touched(tmp_path: Path) -> None:
    from darknet_compat.export.onnx.export import export_onnx
    from darknet_compat.formats.exported.artefact import from_properties
    from darknet_compat.formats.exported.enginefile import EngineRecord, Profile, write_engine
    from darknet_compat.formats.exported.onnxfile import read_top
    from tests.export.support import SHIPPED, seeded

    model, engine = tmp_path / "m.onnx", tmp_path / "m.engine"
    export_onnx(seeded(SHIPPED / "yolov2-tiny-voc.cfg", (64, 64)), model)
    artefact = from_properties(read_top(model).properties, "")
    profiles = (Profile((1, 64, 64), (1, 64, 64), (1, 64, 64)),)
    record = EngineRecord(artefact=artefact, precision="fp32", profiles=profiles, onnx="m.onnx",
                          onnx_sha256="", tensorrt="11.4.0", gpu="", capability=(9, 0))  # fmt: skip
    write_engine(engine, b"plan", record)
    command = [sys.executable, "-c", _WITHOUT, str(engine), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 3 and all(line.startswith("tensorrt needs an NVIDIA GPU: ") for line in lines)


_ALONE = """
import sys
for absent in ("torch", "onnx", "onnxslim", "onnxruntime", "openvino", "cv2"):
    sys.modules[absent] = None
import darknet_compat.runtime.tensorrt.runtime
print(sorted({name.split(".")[0] for name in sys.modules} & {"tensorrt", "pycuda", "cuda", "typer", "rich"}))
"""


def test_the_runtime_needs_numpy_alone_besides_tensorrt_and_cuda() -> None:
    done = subprocess.run([sys.executable, "-c", _ALONE], capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
