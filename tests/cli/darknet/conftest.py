"""What the tests of Darknet's command lines share."""

from __future__ import annotations

import contextlib
import io
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from darknet_compat.cli.darknet.main import run
from tests.cli.support import CLASSIFIER, DETECTOR, Done, Toy, paint, write_toy

Darknet = Callable[..., Done]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory of the command, an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def dn(here: Path) -> Darknet:
    """`darknet ARGUMENTS` in this process; `stdin` is what is typed."""

    def call(*arguments: object, stdin: str = "") -> Done:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), typing(stdin):
            code = run([str(argument) for argument in arguments])
        return Done(code, out.getvalue(), err.getvalue())

    return call


@contextlib.contextmanager
def typing(text: str) -> Iterator[None]:
    old, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = old


def untimed(text: str) -> str:
    """Without the seconds that something took."""
    return re.sub(r"in \d+\.\d+ seconds", "in T seconds", text)


@pytest.fixture
def toy(here: Path) -> Toy:
    """Finds one cat, score 0.93544, that fills the network's input; a dog of 0.12 stays below the usual thresholds."""
    toy = write_toy(here, "toy", DETECTOR, [0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, -2, 0, 8])
    (here / "toy.names").write_text("cat\ndog\n")
    for name in ("a", "b"):
        paint(here / f"{name}.png")
        (here / f"{name}.txt").write_text("0 0.5 0.5 1 0.5\n")
    (here / "list.txt").write_text("a.png\nb.png\n")
    (here / "toy.data").write_text(
        "classes=2\nnames=toy.names\nvalid=list.txt\ntrain=list.txt\nresults=found\nbackup=backup\n"
    )
    return toy


@pytest.fixture
def classes(here: Path) -> Toy:
    """Three classes with probabilities 0.0900, 0.2447 and 0.6652."""
    toy = write_toy(here, "classes", CLASSIFIER, [0, 1, 2])
    (here / "abc.names").write_text("ant\nbee\ncow\nnever\n")
    paint(here / "a_bee.png")
    (here / "pictures.txt").write_text("a_bee.png\n")
    (here / "abc.data").write_text(
        "classes=3\nnames=abc.names\nlabels=abc.names\nvalid=pictures.txt\ntest=pictures.txt\ntop=2\n"
    )
    return toy
