"""Whether there is a GPU, asked of NVIDIA's driver by ctypes before anything that would crash without one.

Creating any object of TensorRT without a driver ends the process on some versions (8.6), and importing PyCUDA's
`autoinit` on others. So everything that is to use the GPU calls `find_gpu` first. It makes no context.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from darknet_compat.errors import BackendError

LIBRARY = "nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1"

_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


@dataclass(frozen=True)
class Gpu:
    """A GPU: its name, compute capability, memory in bytes, and the newest CUDA that its driver serves."""

    number: int
    name: str
    capability: tuple[int, int]
    memory: int
    cuda: str

    def __str__(self) -> str:
        return f"{self.name} (compute capability {self.capability[0]}.{self.capability[1]})"


def find_gpu(number: int = 0, what: str = "tensorrt") -> Gpu:
    """The GPU of this number, as CUDA counts them. Raises BackendError, one line, where there is none for `what`."""
    try:
        driver = ctypes.CDLL(LIBRARY)
    except OSError:
        raise BackendError(
            f"{what} needs an NVIDIA GPU: there is no driver here ({LIBRARY}); onnxruntime and openvino do without"
        ) from None
    if code := driver.cuInit(0):
        found = "the driver finds none" if code == _NO_DEVICE else f"the driver cannot start ({_named(driver, code)})"
        raise BackendError(f"{what} needs an NVIDIA GPU: {found}")
    count = ctypes.c_int()
    _ask(driver, "cuDeviceGetCount", ctypes.byref(count))
    if number >= count.value:
        raise BackendError(f"{what} needs an NVIDIA GPU: asked for number {number}, the driver finds {count.value}")
    device, name, memory, version = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_size_t(), ctypes.c_int()
    major, minor = ctypes.c_int(), ctypes.c_int()
    _ask(driver, "cuDeviceGet", ctypes.byref(device), number)
    _ask(driver, "cuDeviceGetName", name, len(name), device)
    _ask(driver, "cuDeviceTotalMem_v2", ctypes.byref(memory), device)
    _ask(driver, "cuDeviceGetAttribute", ctypes.byref(major), _MAJOR, device)
    _ask(driver, "cuDeviceGetAttribute", ctypes.byref(minor), _MINOR, device)
    _ask(driver, "cuDriverGetVersion", ctypes.byref(version))
    cuda = f"{version.value // 1000}.{version.value % 1000 // 10}"
    return Gpu(number, name.value.decode(errors="replace"), (major.value, minor.value), memory.value, cuda)


def expect_gpu(what: str) -> None:
    """Raise BackendError where there is no GPU for `what`."""
    find_gpu(what=what)


@contextmanager
def on_gpu(number: int) -> Iterator[None]:
    """Make the GPU's primary context this thread's inside the block: TensorRT builds for the one that is current.

    Raises BackendError where there is none.
    """
    driver, context, other = ctypes.CDLL(LIBRARY), ctypes.c_void_p(), ctypes.c_void_p()
    _ask(driver, "cuDevicePrimaryCtxRetain", ctypes.byref(context), number)
    try:
        _ask(driver, "cuCtxPushCurrent_v2", context)
        try:
            yield
        finally:
            driver.cuCtxPopCurrent_v2(ctypes.byref(other))
    finally:
        driver.cuDevicePrimaryCtxRelease_v2(number)


def _ask(driver: Any, function: str, *arguments: Any) -> None:
    if code := getattr(driver, function)(*arguments):
        raise BackendError(f"the NVIDIA driver fails: {function}: {_named(driver, code)}")


def _named(driver: Any, code: int) -> str:
    text = ctypes.c_char_p()
    driver.cuGetErrorString(code, ctypes.byref(text))
    return f"error {code}" + (f", {text.value.decode()}" if text.value else "")
