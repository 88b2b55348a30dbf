"""What machine something was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from darknet_compat.formats.textfile import count
from darknet_compat.runtime.processor import abilities, cores, cpuinfo
from darknet_compat.runtime.registry import ROWS

_FLAGS = ("avx2", "avx512f", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "asimd")
"""The processor's abilities that decide how fast a network can be, as Linux spells them."""

_PACKAGES = (
    "darknet-compat",
    "numpy",
    *(row.packages[0] for row in ROWS),
    "opencv-python-headless",
    "opencv-python",
)


def machine() -> str:
    """The machine in a line: processor, cores, system, Python."""
    return f"{_processor()}, {count(cores(), 'core')}, {platform.system()}, Python {platform.python_version()}"


def describe_machine() -> dict[str, Any]:
    """Processor, cores this process may use, abilities, memory in bytes, versions, and how busy it is (the load of the
    last minute, in processes; None where the system does not say)."""
    present = abilities()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "processor": _processor(),
        "cores": cores(),
        "flags": [flag for flag in _FLAGS if flag in present],
        "memory_bytes": _memory(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "versions": {name: found for name in _PACKAGES if (found := _version(name))},
        "load": load,
    }


def is_busy(described: Mapping[str, Any]) -> bool:
    """Whether so much else ran that times say little; `described` is `describe_machine`'s."""
    return (described["load"] or 0) > 0.5 * int(described["cores"])


def _processor() -> str:
    return cpuinfo().get("model name") or platform.processor() or platform.machine()


def _memory() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
