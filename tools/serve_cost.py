#!/usr/bin/env python
"""What serving costs: `serve` against the Detector that it runs, and against a plain handler; and twice too much asked.

    python tools/serve_cost.py speed MODEL PICTURE [--weights FILE] [--seconds 60] [--clients 8]
    python tools/serve_cost.py soak MODEL PICTURE [--weights FILE] [--minutes 10]

`speed` lets in turn, two seconds each, until each had its seconds: the server's clients ask on kept connections, as
many threads call one Detector of one-thread lanes, one thread calls it, one thread calls a Detector in its default
mode, and the clients ask a plain FastAPI handler with a Detector in its default mode. Medians over the turns.

`soak` asks for twice what the server has just shown that it can do, at even times whether or not it keeps up; one
request in ten is damaged, oversized, slow or cut off. It counts answers, compares those of good requests with the first
one, and the server's memory after a tenth of the time with that at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import quote

from darknet_compat import Detector

TURN = 2.0
HANDLER = """
import sys
import uvicorn
from fastapi import Body, FastAPI
from darknet_compat import Detector

detector, app = Detector(sys.argv[1], sys.argv[2] or None), FastAPI()

@app.post("/detect")
def detect(picture: bytes = Body()):
    return detector(picture).to_dict()

uvicorn.run(app, port=int(sys.argv[3]), log_level="warning")
"""


def request(path: str, body: bytes) -> bytes:
    """A POST of a picture, as bytes."""
    head = f"POST {path} HTTP/1.1\r\nHost: here\r\nContent-Type: image/jpeg\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def receive(connection: socket.socket) -> tuple[int, bytes]:
    """An answer's status and body."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (more := connection.recv(65536)):
            raise ConnectionError("closed")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    while len(body) < length:
        if not (more := connection.recv(65536)):
            raise ConnectionError("closed")
        body += more
    return int(head.split(None, 2)[1]), body


class Asker(threading.local):
    """Asks on a connection that each thread keeps."""

    def __init__(self, port: int, path: str, picture: bytes) -> None:
        self.port, self.asked = port, request(path, picture)
        self.connection: socket.socket | None = None

    def __call__(self) -> None:
        """Ask once. Raises SystemExit for any answer but 200."""
        if self.connection is None:
            self.connection = socket.create_connection(("127.0.0.1", self.port))
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.sendall(self.asked)
        status, body = receive(self.connection)
        if status != 200:
            raise SystemExit(f"the server answered {status}: {body[:200].decode()}")


def turn(call: Callable[[], object], threads: int, seconds: float) -> list[float]:
    """What each call took, by so many threads for so long."""
    times: list[list[float]] = [[] for _ in range(threads)]
    until = time.perf_counter() + seconds

    def work(mine: list[float]) -> None:
        while (start := time.perf_counter()) < until:
            call()
            mine.append(time.perf_counter() - start)

    workers = [threading.Thread(target=work, args=(mine,)) for mine in times]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return list(itertools.chain.from_iterable(times))


@contextmanager
def running(command: list[str], port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A server that listens."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        while True:
            if process.poll() is not None:
                raise SystemExit(f"{command[1:4]} ended with {process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield process
    finally:
        process.terminate()
        process.wait(60)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def serve_command(options: argparse.Namespace, port: int, *more: str) -> list[str]:
    """What starts the server."""
    weights = ["--weights", options.weights] if options.weights else []
    return [sys.executable, "-m", "darknet_compat", "serve", options.model, *weights, "--port", str(port), *more]


def address(options: argparse.Namespace) -> str:
    """Where the model is asked."""
    return f"/v1/models/{quote(Path(options.model).stem)}/detect"


def processor(pid: int) -> float:
    """Seconds of processor time that a process has had."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def speed(options: argparse.Namespace) -> None:
    """The first two bars, and the plain handler."""
    picture = Path(options.picture).read_bytes()
    lanes = Detector(options.model, options.weights, mode="throughput")  # a core each, as many at once as there are
    alone = Detector(options.model, options.weights, threads=1)
    whole = Detector(options.model, options.weights)
    port, plain_port = free_port(), free_port()
    plain = [sys.executable, "-c", HANDLER, options.model, options.weights or "", str(plain_port)]
    with running(serve_command(options, port), port) as server, running(plain, plain_port) as handler:
        many, ours = options.clients, os.getpid()
        ways: dict[str, tuple[Callable[[], object], int, tuple[int, ...]]] = {
            "serve": (Asker(port, address(options), picture), many, (server.pid,)),
            f"Detector, {many} threads": (lambda: lanes(picture), many, (ours,)),
            "Detector, one at a time, one core": (lambda: alone(picture), 1, (ours,)),
            "Detector, one at a time, default": (lambda: whole(picture), 1, (ours,)),
            "plain handler": (Asker(plain_port, "/detect", picture), many, (handler.pid,)),
        }
        for call, _, _ in ways.values():
            turn(call, 1, 0.5)
        rates: dict[str, list[float]] = {name: [] for name in ways}
        costs: dict[str, list[float]] = {name: [] for name in ways}
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(max(1, round(options.seconds / TURN))):
            for name, (call, threads, pids) in ways.items():
                before, start = sum(map(processor, pids)), time.perf_counter()
                took = turn(call, threads, TURN)
                rates[name].append(len(took) / (time.perf_counter() - start))
                costs[name].append((sum(map(processor, pids)) - before) / len(took))
                times[name] += took
    tell_speed(rates, costs, times)


def tell_speed(rates: dict[str, list[float]], costs: dict[str, list[float]], times: dict[str, list[float]]) -> None:
    """The table and the bars, each the median of the turns' ratios."""
    print(f"{'':36}{'pictures/s':>11}{'cpu ms':>8}{'mean ms':>9}{'p99 ms':>8}")
    for name, took in times.items():
        took.sort()
        mean, p99 = 1000 * sum(took) / len(took), 1000 * took[int(0.99 * len(took))]
        print(f"{name:36}{median(rates[name]):11.1f}{1000 * median(costs[name]):8.2f}{mean:9.2f}{p99:8.2f}")
    serve, threads, lane, default, plain = rates.values()

    def ratio(others: list[float]) -> float:
        return median(one / other for one, other in zip(serve, others, strict=True))

    served, (_, _, alone, alone_default, _) = times["serve"], times.values()
    p99 = served[int(0.99 * len(served))]
    print(f"serve / Detector by as many threads: {ratio(threads):.2f} (bar: 0.85)")
    print(f"serve / one at a time: {ratio(lane):.2f} on one core, {ratio(default):.2f} by default (bar: 1.8)")
    print(f"serve / plain handler: {ratio(plain):.2f} (bar: 1.3)")
    means = [sum(one) / len(one) for one in (alone, alone_default)]
    print(f"p99 / mean of one at a time: {p99 / means[0]:.1f} on one core, {p99 / means[1]:.1f} by default (bar: 12)")


# ------------------------------------------------------------------------------------------- twice too much


class Soak:
    """Requests at even times, of which one in ten is bad, and what came of them."""

    def __init__(self, port: int, path: str, picture: bytes, limit: int) -> None:
        self.port, self.path, self.picture, self.limit = port, path, picture, limit
        self.answers: Counter[tuple[str, str]] = Counter()
        self.idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self.expected: object = None

    async def ask(self, kind: str) -> None:
        """A request of this kind; its answer is counted."""
        try:
            self.answers[kind, await asyncio.wait_for(getattr(self, kind)(), 120)] += 1
        except (asyncio.TimeoutError, OSError, EOFError) as error:
            self.answers[kind, type(error).__name__] += 1

    async def good(self) -> str:
        """The picture, on a kept connection; "wrong" for an answer unlike the first one."""
        while True:
            kept = bool(self.idle)
            reader, writer = self.idle.pop() if kept else await self.open()
            writer.write(request(self.path, self.picture))
            try:
                status, body = await self.answer(reader)
                break
            except (EOFError, ConnectionError):  # the server may end a connection that nobody uses
                writer.close()
                if not kept:
                    raise
        self.idle.append((reader, writer))
        if status == 200:
            found = json.loads(body)["detections"]
            self.expected = self.expected or found
            return "200" if found == self.expected else "wrong"
        return str(status)

    async def damaged(self) -> str:
        """The first half of the picture."""
        return await self.once(request(self.path, self.picture[: len(self.picture) // 2]))

    async def oversized(self) -> str:
        """A header that announces more than is taken."""
        head = f"POST {self.path} HTTP/1.1\r\nHost: here\r\nContent-Length: {self.limit + 1}\r\n\r\n"
        return await self.once(head.encode() + bytes(1 << 16))

    async def slow(self) -> str:
        """Some bytes every second, for longer than the server waits."""
        reader, writer = await self.open()
        whole, step = request(self.path, self.picture), 400
        answer = asyncio.create_task(self.answer(reader))
        for start in range(0, len(whole), step):
            writer.write(whole[start : start + step])
            done, _ = await asyncio.wait({answer}, timeout=1)
            if done:
                break
        writer.close()
        return str((await answer)[0])

    async def cut(self) -> str:
        """Half a request, and then nobody there."""
        _, writer = await self.open()
        writer.write(request(self.path, self.picture)[: len(self.picture) // 2])
        await writer.drain()
        writer.transport.abort()
        return "nobody waits"

    async def once(self, data: bytes) -> str:
        """The status that these bytes get."""
        reader, writer = await self.open()
        writer.write(data)
        status, _ = await self.answer(reader)
        writer.close()
        return str(status)

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A new connection."""
        return await asyncio.open_connection("127.0.0.1", self.port)

    @staticmethod
    async def answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
        """An answer's status and body."""
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:"))
        return int(head.split(None, 2)[1]), await reader.readexactly(length)

    async def run(self, rate: float, seconds: float, look: Callable[[float], None]) -> None:
        """So many requests a second."""
        bad = itertools.cycle(("damaged", "oversized", "slow", "cut"))
        start, tasks = time.perf_counter(), set()
        for number in itertools.count():
            due = number / rate
            if due > seconds:
                break
            if (ahead := start + due - time.perf_counter()) > 0:
                await asyncio.sleep(ahead)
            task = asyncio.create_task(self.ask("good" if number % 10 else next(bad)))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            look(time.perf_counter() - start)
        late = time.perf_counter() - start - seconds
        await asyncio.gather(*tasks)
        if late > 1:
            print(f"the client was {late:.0f} s late: less than twice was asked")


def memory(pid: int) -> float:
    """MiB that a process holds."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


def soak(options: argparse.Namespace) -> None:
    """Twice what the server can do."""
    picture, port, limit, seconds = Path(options.picture).read_bytes(), free_port(), 8 << 20, 60 * options.minutes
    command = serve_command(options, port, "--max-bytes", str(limit), "--timeout", "10")
    with running(command, port) as server:
        call = Asker(port, address(options), picture)
        turn(call, 8, 2)
        capacity = len(turn(call, 8, 10)) / 10
        rate = 2 * capacity
        print(f"{capacity:.0f} pictures a second; asking for {rate:.0f} for {options.minutes:g} minutes")
        seen: list[tuple[float, float]] = []

        def look(now: float) -> None:
            if not seen or now - seen[-1][0] >= 1:
                seen.append((now, memory(server.pid)))

        one = Soak(port, address(options), picture, limit)
        asyncio.run(one.run(rate, seconds, look))
        alive = server.poll() is None
        turn(call, 8, 2)  # it still answers
        held = [[mib for now, mib in seen if 10 * now // seconds == tenth] for tenth in range(10)]
        tenths = [median(some or [float("nan")]) for some in held]
    print(f"{'':12}" + "answers")
    for kind in ("good", "damaged", "oversized", "slow", "cut"):
        found = {status: count for (one_kind, status), count in sorted(one.answers.items()) if one_kind == kind}
        print(f"{kind:12}" + ", ".join(f"{status}: {count:,}" for status, count in found.items()))
    first, last = tenths[1], tenths[-1]
    print(f"memory in MiB, each tenth of the time: {', '.join(f'{mib:.0f}' for mib in tenths)}")
    print(f"memory after a tenth of the time against the end: {100 * (last / first - 1):+.1f} % (bar: 2 %)")
    print("the server lives and answers" if alive else "THE SERVER ENDED")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "soak"))
    parser.add_argument("model")
    parser.add_argument("picture")
    parser.add_argument("--weights")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=8)
    options = parser.parse_args()
    {"speed": speed, "soak": soak}[options.what](options)


if __name__ == "__main__":
    main()
