"""The process in which the original's library runs: `python -m darknet_compat.parity._original.worker FD MODULE`.

Answers the requests that arrive on the socket FD until it is closed. stdout and stderr are one file, emptied at the
start of each request: what stands in it when the process dies is what the original had to say.
"""

from __future__ import annotations

import importlib.util
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any

from darknet_compat.errors import DarknetCompatError, OriginalError
from darknet_compat.parity._original.declarations import MODULE
from darknet_compat.parity._original.requests import REQUESTS
from darknet_compat.parity._original.session import Session
from darknet_compat.parity._original.wire import READY, receive, send


def main(descriptor: int, module: str) -> None:
    """Load the compiled binding and answer requests."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # dying is business as usual here, no core files
    connection = socket.socket(fileno=descriptor)
    binding = _loaded(module)
    session = Session(binding.ffi, binding.lib, Path.cwd())
    send(connection, READY)
    while True:
        try:
            request, arguments = receive(connection)
        except (EOFError, OSError):
            return
        os.ftruncate(2, 0)
        os.chdir(session.scratch)
        try:
            answer = True, REQUESTS[request](session, *arguments)
        except DarknetCompatError as error:
            answer = False, error
        except Exception as error:
            answer = False, OriginalError(f"{request}: {type(error).__name__}: {error}")
        send(connection, answer)


def _loaded(path: str) -> Any:
    spec = importlib.util.spec_from_file_location(MODULE, path)
    if spec is None or spec.loader is None:
        raise OriginalError(f"{path}: not a Python extension module")
    # The library has a function `error` as libc has. Bound to libc's, as Python's own flags would have it, the
    # original dies without its message, or of something else.
    flags = sys.getdlopenflags()
    sys.setdlopenflags(os.RTLD_LAZY | os.RTLD_DEEPBIND)
    try:
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.setdlopenflags(flags)
    return module


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
