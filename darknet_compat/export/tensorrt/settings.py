"""How an engine is to be built: all that one may ask of TensorRT, as one value that also keys caches."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args

from darknet_compat.errors import ExportError, OptionError
from darknet_compat.formats.textfile import shown
from darknet_compat.formats.words import EngineTarget
from darknet_compat.options import Option, Options, parse_sizes

EnginePrecision = Literal["fp32", "fp16", "int8", "fp8"]

DEFAULT_BATCHES = (1, 8)


def parse_capabilities(value: Any) -> tuple[tuple[int, int], ...]:
    """`8.6,8.9`, or ((8, 6), (8, 9)). Raises OptionError."""
    if isinstance(value, str):
        if not re.fullmatch(r"\d{1,2}\.\d(,\d{1,2}\.\d)*", value.strip()):
            raise OptionError(f"expected compute capabilities such as 8.6,8.9, found {shown(value)}")
        value = (part.split(".") for part in value.strip().split(","))
    return tuple((int(major), int(minor)) for major, minor in value)


@dataclass(frozen=True, kw_only=True)
class Settings(Options):
    """What an engine is built with; OptionError for values that cannot be, ExportError for what cannot be built.

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
    batches: tuple[int, ...] = DEFAULT_BATCHES
    workspace: int | None = None
    dla: int | None = None
    outputs: tuple[str, ...] = ()
    sizes: Annotated[
        tuple[tuple[int, int], ...] | None,
        Option("Input sizes to tune for. Default: its own.", metavar="A,B,WxH", parse=parse_sizes),
    ] = None
    any_size: Annotated[bool, Option("Take every other size too that the model does.")] = False
    candidates: Annotated[
        int | None, Option("The most boxes a picture; 0: all. Default: 1024.", metavar="N", least=0, most=3840)
    ] = None
    level: Annotated[int | None, Option("0: quick to build. 5: quick to run.", metavar="N", least=0, most=5)] = None
    refittable: Annotated[bool, Option("Let --refit exchange its weights later.")] = False
    stripped: Annotated[bool, Option("Write it without weights, for --refit.")] = False
    version_compatible: Annotated[bool, Option("Let later versions of TensorRT run it.")] = False
    hardware_compatible: Annotated[bool, Option("Let all GPUs from Ampere on run it.")] = False
    target: Annotated[
        EngineTarget, Option("tensorrt: for the GPU that is here. rtx: TensorRT-RTX, built without a GPU.")
    ] = "tensorrt"
    capabilities: Annotated[
        tuple[tuple[int, int], ...],
        Option(
            "With --target rtx: the compute capabilities of the GPUs to build for. Default: all that it knows.",
            metavar="A,B",
            parse=parse_capabilities,
        ),
    ] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision not in get_args(EnginePrecision):
            known = ", ".join(get_args(EnginePrecision))
            raise ExportError(f"precision: tensorrt runs in {known}, not in {self.precision}")
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
            "dla": "is not among the GPUs that TensorRT-RTX builds for",
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
    kept |= {name: tuple(kept[name]) for name in ("batches", "outputs") if name in kept}
    return Settings(**kept)
