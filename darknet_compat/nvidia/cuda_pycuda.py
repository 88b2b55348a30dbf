"""`nvidia.cuda` by PyCUDA."""

from __future__ import annotations

import ctypes
import threading
from typing import Any

import numpy as np
import pycuda.driver as driver

from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Bytes
from darknet_compat.nvidia.cuda import Stream, no_memory
from darknet_compat.nvidia.driver import LIBRARY

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING, for which PyCUDA has no name


class PyCuda:
    """See `runtime.cuda.Cuda`."""

    name = "pycuda"
    errors: tuple[type[Exception], ...] = (driver.Error,)

    def __init__(self, number: int) -> None:
        driver.init()
        self._context: Any = driver.Device(number).retain_primary_context()
        self._number, self._thread = number, threading.get_ident()

    def __enter__(self) -> PyCuda:
        if self._context is None:
            raise BackendError("the CUDA context is closed")
        self._context.push()
        return self

    def __exit__(self, *_: object) -> None:
        # A context that stays on a thread's stack would end the process when that thread does.
        driver.Context.pop()

    def stream(self) -> Stream:
        """See `Cuda`."""
        stream: Stream = driver.Stream(_NON_BLOCKING)
        return stream

    def event(self) -> _Event:
        """See `Cuda`."""
        return _Event()

    def device_memory(self, size: int) -> _Memory:
        """See `Cuda`."""
        return _Memory(size)

    def host_memory(self, size: int) -> Bytes:
        """See `Cuda`."""
        array: Bytes = driver.pagelocked_empty(max(size, 1), np.uint8)[:size]
        return array

    def upload(self, pointer: int, source: Bytes, stream: Stream) -> None:
        """See `Cuda`."""
        driver.memcpy_htod_async(pointer, source, stream)

    def download(self, target: Bytes, pointer: int, stream: Stream) -> None:
        """See `Cuda`."""
        driver.memcpy_dtoh_async(target, pointer, stream)

    def memory_in_use(self) -> int:
        """See `Cuda`."""
        free, total = driver.mem_get_info()
        return int(total - free)

    def close(self) -> None:
        """See `Cuda`."""
        if self._context is None:
            return
        context, self._context = self._context, None
        context.detach()
        # Which leaves a primary context on this thread's stack, or in another thread than the first does nothing.
        library: Any = ctypes.CDLL(LIBRARY)
        if threading.get_ident() == self._thread:
            library.cuCtxPopCurrent_v2(ctypes.byref(ctypes.c_void_p()))
        else:
            library.cuDevicePrimaryCtxRelease_v2(ctypes.c_int(self._number))


class _Memory:
    def __init__(self, size: int) -> None:
        try:
            self._allocation: Any = driver.mem_alloc(max(size, 1))
        except driver.MemoryError:
            raise no_memory(size) from None
        self.pointer = int(self._allocation)

    def free(self) -> None:
        self._allocation.free()


class _Event:
    def __init__(self) -> None:
        self._event: Any = driver.Event()

    def record(self, stream: Stream) -> None:
        self._event.record(stream)

    def milliseconds_since(self, start: Any) -> float:
        start._event.synchronize()
        self._event.synchronize()
        return float(self._event.time_since(start._event))
