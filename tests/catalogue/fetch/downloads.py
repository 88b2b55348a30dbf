"""What the tests of downloads share: a file, its checksums, and ways to fetch it that end well or not."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import pytest

from darknet_compat.catalogue.fetch.checksum import UNKNOWN, Expected
from darknet_compat.catalogue.fetch.download import download
from darknet_compat.catalogue.fetch.transfer import Patience
from darknet_compat.errors import DownloadError
from tests.catalogue.fetch.http_server import Route, Server, in_turn

DATA = random.Random(9000).randbytes(300_000)
SHA256 = hashlib.sha256(DATA).hexdigest()
MD5 = hashlib.md5(DATA).hexdigest()
QUICK = Patience(timeout=1.0, attempts=3, pause=0.01)


def blob_id(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def get(server: Server, target: Path, *routes: Route, expected: Expected = UNKNOWN) -> Path:
    """Download one mirror's file, which answers by `routes` in turn."""
    server.routes["/f"] = in_turn(*routes)
    return download([server.url("/f")], target, expected=expected, patience=QUICK)


def failure(server: Server, target: Path, *routes: Route, expected: Expected = UNKNOWN) -> str:
    """The one line that a failing download ends in; nothing stands at its destination then."""
    with pytest.raises(DownloadError) as error:
        get(server, target, *routes, expected=expected)
    assert "\n" not in str(error.value)
    assert not target.exists()
    return str(error.value)


def left_by(target: Path) -> list[str]:
    return sorted(path.name for path in target.parent.iterdir())
