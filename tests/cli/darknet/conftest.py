"""What the tests of Darknet's command lines share."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from darknet_compat.cli.darknet.main import run
from tests.cli.support import CLASSIFIER, DETECTOR, Done, Toy, paint, write_toy
from tests.conftest import Original

Darknet = Callable[..., Done]
Real = Callable[[str], tuple[Path, Path]]


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


@pytest.fixture
def theirs(here: Path, original: Original) -> Darknet:
    """The original's program in the same working directory, its output line by line: of `yolo test` and a window that
    cannot be opened it dies after its last one."""

    def call(*arguments: object, stdin: str = "", screen: str = "none") -> Done:
        words = ["stdbuf", "-oL", str(original.program), *map(str, arguments)]
        environment = os.environ | {"QT_QPA_PLATFORM": screen}
        done = subprocess.run(
            words, cwd=here, env=environment, input=stdin, capture_output=True, text=True, timeout=300, check=False
        )
        return Done(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def real(shared_data: Path) -> Real:
    """A trained model's files."""

    def files(name: str) -> tuple[Path, Path]:
        folder = shared_data / "models" / name
        return next(folder.glob("*.cfg")), next(folder.glob("*.weights"))

    return files


def write_data(here: Path, original: Original, names: str, photos: list[Path], more: str = "") -> None:
    """`its.data`, with these photographs to validate on."""
    (here / "list.txt").write_text("".join(f"{photo}\n" for photo in photos))
    file = original.data / f"{names}.names"
    classes = len(file.read_text().splitlines())
    text = f"classes={classes}\nnames={file}\nvalid=list.txt\nresults=found\n{more}"
    (here / "its.data").write_text(text)
    (here / "found").mkdir(exist_ok=True)


@contextlib.contextmanager
def typing(text: str) -> Iterator[None]:
    old, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = old


def untimed(text: str) -> str:
    """Without the seconds that something took, and the frames a second."""
    return re.sub(r"FPS:[\d.]+", "FPS:N", re.sub(r"in \d+\.\d+ seconds", "in T seconds", text))


def unnumbered(text: str) -> str:
    """Without numbers that have a point."""
    return re.sub(r"-?\d+\.\d+(e[-+]\d+)?|-?nan|-?inf", "N", text)


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
