"""Which addresses may be fetched, redirects among them, and how long that may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import BaseRequestHandler, ThreadingTCPServer

import pytest

pytest.importorskip("fastapi")

from darknet_compat.errors import OptionError
from darknet_compat.serving.fetch import fetch
from darknet_compat.serving.options import ServeOptions
from darknet_compat.serving.refused import RequestRefused
from tests.serving.conftest import serving

ALLOWED = "http://pictures.example/open/a"


@pytest.mark.parametrize(
    "url",
    [
        "http://pictures.example/open/abc",
        "http://pictures.example/open/a.jpg",
        "http://pictures.example/open",
        "http://pictures.example/open/a/../b",
        "http://pictures.example/open/a/%2e%2e/b",
        "http://pictures.example/open/a/.%2E/b",
        "http://pictures.example/open/a/%252e%252e/b",
        "http://pictures.example/open/a/./b",
        "http://pictures.example/open/a/..;x/b",
        "http://pictures.example/open/a%2f..%2fb",
        "http://pictures.example/open%2Fa/b",
        "http://pictures.example/open/a/b%5c..%5cc",
        "http://pictures.example/open/a/b\\..\\c",
        "http://pictures.example//open/a/b",
        "http://pictures.example/open/a/b%0d%0aHost:x",
        "http://pictures.example:8080/open/a/b",
        "https://pictures.example/open/a/b",
        "http://pictures.example.org/open/a/b",
        "http://me@pictures.example/open/a/b",
        "http://pictures.example\\@other.example/open/a/b",
        "http://other.example#@pictures.example/open/a/b",
        "http://pictures.example:x/open/a/b",
        "file:///open/a/b",
        "//pictures.example/open/a/b",
        "",
    ],
)
def test_other_addresses_are_refused_before_anything_is_asked(url: str) -> None:
    with pytest.raises(RequestRefused, match="not fetched") as error:
        fetch(url, ServeOptions(models=["x"], allow_url=(ALLOWED,)))
    assert error.value.status == 403


class Handler(BaseHTTPRequestHandler):
    """`/open/PATH` answers PATH; `/to/WHERE` goes to the address in the query; `/drip` never ends."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if path.startswith("/open/to"):
            self.send_response(302)
            self.send_header("Location", query)
            self.end_headers()
        elif path == "/open/drip":
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.drip()
        elif path == "/open/dripping-head":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
            self.drip()
        else:
            self.send_response(200)
            self.send_header("Content-Length", "100" if path.endswith("short") else str(len(path)))
            self.end_headers()
            self.wfile.write(path.encode())

    def drip(self) -> None:
        while True:
            try:
                self.wfile.write(b"x")
                self.wfile.flush()
            except OSError:
                return
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        """Nothing."""


@contextmanager
def files() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_whole_segments_and_redirects_within_what_is_allowed() -> None:
    with files() as host, files() as other:
        options = ServeOptions(models=["x"], timeout=5, allow_url=(f"{host}/open", f"{host}/one/file.png"))

        def status(url: str) -> int:
            try:
                fetch(url, options)
            except RequestRefused as refused:
                return refused.status
            return 200

        assert fetch(f"{host}/open/a/b%20c.png?x=1#part", options) == b"/open/a/b%20c.png"
        assert fetch(f"HTTP://127.0.0.1{host[16:]}/open", options) == b"/open"
        assert status(f"{host}/one/file.png") == 200
        assert status(f"{host}/one/file.png2") == status(f"{host}/one") == status(f"{host}/opened") == 403
        assert fetch(f"{host}/open/to?{host}/open/there", options) == b"/open/there"
        assert fetch(f"{host}/open/to?/open/there", options) == b"/open/there"
        for away in (f"{other}/open/there", f"{host}/other", "../other", "/open/%2e%2e/other", "file:///etc/passwd"):
            assert status(f"{host}/open/to?{away}") == 403, away
        assert status(f"{host}/open/to?ftp://127.0.0.1/open/x") == 403
        assert status(f"{host}/open/short") == 502
        with pytest.raises(RequestRefused, match="redirect") as error:
            fetch(f"{host}/open/to?/open/to?/open/to", options)
        assert error.value.status == 502


@pytest.mark.parametrize("path", ["drip", "dripping-head"])
def test_an_address_that_drips_is_given_up_as_a_whole(path: str) -> None:
    with files() as host:
        options = ServeOptions(models=["x"], timeout=0.5, allow_url=(f"{host}/open",))
        with pytest.raises(RequestRefused, match=r"did not come within 0\.5 s") as error:
            fetch(f"{host}/open/{path}", options)
        assert error.value.status == 504


class Handshake(BaseRequestHandler):
    """A TLS record of 16 KiB, a byte at a time."""

    def handle(self) -> None:
        with suppress(OSError):
            for byte in b"\x16\x03\x03\x40\x00" + bytes(1 << 14):
                self.request.sendall(bytes([byte]))
                time.sleep(0.05)


def test_a_handshake_that_drips_is_given_up_as_a_whole() -> None:
    with ThreadingTCPServer(("127.0.0.1", 0), Handshake) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        host = f"https://127.0.0.1:{server.server_address[1]}"
        with pytest.raises(RequestRefused, match=r"did not come within 0\.5 s"):
            fetch(f"{host}/a", ServeOptions(models=["x"], timeout=0.5, allow_url=(host,)))
        server.shutdown()


def test_what_is_allowed_is_an_address() -> None:
    for wrong in ("pictures.example/a", "ftp://x/a", "http://", "http://me@x/a", "http://x/a?b=c", "http://x/../a"):
        with pytest.raises(OptionError, match="allow_url: expected an address"):
            ServeOptions(models=["x"], allow_url=(wrong,))


def test_fetched_by_a_request(toys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with files() as host:
        options = ServeOptions(models=[str(toys / "toy.cfg")], port=0, timeout=1, allow_url=(f"{host}/open",))
        with serving(options, monkeypatch) as client:

            def asked(url: str) -> tuple[int, str]:
                answer = client.json("v1/models/toy/detect", {"url": url})
                return answer.status, answer.document["error"]

            assert asked(f"{host}/open/drip")[0] == 504
            assert asked(f"{host}/other")[0] == 403
            assert "not a picture" in asked(f"{host}/open/letter")[1]
