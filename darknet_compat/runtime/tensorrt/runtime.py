"""TensorRT, on an NVIDIA GPU."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.errors import BackendError
from darknet_compat.export.tensorrt.profiles import input_shape
from darknet_compat.formats.arrays import Array
from darknet_compat.formats.exported.enginefile import EngineRecord, read_plan, read_record
from darknet_compat.nvidia.cuda import Cuda
from darknet_compat.nvidia.devicearray import DeviceArray, device_array
from darknet_compat.nvidia.driver import Gpu
from darknet_compat.nvidia.library import NAMES, forget, load_tensorrt, logger_of, reason
from darknet_compat.nvidia.open_cuda import open_cuda
from darknet_compat.runtime.base import expect_not_forked
from darknet_compat.runtime.exported import ExportedRuntime
from darknet_compat.runtime.tensorrt.execution import Execution, OpenedEngine, Pool, Tensor

CONTEXTS = 8
"""How many execution contexts an engine has at most. Each has memory of its own; a further thread waits."""


class TensorRtRuntime(ExportedRuntime):
    """Runs an `.engine` that `export.engine` built.

    Safe to share between threads, each of which gets an execution context from a pool of `contexts`. `graphs`: start
    work as recorded CUDA graphs. `gpu`: its number. Beside it torch may use the same GPU: the context is the device's
    primary one. Give it back with `close`, or leave that to the end of the program.

    Raises BackendError, one line, where there is no GPU or no TensorRT, or where the engine is of another one.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        size: tuple[int, int] | None = None,
        gpu: int = 0,
        contexts: int = CONTEXTS,
        graphs: bool = True,
    ) -> None:
        self.record = read_record(path)
        super().__init__(path, self.record.precision, size, self.record.artefact)  # type: ignore[arg-type]
        trt, self.gpu = load_tensorrt(gpu, self.record.target)  # type: ignore[arg-type]
        refuse_other_machines(path, self.record, str(trt.__version__), self.gpu)
        plan = read_plan(path, self.record)
        self.cuda: Cuda = open_cuda(gpu, NAMES[self.record.target])  # type: ignore[index]
        self._held = _Held(self.cuda, str(path))
        # At the program's end too, while the modules that this needs are still whole.
        self.close = weakref.finalize(self, self._held.close)
        with self.cuda:
            opened = _open(trt, plan, self.record, self.cuda, str(path))
            self._held.pool = Pool(opened, contexts, graphs=graphs)

    @property
    def pool(self) -> Pool:
        """The pool of executions of the engine. Raises BackendError once it is closed."""
        if self._held.pool is None:
            raise BackendError(f"{self.path}: is closed")
        return self._held.pool

    @property
    def opened(self) -> OpenedEngine:
        """The engine. Only to be held while it is used: it has to go before the CUDA context does."""
        return self.pool.opened

    def run(self, images: Array) -> dict[str, Array]:
        """See `ExportedRuntime.run`. More pictures than a profile takes go through in turn, one part's copies while the
        other part computes."""
        most = self._most(self._sides(images.shape))
        parts = [images[start : start + most] for start in range(0, len(images), most)]
        found: list[dict[str, Array]] = []
        under_way: list[tuple[int, Execution]] = []

        def finish(pool: Pool) -> None:
            found.append(under_way[0][1].finish())
            pool.give(*under_way.pop(0))

        with self._held.used() as pool:
            try:
                for part in parts:
                    profile = self._profile(part.shape)
                    execution = pool.take(profile, part.shape, wait=not under_way)
                    if execution is None or len(under_way) > 1:
                        finish(pool)
                        execution = execution or pool.take(profile, part.shape)
                    assert execution is not None
                    under_way.append((profile, execution))
                    execution.start(part)
                while under_way:
                    finish(pool)
            except BaseException:
                for _, execution in under_way:
                    pool.drop(execution)
                raise
        if len(found) == 1:
            return found[0]
        return {name: np.concatenate([part[name] for part in found]) for name in found[0]}

    @contextmanager
    def on_device(self, images: Any) -> Iterator[dict[str, DeviceArray]]:
        """Run on `images` that lie on the GPU, in the graph's own form, without copying them.

        The outputs lie there too, and are valid inside the block.

        Takes anything with `__cuda_array_interface__` or DLPack, in C order. Raises BackendError for another type or
        shape than the engine's input.
        """
        with self._held.used() as pool:
            waiting = self.cuda.stream()
            given = device_array(images, waiting.handle)
            waiting.synchronize()
            del waiting
            (wanted,) = (tensor.dtype for tensor in pool.opened.tensors if tensor.is_input)
            if given.dtype != wanted:
                raise BackendError(f"{self.path}: reads {wanted} images, found {given.dtype}")
            with pool.lent(self._profile(given.shape), given.shape) as execution:
                yield execution.compute(given)

    @contextmanager
    def execution(self, batch: int = 1, size: tuple[int, int] | None = None) -> Iterator[Execution]:
        """One way through the engine inside the block, for measuring: `batch` pictures of `size` (width, height)."""
        width, height = size or (self.description.width, self.description.height)
        shape = input_shape(self.artefact, (batch, height, width))
        with self._held.used() as pool, pool.lent(self._profile(shape), shape) as execution:
            yield execution

    def _sides(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width in the shape of an input."""
        expected = input_shape(self.artefact, (-1, -1, -1))
        if len(shape) != 4 or any(wanted not in (-1, side) for wanted, side in zip(expected, shape, strict=True)):
            raise BackendError(f"{self.path}: expected images {_form(expected)}, found {_form(shape)}")
        return (shape[1], shape[2]) if self.artefact.input == "uint8" else (shape[2], shape[3])

    def _profile(self, shape: tuple[int, ...]) -> int:
        """The first profile for this shape: those of one size come before that of any size."""
        height, width = self._sides(shape)
        for number, profile in enumerate(self.record.profiles):
            if profile.takes(shape[0], height, width):
                return number
        raise self._refusal(height, width, shape[0])

    def _most(self, sides: tuple[int, int]) -> int:
        """How many pictures of this height and width go through at once."""
        height, width = sides
        fitting = [p.most[0] for p in self.record.profiles if p.takes(p.most[0], height, width)]
        if not fitting:
            raise self._refusal(height, width)
        return max(fitting)

    def _refusal(self, height: int, width: int, batch: int | None = None) -> BackendError:
        found = f"{width} x {height}" + (f", {batch} at once" if batch else "")
        known = "; ".join(dict.fromkeys(str(profile) for profile in self.record.profiles))
        return BackendError(f"{self.path}: was not built for {found}, but for {known}; build it with --sizes {width}")


_PATIENCE = 10.0
"""For how many seconds closing waits for threads that are computing."""


class _Held:
    """What has to be given back, in this order: contexts and memory, the engine, the CUDA context. Nobody else holds
    the pool, which holds the engine, but while using it."""

    def __init__(self, cuda: Cuda, where: str) -> None:
        self.cuda, self.where = cuda, where
        self.pool: Pool | None = None
        self._process = os.getpid()
        self._users = 0
        self._change = threading.Condition()

    @contextmanager
    def used(self) -> Iterator[Pool]:
        """The pool, with the CUDA context entered; what CUDA's package raises becomes BackendError."""
        expect_not_forked(self._process, self.where)
        with self._change:
            if self.pool is None:
                raise BackendError(f"{self.where}: is closed")
            pool = self.pool  # `close` may take it from here on, and waits for who has it
            self._users += 1
        try:
            with self.cuda:
                yield pool
        except self.cuda.errors as error:
            raise BackendError(f"{self.where}: CUDA: {error}".splitlines()[0]) from None
        finally:
            del pool
            with self._change:
                self._users -= 1
                self._change.notify_all()

    def close(self) -> None:
        """Wait for running calls, refuse new ones, free everything; nothing in a forked process, which holds none."""
        if os.getpid() != self._process:
            return
        with self._change:
            pool, self.pool = self.pool, None
        if pool is not None:
            with self.cuda:
                pool.close()
            with self._change:
                if not self._change.wait_for(lambda: not self._users, _PATIENCE):
                    return  # threads that ended without giving back; the process's end frees it all
            with self.cuda:
                del pool  # and the engine with it
        self.cuda.close()


def refuse_other_machines(path: str | Path, record: EngineRecord, version: str, gpu: Gpu) -> None:
    """Raise BackendError for an engine of another GPU or version of TensorRT, saying how to build it again."""
    if problem := record.mismatch(version, gpu.name, gpu.capability):
        raise BackendError(
            f"{path}: {problem}; build it again with `darknet-compat engine {path} --rebuild` (from {record.onnx},"
            f" sha256 {record.onnx_sha256[:12]}…)"
        )


def _open(trt: Any, plan: bytes, record: EngineRecord, cuda: Cuda, where: str) -> OpenedEngine:
    logger = logger_of(trt)
    forget(logger)
    runtime = trt.Runtime(logger)
    if record.version_compatible:
        runtime.engine_host_code_allowed = True  # such an engine carries its own runtime
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise BackendError(f"{where}: TensorRT cannot load it: {reason(logger)}; build it again")
    names = [engine.get_tensor_name(number) for number in range(engine.num_io_tensors)]
    tensors = tuple(
        Tensor(
            name,
            np.dtype(trt.nptype(engine.get_tensor_dtype(name))),
            engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT,
        )
        for name in names
    )
    return OpenedEngine(trt, runtime, engine, logger, cuda, tensors, where)


def _form(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join("any" if side == -1 else str(side) for side in shape) + "]"
