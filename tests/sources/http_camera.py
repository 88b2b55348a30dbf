"""A camera as many in buildings are: JPEGs one after another over HTTP, on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cv2

from tests.sources.making import numbered


class Camera:
    """What an HTTP server of `numbered` JPEGs does: so many frames a second; and after so many it cuts a connection, or
    `hangs`."""

    def __init__(self) -> None:
        self.rate, self.frames, self.connections = 100.0, 10**9, 0
        self.hangs = False
        self.files: dict[str, bytes] = {}
        self.address = ""


@contextmanager
def camera() -> Iterator[Camera]:
    """A camera that speaks mjpeg over HTTP at `address`/stream, and files below it, while the context lasts."""
    serving = Camera()
    jpegs = [cv2.imencode(".jpg", picture)[1].tobytes() for picture in numbered(29)]
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path != "/stream":
                self.send_file(serving.files.get(self.path))
                return
            serving.connections += 1
            self.send_response(200)
            self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
            self.end_headers()
            try:
                for number in range(serving.frames):
                    part = jpegs[number % 29]
                    head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n"
                    self.wfile.write(head.encode() + part + b"\r\n")
                    self.wfile.flush()
                    if stopping.wait(1 / serving.rate):
                        return
                if serving.hangs:
                    stopping.wait(60)
            except OSError:
                return

        def send_file(self, data: bytes | None) -> None:
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            """Nothing on stderr."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    serving.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield serving
    stopping.set()
    server.shutdown()
    server.server_close()
    thread.join()
