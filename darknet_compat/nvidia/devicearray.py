"""Arrays on the GPU that belong to someone else, taken as they are: torch's, CuPy's, Numba's, JAX's.

By DLPack, whose capsule is read by ctypes, else by `__cuda_array_interface__`: torch's has no stream, so that whoever
goes by it reads what may not have been computed yet.
"""

from __future__ import annotations

import ctypes
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from darknet_compat.errors import BackendError
from darknet_compat.formats.textfile import first_line


@dataclass(frozen=True)
class DeviceArray:
    """An array in C order at `pointer` on the GPU; itself a `__cuda_array_interface__`, so that torch.as_tensor or
    cupy.asarray take it without a copy. `owner` keeps its memory alive."""

    pointer: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    owner: Any = field(default=None, repr=False, compare=False)

    @property
    def nbytes(self) -> int:
        """Its length in bytes."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {
            "shape": self.shape,
            "typestr": self.dtype.str,
            "data": (self.pointer, False),
            "strides": None,
            "version": 3,
            "stream": None,
        }


def on_device(array: Any) -> bool:
    """Whether this is an array on a GPU."""
    if hasattr(array, "__cuda_array_interface__"):
        return True
    kind = getattr(array, "__dlpack_device__", None)
    return kind is not None and not isinstance(array, np.ndarray) and kind()[0] == _CUDA


def device_array(array: Any, stream: int) -> DeviceArray:
    """See it as a DeviceArray; what is still being computed of it is waited for, by us or by `stream`.

    Raises BackendError for one that is not in C order, of a type that numpy has not, or that its owner does not hand
    out.
    """
    if isinstance(array, DeviceArray):
        return array
    if hasattr(array, "__dlpack__"):
        try:
            capsule = array.__dlpack__(stream=stream)
        except (BufferError, RuntimeError) as error:  # torch's, of a tensor that requires gradients
            raise BackendError(f"images on the GPU: {first_line(error)}") from None
        return _from_dlpack(capsule, array)
    given = array.__cuda_array_interface__
    shape, dtype = tuple(given["shape"]), np.dtype(given["typestr"])
    if "stream" not in given:  # before version 3: nobody says which it is
        _ask("cuCtxSynchronize")
    elif given["stream"] is not None:  # 1 and 2 are names of the default ones, which the driver knows too
        _ask("cuStreamSynchronize", ctypes.c_void_p(int(given["stream"])))
    _refuse_strides(given.get("strides"), shape, dtype)
    return DeviceArray(int(given["data"][0]), shape, dtype, array)


def _refuse_strides(strides: tuple[int, ...] | None, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if strides is None:
        return
    expected = dtype.itemsize
    for stride, side in zip(reversed(strides), reversed(shape), strict=True):
        if side != 1 and stride != expected:
            raise BackendError("images on the GPU: expected an array in C order; make it contiguous first")
        expected *= side


def _ask(function: str, *arguments: Any) -> None:
    """Have the driver wait for what is queued."""
    from darknet_compat.nvidia.driver import LIBRARY

    if code := getattr(ctypes.CDLL(LIBRARY), function)(*arguments):
        raise BackendError(f"images on the GPU: CUDA: {function} failed (error {code})")


# ----------------------------------------------------------------------------------------------------- DLPack

_CUDA = 2  # kDLCUDA
_KINDS = {0: "i", 1: "u", 2: "f"}  # kDLInt, kDLUInt, kDLFloat


class _DLTensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


def _from_dlpack(capsule: Any, owner: Any) -> DeviceArray:
    """The capsule is only looked into, and frees what it holds itself; `owner` is the array that it came from."""
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    tensor = _DLTensor.from_address(pointer(capsule, b"dltensor"))
    if tensor.code not in _KINDS or tensor.lanes != 1:
        raise BackendError("images on the GPU: expected numbers of a type that numpy has")
    dtype = np.dtype(f"{_KINDS[tensor.code]}{tensor.bits // 8}")
    shape = tuple(tensor.shape[axis] for axis in range(tensor.ndim))
    if tensor.strides:
        strides = tuple(tensor.strides[axis] * dtype.itemsize for axis in range(tensor.ndim))
        _refuse_strides(strides, shape, dtype)
    return DeviceArray(tensor.data + tensor.byte_offset, shape, dtype, (owner, capsule))
