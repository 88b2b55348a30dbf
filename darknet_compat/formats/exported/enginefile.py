"""A TensorRT engine and what it says of itself: `m.engine`, the plan that TensorRT wrote, and `m.engine.json`.

The JSON holds the artefact's properties, where the engine runs, of which ONNX file and how it was built, and the plan's
checksum, so that a damaged plan, or one of another build, is told before TensorRT reads it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from darknet_compat.errors import BackendError, ExportError
from darknet_compat.formats.atomic import atomic_write, settle
from darknet_compat.formats.exported.artefact import Artefact, from_properties, to_properties
from darknet_compat.formats.jsonfile import is_whole, read_json
from darknet_compat.formats.textfile import plain

FORMAT = 1

_LIMIT = 64 << 20

_KINDS: dict[str, type] = {
    "artefact": dict,
    "precision": str,
    "profiles": list,
    "onnx": str,
    "onnx_sha256": str,
    "tensorrt": str,
    "gpu": str,
    "capability": list,
    "version_compatible": bool,
    "hardware_compatible": bool,
    "target": str,
    "capabilities": list,
    "settings": dict,
    "engine_sha256": str,
    "bytes": int,
}
"""What each field of the JSON is."""

_IN_WORDS = {dict: "an object", str: "text", list: "a list", bool: "true or false", int: "a whole number"}

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Profile:
    """The inputs that one part of an engine is tuned for: (pictures, height, width), the least, the best, the most."""

    least: Triple
    best: Triple
    most: Triple

    def takes(self, batch: int, height: int, width: int) -> bool:
        """Whether such an input may be given to it."""
        given = (batch, height, width)
        return all(a <= b <= c for a, b, c in zip(self.least, given, self.most, strict=True))

    def __str__(self) -> str:
        parts = [f"{a}" if a == c else f"{a} to {c} (best {b})" for a, b, c in self._sides()]
        return f"batch {parts[0]}, height {parts[1]}, width {parts[2]}"

    def _sides(self) -> zip[tuple[int, int, int]]:
        return zip(self.least, self.best, self.most, strict=True)


@dataclass(frozen=True, kw_only=True)
class EngineRecord:
    """What stands in the JSON. `target`: "tensorrt", or "rtx" for TensorRT-RTX, whose version then is `tensorrt`.
    `gpu` and `capability` are the name and the compute capability of the GPU that it was built for; an engine that was
    built without one names all of its `capabilities` instead. `settings` is what it was built with, as
    `export.tensorrt.settings` has it, for building it again."""

    artefact: Artefact
    precision: str
    profiles: tuple[Profile, ...]
    onnx: str
    onnx_sha256: str
    tensorrt: str
    gpu: str
    capability: tuple[int, int]
    version_compatible: bool = False
    hardware_compatible: bool = False
    target: str = "tensorrt"
    capabilities: tuple[tuple[int, int], ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    engine_sha256: str = ""
    bytes: int = 0

    def mismatch(self, tensorrt: str, gpu: str, capability: tuple[int, int]) -> str | None:
        """Why the engine cannot run with this version of TensorRT on this GPU; None where nothing speaks against it."""
        same_version = self.tensorrt.split(".")[:3] == tensorrt.split(".")[:3]
        newer = self.version_compatible and _release(tensorrt) >= _release(self.tensorrt)
        if not (same_version or newer):
            name = "TensorRT-RTX" if self.target == "rtx" else "TensorRT"
            return f"was built by {name} {self.tensorrt}, here is {tensorrt}"
        if self.capabilities:
            known = ", ".join(f"{major}.{minor}" for major, minor in self.capabilities)
            here = f"here is {gpu} ({_dotted(capability)})"
            return None if capability in self.capabilities else f"was built for compute capability {known}, {here}"
        ampere_on = self.hardware_compatible and capability >= (8, 0) <= self.capability
        if not (capability == self.capability or ampere_on):
            return f"was built for {self.gpu} ({_dotted(self.capability)}), here is {gpu} ({_dotted(capability)})"
        return None


def record_path(engine: str | Path) -> Path:
    """Where an engine's JSON lies."""
    return Path(f"{engine}.json")


def write_engine(path: str | Path, plan: Any, record: EngineRecord) -> EngineRecord:
    """Write the plan (bytes, or what gives them as a buffer) and its JSON; the record as it was written.

    Each file is whole or not there, and should this process be ended between the two the reader will tell. Raises
    ExportError where they cannot be written.
    """
    view = memoryview(plan).cast("B")
    values = {name: getattr(record, name) for name in EngineRecord.__dataclass_fields__}
    written = EngineRecord(**values | {"engine_sha256": hashlib.sha256(view).hexdigest(), "bytes": view.nbytes})
    with atomic_write(record_path(path), ExportError) as beside, atomic_write(path, ExportError) as file:
        beside.write(json.dumps(_to_json(written), indent=1, ensure_ascii=False).encode())
        settle(beside)
        file.write(view)
    return written


def read_record(path: str | Path) -> EngineRecord:
    """An engine's JSON. Raises BackendError where it is missing or not ours."""
    beside = record_path(path)
    try:
        document = read_json(beside, BackendError, "an engine's JSON", _LIMIT, "; build the engine again")
    except BackendError:
        if beside.exists():
            raise
        if not Path(path).exists():
            raise BackendError(f"{path}: no such engine") from None
        raise BackendError(
            f"{path}: there is no {beside.name} beside it, which says how it is to be used; build it with"
            " `darknet-compat engine`"
        ) from None
    try:
        if document["format"] != FORMAT:
            found = plain(str(document["format"]))
            raise BackendError(f"{beside}: is of format {found}, this version reads format {FORMAT}; build it again")
        return _from_json(document, str(beside))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BackendError(f"{beside}: lacks or misstates {plain(str(error))}; build the engine again") from None


def read_plan(path: str | Path, record: EngineRecord) -> bytes:
    """The plan. Raises BackendError where it is not the one that its JSON was written for."""
    try:
        plan = Path(path).read_bytes()
    except OSError as error:
        raise BackendError(f"{path}: cannot be read: {error.strerror or error}") from None
    if len(plan) != record.bytes:
        raise BackendError(
            f"{path}: has {len(plan):,} bytes, its .json says {record.bytes:,}: cut short, or of another build;"
            " build it again"
        )
    if hashlib.sha256(plan).hexdigest() != record.engine_sha256:
        raise BackendError(f"{path}: is not the engine that its .json was written for, or damaged; build it again")
    return plan


def _to_json(record: EngineRecord) -> dict[str, Any]:
    values = {name: getattr(record, name) for name in EngineRecord.__dataclass_fields__}
    profiles = [{"least": p.least, "best": p.best, "most": p.most} for p in record.profiles]
    return {"format": FORMAT} | values | {"artefact": to_properties(record.artefact), "profiles": profiles}


def _from_json(document: Mapping[str, Any], where: str) -> EngineRecord:
    later = {"target": "tensorrt", "capabilities": []}  # not in what the first versions wrote
    values = {name: document.get(name, later[name]) if name in later else document[name] for name in _FIELDS}
    for name, kind in _KINDS.items():
        if not isinstance(values[name], kind):
            raise ValueError(f"{name}, which is {_IN_WORDS[kind]}")
    if not re.match(r"\d{1,9}\.\d{1,9}", values["tensorrt"]):
        raise ValueError("tensorrt, which is a version")
    if values["target"] not in ("tensorrt", "rtx"):
        raise ValueError("target, which is tensorrt or rtx")
    profiles = tuple(Profile(*(_triple(p[name]) for name in ("least", "best", "most"))) for p in document["profiles"])
    major, minor = document["capability"]
    if not profiles:
        raise ValueError("profiles")
    return EngineRecord(
        **values
        | {
            "artefact": from_properties(document["artefact"], where),
            "profiles": profiles,
            "capability": (_counted(major), _counted(minor)),
            "capabilities": tuple((_counted(first), _counted(second)) for first, second in values["capabilities"]),
        }
    )


_FIELDS = tuple(EngineRecord.__dataclass_fields__)


def _triple(values: Any) -> Triple:
    batch, height, width = map(_counted, values)
    return batch, height, width


def _counted(value: object) -> int:
    if not (is_whole(value) and 0 <= value < 1 << 31):
        raise ValueError(f"a number, {value}")
    return value


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".")[:2])


def _dotted(capability: tuple[int, int]) -> str:
    return f"compute capability {capability[0]}.{capability[1]}"
