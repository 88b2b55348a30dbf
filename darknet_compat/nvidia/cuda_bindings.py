"""`nvidia.cuda` by NVIDIA's cuda-bindings."""

from __future__ import annotations

import ctypes
import weakref
from typing import Any

import numpy as np
from cuda.bindings import driver

from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Bytes
from darknet_compat.nvidia.cuda import Stream, no_memory


class CudaBindings:
    """See `runtime.cuda.Cuda`."""

    name = "cuda-bindings"
    errors: tuple[type[Exception], ...] = ()  # its functions return them, and we raise BackendError

    def __init__(self, number: int) -> None:
        _ask(driver.cuInit(0))
        self._device: Any = _ask(driver.cuDeviceGet(number))
        self._context: Any = _ask(driver.cuDevicePrimaryCtxRetain(self._device))

    def __enter__(self) -> CudaBindings:
        if self._context is None:
            raise BackendError("the CUDA context is closed")
        _ask(driver.cuCtxPushCurrent(self._context))
        return self

    def __exit__(self, *_: object) -> None:
        _ask(driver.cuCtxPopCurrent())

    def stream(self) -> _Stream:
        """See `Cuda`."""
        return _Stream()

    def event(self) -> _Event:
        """See `Cuda`."""
        return _Event()

    def device_memory(self, size: int) -> _Memory:
        """See `Cuda`."""
        return _Memory(size)

    def host_memory(self, size: int) -> Bytes:
        """See `Cuda`."""
        pointer = int(_ask(driver.cuMemHostAlloc(max(size, 1), 0)))
        memory = (ctypes.c_uint8 * size).from_address(pointer)
        weakref.finalize(memory, _free_host, self, pointer)  # which the array and all its views hold on to
        array: Bytes = np.ctypeslib.as_array(memory)
        return array

    def upload(self, pointer: int, source: Bytes, stream: Stream) -> None:
        """See `Cuda`."""
        _ask(driver.cuMemcpyHtoDAsync(pointer, source.ctypes.data, source.nbytes, stream.handle))

    def download(self, target: Bytes, pointer: int, stream: Stream) -> None:
        """See `Cuda`."""
        _ask(driver.cuMemcpyDtoHAsync(target.ctypes.data, pointer, target.nbytes, stream.handle))

    def memory_in_use(self) -> int:
        """See `Cuda`."""
        free, total = _ask(driver.cuMemGetInfo())
        return int(total) - int(free)

    def close(self) -> None:
        """See `Cuda`."""
        if self._context is not None:
            self._context = None
            _ask(driver.cuDevicePrimaryCtxRelease(self._device))


def _free_host(cuda: CudaBindings, pointer: int) -> None:
    if cuda._context is not None:  # else it went with the context
        with cuda:
            _ask(driver.cuMemFreeHost(pointer))


class _Stream:
    def __init__(self) -> None:
        self._stream: Any = _ask(driver.cuStreamCreate(int(driver.CUstream_flags.CU_STREAM_NON_BLOCKING)))
        self.handle = int(self._stream)

    def synchronize(self) -> None:
        _ask(driver.cuStreamSynchronize(self._stream))

    def __del__(self) -> None:
        if hasattr(self, "_stream"):
            driver.cuStreamDestroy(self._stream)


class _Memory:
    def __init__(self, size: int) -> None:
        error, pointer = driver.cuMemAlloc(max(size, 1))
        if error == driver.CUresult.CUDA_ERROR_OUT_OF_MEMORY:
            raise no_memory(size)
        _ask((error,))
        self.pointer = int(pointer)

    def free(self) -> None:
        _ask(driver.cuMemFree(self.pointer))


class _Event:
    def __init__(self) -> None:
        self._event: Any = _ask(driver.cuEventCreate(0))

    def record(self, stream: Stream) -> None:
        _ask(driver.cuEventRecord(self._event, stream.handle))

    def milliseconds_since(self, start: Any) -> float:
        _ask(driver.cuEventSynchronize(start._event))
        _ask(driver.cuEventSynchronize(self._event))
        return float(_ask(driver.cuEventElapsedTime(start._event, self._event)))

    def __del__(self) -> None:
        if hasattr(self, "_event"):
            driver.cuEventDestroy(self._event)


def _ask(result: tuple[Any, ...]) -> Any:
    """A function's answer. Raises BackendError for one that failed."""
    error, *values = result
    if error != driver.CUresult.CUDA_SUCCESS:
        known, text = driver.cuGetErrorString(error)
        said = text.decode() if known == driver.CUresult.CUDA_SUCCESS and text else str(error)
        raise BackendError(f"CUDA: {said} (error {int(error)})")
    return values[0] if len(values) == 1 else tuple(values)
