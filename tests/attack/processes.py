"""Commands in processes of their own, forked from one that has imported everything: each begins at once with its work.

The process that forks must not have computed with torch, whose threads are not forked with it.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import cv2
import onnx
import torch

import darknet_compat.cli.main
import darknet_compat.export.onnx.export
import darknet_compat.training.trainer

IMPORTED = (cv2, onnx, torch, darknet_compat)
"""What most of a command's time would go to."""
_DAC_OVERRIDE, _VERSION_3 = 1, 0x20080522  # of linux/capability.h


def _give_up_rights() -> None:
    """No longer pass over what may be read and written, as the superuser does."""
    libc, header, data = (
        ctypes.CDLL(None, use_errno=True),
        (ctypes.c_uint32 * 2)(_VERSION_3, 0),
        (ctypes.c_uint32 * 6)(),
    )
    if libc.capget(header, data):
        raise OSError(ctypes.get_errno(), "capget")
    data[0] &= ~(1 << _DAC_OVERRIDE)
    if libc.capset(header, data):
        raise OSError(ctypes.get_errno(), "capset")


class Child:
    """`darknet-compat ARGUMENTS` on one thread, in the folder `cwd`.

    `first` is called in the process before it begins. `most` bounds the files it may write, as a full disk does;
    one `without_rights` is kept by a folder's mode even where it is the superuser's. Its lines go into `errors`.
    """

    def __init__(
        self,
        arguments: list[object],
        cwd: Path,
        errors: Path,
        *,
        environment: dict[str, str] | None = None,
        first: Callable[[], object] = lambda: None,
        most: int | None = None,
        without_rights: bool = False,
    ) -> None:
        self.errors = errors
        self.pid = os.fork()
        if self.pid:
            return
        code = 70
        try:
            os.chdir(cwd)
            os.environ.update({"OMP_NUM_THREADS": "1"} | (environment or {}))
            said = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            for number in (1, 2):
                os.dup2(said, number)
            if most is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
            if without_rights:
                _give_up_rights()
            first()
            sys.argv = ["darknet-compat", *map(str, arguments)]
            torch.set_num_threads(1)
            darknet_compat.cli.main.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(code)

    def kill(self) -> bool:
        """kill -9, and wait until it is gone; whether it had not ended by itself."""
        os.kill(self.pid, signal.SIGKILL)
        return os.WIFSIGNALED(os.waitpid(self.pid, 0)[1])

    def wait(self) -> tuple[int, str]:
        """Its exit code (below 0: the signal that ended it) and its lines."""
        _, status = os.waitpid(self.pid, 0)
        return os.waitstatus_to_exitcode(status), self.errors.read_text(errors="replace")
