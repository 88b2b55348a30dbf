"""The client's end of a worker: start it, ask it, notice how it died, start another."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from darknet_compat.errors import OriginalError
from darknet_compat.parity._original.wire import receive, send

_PACKAGE_FOLDER = Path(__file__).resolve().parents[3]
_LAST_LINES = 3


_STARTS = 600.0
"""Seconds in which the process has to be there, on however busy a machine."""


class Worker:
    """One worker process at a time, started at the first request and again after each death."""

    def __init__(self, module: Path, timeout: float) -> None:
        self._module, self._timeout = module, timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = False
        self._connection: socket.socket | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None

    def ask(self, request: str, about: str, *arguments: Any) -> Any:
        """The answer to one request; messages say what it was `about`.

        Raises OriginalError where the process dies of it or takes too long.
        """
        if self._connection is None:
            self._start()
        assert self._connection is not None
        try:
            if self._starting:
                receive(self._connection)
                self._connection.settimeout(self._timeout)
                self._starting = False
            send(self._connection, (request, arguments))
            fine, answer = receive(self._connection)
        except TimeoutError:
            self.stop()
            raise OriginalError(f"{about}: no answer from the original within {self._timeout:g} s") from None
        except (EOFError, ConnectionError):
            raise OriginalError(f"{about}: the original {self._last_words()}") from None
        except BaseException:  # an answer may still be on its way, and must not be taken for the next request's
            self.stop()
            raise
        if not fine:
            raise answer
        return answer

    def stop(self) -> None:
        """End the process, if there is one, and remove its files."""
        process, self._process = self._process, None
        connection, self._connection = self._connection, None
        scratch, self._scratch = self._scratch, None
        if connection is not None:
            connection.close()
        if process is not None:
            process.kill()
            process.wait()
        if scratch is not None:
            scratch.cleanup()

    def _start(self) -> None:
        self._scratch = tempfile.TemporaryDirectory(prefix="darknet-compat-", ignore_cleanup_errors=True)
        ours, theirs = socket.socketpair()
        paths = [str(_PACKAGE_FOLDER), *filter(None, [os.environ.get("PYTHONPATH")])]
        module = "darknet_compat.parity._original.worker"
        with theirs, self._said().open("a+b") as said:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module, str(theirs.fileno()), str(self._module)],
                cwd=self._scratch.name,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C is ours to handle
            )
        ours.settimeout(_STARTS)
        self._connection, self._starting = ours, True

    def _said(self) -> Path:
        assert self._scratch is not None
        return Path(self._scratch.name) / "said.txt"

    def _last_words(self) -> str:
        """How the process ended and its last lines, on one line; leaves everything ready for a new start."""
        assert self._process is not None
        try:
            code = self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        lines = [" ".join(line.split()) for line in self._said().read_text(errors="replace").split("\n")]
        said = " | ".join([line for line in lines if line][-_LAST_LINES:]) or "it said nothing"
        self.stop()
        how = f"was killed by {_signal_name(-code)}" if code < 0 else f"left with exit({code})"
        return f"{how}: {''.join(c if c.isprintable() else '?' for c in said)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
