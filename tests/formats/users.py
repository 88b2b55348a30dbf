"""Being somebody who may not read everything, even where the tests run as root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

_NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Within the block, files are opened with an ordinary user's rights."""
    if os.geteuid() != 0:
        yield
        return
    try:
        os.seteuid(_NOBODY)
    except OSError:
        pytest.skip("root that may not become anybody else")
    try:
        yield
    finally:
        os.seteuid(0)
