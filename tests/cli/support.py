"""Ways to call the command line, and networks whose answers are known beforehand."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from darknet_compat.cli.main import application
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import Header, slots, write_weights

REPOSITORY = Path(__file__).resolve().parents[2]

DETECTOR = """[net]
width=32
height=32
channels=3
[maxpool]
size=32
stride=32
padding=0
[convolutional]
filters=14
size=1
activation=linear
[region]
anchors=1,1, 0.5,0.5
classes=2
num=2
softmax=1
"""

CLASSIFIER = """[net]
width=8
height=8
channels=3
[convolutional]
filters=3
size=1
activation=linear
[avgpool]
[softmax]
"""


BARE_CLASSIFIER = CLASSIFIER.replace("[softmax]\n", "")
"""Its answers are scores, its biases."""


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str


Command = Callable[..., Done]


def in_process(*arguments: object) -> Done:
    """`darknet-compat ARGUMENTS`, in this process; an exception that escapes it is the test's."""
    result = CliRunner().invoke(application(), [str(argument) for argument in arguments], prog_name="darknet-compat")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def as_process(*arguments: object, cwd: Path | None = None, **environment: str) -> Done:
    """`darknet-compat ARGUMENTS`, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "darknet_compat", *map(str, arguments)],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return Done(done.returncode, done.stdout, done.stderr)


@dataclass(frozen=True)
class Toy:
    """A network and files around it; every answer of it comes from its biases, whatever the picture."""

    cfg: Path
    weights: Path


def write_toy(folder: Path, name: str, text: str, biases: list[float]) -> Toy:
    toy = Toy(folder / f"{name}.cfg", folder / f"{name}.weights")
    toy.cfg.write_text(text)
    values = {"biases": np.array(biases, np.float32)}
    spec = load_spec(toy.cfg)
    arrays = ((slot, values.get(slot.name, np.zeros(slot.shape, np.float32))) for slot in slots(spec))
    write_weights(toy.weights, Header(seen=6400), arrays)
    return toy


def paint(path: Path, width: int = 64, height: int = 32) -> Path:
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), 128, np.uint8))
    return path


def on_a_terminal(*arguments: object, interrupt_at: bytes | None = None, before: str = "") -> tuple[int, bytes]:
    """Exit code and all that a terminal of 80 columns is sent; Ctrl-C as soon as `interrupt_at` shows.

    `before` is Python that the process runs first.
    """
    program = f"{before}\nfrom darknet_compat.__main__ import main; main()"
    pid, terminal = pty.fork()
    if pid == 0:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell has those it runs in the background ignore it
        os.environ.update(COLUMNS="80", TERM="xterm", PYTHONPATH=str(REPOSITORY))
        os.execv(sys.executable, [sys.executable, "-c", program, *map(str, arguments)])
    output, end = b"", time.monotonic() + 60
    while time.monotonic() < end:
        if not select.select([terminal], [], [], 1)[0]:
            continue
        try:
            output += os.read(terminal, 65536)
        except OSError:  # how a pseudo-terminal says that the other side is gone
            break
        if interrupt_at and interrupt_at in output:
            os.write(terminal, b"\x03")
            interrupt_at = None
    else:
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(terminal)
    return code, output
