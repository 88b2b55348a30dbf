"""The few things of CUDA that a runtime needs, and the two packages either of which does them.

PyCUDA, or NVIDIA's cuda-bindings where PyCUDA cannot be compiled; both on the device's *primary* context, the one that
torch and TensorRT use, and both by the driver's own functions, so that what one package makes the other would know.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, Protocol

from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Bytes
from darknet_compat.nvidia.driver import LIBRARY


class Stream(Protocol):
    """A queue of work on the GPU."""

    @property
    def handle(self) -> int:
        """CUDA's own pointer, as TensorRT takes it."""
        ...

    def synchronize(self) -> None:
        """Wait until all that was queued is done."""
        ...


class Memory(Protocol):
    """Memory on the GPU, from `pointer` on."""

    @property
    def pointer(self) -> int:
        """Its address on the GPU."""
        ...

    def free(self) -> None:
        """Give it back; nothing may use it any more."""
        ...


class Event(Protocol):
    """A moment on a stream."""

    def record(self, stream: Stream) -> None:
        """Record the event: it has passed once all that is queued by now is done."""
        ...

    def milliseconds_since(self, start: Event) -> float:
        """Waits for both."""
        ...


class Cuda(Protocol):
    """A device's primary context. All but `__enter__` and `close` is called between `__enter__` and `__exit__`, which
    make the context this thread's and put back the one that was; any thread may."""

    name: str
    errors: tuple[type[Exception], ...]
    """What the package raises of its own where CUDA fails."""

    def __enter__(self) -> Cuda: ...

    def __exit__(self, *_: object) -> None: ...

    def stream(self) -> Stream:
        """One that does not wait for the default stream, nor it for this."""
        ...

    def event(self) -> Event:
        """One that keeps the time."""
        ...

    def device_memory(self, size: int) -> Memory:
        """`size` bytes on the GPU."""
        ...

    def host_memory(self, size: int) -> Bytes:
        """`size` bytes, uint8 [size], here that the GPU reads and writes by itself (pinned); freed with the array."""
        ...

    def upload(self, pointer: int, source: Bytes, stream: Stream) -> None:
        """Queue a copy of all of `source`, uint8 [size], to the GPU."""
        ...

    def download(self, target: Bytes, pointer: int, stream: Stream) -> None:
        """Queue a copy from the GPU that fills `target`, uint8 [size]."""
        ...

    def memory_in_use(self) -> int:
        """How many bytes of the GPU's memory are taken, by whomever."""
        ...

    def close(self) -> None:
        """Release the context, once everything that was made in it is freed."""
        ...


class NoMemoryError(BackendError):
    """The GPU has not as much memory left as is needed."""


def no_memory(size: int) -> NoMemoryError:
    """What to say where the GPU has not this many bytes left."""
    return NoMemoryError(f"not enough memory on the GPU for {size:,} more bytes; a smaller batch needs less")


class CudaGraph:
    """Work that is recorded once and started as a whole, which takes the processor microseconds (a CUDA graph).

    By ctypes, since PyCUDA has no functions for it.
    """

    def __init__(self, stream: Stream, work: Callable[[], None]) -> None:
        """Record what `work` queues on `stream`, without doing it. Raises BackendError where that is not possible."""
        self._driver: Any = ctypes.CDLL(LIBRARY)
        handle, graph = ctypes.c_void_p(stream.handle), ctypes.c_void_p()
        self._started: ctypes.c_void_p | None = None
        self._ask("cuStreamBeginCapture_v2", handle, _THREAD_LOCAL)
        try:
            work()
        finally:
            code = self._driver.cuStreamEndCapture(handle, ctypes.byref(graph))
        if code:
            raise BackendError(f"CUDA: the work cannot be recorded (error {code})")
        started = ctypes.c_void_p()
        try:
            self._ask("cuGraphInstantiateWithFlags", ctypes.byref(started), graph, ctypes.c_ulonglong(0))
        finally:
            self._driver.cuGraphDestroy(graph)
        self._started = started

    def launch(self, stream: Stream) -> None:
        """Queue the recorded work."""
        self._ask("cuGraphLaunch", self._started, ctypes.c_void_p(stream.handle))

    def free(self) -> None:
        """Forget the work."""
        if self._started is not None:
            self._driver.cuGraphExecDestroy(self._started)
            self._started = None

    def _ask(self, function: str, *arguments: Any) -> None:
        if code := getattr(self._driver, function)(*arguments):
            raise BackendError(f"CUDA: {function} failed (error {code})")


_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads may allocate meanwhile
