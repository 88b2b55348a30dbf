"""ONNX Runtime, on the CPU."""

from __future__ import annotations

import re
import threading
from pathlib import Path
from typing import Any

import onnxruntime as ort

from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Array
from darknet_compat.formats.words import Mode, Precision
from darknet_compat.runtime.base import Use, too_large
from darknet_compat.runtime.exported import ExportedRuntime, expect_able, layout
from darknet_compat.runtime.optimized import open_int8, open_session


class OnnxRuntime(ExportedRuntime):
    """Runs an exported `.onnx` as it is. Safe to share between threads; `threads` is how many cores it uses (all).

    An int8 file is computed in integers (`export.quantize.fused`).

    Raises BackendError, one line, for what ONNX Runtime cannot load or run.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        precision: Precision = "fp32",
        size: tuple[int, int] | None = None,
        threads: int | None = None,
        mode: Mode = "latency",
    ) -> None:
        super().__init__(path, precision, size)
        expect_able(self.artefact, str(path), self.description.precision, "onnxruntime", ("fp32",))
        options = ort.SessionOptions()
        options.log_severity_level = 4  # what goes wrong comes back as an exception
        self.streams, options.intra_op_num_threads = layout(mode, threads)
        # Threads that wait for work do so asleep: where others want the processor too, spinning takes it from the one
        # that has work (first and later runs of a small network took 1.5 to 2 times as long on a busy machine).
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._free = threading.BoundedSemaphore(self.streams)
        try:
            providers = self._use_devices(options)
            int8 = self.artefact.precision == "int8" and providers == ["CPUExecutionProvider"]
            self.session: Any = (open_int8 if int8 else open_session)(Path(path), options, providers)
        except BackendError:
            raise
        except Exception as error:  # ONNX Runtime's exceptions have no base of their own
            raise BackendError(f"{path}: ONNX Runtime cannot load it: {reason_of(error)}") from None
        self.names = [output.name for output in self.session.get_outputs()]
        first = self.session.get_inputs()[0]
        self.input, self.halved = first.name, first.type == "tensor(float16)"

    def _use_devices(self, options: Any) -> list[str]:
        """Where the session is to run: providers by name, or none where `options` have been given some."""
        return ["CPUExecutionProvider"]

    def run(self, images: Array) -> dict[str, Array]:
        """See `ExportedRuntime.run`."""
        try:
            # No more at once than there are cores for: they would be no faster, and each takes memory of its own, so
            # that it would depend on chance how much there is of it.
            with self._free:
                return dict(zip(self.names, self.session.run(None, {self.input: images}), strict=True))
        except Exception as error:
            if "allocate memory" in str(error) and images.ndim == 4:
                raise too_large(self.path, images) from None
            raise BackendError(f"{self.path}: ONNX Runtime failed: {reason_of(error)}") from None


def open_model(model: Path, weights: Path | None, use: Use) -> OnnxRuntime:
    """See `runtime.registry.Row`."""
    return OnnxRuntime(model, precision=use.precision, size=use.size, threads=use.threads, mode=use.mode)


def reason_of(error: Exception) -> str:
    """What went wrong, without the place in ONNX Runtime's own sources."""
    lines = re.sub(r"/\S*onnxruntime_src/\S+ [^()]*\([^()]*\) ?", " ", str(error).strip()).splitlines()
    return lines[0] if lines else type(error).__name__
