"""OpenVINO, on the CPU."""

from __future__ import annotations

import queue
import threading
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov

from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Array
from darknet_compat.formats.words import Mode, Precision
from darknet_compat.runtime.base import Use
from darknet_compat.runtime.exported import ExportedRuntime, expect_able, layout

COMPILED = 8
"""For how many shapes of input the compiled model is kept."""


class OpenVinoRuntime(ExportedRuntime):
    """Runs an exported `.onnx`, compiled for each shape of input that comes, which is faster than once for all.

    Safe to share between threads; `threads` is how many cores it uses (default all). Raises BackendError,
    one line, for what OpenVINO cannot load or run.
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
        expect_able(self.artefact, str(path), self.description.precision, "openvino", ("fp32", "bf16"))
        self.streams, each = layout(mode, threads)
        self.config: dict[str, Any] = {
            # Of what the file does not have in int8; its own default is bf16 on processors that have it.
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
            "PERFORMANCE_HINT": mode.upper(),
            "NUM_STREAMS": self.streams,
            "INFERENCE_NUM_THREADS": self.streams * each,
        }
        self._core = ov.Core()
        self._lock = threading.Lock()
        self._free = threading.BoundedSemaphore(self.streams)  # more at once would wait, each with memory of its own
        self._compiled: OrderedDict[tuple[int, ...], _Compiled] = OrderedDict()
        try:
            self._model = self._core.read_model(str(path))
        except Exception as error:  # OpenVINO raises RuntimeError and its own kinds of it
            raise BackendError(f"{path}: OpenVINO cannot load it: {_reason(error)}") from None
        if self.description.precision == "int8":
            _round_before_joining(self._model)
        self.halved = self._model.inputs[0].element_type == ov.Type.f16
        # As the file has them: compiling takes nodes out, whose names the outputs then have as well.
        self._names = [min(output.names) for output in self._model.outputs]

    def run(self, images: Array) -> dict[str, Array]:
        """See `ExportedRuntime.run`."""
        try:
            compiled = self._for(images.shape)
            with self._free:
                return compiled.run(images)
        except Exception as error:
            raise BackendError(f"{self.path}: OpenVINO failed: {_reason(error)}") from None

    def _for(self, shape: tuple[int, ...]) -> _Compiled:
        with self._lock:
            compiled = self._compiled.get(shape)
            if compiled is None:
                self._model.reshape(list(shape))
                compiled = _Compiled(self._core.compile_model(self._model, "CPU", self.config), self._names)
                self._compiled[shape] = compiled
                if len(self._compiled) > COMPILED:
                    self._compiled.popitem(last=False)
            self._compiled.move_to_end(shape)
            return compiled


def _round_before_joining(model: Any) -> None:
    """Round what a [route] joins before it is joined instead of after, in place, which gives the very same numbers.

    OpenVINO 2026.4 rounds behind a Concat in steps of twice the size (findings/openvino-int8-concat.sh).
    """
    from openvino import opset13

    rounding = [op for op in model.get_ordered_ops() if op.get_type_name() == "FakeQuantize"]
    while rounding:
        after = rounding.pop()
        join, readers = after.input_value(0).get_node(), [to.get_node() for to in after.output(0).get_target_inputs()]
        if join.get_type_name() != "Concat" or [node.get_type_name() for node in readers] != ["Convert"]:
            continue
        limits, levels = [after.input_value(number) for number in range(1, 5)], after.get_attributes()["levels"]
        kind, axis = readers[0].get_output_element_type(0), join.get_attributes()["axis"]
        before = [opset13.fake_quantize(part, *limits, levels) for part in join.input_values()]
        rounding += before  # of which some may be joined themselves
        whole = opset13.concat([opset13.convert(part, kind) for part in before], axis)
        for to in readers[0].output(0).get_target_inputs():
            to.replace_source_output(whole.output(0))


def open_model(model: Path, weights: Path | None, use: Use) -> OpenVinoRuntime:
    """See `runtime.registry.Row`."""
    return OpenVinoRuntime(model, precision=use.precision, size=use.size, threads=use.threads, mode=use.mode)


class _Compiled:
    """A model for one shape of input, with a request for each thread that is in it."""

    def __init__(self, model: Any, names: list[str]) -> None:
        self.model, self.names = model, names
        self.idle: queue.SimpleQueue[Any] = queue.SimpleQueue()

    def run(self, images: Array) -> dict[str, Array]:
        try:
            request = self.idle.get_nowait()
        except queue.Empty:
            request = self.model.create_infer_request()
        request.infer([np.ascontiguousarray(images)], share_inputs=True)
        outputs = {name: request.get_output_tensor(i).data.copy() for i, name in enumerate(self.names)}
        self.idle.put(request)
        return outputs


def _reason(error: Exception) -> str:
    """The last line that says something; OpenVINO's first ones name its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
