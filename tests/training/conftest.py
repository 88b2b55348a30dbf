"""The original as an oracle."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from darknet_compat.parity.reference import Original


@pytest.fixture(scope="module")
def darknet(original: object) -> Iterator[Original]:
    """The original, in a process of its own."""
    with Original() as darknet:
        yield darknet
