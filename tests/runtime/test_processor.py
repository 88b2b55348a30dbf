"""What the processor says of itself, and what follows."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.inference import backends
from darknet_compat.runtime import processor, registry

INTEL = "GenuineIntel", "avx512f avx512_bf16"
AMD = "AuthenticAMD", "avx512f avx512_bf16"


def put(monkeypatch: pytest.MonkeyPatch, vendor: str, flags: str) -> None:
    monkeypatch.setattr(processor, "cpuinfo", lambda: {"vendor_id": vendor, "flags": flags})


@pytest.mark.parametrize(
    ("vendor", "flags", "slow"),
    [(*INTEL, True), (INTEL[0], f"{INTEL[1]} amx_bf16", False), (INTEL[0], "avx512f", False), (*AMD, False)],
)
def test_where_bf16_is_slower_than_fp32(vendor: str, flags: str, slow: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    put(monkeypatch, vendor, flags)
    assert processor.bf16_is_slow() == slow
    monkeypatch.setattr(registry, "installed", lambda name: True)
    assert ("more slowly than fp32" in backends.choose(True, "auto", "bf16").why) == slow
    assert "slowly" not in backends.choose(True, "auto", "fp32").why


def test_the_first_processor_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: avx2 fma\n\nprocessor\t: 1\nflags\t\t: sse\n"
    monkeypatch.setattr(Path, "read_text", lambda self: text)
    assert processor.cpuinfo()["vendor_id"] == "GenuineIntel"
    assert processor.abilities() == {"avx2", "fma"}


def test_a_system_that_does_not_say_has_no_abilities(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(self: Path) -> str:
        raise FileNotFoundError(self)

    monkeypatch.setattr(Path, "read_text", absent)
    assert processor.cpuinfo() == {} and processor.abilities() == frozenset() and not processor.bf16_is_slow()
