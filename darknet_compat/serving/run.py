"""From options to a server that answers, until it is told to end."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from darknet_compat.errors import BackendError
from darknet_compat.serving.app import make_app
from darknet_compat.serving.models import Say, Served, open_models
from darknet_compat.serving.options import ServeOptions
from darknet_compat.signals import wish_to_end


def serve(
    options: ServeOptions, say: Say, ready: Callable[[str, dict[str, Served]], None] = lambda address, models: None
) -> None:
    """Serve until SIGTERM or Ctrl-C, then answer what has been taken, and return.

    `say` takes a line for whoever runs the server, `ready` the address once requests are taken. Raises OptionError,
    BackendError where the port is taken, and DarknetCompatError for a model that cannot be opened.
    """
    with listener_of(options) as listener:
        models = open_models(options, say)
        app = make_app(models, options)
        grace = int(options.timeout) + 1
        config = uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            timeout_graceful_shutdown=grace,
            server_header=False,
            limit_concurrency=MOST_CONNECTIONS,
        )
        server = _Server(config)
        host, port = listener.getsockname()[:2]
        ready(address_of(host, port), models)
        before = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH)
        try:
            server.run(sockets=[listener])
        finally:
            sys.setswitchinterval(before)


MOST_CONNECTIONS = 1000
"""More are answered 503. A process may have 1024 files on most machines."""

SWITCH = 0.0005
"""Seconds after which a lane hands Python's lock on. What reads and writes sockets asks for it after every call, and
waits for Python's own 5 ms each time while a lane computes: refusing then takes longer than requests take to come."""


class _Server(uvicorn.Server):
    """Ends on SIGTERM and Ctrl-C and returns, where uvicorn's own raises the signal once more."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """See uvicorn."""
        with wish_to_end(self.handle_exit):
            yield


def address_of(host: str, port: int) -> str:
    """A server's address, as a browser takes it."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def listener_of(options: ServeOptions) -> socket.socket:
    """The socket, before anything is loaded. Raises BackendError."""
    try:
        family = socket.getaddrinfo(options.host, options.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family[0], socket.SOCK_STREAM)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(family[4])
        except OSError:
            listener.close()
            raise
    except OSError as error:
        reason = error.strerror or str(error)
        raise BackendError(f"{options.host}:{options.port}: {reason}; --port takes another port") from None
    return listener
