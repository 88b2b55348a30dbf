"""Every runtime, a row each: what it is called, needs, runs and how well. The only place that lists them.

Nothing heavy is imported before a runtime is opened: the functions of a row are named, as "module:function".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Literal

from darknet_compat.errors import BackendError

if TYPE_CHECKING:
    from darknet_compat.formats.exported.artefact import Artefact
    from darknet_compat.formats.words import Input, Precision
    from darknet_compat.runtime.base import Runtime, Use

ONNX = ".onnx"
"""The suffix of the files that `export` writes, which most runtimes take."""


@dataclass(frozen=True)
class Preference:
    """Where "auto" has a runtime among those that run an `.onnx` (the least `rank` first), and why in a few words."""

    rank: int
    why: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """One runtime.

    packages: what has to be importable, the runtime itself first. extra: the extra of ours that brings them.
    suffixes: the files that it runs; of those other than `.onnx` `artefact` says what they say of themselves, and
    `claims` whether such a file is for it and not for another runtime with the same suffix.
    precisions: what it computes in; an `.onnx` that is in fp16 it runs all the same. devices: the kinds that
    `Use.device` may name.
    open: (model, weights, use) → Runtime. usable: (name), raises BackendError where it cannot run
    anything here, whether its package is installed or not. preferred: its place in "auto", by precision.
    reduced_input: the input of an `.onnx` that is exported for it in less than float32.
    tolerances: whose rows of `parity.compare` hold for it.
    """

    name: str
    extra: str
    packages: tuple[str, ...]
    suffixes: tuple[str, ...]
    precisions: tuple[Precision, ...]
    open: str
    usable: str | None = None
    artefact: str | None = None
    claims: str | None = None
    devices: tuple[str, ...] = ("cpu",)
    preferred: Mapping[Precision, Preference] = field(default_factory=dict)
    reduced_input: Input = "float"
    tolerances: Literal["cpu", "gpu"] = "cpu"

    def runs_on(self, device: str | None) -> bool:
        """Whether it takes a device that is named so ("cuda:1"); None is whichever it takes by itself."""
        return device is None or device.partition(":")[0] in self.devices

    @property
    def installed(self) -> bool:
        """Whether its package is there."""
        return installed(self.packages[0])


_LEFT = "of what is installed it is what runs an .onnx in {}"

# Preferences were measured with yolov2-voc at 416 on two cores, onnxruntime and openvino, in ms: fp32 134 and 133 (AMD,
# Zen 4), 100 and 107 (Intel, AVX-512 without AMX); with eight smaller models as docs/guide/runtimes.md has it. In int8
# on one thread (AMD, Zen 4) 38.9 and 38.3, yolov4-tiny 12.2 and 14.7. A file in fp16 takes ONNX Runtime 1.3
# (yolov3-tiny) to 1.8 times (Yolo-Fastest) as long as one in fp32, OpenVINO as long.
ROWS = (
    Row(
        name="torch",
        extra="torch",
        packages=("torch",),
        suffixes=(".cfg",),
        precisions=("fp32", "bf16", "fp16"),
        open="darknet_compat.runtime.torch:open_model",
        devices=("cpu", "cuda", "mps", "xpu"),
    ),
    Row(
        name="onnxruntime",
        extra="onnxruntime",
        packages=("onnxruntime",),
        suffixes=(ONNX,),
        precisions=("fp32", "int8"),
        open="darknet_compat.runtime.onnxruntime:open_model",
        preferred={
            "fp32": Preference(1, "in fp32 it is about as quick as openvino"),
            "int8": Preference(2, "openvino is not installed, which is as fast and rounds less"),
            "fp16": Preference(2, "openvino is not installed, which is quicker"),
        },
    ),
    Row(
        name="openvino",
        extra="openvino",
        packages=("openvino",),
        suffixes=(ONNX,),
        precisions=("fp32", "bf16", "int8"),
        open="darknet_compat.runtime.openvino:open_model",
        preferred={
            "fp32": Preference(2, _LEFT.format("fp32")),
            "bf16": Preference(1, _LEFT.format("bf16")),
            "int8": Preference(1, "it is as fast as onnxruntime in int8, and rounds only behind activations"),
            "fp16": Preference(1, "it takes no longer for a file in fp16 than in fp32, as onnxruntime does"),
        },
    ),
    Row(
        name="tensorrt",
        extra="tensorrt",
        packages=("tensorrt", "cuda"),
        suffixes=(".engine", ONNX),
        precisions=("fp32", "fp16", "int8"),
        open="darknet_compat.runtime.tensorrt.engines:open_model",
        usable="darknet_compat.nvidia.library:expect_tensorrt",
        artefact="darknet_compat.runtime.tensorrt.engines:artefact_of",
        claims="darknet_compat.runtime.tensorrt.engines:is_for_tensorrt",
        devices=("cuda",),
        reduced_input="uint8",  # where layers are rounded anyway, so may pixels be, and travel to the GPU as bytes
        tolerances="gpu",
    ),
    Row(
        name="tensorrt-rtx",
        extra="tensorrt-rtx",
        packages=("tensorrt_rtx",),
        suffixes=(".engine", ONNX),
        precisions=("fp32", "fp16", "int8"),
        open="darknet_compat.runtime.tensorrt.engines:open_rtx",
        usable="darknet_compat.nvidia.library:expect_tensorrt",
        artefact="darknet_compat.runtime.tensorrt.engines:artefact_of",
        claims="darknet_compat.runtime.tensorrt.engines:is_for_rtx",
        devices=("cuda",),
        reduced_input="uint8",
        tolerances="gpu",
    ),
    Row(
        name="onnxruntime-rtx",
        extra="onnxruntime-rtx",
        packages=("onnxruntime_ep_nv_tensorrt_rtx",),
        suffixes=(ONNX,),
        precisions=("fp32", "int8"),
        open="darknet_compat.runtime.onnxruntime_rtx:open_model",
        usable="darknet_compat.nvidia.driver:expect_gpu",
        devices=("cuda",),
        tolerances="gpu",
    ),
)
"""In the order in which they are listed to users."""

NAMES = tuple(row.name for row in ROWS)


def named(name: str) -> Row:
    """The row of a runtime. Raises BackendError for a name that there is not."""
    for row in ROWS:
        if row.name == name:
            return row
    raise BackendError(f"backend: expected one of {', '.join(NAMES)}, found {name!r}")


def installed(package: str) -> bool:
    """Whether a package, of whichever kind, can be imported; it is not."""
    try:
        return find_spec(package) is not None
    except (ModuleNotFoundError, ValueError):  # no package of its first part's name; one put out of reach
        return False


def preferred(precision: Precision) -> list[tuple[Row, str]]:
    """The runtimes that "auto" takes for an `.onnx` in this precision, the best first, and why."""
    ranked = [(row.preferred[precision], row) for row in ROWS if precision in row.preferred]
    return [(row, preference.why) for preference, row in sorted(ranked, key=lambda pair: pair[0].rank)]


# ------------------------------------------------------------------------------------------------------- files


def running(path: Path) -> list[Row]:
    """The runtimes of such a file; those of a `.cfg` for what is no exported file.

    Raises BackendError for a built file that does not say for which runtime.
    """
    suffix = path.suffix.lower() if is_exported(path) else ".cfg"
    rows = [row for row in ROWS if suffix in row.suffixes]
    if not is_built(path):
        return rows
    return [row for row in rows if row.claims is None or resolve_name(row.claims)(path)]


def is_exported(path: Path) -> bool:
    """Whether this is an exported file, by its name."""
    return any(path.suffix.lower() in row.suffixes for row in ROWS) and path.suffix.lower() != ".cfg"


def is_onnx(path: Path) -> bool:
    """Whether this is a file that `export` wrote, by its name."""
    return path.suffix.lower() == ONNX


def is_built(path: Path) -> bool:
    """Whether this is an exported file in the own form of one runtime, such as an `.engine`, by its name."""
    return is_exported(path) and not is_onnx(path)


def artefact_of(path: Path) -> Artefact | None:
    """What an exported file says of itself; None for anything else. Raises BackendError for one that is not ours."""
    if not is_exported(path):
        return None
    reader = "darknet_compat.runtime.exported:read_artefact"
    if is_built(path):
        reader = next(row.artefact for row in ROWS if row.artefact is not None and path.suffix.lower() in row.suffixes)
    artefact: Artefact = resolve_name(reader)(path)
    return artefact


# ----------------------------------------------------------------------------------------------------- opening


def expect_usable(name: str) -> None:
    """Raise BackendError for a runtime that cannot run anything here: not installed, no GPU."""
    row = named(name)
    if row.usable is not None:
        resolve_name(row.usable)(name)
    if not row.installed:
        raise BackendError(f"{name} is not installed: pip install 'darknet-compat[{row.extra}]'")


def open_model(name: str, model: Path, weights: Path | None, use: Use) -> Runtime:
    """Have a runtime load a model: a `.cfg` and its weights, or an exported file.

    Raises BackendError where the runtime is not installed or cannot run it so.
    """
    row = named(name)
    if not row.runs_on(use.device):
        raise BackendError(f"device: {name} runs on {' or '.join(row.devices)}, found {use.device!r}")
    try:
        opener = resolve_name(row.open)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("darknet_compat"):
            raise
        raise BackendError(f"{error.name} is not installed: pip install 'darknet-compat[{row.extra}]'") from None
    runtime: Runtime = opener(model, weights, use)
    return runtime
