"""Small networks, and files that fit them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.lower import lower
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.definition.weights.file import Header, slots
from darknet_compat.errors import CfgError, DarknetCompatError, WeightsError
from darknet_compat.formats.cfg import parse_cfg

IMAGE = "width=8\nheight=6\nchannels=4"
NEW, OLD, TRANSPOSED = Header(0, 2, 0, 77), Header(0, 1, 0, 77), Header(0, 1001, 0, 77)

DETECTOR = """
[conv]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1
[max]\nstride=2
[conv]\nfilters=36\n
[region]\nnum=4\nclasses=4
"""
# Bytes: header 20; layer 0: biases 16, statistics 48, weights 288 → 372; layer 2: biases 144, weights 576 → 1092
NEEDED = 1092


def lowered(body: str, net: str = IMAGE) -> NetworkSpec:
    """A definition that is called m.cfg."""
    return lower(parse_cfg(f"[net]\n{net}\n{body}", "m.cfg"))


def last(body: str, net: str = IMAGE) -> LayerSpec:
    return lowered(body, net).layers[-1]


def spec_of(body: str, net: str = "width=4\nheight=5\nchannels=2") -> NetworkSpec:
    return lowered(body, net)


def bytes_for(spec: NetworkSpec, header: Header = NEW, start: int = 0) -> bytes:
    """A weights file that fits: a header, and 0, 1, 2, …"""
    count = sum(slot.size for slot in slots(spec))
    return header.to_bytes() + np.arange(start, start + count, dtype="<f4").tobytes()


def file_with(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def refusal(call: Callable[[], object], error: type[DarknetCompatError] = CfgError) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(error) as found:
        call()
    assert type(found.value) is error
    assert str(found.value).isprintable()
    return str(found.value)


def refused(call: Callable[[], object]) -> str:
    """The one line with which weights are."""
    return refusal(call, WeightsError)
