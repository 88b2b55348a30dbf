"""What is plain runs without typer, and says what typer's way says; anything else is typer's."""

from __future__ import annotations

import contextlib
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from darknet_compat.cli.direct import direct
from tests.cli.support import REPOSITORY, Command, Done, Toy


def directly(*words: object) -> Done | None:
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = direct([str(word) for word in words])
    out.seek(0)
    return None if code is None else Done(code, untimed(out.read()), err.getvalue())


def untimed(text: str) -> str:
    return re.sub(r"\d+\.\d+ (s|images/s)|\"seconds\": [\d.e-]+", "T", text)


@pytest.mark.parametrize(
    "words",
    [
        "CFG PICTURE",
        "CFG PICTURE --thresh 0.1 --json",
        "CFG --thresh=0.1 PICTURE PICTURE --classes dog,cat --clip",
        "CFG PICTURE none.png",
        "none.cfg PICTURE",
        "CFG PICTURE --format csv --batch 2",
        "CFG PICTURE --resize stretch --size 64x32 --verbose",
    ],
)
def test_plain_lines_say_what_typers_way_says(words: str, dc: Command, detector: Toy, picture: Path) -> None:
    line = [{"CFG": str(detector.cfg), "PICTURE": str(picture)}.get(word, word) for word in words.split()]
    expected = dc("detect", *line)
    assert directly("detect", *line) == Done(expected.code, untimed(expected.out), expected.err)


def test_a_file_that_is_named(detector: Toy, picture: Path, tmp_path: Path) -> None:
    found = directly("detect", detector.cfg, picture, "--out", tmp_path / "found.csv", "--crop", tmp_path / "cut")
    assert found is not None and (found.code, found.err) == (0, "")
    assert (tmp_path / "found.csv").is_file() and (tmp_path / "cut").is_dir()


def test_a_classifier(dc: Command, classifier: Toy, picture: Path) -> None:
    line = ("classify", classifier.cfg, picture, "--top", 2)
    found = directly(*line)
    assert found is not None and found.code == 0
    assert found.out == untimed(dc(*line).out)


@pytest.mark.parametrize(
    "words",
    [
        "--help",
        "",
        "CFG",
        "CFG PICTURE --tresh 0.1",
        "CFG PICTURE --thresh",
        "CFG PICTURE --thresh -0.1",
        "CFG PICTURE --thresh 5",
        "CFG PICTURE --batch four",
        "CFG PICTURE --batch 0",
        "CFG PICTURE --precision fp1",
        "CFG PICTURE --format xml",
        "CFG PICTURE --clip=yes",
        "CFG PICTURE -t 1",
        "CFG -- PICTURE",
        "CFG x.weights",
    ],
)
def test_anything_else_is_typers(words: str, detector: Toy, picture: Path) -> None:
    line = [{"CFG": str(detector.cfg), "PICTURE": str(picture)}.get(word, word) for word in words.split()]
    assert directly("detect", *line) is None


def test_typer_is_not_loaded(detector: Toy, picture: Path) -> None:
    program = (
        "import sys; from darknet_compat.__main__ import main\ntry: main()\n"
        "except SystemExit as end: print(end.code, 'typer' in sys.modules, 'rich' in sys.modules)"
    )
    words = [sys.executable, "-c", program, "detect", str(detector.cfg), str(picture)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.stdout.splitlines()[-1] == "0 False False", done.stderr
