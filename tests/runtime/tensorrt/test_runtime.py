"""Engines, built and run on a simulated GPU: what TensorRT is asked for, what is computed, refused and given back.

The simulated TensorRT computes with ONNX Runtime, so that what is tested is all around it: graphs, profiles, buffers,
streams, threads, records and messages. The real one is `tools/gpu_check.py`'s.
"""

from __future__ import annotations

import dataclasses
import json
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.errors import BackendError, DarknetCompatError, ExportError, OptionError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.quantize.quantize import Accuracy, quantize_onnx
from darknet_compat.export.tensorrt.engine import build_engine
from darknet_compat.export.tensorrt.refit import refit_engine
from darknet_compat.export.tensorrt.settings import Settings
from darknet_compat.formats.exported.enginefile import Profile, read_plan, read_record, record_path
from darknet_compat.network.load import load_network
from darknet_compat.nvidia.cuda import no_memory
from darknet_compat.nvidia.devicearray import DeviceArray
from darknet_compat.nvidia.open_cuda import open_cuda
from darknet_compat.parity.compare import TOLERANCES
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.runtime.onnxruntime import OnnxRuntime
from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime
from tests.export.support import pictures, seeded
from tests.runtime.simulation import Driver, use_version
from tests.runtime.test_exported import DETECTOR

TYPED = ("10.0.1", "10.16.1", "11.0.0", "11.4.0")
EVERY = ("8.6.1", *TYPED)


@pytest.fixture(scope="module")
def cfg(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cfg") / "small.cfg"
    path.write_text(DETECTOR)
    return path


@pytest.fixture(scope="module")
def model(cfg: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    export_onnx(seeded(cfg), path, sizes=(32, 128), names=("left", "right"))
    return path


@pytest.fixture
def engine(gpu: Driver, model: Path, tmp_path: Path) -> Path:
    path = tmp_path / "small.engine"
    build_engine(model, path, sizes=[(96, 64), (64, 64)])
    return path


@pytest.fixture
def runtime(engine: Path) -> Iterator[TensorRtRuntime]:
    found = TensorRtRuntime(engine)
    yield found
    found.close()


def header(path: Path) -> dict[str, Any]:
    """What the simulated TensorRT was asked for."""
    from tests.runtime.simulated.tensorrt import header_of

    return header_of(path.read_bytes())


def assert_same(expected: Any, found: Any, precision: str = "fp32") -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        limit = TOLERANCES["onnxruntime", "tensorrt", precision]
        assert found[name].shape == array.shape and found[name].dtype == array.dtype
        assert np.abs(found[name] - array).max(initial=0) <= limit * max(np.abs(array).max(initial=0), 1e-9), name


# -------------------------------------------------------------------------------------------------- building


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("version", EVERY)
def test_every_version_builds_and_runs(
    version: str, precision: str, gpu: Driver, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_version(monkeypatch, version)
    path = tmp_path / "m.engine"
    record = build_engine(model, path, precision=precision)  # type: ignore[arg-type]
    assert record == read_record(path)
    assert (record.tensorrt, record.gpu, record.capability) == (f"{version}.0", "Simulated GPU", (9, 0))
    built = header(path)
    assert built["typed"] == (version in TYPED)
    assert "TF32" not in built["flags"]
    assert ("FP16" in built["flags"]) == (version == "8.6.1" and precision == "fp16")
    assert bool(built["single"]) == ("FP16" in built["flags"])
    assert all("region" in name and "Conv" not in name for name in built["single"])
    ours = TensorRtRuntime(path)
    images = pictures(3, 96, 64)
    assert_same(OnnxRuntime(model).infer(images, 0.3), ours.infer(images, 0.3), precision)
    assert ours.description.precision == precision and ours.description.names == ("left", "right")
    ours.close()


def test_profiles_share_sizes_and_batches_out(gpu: Driver, model: Path, tmp_path: Path) -> None:
    settings = Settings(sizes=((96, 64), (64, 32)), batches=(4, 1), any_size=True)
    record = build_engine(model, tmp_path / "m.engine", settings=settings)
    assert record.profiles == (
        Profile((1, 64, 96), (1, 64, 96), (1, 64, 96)),
        Profile((2, 64, 96), (4, 64, 96), (4, 64, 96)),
        Profile((1, 32, 64), (1, 32, 64), (1, 32, 64)),
        Profile((2, 32, 64), (4, 32, 64), (4, 32, 64)),
        Profile((1, 32, 32), (1, 64, 96), (4, 128, 128)),
    )
    assert header(tmp_path / "m.engine")["profiles"][1] == [[2, 3, 64, 96], [4, 3, 64, 96], [4, 3, 64, 96]]
    assert str(record.profiles[4]) == "batch 1 to 4 (best 1), height 32 to 128 (best 64), width 32 to 128 (best 96)"


def test_a_fixed_graph_needs_no_profile(gpu: Driver, cfg: Path, tmp_path: Path) -> None:
    export_onnx(seeded(cfg), tmp_path / "m.onnx", sizes="fixed", batch=2)
    record = build_engine(tmp_path / "m.onnx")
    assert record.profiles == (Profile((2, 64, 96), (2, 64, 96), (2, 64, 96)),)
    ours = TensorRtRuntime(tmp_path / "m.engine")
    images = pictures(3, 96, 64, 3)
    assert_same(OnnxRuntime(tmp_path / "m.onnx").infer(images), ours.infer(images))
    ours.close()


def test_settings_reach_the_builder(gpu: Driver, model: Path, tmp_path: Path) -> None:
    asked = Settings(
        precision="fp16",
        workspace=1 << 28,
        level=4,
        refittable=True,
        stripped=True,
        version_compatible=True,
        hardware_compatible=True,
        dla=1,
    )
    record = build_engine(model, tmp_path / "m.engine", settings=asked, timing_cache=tmp_path / "times")
    built = header(tmp_path / "m.engine")
    assert built["flags"] == ["GPU_FALLBACK", "REFIT", "STRIP_PLAN", "VERSION_COMPATIBLE"]
    values = built["values"]
    assert values["pool WORKSPACE"] == str(1 << 28)
    assert values["builder_optimization_level"] == "4" and values["DLA_core"] == "1"
    assert "hardware_compatibility_level" in values and "profiling_verbosity" in values
    assert (record.version_compatible, record.hardware_compatible) == (True, True)
    assert (tmp_path / "times").read_bytes() == b"times"


def test_a_timing_cache_of_another_gpu_is_begun_anew(gpu: Driver, model: Path, tmp_path: Path) -> None:
    (tmp_path / "times").write_bytes(b"another GPU's")
    build_engine(model, tmp_path / "m.engine", timing_cache=tmp_path / "times")
    assert (tmp_path / "times").read_bytes() == b"times"


def test_progress_is_told(gpu: Driver, model: Path, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []
    build_engine(model, tmp_path / "m.engine", progress=lambda *step: seen.append(step))
    assert seen == [("Building", 0, 2), ("Building", 1, 2), ("Building", 2, 2)]


@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("kind", [KeyboardInterrupt, ValueError])
def test_an_interrupted_build_leaves_nothing(
    kind: type[BaseException], at: int, gpu: Driver, model: Path, tmp_path: Path
) -> None:
    """Whichever step of a phase it comes in: its start, a step, its end."""

    def interrupt(phase: str, done: int, steps: int) -> None:
        if done == at:
            raise kind

    with pytest.raises(kind):
        build_engine(model, tmp_path / "m.engine", progress=interrupt)
    assert not list(tmp_path.iterdir())


def test_a_dla_core_gets_fixed_shapes(gpu: Driver, cfg: Path, model: Path, tmp_path: Path) -> None:
    """It takes no range: what has one would run on the GPU, and nobody would know."""
    asked = Settings(precision="fp16", dla=0, sizes=((96, 64), (64, 64)))
    record = build_engine(model, tmp_path / "m.engine", settings=asked)
    assert record.profiles == (Profile(*[(1, 64, 96)] * 3), Profile(*[(1, 64, 64)] * 3))
    ours, images = TensorRtRuntime(tmp_path / "m.engine"), pictures(3, 96, 64, 3)
    assert_same(OnnxRuntime(model).infer(images), ours.infer(images), "fp16")
    ours.close()
    export_onnx(seeded(cfg), tmp_path / "two.onnx", batch=2)
    assert build_engine(tmp_path / "two.onnx", settings=Settings(precision="fp16", dla=0)).profiles[0].least[0] == 2


@pytest.fixture(scope="module")
def quantized(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector of four convolutions in int8."""
    folder = tmp_path_factory.mktemp("int8")
    inner = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
    (folder / "q.cfg").write_text(
        DETECTOR.replace("[convolutional]\nfilters=21", f"{inner}{inner}[convolutional]\nfilters=21")
    )
    export_onnx(seeded(folder / "q.cfg"), folder / "float.onnx", sizes=(32, 128))
    judged = Accuracy("agreement", 100, 100, 1, 1)
    quantize_onnx(folder / "float.onnx", folder / "q.onnx", [pictures(3, 96, 64)], lambda _: judged)
    return folder / "q.onnx"


@pytest.mark.parametrize(
    ("version", "precision"),
    [("8.6.1", "int8"), ("10.0.1", "int8"), ("11.4.0", "int8"), ("10.16.1", "fp8"), ("11.4.0", "fp8")],
)
def test_quantized_files_become_quantized_engines(
    version: str, precision: str, gpu: Driver, quantized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_version(monkeypatch, version)
    path = tmp_path / "m.engine"
    record = build_engine(quantized, path, precision=precision)  # type: ignore[arg-type]
    flags = header(path)["flags"]
    assert record.precision == precision
    assert flags == (["FP16", "INT8", "PREFER_PRECISION_CONSTRAINTS"] if version == "8.6.1" else [])
    ours, images = TensorRtRuntime(path), pictures(3, 96, 64)
    expected, found = OnnxRuntime(quantized.with_name("float.onnx")).infer(images), ours.infer(images)
    ours.close()
    for name in ("boxes", "objectness", "classes"):
        assert 0 < np.abs(found[name] - expected[name]).mean() < 0.05 * np.abs(expected[name]).max(), name
    with pytest.raises(ExportError, match="is quantized; build it with precision int8 or fp8"):
        build_engine(quantized, path)


def test_version_8_has_no_fp8(gpu: Driver, quantized: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_version(monkeypatch, "8.6.1")
    with pytest.raises(ExportError, match="fp8 takes TensorRT 10 or later"):
        build_engine(quantized, tmp_path / "m.engine", precision="fp8")


def test_only_the_best_candidates_leave_the_gpu(gpu: Driver, model: Path, tmp_path: Path) -> None:
    build_engine(model, tmp_path / "m.engine", settings=Settings(candidates=10, batches=(2,)))
    ours, images = TensorRtRuntime(tmp_path / "m.engine"), pictures(3, 96, 64)
    expected, found = OnnxRuntime(model).infer(images), ours.infer(images, 0.3)
    assert found["boxes"].shape == (2, 10, 4) and expected["boxes"].shape == (2, 72, 4)
    for row in range(2):
        order = np.argsort(-expected["objectness"][row], kind="stable")
        for name in ("objectness", "boxes", "classes"):
            np.testing.assert_allclose(found[name][row], expected[name][row][order[:10]], atol=1e-5)
        assert found["dropped"][row] == (expected["objectness"][row] > 0.3).sum() - min(
            10, (expected["objectness"][row] > 0.3).sum()
        )
    assert found["dropped"].max() > 0
    ours.close()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sizes": ((96, 72),)}, "small: takes sides from 32 to 128 in steps of 16, found 96 x 72"),
        ({"batches": (0,)}, "expected batches of 1 to 1024 pictures, found 0"),
        ({"batches": ()}, "found none"),
        ({"precision": "int8"}, "is not quantized; export it with --precision int8"),
        ({"precision": "int4"}, "tensorrt runs in fp32, fp16, int8, fp8, not in int4"),
        ({"level": 9}, "level: expected a whole number from 0 to 5, found 9"),
        ({"dla": 0}, "dla: a DLA core computes in fp16"),
        ({"dla": 0, "precision": "fp16", "any_size": True}, "dla: a DLA core takes fixed sizes only"),
        ({"dla": 0, "precision": "fp16", "batches": (1, 4)}, "small: a DLA core takes no range of batches, found 1, 4"),
        ({"candidates": 4000}, "candidates: expected a whole number from 0 to 3840, found 4000"),
        ({"outputs": ("no such",)}, "there is no tensor 'no such'"),
    ],
)
def test_what_cannot_be_built_is_told(
    settings: dict[str, Any], message: str, gpu: Driver, model: Path, tmp_path: Path
) -> None:
    with pytest.raises((ExportError, OptionError), match=message) as caught:
        build_engine(model, tmp_path / "m.engine", settings=Settings(**settings))
    assert "\n" not in str(caught.value) and not list(tmp_path.iterdir())


def test_suppression_inside_is_refused(gpu: Driver, cfg: Path, tmp_path: Path) -> None:
    export_onnx(seeded(cfg), tmp_path / "m.onnx", outputs="detections")
    with pytest.raises(ExportError, match=r"has the suppression inside.* export it with --outputs boxes"):
        build_engine(tmp_path / "m.onnx")


def test_stripped_engines_take_a_later_version(
    gpu: Driver, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_version(monkeypatch, "8.6.1")
    with pytest.raises(ExportError, match="stripped: takes TensorRT 10 or later"):
        build_engine(model, tmp_path / "m.engine", settings=Settings(stripped=True))


# --------------------------------------------------------------------------------------------------- running


def test_sizes_and_batches(runtime: TensorRtRuntime, model: Path) -> None:
    """More pictures than a profile takes go through in parts, which overlap; the second run is a recorded graph."""
    reference = OnnxRuntime(model)
    for width, height, count in ((96, 64, 1), (64, 64, 3), (96, 64, 8), (96, 64, 29), (64, 64, 9)):
        images = pictures(3, width, height, count)
        expected = reference.infer(images)
        for _ in range(4):
            assert_same(expected, runtime.infer(images))


def test_threads_get_what_one_gets(engine: Path, gpu: Driver) -> None:
    runtime = TensorRtRuntime(engine, contexts=3)
    work = [pictures(3, 32 * (2 + number % 2), 64, 1 + number % 9) * (number + 1) / 9 for number in range(12)]
    alone = [runtime.infer(images) for images in work]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(runtime.infer, work))
        settled = gpu.left()
        for _ in range(5):
            for expected, found in zip(alone, pool.map(runtime.infer, work), strict=True):
                assert_same(expected, found)
    assert settled.streams <= 3
    assert gpu.left().memory <= settled.memory + 12 and gpu.left().streams <= 3
    runtime.close()


def test_graphs_can_be_left_out(engine: Path, gpu: Driver) -> None:
    runtime, images = TensorRtRuntime(engine, graphs=False), pictures(3, 96, 64)
    expected = runtime.infer(images)
    assert_same(expected, runtime.infer(images))
    assert gpu.left().graphs == 0
    runtime.close()


def test_the_second_run_is_recorded(runtime: TensorRtRuntime, gpu: Driver) -> None:
    for expected in (0, 1, 1):
        runtime.infer(pictures(3, 96, 64, 1))
        assert gpu.left().graphs == expected


def test_pixels_travel_as_bytes(gpu: Driver, cfg: Path, tmp_path: Path) -> None:
    export_onnx(seeded(cfg), tmp_path / "m.onnx", input="uint8")
    build_engine(tmp_path / "m.onnx", precision="fp16")
    ours, images = TensorRtRuntime(tmp_path / "m.engine"), pictures(3, 96, 64)
    with ours.execution(2) as execution:
        assert (execution.pixels.dtype, execution.pixels.shape) == (np.uint8, (2, 64, 96, 3))
    assert_same(OnnxRuntime(tmp_path / "m.onnx").infer(images), ours.infer(images), "fp16")
    ours.close()


def test_arrays_on_the_gpu_are_taken_as_they_are(runtime: TensorRtRuntime, model: Path) -> None:
    import torch

    images = pictures(3, 96, 64)
    expected = OnnxRuntime(model).infer(images)
    interface = DeviceArray(images.ctypes.data, images.shape, images.dtype, images)

    class ByDlpack:
        """torch's DLPack of memory that the simulated driver takes for its own."""

        def __init__(self, tensor: torch.Tensor) -> None:
            self.tensor = tensor

        def __dlpack__(self, stream: int) -> Any:
            return self.tensor.__dlpack__()

        def __dlpack_device__(self) -> tuple[int, int]:
            return 2, 0

    class Foreign:
        __cuda_array_interface__ = interface.__cuda_array_interface__ | {"stream": 1}

    without = {key: value for key, value in interface.__cuda_array_interface__.items() if key != "stream"}
    streamless = type("Streamless", (), {"__cuda_array_interface__": without})()

    class Both(ByDlpack):
        @property
        def __cuda_array_interface__(self) -> Any:
            raise AssertionError("torch's says nothing of streams")

    for given in (
        interface,
        Foreign(),
        streamless,
        Both(torch.from_numpy(images)),
        ByDlpack(torch.from_numpy(images)),
        ByDlpack(torch.from_numpy(images)[0:2]),
    ):
        with runtime.on_device(given) as outputs:
            for name in ("boxes", "objectness", "classes"):
                there = outputs[name]
                assert there.__cuda_array_interface__["data"] == (there.pointer, False)
                here = np.ctypeslib.as_array(
                    (np.ctypeslib.ctypes.c_float * (there.nbytes // 4)).from_address(there.pointer)
                )
                np.testing.assert_allclose(here.reshape(there.shape), expected[name], atol=1e-4)
    for wrong, message in (
        (ByDlpack(torch.from_numpy(images).permute(0, 1, 3, 2)), "C order"),
        (ByDlpack(torch.from_numpy(images).double()), "reads float32 images, found float64"),
        (ByDlpack(torch.from_numpy(images)[:, :, :32]), "C order"),
        (ByDlpack(torch.zeros(1, 1, 64, 96)), r"expected images \[any, 3, any, any\], found \[1, 1, 64, 96\]"),
        (ByDlpack(torch.zeros(1, 3, 32, 32)), "was not built for 32 x 32"),
        (ByDlpack(torch.zeros(1, 3, 96, 64, requires_grad=True)), r"images on the GPU: .*require.* grad"),
    ):
        with pytest.raises(BackendError, match=message), runtime.on_device(wrong):
            pass


def test_a_size_without_a_profile_names_those_there_are(runtime: TensorRtRuntime) -> None:
    with pytest.raises(
        BackendError, match=r"not built for 128 x 128, but for batch 1, height 64, width 96; .*--sizes 128"
    ):
        runtime.infer(pictures(3, 128, 128))
    with pytest.raises(BackendError, match="takes sides from 32 to 128"):
        runtime.infer(pictures(3, 256, 256))


def test_lack_of_gpu_memory_is_one_line_and_no_end(runtime: TensorRtRuntime, gpu: Driver) -> None:
    images = pictures(3, 96, 64, 1)
    expected = runtime.infer(images)
    gpu.limit(0)
    try:
        with pytest.raises(BackendError, match=r"not enough memory on the GPU for .* a smaller batch needs less"):
            runtime.infer(pictures(3, 64, 64, 5))
    finally:
        gpu.limit(1 << 20)
    assert_same(expected, runtime.infer(images))
    assert_same(runtime.infer(pictures(3, 64, 64, 5)), runtime.infer(pictures(3, 64, 64, 5)))


def test_everything_is_given_back(engine: Path, gpu: Driver) -> None:
    before = gpu.left()
    for _ in range(3):
        runtime = TensorRtRuntime(engine)
        runtime.infer(pictures(3, 96, 64, 20))
        assert gpu.left().contexts == before.contexts + 1
        runtime.close()
        runtime.close()  # once more does no harm
        with pytest.raises(BackendError, match="closed"):
            runtime.infer(pictures(3, 96, 64))
        assert gpu.left() == before
    runtime = TensorRtRuntime(engine)
    runtime.infer(pictures(3, 96, 64))
    del runtime  # forgotten instead of closed


@pytest.mark.parametrize("way", ["closed", "forgotten"])
def test_the_engine_goes_before_the_context(way: str, engine: Path, gpu: Driver) -> None:
    """Else its destruction touches a context that is no more, which ends the process on some drivers."""
    from tests.runtime.simulated.tensorrt import ALIVE

    runtime = TensorRtRuntime(engine)
    runtime.infer(pictures(3, 96, 64, 20))
    seen: list[tuple[int, int]] = []
    release = runtime.cuda.close
    runtime.cuda.close = lambda: (seen.append((len(ALIVE), gpu.left().contexts)), release())  # type: ignore[method-assign,assign,func-returns-value]
    assert len(ALIVE) == 1
    if way == "closed":
        runtime.close()
    del runtime
    assert seen == [(0, 1)]


def test_what_fails_half_way_is_given_back(
    runtime: TensorRtRuntime, gpu: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime.infer(pictures(3, 64, 64, 1))
    before, allocate, calls = gpu.left(), runtime.cuda.host_memory, iter(range(100))

    def host_memory(size: int) -> Any:
        if next(calls) == 2:
            raise BackendError("the third cannot be had")
        return allocate(size)

    monkeypatch.setattr(runtime.cuda, "host_memory", host_memory)
    with pytest.raises(BackendError, match="the third cannot be had"):
        runtime.infer(pictures(3, 96, 64, 1))
    assert gpu.left() == before
    runtime.infer(pictures(3, 96, 64, 1))


def test_idle_lanes_make_room(runtime: TensorRtRuntime, monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (96, 64):
        runtime.infer(pictures(3, width, 64, 1))
    allocate = runtime.cuda.device_memory

    def device_memory(size: int) -> Any:
        if len(runtime.pool._idle) > 1:
            raise no_memory(size)
        return allocate(size)

    monkeypatch.setattr(runtime.cuda, "device_memory", device_memory)
    runtime.infer(pictures(3, 96, 64, 5))
    assert len(runtime.pool._idle) == runtime.pool._made == 2


def test_what_the_cuda_package_raises_is_one_line(
    runtime: TensorRtRuntime, gpu: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = pictures(3, 96, 64, 20)
    expected = runtime.infer(images)
    with monkeypatch.context() as patch:
        patch.setattr(type(runtime.cuda), "errors", (ZeroDivisionError,))
        stream = type(runtime.pool._idle[0][1].stream)
        patch.setattr(stream, "synchronize", lambda self: 1 // 0)
        with pytest.raises(BackendError, match="CUDA: integer division"):
            runtime.infer(images)
        with pytest.raises(BackendError, match="CUDA: integer division"), runtime.execution() as execution:
            execution.finish()
        assert runtime.pool._made == len(runtime.pool._idle)
    assert_same(expected, runtime.infer(images))


def test_closing_while_a_thread_computes(engine: Path, gpu: Driver) -> None:
    runtime = TensorRtRuntime(engine)
    results: list[str] = []

    def work() -> None:
        try:
            for _ in range(200):
                runtime.infer(pictures(3, 96, 64, 1))
            results.append("done")
        except DarknetCompatError as error:
            results.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    while not runtime.pool._made:
        pass
    runtime.close()
    thread.join()
    assert "closed" in results[0]


def test_closing_between_coming_in_and_computing(engine: Path, gpu: Driver) -> None:
    """Who is inside when it is closed has the pool still, which says that it is closed."""
    runtime = TensorRtRuntime(engine)
    held = runtime._held
    held.cuda = type(
        "Late", (), {"errors": runtime.cuda.errors, "__exit__": lambda *_: None,
                     "__enter__": lambda _: setattr(held, "pool", None)}
    )()  # fmt: skip
    pool = held.pool
    with held.used() as given:
        assert given is pool
    held.cuda, held.pool = runtime.cuda, pool
    runtime.close()


# ------------------------------------------------------------------------------------------ files and machines


def test_an_engine_of_another_version_or_gpu_says_how_to_build_it_again(
    engine: Path, gpu: Driver, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_version(monkeypatch, "10.16.1")
    with pytest.raises(
        BackendError, match=r"built by TensorRT 11\.4\.0\.0, here is 10\.16\.1\.0; .*--rebuild.*small\.onnx"
    ):
        TensorRtRuntime(engine)
    use_version(monkeypatch)
    document = json.loads(record_path(engine).read_text())
    record_path(engine).write_text(json.dumps(document | {"gpu": "Other", "capability": [8, 6]}))
    with pytest.raises(
        BackendError, match=r"built for Other \(compute capability 8\.6\), here is Simulated GPU \(.*9\.0\)"
    ):
        TensorRtRuntime(engine)


def test_compatible_engines_run_elsewhere(
    gpu: Driver, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_version(monkeypatch, "11.0.0")
    build_engine(model, tmp_path / "m.engine", settings=Settings(version_compatible=True))
    use_version(monkeypatch, "11.4.0")
    TensorRtRuntime(tmp_path / "m.engine").close()
    use_version(monkeypatch, "10.16.1")
    with pytest.raises(BackendError, match="built by TensorRT 11"):
        TensorRtRuntime(tmp_path / "m.engine")
    record = dataclasses.replace(read_record(tmp_path / "m.engine"), hardware_compatible=True, capability=(8, 6))
    assert record.mismatch("11.4.0", "newer", (12, 0)) is None
    assert "compute capability 7.5" in str(record.mismatch("11.4.0", "older", (7, 5)))


def test_damaged_and_foreign_engines_are_told(engine: Path, gpu: Driver) -> None:
    record, plan = record_path(engine).read_text(), engine.read_bytes()

    def message() -> str:
        with pytest.raises(BackendError) as caught:
            TensorRtRuntime(engine)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    engine.write_bytes(plan[:-1])
    assert "its .json says" in message()
    engine.write_bytes(plan[:-1] + b"x")
    assert "is not the engine that its .json was written for" in message()
    engine.write_bytes(plan)
    record_path(engine).write_text(record.replace('"format": 1', '"format": 9', 1))
    assert "is of format 9" in message()
    for text, expected in (
        ("{", "found damaged JSON"),
        ("[]", "misstates"),
        ('{"format": 1}', "lacks"),
        ("null", "misstates"),
    ):
        record_path(engine).write_text(text)
        assert expected in message()
    record_path(engine).write_text(json.dumps(json.loads(record) | {"profiles": []}))
    assert "profiles" in message()
    record_path(engine).unlink()
    assert "there is no small.engine.json beside it" in message()
    engine.unlink()
    assert "no such engine" in message()


def test_refitting_gives_the_other_weights(gpu: Driver, cfg: Path, model: Path, tmp_path: Path) -> None:
    network = load_network(cfg)
    seed_weights(network, 5)
    export_onnx(network.eval(), tmp_path / "later.onnx", sizes=(32, 128))
    images = pictures(3, 96, 64)
    for stripped in (False, True):
        path = tmp_path / "m.engine"
        build_engine(model, path, settings=Settings(precision="fp16", refittable=True, stripped=stripped))
        record = refit_engine(path, tmp_path / "later.onnx")
        assert record.onnx == "later.onnx" and record == read_record(path)
        ours = TensorRtRuntime(path)
        assert_same(OnnxRuntime(tmp_path / "later.onnx").infer(images), ours.infer(images), "fp16")
        ours.close()
        refit_engine(path, model, tmp_path / "back.engine")  # and once more
        back = TensorRtRuntime(tmp_path / "back.engine")
        assert_same(OnnxRuntime(model).infer(images), back.infer(images), "fp16")
        back.close()


def test_refitting_on_version_8_goes_by_name(
    gpu: Driver, cfg: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_version(monkeypatch, "8.6.1")
    build_engine(model, tmp_path / "m.engine", settings=Settings(refittable=True))
    network = load_network(cfg)
    seed_weights(network, 5)
    export_onnx(network.eval(), tmp_path / "later.onnx", sizes=(32, 128))
    refit_engine(tmp_path / "m.engine", tmp_path / "later.onnx")
    ours, images = TensorRtRuntime(tmp_path / "m.engine"), pictures(3, 96, 64)
    assert_same(OnnxRuntime(tmp_path / "later.onnx").infer(images), ours.infer(images))
    ours.close()


@pytest.mark.parametrize("version", ["8.6.1", "10.0.1"])
def test_refitting_refuses_where_a_trained_value_has_no_name(
    gpu: Driver, quantized: Path, tmp_path: Path, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The parser of 8.6, and of the early 10.x, does not name the bias of a convolution whose kernel is dequantized:
    refitting would leave the old one in its place."""
    trt = use_version(monkeypatch, version)
    build_engine(quantized, tmp_path / "m.engine", settings=Settings(precision="int8", refittable=True))
    plan = (tmp_path / "m.engine").read_bytes()
    if version != "8.6.1":
        refit_engine(tmp_path / "m.engine", quantized, tmp_path / "all.engine")
        named = trt.Refitter.get_all_weights
        monkeypatch.setattr(
            trt.Refitter, "get_all_weights", lambda self: [n for n in named(self) if not n.endswith("biases")]
        )
    with pytest.raises(
        ExportError, match=r"/biases and \d more cannot be exchanged and would stay as before"
    ) as caught:
        refit_engine(tmp_path / "m.engine", quantized)
    assert "\n" not in str(caught.value) and version in str(caught.value)
    assert (tmp_path / "m.engine").read_bytes() == plan


def test_the_reason_is_not_what_was_logged_before(
    gpu: Driver, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trt = use_version(monkeypatch)
    parse = trt.OnnxParser.parse

    def noisy(self: Any, content: bytes) -> bool:
        self._network._logger.log("ERROR", "cudaError 35")
        return bool(parse(self, content))

    def fail(self: Any, network: Any, config: Any) -> None:
        self._logger.log("ERROR", "no kernel for 3 convolutional/Conv")
        self._logger.log("ERROR", "what follows from it")

    make_network = trt.Builder.create_network

    def create(self: Any, flags: int) -> Any:
        network = make_network(self, flags)
        network._logger = self._logger
        return network

    monkeypatch.setattr(trt.Builder, "create_network", create)
    monkeypatch.setattr(trt.OnnxParser, "parse", noisy)
    monkeypatch.setattr(trt.Builder, "build_serialized_network", fail)
    with pytest.raises(ExportError, match=r"TensorRT cannot build it: no kernel for 3 convolutional/Conv$"):
        build_engine(model, tmp_path / "m.engine")


def test_refitting_refuses_what_does_not_fit(engine: Path, gpu: Driver, model: Path, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="was not built refittable"):
        refit_engine(engine, model)
    other = tmp_path / "other.cfg"
    other.write_text(DETECTOR.replace("filters=8", "filters=9"))
    export_onnx(seeded(other), tmp_path / "other.onnx", sizes=(32, 128))
    build_engine(model, tmp_path / "m.engine", settings=Settings(refittable=True))
    plan = read_plan(tmp_path / "m.engine", read_record(tmp_path / "m.engine"))
    with pytest.raises(ExportError, match="its weights do not fit"):
        refit_engine(tmp_path / "m.engine", tmp_path / "other.onnx")
    assert (tmp_path / "m.engine").read_bytes() == plan


def test_packages_that_cannot_be_loaded_are_named(gpu: Driver, monkeypatch: pytest.MonkeyPatch) -> None:
    from darknet_compat.nvidia import open_cuda as module

    monkeypatch.setitem(sys.modules, "darknet_compat.nvidia.cuda_bindings", None)
    monkeypatch.setitem(sys.modules, "darknet_compat.nvidia.cuda_pycuda", None)
    with pytest.raises(BackendError, match=r"cuda\.bindings cannot be loaded: import of .* halted"):
        open_cuda()
    monkeypatch.setattr(module, "_installed", lambda package: False)
    for extra in ("tensorrt", "tensorrt-rtx"):
        said = rf"neither pycuda nor cuda-bindings is installed: pip install 'darknet-compat\[{extra}\]'$"
        with pytest.raises(BackendError, match=said):
            open_cuda(0, extra)


def test_the_primary_context_is_entered_and_left(gpu: Driver) -> None:
    cuda = open_cuda()
    with cuda, cuda:
        assert gpu.library.sim_depth() >= 1
        assert cuda.memory_in_use() == 0
        memory = cuda.device_memory(100)
        assert cuda.memory_in_use() == 100
        memory.free()
    assert gpu.library.sim_depth() == 0
    cuda.close()
    with pytest.raises(BackendError, match="closed"), cuda:
        pass
