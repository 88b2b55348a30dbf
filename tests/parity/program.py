"""The original's command line program, and what it prints."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from pathlib import Path

from darknet_compat.errors import OriginalError
from darknet_compat.parity._original.installation import require_original

_DETECTION = re.compile(r"^(.+): (-?\d+)%$", re.MULTILINE)
_CLASS = re.compile(r"^ *(-?\d+\.\d+)%: (.*)$", re.MULTILINE)


def run_program(
    *arguments: str | Path, cwd: str | Path | None = None, timeout: float = 600.0
) -> subprocess.CompletedProcess[str]:
    """Run `darknet` with these arguments; paths among them should be absolute.

    Without `cwd` it runs in a temporary folder, since it leaves `predictions.jpg` and `bad.list` where it stands. Give
    `detector test` the option `-out`, too: without it the program opens a window, or dies where there is no screen.
    Raises OriginalError where it cannot be started, dies of a signal or an assertion, or takes longer than `timeout`
    seconds. An exit code is no reason to: the original leaves with 0 from most errors as well.
    """
    program = require_original().program
    environment = {name: value for name, value in os.environ.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    with tempfile.TemporaryDirectory(prefix="darknet-compat-") as folder:
        try:
            result = subprocess.run(
                [str(program), *map(str, arguments)],
                cwd=cwd or folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout,
                check=False,
            )
        except OSError as error:
            raise OriginalError(f"{program}: cannot be started: {error.strerror}") from None
        except subprocess.TimeoutExpired:
            raise OriginalError(f"{program}: did not end within {timeout:g} s") from None
    if result.returncode < 0:
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        raise OriginalError(f"{program}: was killed by signal {-result.returncode}: {' | '.join(lines[-2:])}")
    return result


def parse_detections(printed: str) -> list[tuple[str, int]]:
    """Names and percentages from `detector test`'s lines, such as `dog: 62%`, in their order."""
    return [(name, int(percent)) for name, percent in _DETECTION.findall(printed)]


def parse_classes(printed: str) -> list[tuple[str, float]]:
    """Names and percentages from `classifier predict`'s lines, such as `14.18%: malamute`, best first."""
    return [(name, float(percent)) for percent, name in _CLASS.findall(printed)]
