"""One way through an engine: an execution context for one shape of input, with its own memory, stream and CUDA graph.

It serves one caller at a time; threads, and batches that overlap, each have their own, so that one's copies run while
another computes. That a context keeps its shape and its addresses for life is what makes its graph hold.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Array, Bytes
from darknet_compat.nvidia.cuda import Cuda, CudaGraph, Memory, NoMemoryError
from darknet_compat.nvidia.devicearray import DeviceArray
from darknet_compat.nvidia.library import reason


@dataclass(frozen=True)
class Tensor:
    """An input or output of an engine."""

    name: str
    dtype: np.dtype[Any]
    is_input: bool


@dataclass(frozen=True)
class OpenedEngine:
    """An engine that is ready to make contexts, and what they need."""

    trt: Any
    runtime: Any  # which has to outlive its engine
    engine: Any
    logger: Any
    cuda: Cuda
    tensors: tuple[Tensor, ...]
    where: str


class Execution:
    """See this module. To be made, used and freed while the CUDA context is entered."""

    def __init__(self, opened: OpenedEngine, profile: int, shape: tuple[int, ...], *, graphs: bool) -> None:
        self.opened, self.shape = opened, shape
        (self.input,) = (tensor for tensor in opened.tensors if tensor.is_input)
        self.context: Any = None
        self.shapes: dict[str, tuple[int, ...]] = {}
        self._memory: dict[str, Memory] = {}
        self._host: dict[str, Bytes] = {}
        self._graph: CudaGraph | None = None
        self._graphs = graphs
        self._runs = 0
        self.stream = opened.cuda.stream()
        try:
            self._prepare(profile)
        except BaseException:
            self.free()
            raise

    def _prepare(self, profile: int) -> None:
        """Make the context and the memory; what of it is there when something fails is `free`'s."""
        opened, trt = self.opened, self.opened.trt
        opened.logger.errors.clear()  # of those who went before
        context = self.context = _new_context(opened)
        if context is None:
            raise NoMemoryError(f"{opened.where}: no room for another execution context: {reason(opened.logger)}")
        try:
            taken = context.set_optimization_profile_async(profile, self.stream.handle)
        except RuntimeError:  # which is how the bindings say no
            taken = False
        if not taken:
            raise BackendError(f"{opened.where}: profile {profile} cannot be taken: {reason(opened.logger)}")
        self.stream.synchronize()
        # Else the context takes over from the engine, whose layers are told in detail, that each says when it runs.
        context.nvtx_verbosity = trt.ProfilingVerbosity.NONE
        if not context.set_input_shape(self.input.name, self.shape):
            raise BackendError(f"{opened.where}: does not take {_sides(self.shape)}: {reason(opened.logger)}")
        self.shapes = {tensor.name: tuple(context.get_tensor_shape(tensor.name)) for tensor in opened.tensors}
        if unknown := [name for name, sides in self.shapes.items() if min(sides, default=1) < 0]:
            raise BackendError(f"{opened.where}: the size of {unknown[0]} depends on the picture; build it from boxes")
        for tensor in opened.tensors:
            self._memory[tensor.name] = opened.cuda.device_memory(self.bytes_of(tensor))
            self._host[tensor.name] = opened.cuda.host_memory(self.bytes_of(tensor))
            context.set_tensor_address(tensor.name, self._memory[tensor.name].pointer)

    @property
    def _failures(self) -> tuple[type[Exception], ...]:
        """What is raised where CUDA fails."""
        return (BackendError, *self.opened.cuda.errors)

    def bytes_of(self, tensor: Tensor) -> int:
        """How many bytes a tensor has at this execution's shape."""
        return int(np.prod(self.shapes[tensor.name], dtype=np.int64)) * tensor.dtype.itemsize

    @property
    def pixels(self) -> Array:
        """The input's pinned memory, in its shape and type: what is written into it need not be copied again."""
        return self._view(self.input)

    def start(self, images: Array) -> None:
        """Queue everything for `images`, which are copied at once; `finish` waits for the answers."""
        if images is not self.pixels:
            np.copyto(self.pixels, images, casting="no")
        # The first run sets things up that a recording may not; the second is recorded, and started from then on.
        if self._graphs and self._graph is None and self._runs:
            self._record()
        self._runs += 1
        if self._graph is not None:
            self._graph.launch(self.stream)
        else:
            self.queue()

    def finish(self) -> dict[str, Array]:
        """The outputs [N, …] by name, once they are there."""
        self.stream.synchronize()
        return {tensor.name: self._view(tensor).copy() for tensor in self._outputs()}

    def compute(self, images: DeviceArray | None = None) -> dict[str, DeviceArray]:
        """Run on what is on the GPU already; the outputs there, which the next run overwrites."""
        if images is not None:
            self.context.set_tensor_address(self.input.name, images.pointer)
        try:
            self._execute()
            self.stream.synchronize()
        finally:
            self.context.set_tensor_address(self.input.name, self._memory[self.input.name].pointer)
        return {
            tensor.name: DeviceArray(self._memory[tensor.name].pointer, self.shapes[tensor.name], tensor.dtype, self)
            for tensor in self._outputs()
        }

    def launch_only(self) -> None:
        """Queue the computation alone, without any copies: for timing."""
        self._execute()

    def profile_layers(self, profiler: Any) -> None:
        """Run once, and have each layer's time reported to `profiler`."""
        self.context.profiler = profiler
        self.context.enqueue_emits_profile = True
        self._execute()
        self.stream.synchronize()

    def free(self) -> None:
        """Free everything, as far as a GPU on which something failed still takes that."""
        with suppress(*self._failures):
            self.stream.synchronize()
        if self._graph is not None:
            self._graph.free()
        self.context = None
        for memory in self._memory.values():
            with suppress(*self._failures):
                memory.free()
        self._memory.clear()
        self._host.clear()
        del self.stream, self.opened  # now, and not when a traceback that holds this execution goes

    def _record(self) -> None:
        self.stream.synchronize()
        try:
            self._graph = CudaGraph(self.stream, self.queue)
        except self._failures:  # some layers cannot be; they run as before
            self._graphs = False

    def queue(self) -> None:
        """Queue copies and computation one by one, as where there is no graph; for measuring too."""
        cuda = self.opened.cuda
        cuda.upload(self._memory[self.input.name].pointer, self._host[self.input.name], self.stream)
        self._execute()
        for tensor in self._outputs():
            cuda.download(self._host[tensor.name], self._memory[tensor.name].pointer, self.stream)

    def _execute(self) -> None:
        if not self.context.execute_async_v3(self.stream.handle):
            raise BackendError(f"{self.opened.where}: TensorRT failed: {reason(self.opened.logger)}")

    def _outputs(self) -> Iterator[Tensor]:
        return (tensor for tensor in self.opened.tensors if not tensor.is_input)

    def _view(self, tensor: Tensor) -> Array:
        return self._host[tensor.name].view(tensor.dtype).reshape(self.shapes[tensor.name])


def _new_context(opened: OpenedEngine) -> Any:
    """An execution context with scratch memory for the profile that it will take, and not, as by default, for the
    largest; versions before 10 know nothing else. None where there is no room."""
    trt, engine = opened.trt, opened.engine
    if not hasattr(trt, "ExecutionContextAllocationStrategy"):
        return engine.create_execution_context()
    return engine.create_execution_context(trt.ExecutionContextAllocationStrategy.ON_PROFILE_CHANGE)


class Pool:
    """The executions of an engine, lent to one caller at a time; never more than `limit` of them."""

    def __init__(self, opened: OpenedEngine, limit: int, *, graphs: bool) -> None:
        self.opened, self.limit, self.graphs = opened, limit, graphs
        self._idle: list[tuple[int, Execution]] = []  # with the profile of each; last used last
        self._made = 0
        self._change = threading.Condition()
        self._closed = False

    def take(self, profile: int, shape: tuple[int, ...], *, wait: bool = True) -> Execution | None:
        """An execution for this profile and shape; None where all are lent and the caller would not `wait`."""
        with self._change:
            while not self._closed:
                for number in range(len(self._idle) - 1, -1, -1):
                    if self._idle[number][0] == profile and self._idle[number][1].shape == shape:
                        return self._idle.pop(number)[1]
                if self._made < self.limit or self._idle:
                    return self._make(profile, shape)
                if not wait:
                    return None
                self._change.wait()
        raise BackendError(f"{self.opened.where}: is closed")

    def _make(self, profile: int, shape: tuple[int, ...]) -> Execution:
        """A new execution; idle ones make room for it, in number and in memory."""
        while True:
            if self._made >= self.limit:
                self._drop_oldest()
            try:
                execution = Execution(self.opened, profile, shape, graphs=self.graphs)
            except NoMemoryError:
                if not self._idle:
                    raise
                self._drop_oldest()
                continue
            self._made += 1
            return execution

    def _drop_oldest(self) -> None:
        self._idle.pop(0)[1].free()
        self._made -= 1

    def give(self, profile: int, execution: Execution) -> None:
        """Hand an execution back."""
        with self._change:
            if self._closed:
                execution.free()
                self._made -= 1
            else:
                self._idle.append((profile, execution))
            self._change.notify_all()

    def drop(self, execution: Execution) -> None:
        """Forget an execution on which something failed."""
        with self._change:
            self._made -= 1
            execution.free()
            self._change.notify_all()

    @contextmanager
    def lent(self, profile: int, shape: tuple[int, ...]) -> Iterator[Execution]:
        """An execution inside the block."""
        execution = self.take(profile, shape)
        assert execution is not None
        try:
            yield execution
        except BaseException:
            self.drop(execution)
            raise
        self.give(profile, execution)

    def close(self) -> None:
        """Free every execution, those that are lent once they come back; who waits for one hears that it is closed."""
        with self._change:
            self._closed = True
            while self._idle:
                self._drop_oldest()
            self._change.notify_all()


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
