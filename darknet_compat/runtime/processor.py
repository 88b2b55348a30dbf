"""What this machine's processor is able to do."""

from __future__ import annotations

import os
from pathlib import Path


def cores() -> int:
    """How many cores this process may run on, which is how many threads to use by default: what engines take for
    physical cores is too few on some virtual machines."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpuinfo() -> dict[str, str]:
    """The first processor's fields, as Linux has them; none where there is no such file."""
    try:
        lines = Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines()
    except OSError:
        return {}
    pairs = (line.partition(":") for line in lines)
    return {key.strip(): value.strip() for key, _, value in pairs}


def abilities() -> frozenset[str]:
    """The processor's flags, as Linux spells them; none where it does not say."""
    fields = cpuinfo()
    return frozenset((fields.get("flags") or fields.get("Features") or "").split())


def bf16_is_slow() -> bool:
    """Whether bf16 takes longer than fp32: on Intel's processors without AMX, or where a virtual machine hides it.

    Their vdpbf16ps does twice the operations of a fused multiply-add in fp32 at a quarter of its rate (measured: 86
    against 175 billion a second and core), where AMD's does them at the same rate.
    """
    return (
        cpuinfo().get("vendor_id") == "GenuineIntel" and "avx512_bf16" in abilities() and "amx_bf16" not in abilities()
    )
