"""How late a live source's answers are: an mjpeg stream of 30 frames a second, and a network that takes 0.1 s.

    python tools/live_latency.py [SECONDS] [NETWORK_SECONDS]

The stream comes over HTTP from a process of its own. Each of its frames shows the number of the frame in its grey, so
that what is measured is from when a frame was sent to when it was answered, and not only from when it had arrived. The
network is that of the digits, each pass of which is made to last as long as said. The last line is JSON, in seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import cv2
import numpy as np

import darknet_compat as dc
from darknet_compat.formats.arrays import Floats
from darknet_compat.runtime.base import Runtime

RATE, LEVELS = 30, 29


class Stream(BaseHTTPRequestHandler):
    """Frame n is sent when the clock shows n / RATE seconds, in grey n modulo LEVELS."""

    def do_GET(self) -> None:
        """See the class."""
        jpegs = [cv2.imencode(".jpg", np.full((48, 64, 3), 16 + 8 * n, np.uint8))[1].tobytes() for n in range(LEVELS)]
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=frame")
        self.end_headers()
        number = int(time.time() * RATE)
        while True:
            number += 1
            time.sleep(max(0.0, number / RATE - time.time()))
            part = jpegs[number % LEVELS]
            head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(part)}\r\n\r\n"
            try:
                self.wfile.write(head.encode() + part + b"\r\n")
            except OSError:
                return

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


class Slowed:
    """A runtime whose passes last `seconds` at least."""

    def __init__(self, inner: Runtime, seconds: float) -> None:
        self.inner, self.seconds = inner, seconds
        self.description, self.streams = inner.description, 1
        self.took: list[float] = []

    def infer(self, images: Floats, thresh: float = 0.0) -> Any:
        """See `Runtime.infer`."""
        began = time.perf_counter()
        outputs = self.inner.infer(images, thresh)
        time.sleep(max(0.0, began + self.seconds - time.perf_counter()))
        self.took.append(time.perf_counter() - began)
        return outputs


def sent_at(pixels: Any, now: float) -> float:
    """When the frame was due, the newest whose grey it has: they repeat each second."""
    level = round((float(pixels.mean()) - 16) / 8)
    number = int(now * RATE)
    return (number - (number - level) % LEVELS) / RATE


def main(seconds: float, network: float) -> None:
    """Answer frames for so long, and say how late the answers were."""
    with subprocess.Popen([sys.executable, __file__, "--stream"], stdout=subprocess.PIPE, text=True) as camera:
        assert camera.stdout is not None
        address = camera.stdout.readline().strip()
        detector = dc.Detector("yolov2-digits")
        slowed = detector.runtime = Slowed(detector.runtime, network)
        late, began = [], time.time()
        for frame, _ in detector.stream(address):
            now = time.time()
            late.append(now - sent_at(frame.pixels(), now))
            if now - began > seconds:
                break
        camera.terminate()
    shares = dict(zip(("median", "p99", "worst"), np.quantile(late, [0.5, 0.99, 1]).round(4).tolist(), strict=True))
    halves = [round(float(np.median(half)), 4) for half in np.array_split(late, 2)]
    passes = np.quantile(slowed.took, [0.5, 0.99]).round(4).tolist()
    print(json.dumps({"answers": len(late), **shares, "median_of_halves": halves, "network_median_p99": passes}))


if __name__ == "__main__":
    if sys.argv[1:] == ["--stream"]:
        server = HTTPServer(("127.0.0.1", 0), Stream)
        print(f"http://127.0.0.1:{server.server_port}/stream", flush=True)
        server.serve_forever()
    else:
        numbers = [float(word) for word in sys.argv[1:]]
        main(*numbers, *[600.0, 0.1][len(numbers) :])
