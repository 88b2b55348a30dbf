"""The command as a whole: help, version, wrong usage, what it imports, pipes, interrupts."""

from __future__ import annotations

import errno
import os
import re
import select
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from darknet_compat import __version__
from darknet_compat.cli import commands
from darknet_compat.cli.main import verbs
from darknet_compat.cli.terminal.failures import exit_code
from tests.cli.support import REPOSITORY, Command, Toy, on_a_terminal, paint


def test_help_lists_every_verb_on_lines_of_80(dc: Command) -> None:
    done = dc("--help")
    assert done.code == 0
    assert all(len(line) <= 80 for line in done.out.splitlines())
    assert "..." not in done.out.split("Commands:")[1]  # no verb's line is cut
    listed = re.findall(r"^  ([a-z]+) +\S", done.out.split("Commands:")[1], re.M)
    assert listed == verbs()


@pytest.mark.parametrize("verb", [verb for verb in verbs() if verb not in ("darknet", "tree")])
def test_each_verb_explains_itself_and_speaks_json(dc: Command, verb: str) -> None:
    done = dc(verb, "--help")
    assert done.code == 0
    assert done.out.startswith(f"Usage: darknet-compat {verb} ") and "{" not in done.out
    assert "--json" in done.out and "Arguments:" in done.out
    assert all(len(line) <= 80 for line in done.out.splitlines())


MADE_UP = '''"""`darknet-compat count`: how many files there are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from darknet_compat.options import Option, Options


@dataclass(frozen=True)
class CountOptions(Options):
    folder: Annotated[Path, Option("Where to look.", metavar="DIR", positional=True)]
    least: Annotated[int, Option("Bytes of the smallest that counts.", metavar="N", least=0)] = 0


def count(options: CountOptions) -> None:
    """Count files."""
    print(sum(path.stat().st_size >= options.least for path in options.folder.iterdir()))
'''


def test_one_more_file_is_one_more_verb(dc: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """docs/develop/add-a-command.md"""
    (tmp_path / "more").mkdir()
    (tmp_path / "more/count.py").write_text(MADE_UP)
    monkeypatch.setattr(commands, "__path__", [*commands.__path__, str(tmp_path / "more")])
    assert re.search(r"^  count +Count files\.$", dc("--help").out, re.M)
    assert dc("count", tmp_path / "more").out == "1\n"
    assert dc("count", tmp_path / "more", "--least", "9999").out == "0\n"
    assert dc("count", tmp_path / "more", "--least", "-1").code == 2


def test_version(dc: Command) -> None:
    assert dc("--version").out == f"darknet-compat {__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["detct", "x"], "detct"),
        (["detect"], "MODEL"),
        (["detect", "x.cfg"], "FILES"),
        (["detect", "x.cfg", "dog.jpg", "--frob"], "--frob"),
        (["detect", "x.cfg", "dog.jpg", "--thresh", "abc"], "--thresh"),
        (["detect", "x.cfg", "dog.jpg", "--thresh", "7"], "0.07"),
        (["detect", "x.cfg", "dog.jpg", "--thresh", "nan"], "--thresh"),
        (["detect", "x.cfg", "dog.jpg", "--nms=-1"], "--nms"),
        (["detect", "x.cfg", "dog.jpg", "--size", "0"], "--size"),
        (["detect", "x.cfg", "dog.jpg", "--size", "416x"], "--size"),
        (["detect", "x.cfg", "dog.jpg", "--size", "9999x9999"], "8192"),
        (["detect", "x.cfg", "dog.jpg", "--resize", "crop"], "letterbox"),
        (["detect", "x.cfg", "dog.jpg", "--precision", "int3"], "fp32"),
        (["detect", "x.cfg", "dog.jpg", "--backend", "abacus"], "torch"),
        (["detect", "x.cfg", "dog.jpg", "--batch", "0"], "--batch"),
        (["detect", "x.cfg", "x.weights", "dog.jpg"], "--weights"),
        (["classify", "x.cfg", "dog.jpg", "--top", "0"], "--top"),
        (["partial", "x.cfg", "out", "0"], "N"),
        (["partial", "x.cfg", "x.weights", "out"], "MODEL OUT N --weights"),
        (["fetch"], "MODEL"),
    ],
)
def test_bad_usage_is_code_2_and_says_what(dc: Command, arguments: list[str], named: str) -> None:
    done = dc(*arguments)
    assert (done.code, done.out) == (2, "")
    assert named in done.err and "Traceback" not in done.err


@pytest.mark.parametrize("arguments", [["--help"], ["detect", "--help"], ["info"], ["info", "yolov2-voc"]])
def test_help_and_info_import_neither_torch_nor_opencv(arguments: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "darknet_compat", *arguments],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in lines}
    assert "typer" in loaded and not loaded & {"torch", "cv2", "matplotlib", "cffi"}
    if "--help" in arguments:
        assert not loaded & {"numpy", "rich"}


# ------------------------------------------------------------------------------------------- pipes and terminals


def test_a_pipe_that_closes_early_is_no_traceback(tmp_path: Path) -> None:
    errors = tmp_path / "errors"
    command = f'"{sys.executable}" -m darknet_compat info yolov3 2>"{errors}" | head -1'
    done = subprocess.run(["sh", "-c", command], cwd=REPOSITORY, capture_output=True, text=True, timeout=60)
    assert done.stdout.split()[:2] == ["#", "layer"]
    assert "Traceback" not in errors.read_text()


@pytest.mark.parametrize(
    ("hidden", "arguments", "extra"),
    [
        ("torch", ["bench", "cfg/tiny.cfg"], "torch"),
        ("onnx", ["bench", "cfg/tiny.cfg", "--backends", "onnxruntime"], "onnx"),
        ("onnx", ["parity", "cfg/tiny.cfg", "--stages"], "onnx"),
        ("cv2", ["bench", "cfg/tiny.cfg"], "vision"),
    ],
)
def test_a_package_that_is_missing_is_named_with_its_extra(hidden: str, arguments: list[str], extra: str) -> None:
    code = f"import sys; sys.modules[{hidden!r}] = None\nfrom darknet_compat.cli.main import main\n"
    command = [sys.executable, "-c", f"{code}sys.argv[1:] = {arguments!r}\nmain()"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.returncode, done.stdout) == (1, "") and done.stderr.count("\n") == 1, done.stderr
    assert hidden in done.stderr and f"darknet-compat[{extra}]" in done.stderr


WRITING = {
    "typer": ["darknet_compat", "info", "tiny"],
    "help": ["darknet_compat", "--help"],
    "direct": ["darknet_compat", "detect", "CFG", "PICTURE"],
    "Darknet's words": ["darknet_compat", "darknet"],
    "Darknet's module": ["darknet_compat.darknet", "ops", "CFG"],
}
"""Each way into the command line."""


def written_to(out: IO[str], way: str, cfg: Path, picture: Path) -> tuple[int, str]:
    """The exit code and standard error of a command that writes to `out`."""
    there = {"CFG": str(cfg), "PICTURE": str(paint(picture))}
    command = [sys.executable, "-m", *(there.get(word, word) for word in WRITING[way])]
    done = subprocess.run(command, cwd=REPOSITORY, stdout=out, stderr=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stderr


@pytest.mark.skipif(not hasattr(select, "poll"), reason="nothing here tells who has gone")
@pytest.mark.parametrize("way", WRITING)
def test_a_pipe_that_nobody_reads_any_more_ends_quietly(way: str, detector: Toy, tmp_path: Path) -> None:
    """As `… | head -3` leaves it."""
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as pipe:
        assert written_to(pipe, way, detector.cfg, tmp_path / "a.png") == (1, "")


def test_a_pipe_of_somebody_else_that_broke_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(BrokenPipeError(errno.EPIPE, "Broken pipe")) == 1
    assert capsys.readouterr().err == "darknet-compat: output: Broken pipe\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full to write to")
@pytest.mark.parametrize("way", WRITING)
def test_what_a_full_disk_does_not_take_is_one_line(way: str, detector: Toy, tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        found = written_to(full, way, detector.cfg, tmp_path / "a.png")
    assert found == (1, "darknet-compat: output: No space left on device\n")


def test_many_pictures_have_a_progress_bar_on_a_terminal(detector: Toy, tmp_path: Path) -> None:
    for number in range(4):
        paint(tmp_path / "many" / f"{number}.png")
    code, output = on_a_terminal("detect", detector.cfg, tmp_path / "many")
    assert code == 0
    assert output.count(b"1 object") == 4
    assert "━".encode() in output and b"4/4" in output


def test_ctrl_c_is_one_line_and_code_130(detector: Toy, tmp_path: Path) -> None:
    first = paint(tmp_path / "many" / "0.png", 2000, 2000)
    for number in range(1, 300):
        os.link(first, first.with_name(f"{number}.png"))
    code, output = on_a_terminal("detect", detector.cfg, first.parent, interrupt_at=b"0.png")
    assert code == 130
    assert b"darknet-compat: interrupted" in output and b"Traceback" not in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["parity", "cfg/tiny.cfg", "--out"],
        ["parity", "cfg/tiny.cfg", "--stages", "--out"],
        ["bench", "cfg/tiny.cfg", "--out"],
        ["evaluate", "yolov2-digits", "digits", "--out"],
        ["detect", "yolov2-digits", "README.md", "--out"],
    ],
    ids=lambda arguments: " ".join(arguments[:3]),
)
@pytest.mark.reference
def test_where_results_cannot_go_is_told_before_any_work(dc: Command, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    done = dc(*arguments, tmp_path / "file")
    assert done.code == 1 and "file: expected a folder for the results, found a file" in done.err, done
    assert (tmp_path / "file").read_text() == "kept"


def test_closed_streams_are_no_traceback() -> None:
    for closed in (">&-", "2>&-", ">&- 2>&-"):
        command = f"{sys.executable} -m darknet_compat info cfg/tiny.cfg {closed}"
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=REPOSITORY)
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr


def test_what_is_printed_under_a_bar_takes_it_away(detector: Toy, tmp_path: Path) -> None:
    """Else each result would leave the bar that was there standing in the output."""
    for number in range(12):
        paint(tmp_path / f"{number:02}.png")
    code, output = on_a_terminal("detect", detector.cfg, tmp_path)
    assert code == 0 and "━".encode() in output
    lines = [line for line in screen(output.decode()) if line.strip()]
    assert sum(".png: " in line for line in lines) == 12
    assert not [line for line in lines if "━" in line], lines


def screen(text: str) -> list[str]:
    """What a terminal shows after all of `text`: carriage returns, lines up, lines erased."""
    lines, row = [""], 0
    for part in re.split(r"(\x1b\[[0-9;?]*[A-Za-z]|\r\n|\n|\r)", text):
        if part in ("\n", "\r\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b[") and part.endswith("A"):
            row = max(0, row - int(part[2:-1] or 1))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part and not part.startswith("\x1b") and part != "\r":
            lines[row] += part
    return lines
