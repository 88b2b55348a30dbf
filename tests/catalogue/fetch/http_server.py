"""A real HTTP server on 127.0.0.1 whose misbehaviour a test chooses, address by address."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Route = Callable[["Handler"], None]


@dataclass
class Server:
    """The routes it answers by and the requests it saw: path and headers, in order."""

    port: int
    routes: dict[str, Route] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def ranges(self) -> list[str | None]:
        """What each request asked for."""
        return [headers.get("Range") for _, headers in self.requests]


class Handler(BaseHTTPRequestHandler):
    """Passes each GET to the test's route for its path; 404 without one."""

    server_state: Server

    def do_GET(self) -> None:
        self.server_state.requests.append((self.path, dict(self.headers)))
        route = self.server_state.routes.get(self.path)
        try:
            if route is None:
                self.send_error(404)
            else:
                route(self)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the client had enough

    def log_message(self, format: str, *args: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: object) -> None:
        """An answer; headers with `_` for `-`, Content-Length unless given (None: none)."""
        headers.setdefault("Content_Length", len(body))
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()


def gives(
    data: bytes, *, ranges: bool = True, upto: int | None = None, etag: str | None = '"1"', if_range: bool = True
) -> Route:
    """A route that gives `data`, as whole or from where it is asked, and breaks off after `upto` bytes of the file.

    Without `ranges` it always gives the whole; without `if_range` it continues whatever the client had.
    """

    def route(handler: Handler) -> None:
        asked = handler.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").removesuffix("-") or 0) if ranges else 0
        condition = handler.headers.get("If-Range")
        if if_range and condition is not None and condition != etag:
            start = 0
        if start >= len(data) and start:
            handler.answer(416, Content_Range=f"bytes */{len(data)}", ETag=etag)
            return
        where = f"bytes {start}-{len(data) - 1}/{len(data)}" if start else None
        body = data[start:upto] if upto is not None else data[start:]
        handler.answer(
            206 if start else 200,
            body,
            Content_Length=len(data) - start,
            Content_Range=where,
            ETag=etag,
            Content_Type="application/octet-stream",
        )

    return route


def in_turn(*routes: Route) -> Route:
    """A route that behaves differently each time; the last one stays."""
    left = list(routes)
    return lambda handler: (left.pop(0) if len(left) > 1 else left[0])(handler)


def redirects(target: str, status: int = 302) -> Route:
    """A route that leads elsewhere."""
    return lambda handler: handler.answer(status, Location=target)


@contextmanager
def running() -> Iterator[Server]:
    """The server, for as long as the block lasts."""
    handler = type("ThisHandler", (Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        httpd.daemon_threads = True
        httpd.block_on_close = False
        handler.server_state = state = Server(httpd.server_address[1])
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield state
        finally:
            httpd.shutdown()
            thread.join()
