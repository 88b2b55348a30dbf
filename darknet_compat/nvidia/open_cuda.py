"""Which of the two packages serves CUDA here: PyCUDA if that is installed, else NVIDIA's cuda-bindings."""

from __future__ import annotations

from importlib.util import find_spec

from darknet_compat.errors import BackendError
from darknet_compat.formats.textfile import first_line
from darknet_compat.nvidia.cuda import Cuda


def open_cuda(number: int = 0, extra: str = "tensorrt") -> Cuda:
    """The device's primary context, by PyCUDA if that is installed, else by cuda-bindings.

    To be called once `find_gpu` has found the device. Raises BackendError where neither is installed and can be loaded;
    of our extras `extra` brings them then.
    """
    failed = []
    for package, make in (("pycuda", _pycuda), ("cuda.bindings", _cuda_bindings)):
        if _installed(package):
            try:
                return make(number)
            except (ImportError, OSError) as error:
                failed.append(f"{package} cannot be loaded: {first_line(error)}")
    if failed:
        raise BackendError("; ".join(failed))
    raise BackendError(f"neither pycuda nor cuda-bindings is installed: pip install 'darknet-compat[{extra}]'")


def _pycuda(number: int) -> Cuda:
    from darknet_compat.nvidia.cuda_pycuda import PyCuda

    return PyCuda(number)


def _cuda_bindings(number: int) -> Cuda:
    from darknet_compat.nvidia.cuda_bindings import CudaBindings

    return CudaBindings(number)


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):  # no package of the first part's name; one put out of reach
        return False
