"""ONNX Runtime on an NVIDIA GPU, by the plug-in with TensorRT-RTX in it.

The plug-in is a package of its own beside the ordinary onnxruntime, which knows nothing of GPUs. It compiles the graph
for the GPU when a session is made.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import onnxruntime as ort

from darknet_compat.errors import BackendError
from darknet_compat.formats.words import Precision, WidthHeight
from darknet_compat.nvidia.driver import find_gpu
from darknet_compat.runtime.base import Use
from darknet_compat.runtime.onnxruntime import OnnxRuntime, reason_of

_registered = threading.Lock()


class OnnxRuntimeRtx(OnnxRuntime):
    """Runs an exported `.onnx` on a GPU, by its `number`; what the plug-in does not take runs on the processor.

    Safe to share between threads. Raises BackendError, one line, where the plug-in or a GPU is missing.
    """

    def __init__(
        self, path: str | Path, *, precision: Precision = "fp32", size: WidthHeight | None = None, number: int = 0
    ) -> None:
        find_gpu(number, "onnxruntime-rtx")  # whose absence the plug-in tells in the linker's words
        self.number = number
        super().__init__(path, precision=precision, size=size)

    def _use_devices(self, options: Any) -> list[str]:
        """See `OnnxRuntime._use_devices`."""
        devices = _devices()
        if self.number >= len(devices):
            raise BackendError(f"onnxruntime-rtx: asked for GPU {self.number}, TensorRT-RTX takes {len(devices)} here")
        options.add_provider_for_devices([devices[self.number]], {})
        return []


def _devices() -> list[Any]:
    """The GPUs that the plug-in takes; it is registered once in a process."""
    import onnxruntime_ep_nv_tensorrt_rtx as plugin

    name = plugin.get_ep_name()
    with _registered:
        found = [device for device in ort.get_ep_devices() if device.ep_name == name]
        if found:
            return found
        try:
            ort.register_execution_provider_library(name, plugin.get_library_path())
        except Exception as error:  # ONNX Runtime's exceptions have no base of their own
            raise BackendError(f"onnxruntime-rtx: its plug-in cannot be loaded: {reason_of(error)}") from None
        return [device for device in ort.get_ep_devices() if device.ep_name == name]


def open_model(model: Path, weights: Path | None, use: Use) -> OnnxRuntimeRtx:
    """See `runtime.registry.Row`."""
    return OnnxRuntimeRtx(model, precision=use.precision, size=use.size, number=use.gpu)
