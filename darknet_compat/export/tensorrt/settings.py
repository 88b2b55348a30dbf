"""How an engine is to be built: all that one may ask of TensorRT, as one value that also keys caches."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from darknet_compat.errors import ExportError
from darknet_compat.export.tensorrt.profiles import DEFAULT_BATCHES
from darknet_compat.nvidia.library import Target

EnginePrecision = Literal["fp32", "fp16", "int8", "fp8"]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an engine is built with.

    `sizes` (width, height), `batches` and `any_size`: see `profiles.plan_profiles`. `candidates`: the most boxes an
    image that the engine gives (default: `candidates.MOST`); 0 for all. `workspace`: bytes of GPU memory that building
    may use besides. `level`: TensorRT's builder_optimization_level, 0 quick to build, 5 quick to run. `refittable`: its
    weights can be exchanged; `stripped`: written without them, to be refitted before use. `version_compatible`: runs
    in later minor versions; `hardware_compatible`: on all GPUs from Ampere on. `dla`: the number of a Jetson's DLA
    core, which takes one picture at a time unless the model has another fixed batch; what it cannot run, the GPU does.
    `outputs`: tensors of the graph to give as well, for comparing layers. `target`: "rtx" for TensorRT-RTX, which
    builds without a GPU, for all the compute `capabilities` that are named (default: all that it knows).
    """

    precision: EnginePrecision = "fp32"
    sizes: tuple[tuple[int, int], ...] | None = None
    batches: tuple[int, ...] = DEFAULT_BATCHES
    any_size: bool = False
    candidates: int | None = None
    workspace: int | None = None
    level: int | None = None
    refittable: bool = False
    stripped: bool = False
    version_compatible: bool = False
    hardware_compatible: bool = False
    dla: int | None = None
    outputs: tuple[str, ...] = ()
    target: Target = "tensorrt"
    capabilities: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        if self.precision not in get_args(EnginePrecision):
            known = ", ".join(get_args(EnginePrecision))
            raise ExportError(f"precision: tensorrt runs in {known}, not in {self.precision}")
        if self.level is not None and not 0 <= self.level <= 5:
            raise ExportError(f"level: expected 0, quick to build, to 5, quick to run; found {self.level}")
        if self.candidates is not None and not 0 <= self.candidates <= 3840:
            raise ExportError(f"candidates: expected 1 to 3840, or 0 for all; found {self.candidates}")
        if self.dla is not None and self.precision not in ("fp16", "int8"):
            raise ExportError("dla: a DLA core computes in fp16 or int8; ask for one of these")
        if self.dla is not None and self.any_size:
            raise ExportError("dla: a DLA core takes fixed sizes only; name them instead of any size")
        if self.target == "rtx":
            self._refuse_for_rtx()
        elif self.capabilities:
            raise ExportError("capabilities: TensorRT builds for the GPU that is here; target rtx takes capabilities")

    def _refuse_for_rtx(self) -> None:
        """Raise ExportError for what TensorRT-RTX does not build, or not without a GPU's driver."""
        reasons = {
            "refittable": "takes a GPU's driver to build",
            "stripped": "takes a GPU's driver to build",
            "version_compatible": "takes a part of TensorRT that TensorRT-RTX has not",
            "hardware_compatible": "is what every engine for rtx is; capabilities say for which GPUs",
            "dla": "is none of the GPUs that TensorRT-RTX builds for",
            "workspace": "is GPU memory, and TensorRT-RTX builds without any",
        }
        for name, why in reasons.items():
            if getattr(self, name) is not None and getattr(self, name) is not False:
                raise ExportError(f"{name}: with target rtx, this {why}; leave it out")

    def to_json(self) -> dict[str, Any]:
        """Plain values; tuples become lists."""
        plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(self)))
        return plain


def settings_from(values: Mapping[str, Any]) -> Settings:
    """What `to_json` gave, perhaps through JSON. What this version does not know is left out."""
    known = {field.name for field in dataclasses.fields(Settings)}
    kept = {name: value for name, value in values.items() if name in known}
    if "capabilities" in kept:
        kept["capabilities"] = tuple((int(major), int(minor)) for major, minor in kept["capabilities"])
    for name in ("batches", "outputs"):
        if name in kept:
            kept[name] = tuple(kept[name])
    if kept.get("sizes") is not None:
        kept["sizes"] = tuple((int(width), int(height)) for width, height in kept["sizes"])
    return Settings(**kept)
