"""What TensorRT made of a model: its layers, in which precision and by which kernels, how long each takes, how much
memory an execution context needs."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import Any

from darknet_compat.runtime.tensorrt.runtime import TensorRtRuntime


@dataclass(frozen=True)
class EngineLayer:
    """A layer of an engine, often several of the model's in one. `output`: type and layout of what it gives; `ms`: the
    mean time of a run, where that was measured."""

    name: str
    type: str
    output: str
    tactic: str
    ms: float | None = None


def engine_layers(running: TensorRtRuntime) -> list[EngineLayer]:
    """The engine's layers in order, as TensorRT's inspector tells them."""
    trt, engine = running.opened.trt, running.opened.engine
    with running.cuda:
        inspector = engine.create_engine_inspector()
        document = json.loads(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
    return [_layer(entry) for entry in document.get("Layers", [])]


def timed_layers(
    running: TensorRtRuntime, batch: int = 1, size: tuple[int, int] | None = None, runs: int = 10
) -> list[EngineLayer]:
    """The same with the mean time of each over `runs`. The sum is more than a run takes without being watched."""
    trt = running.opened.trt
    spent: dict[str, float] = {}

    class Profiler(trt.IProfiler):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProfiler.__init__(self)

        def report_layer_time(self, layer_name: str, ms: float) -> None:
            spent[layer_name] = spent.get(layer_name, 0.0) + ms

    with running.execution(batch, size) as execution:
        execution.start(execution.pixels)  # warms up
        execution.finish()
        profiler = Profiler()
        for _ in range(runs):
            execution.profile_layers(profiler)
        execution.context.profiler = None
    layers = engine_layers(running)
    known = {one.name for one in layers}
    extra = [EngineLayer(name, "", "", "") for name in spent if name not in known]
    return [dataclasses.replace(one, ms=spent[one.name] / runs) if one.name in spent else one for one in layers + extra]


def context_memory(running: TensorRtRuntime) -> list[int]:
    """Bytes of scratch memory that an execution context takes, for each profile."""
    engine = running.opened.engine
    count = len(running.record.profiles)
    with running.cuda:
        if hasattr(engine, "get_device_memory_size_for_profile_v2"):
            return [int(engine.get_device_memory_size_for_profile_v2(number)) for number in range(count)]
        return [int(engine.device_memory_size)] * count


def _layer(entry: Any) -> EngineLayer:
    if not isinstance(entry, dict):  # an engine that was built to tell names alone
        return EngineLayer(str(entry), "", "", "")
    outputs = entry.get("Outputs") or [{}]
    tactic = str(entry.get("TacticName") or entry.get("TacticValue") or "")
    return EngineLayer(str(entry.get("Name", "")), str(entry.get("LayerType", "")), _format(outputs[0]), tactic)


def _format(output: dict[str, Any]) -> str:
    """Type and layout of a tensor: one field up to TensorRT 10, two since."""
    one = output.get("Format/Datatype")
    parts = [one] if one else [output.get(key) for key in ("Format", "DataType", "Datatype")]
    return " ".join(str(part) for part in parts if part)
