"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalogue.fetch.http_server import Server, running
from tests.cli.support import CLASSIFIER, DETECTOR, Command, Toy, in_process, paint, write_toy


@pytest.fixture
def dc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Command:
    """The command in this process, as on a terminal of 80 columns; its downloads' folder is empty."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    return in_process


@pytest.fixture
def detector(tmp_path: Path) -> Toy:
    """Finds one cat, score 0.93544, that fills the network's input; a dog of 0.12 stays below the usual thresholds."""
    cat, dog = [0, 0, 0, 0, 4, 3, 0], [0, 0, 0, 0, -2, 0, 8]
    toy = write_toy(tmp_path, "toy", DETECTOR, cat + dog)
    toy.cfg.with_suffix(".names").write_text("cat\ndog\n")
    return toy


@pytest.fixture
def classifier(tmp_path: Path) -> Toy:
    """Three classes with probabilities 0.0900, 0.2447 and 0.6652."""
    return write_toy(tmp_path, "classes", CLASSIFIER, [0, 1, 2])


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A grey PNG of 64 x 32 pixels."""
    return paint(tmp_path / "grey.png")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A web server on this machine."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with running() as state:
        yield state
