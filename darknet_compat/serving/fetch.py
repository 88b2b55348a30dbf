"""Pictures from addresses that `allow_url` names, within its limits of size and time."""

from __future__ import annotations

import http.client
import socket
import threading
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from typing import Any

from darknet_compat import __version__
from darknet_compat.serving.addresses import allowed_place, place_of
from darknet_compat.serving.options import ServeOptions
from darknet_compat.serving.refused import RequestRefused

_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)


def fetch(url: str, options: ServeOptions) -> bytes:
    """The bytes at an address that is allowed, as each must be that it redirects to. Raises RequestRefused."""
    with _Deadline(options.timeout) as deadline:
        try:
            for _ in range(_MOST_REDIRECTS + 1):
                _expect_allowed(url, options)
                found = _ask(url, options, deadline)
                if isinstance(found, bytes):
                    return found
                url = urllib.parse.urljoin(url, found.address)
            reason = f"more than {_MOST_REDIRECTS} redirects"
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            if deadline.passed:
                raise RequestRefused(504, f"the address's picture did not come within {options.timeout:g} s") from None
            reason = str(getattr(error, "reason", error)).split("\n")[0] or type(error).__name__
    raise RequestRefused(502, f"the address cannot be fetched: {reason}")


class _Redirect:
    def __init__(self, address: str) -> None:
        self.address = address


def _expect_allowed(url: str, options: ServeOptions) -> None:
    place, allowed = place_of(url), map(allowed_place, options.allow_url or ())
    if place is None or not any(one is not None and one.holds(place) for one in allowed):
        hint = "" if options.allow_url else "; --allow-url names those that are"
        raise RequestRefused(403, f"addresses such as this are not fetched{hint}")


def _ask(url: str, options: ServeOptions, deadline: _Deadline) -> bytes | _Redirect:
    """The bytes, or where they are. Raises RequestRefused, and what `http` and `urllib` raise."""
    opener = urllib.request.build_opener(_NoRedirect, *_handlers(deadline))
    wanted = urllib.request.Request(url, headers={"User-Agent": f"darknet-compat/{__version__}"})
    try:
        with opener.open(wanted, timeout=options.timeout) as answer:
            data: bytes = answer.read(options.max_bytes + 1)
            if len(data) > options.max_bytes:
                raise RequestRefused(413, f"the picture there has more than {options.max_bytes:,} bytes")
            if deadline.passed or answer.length:
                raise OSError("cut off")
            return data
    except urllib.error.HTTPError as error:
        with error:  # whose body nobody reads
            address = error.headers.get("Location")
            if error.code in _REDIRECTS and address is not None:
                return _Redirect(address)
            raise OSError(f"{error.code} {error.reason}") from None


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any, **__: Any) -> None:
        """An allowed address does not vouch for another one."""


class _Deadline:
    """Ends connections after so many seconds in all: a socket's own time-out begins anew with each byte."""

    def __init__(self, seconds: float) -> None:
        self.passed = False
        self._sockets: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._pass)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for one in self._sockets:
                one.close()
            self._sockets.clear()

    def watch(self, connection: socket.socket) -> None:
        """Watch a copy of the socket, as TLS takes the socket itself away."""
        with self._lock:
            self._sockets.append(connection.dup())
        if self.passed:
            self._pass()

    def _pass(self) -> None:
        self.passed = True
        with self._lock:
            for one in self._sockets:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)


def _handlers(deadline: _Deadline) -> list[urllib.request.BaseHandler]:
    """What opens connections that the deadline watches."""

    class Plain(http.client.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            deadline.watch(self.sock)

    class Secure(http.client.HTTPSConnection, Plain):
        """Whose `connect` calls Plain's before the handshake."""

    class OpenPlain(urllib.request.HTTPHandler):
        def http_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Plain, req)

    class OpenSecure(urllib.request.HTTPSHandler):
        def https_open(self, req: urllib.request.Request) -> Any:
            return self.do_open(Secure, req)

    return [OpenPlain(), OpenSecure()]
