"""How requests share a model: each on a lane of its own, or several in a batch; with a limit to how many may wait."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

import numpy as np

from darknet_compat.inference.answering import Answering
from darknet_compat.inference.batch import Failure

T = TypeVar("T")


class Busy(Exception):
    """As many requests as may wait are waiting already."""


@dataclass(frozen=True)
class Job:
    """A picture, encoded, and what its request asks for; or work of another kind, which shares its pass with none."""

    picture: bytes
    asked: Mapping[str, Any]
    work: Callable[[], Any] | None = None
    done: Future[Any] = field(default_factory=Future)


class Lanes(Protocol):
    """Works on pictures."""

    def submit(self, picture: bytes, asked: Mapping[str, Any]) -> Future[Any]:
        """The answer to come, or the DarknetCompatError that it failed with. Raises Busy."""

    def run(self, work: Callable[[], T]) -> Future[T]:
        """What `work` gives, called when a lane is free. Raises Busy."""

    @property
    def waiting(self) -> int:
        """Requests that are in hand or wait."""

    @property
    def full(self) -> bool:
        """Whether `submit` would raise Busy now."""

    def close(self) -> None:
        """Finish what has been taken, and take no more."""


class _Room:
    """Counts what is in hand, up to a limit."""

    def __init__(self, limit: int) -> None:
        self.limit, self.taken, self._lock = limit, 0, threading.Lock()

    def enter(self) -> None:
        with self._lock:
            if self.taken >= self.limit:
                raise Busy
            self.taken += 1

    @property
    def full(self) -> bool:
        """Whether there is room for none."""
        return self.taken >= self.limit

    def leave(self, _: object = None) -> None:
        with self._lock:
            self.taken -= 1


class SingleLanes:
    """`count` pictures at a time, each by one thread from its bytes to its answer."""

    def __init__(self, model: Callable[[], Answering[Any]], count: int, limit: int) -> None:
        self.model, self.room = model, _Room(count + limit)
        self.pool = ThreadPoolExecutor(count, "lane")

    def submit(self, picture: bytes, asked: Mapping[str, Any]) -> Future[Any]:
        """See `Lanes`."""
        return self.run(lambda: self.model()(picture, **asked))

    def run(self, work: Callable[[], T]) -> Future[T]:
        """See `Lanes`."""
        self.room.enter()
        try:
            future = self.pool.submit(work)
        except RuntimeError:  # shut down
            self.room.leave()
            raise Busy from None
        future.add_done_callback(self.room.leave)
        return future

    @property
    def waiting(self) -> int:
        """See `Lanes`."""
        return self.room.taken

    @property
    def full(self) -> bool:
        """See `Lanes`."""
        return self.room.full

    def close(self) -> None:
        """See `Lanes`."""
        self.pool.shutdown()


class BatchLanes:
    """Requests that come within `delay` seconds of each other go through the network together, `most` at once.

    One thread gathers and computes; pictures are decoded by the model's own readers meanwhile.
    """

    def __init__(self, model: Callable[[], Answering[Any]], most: int, delay: float, limit: int) -> None:
        self.model, self.most, self.delay = model, most, delay
        self.room = _Room(most + limit)
        self.jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._run, name="batches", daemon=True)
        self.thread.start()

    def submit(self, picture: bytes, asked: Mapping[str, Any]) -> Future[Any]:
        """See `Lanes`."""
        return self._put(Job(picture, asked))

    def run(self, work: Callable[[], T]) -> Future[T]:
        """See `Lanes`."""
        return self._put(Job(b"", {}, work))

    def _put(self, job: Job) -> Future[Any]:
        self.room.enter()
        job.done.add_done_callback(self.room.leave)
        self.jobs.put(job)
        return job.done

    @property
    def waiting(self) -> int:
        """See `Lanes`."""
        return self.room.taken

    @property
    def full(self) -> bool:
        """See `Lanes`."""
        return self.room.full

    def close(self) -> None:
        """See `Lanes`."""
        self.jobs.put(None)
        self.thread.join()

    def _run(self) -> None:
        while (first := self.jobs.get()) is not None:
            batch, last = [first], False
            until = time.monotonic() + self.delay
            while len(batch) < self.most and not last:
                try:
                    job = self.jobs.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    break
                if job is None:
                    last = True
                else:
                    batch.append(job)
            self._answer(batch)
            if last:
                return

    def _answer(self, batch: Sequence[Job]) -> None:
        """Requests that ask for the same share a pass of the network."""
        groups: dict[str, list[Job]] = {}
        for job in batch:
            if job.work is not None:
                _work_off(job.work, job.done)
            else:
                groups.setdefault(repr(sorted(job.asked.items())), []).append(job)
        for jobs in groups.values():
            running = [job for job in jobs if job.done.set_running_or_notify_cancel()]
            try:
                stream = self.model().stream([job.picture for job in running], len(running), **running[0].asked)
                for job, (_, answer) in zip(running, stream, strict=True):
                    if isinstance(answer, Failure):
                        job.done.set_exception(answer.error)
                    else:
                        job.done.set_result(answer)
            except Exception as error:
                for job in running:
                    if not job.done.done():
                        job.done.set_exception(error)


def _work_off(work: Callable[[], Any], done: Future[Any]) -> None:
    if not done.set_running_or_notify_cancel():
        return
    try:
        done.set_result(work())
    except Exception as error:
        done.set_exception(error)


def quicker(together: Answering[Any], lanes: Answering[Any], count: int, most: int, seconds: float = 0.5) -> bool:
    """Whether batches of `most` through `together` are quicker here than `count` at a time, each alone, through
    `lanes`, by trying both in turn on noise. They are one network, opened for the one and for the other."""
    own = lanes.runtime.description
    noise = np.random.default_rng(0).random((most, own.channels, own.height, own.width), np.float32)
    spent = [0.0, 0.0]
    with ThreadPoolExecutor(count) as pool:

        def alone() -> None:
            list(pool.map(lambda row: lanes.runtime.infer(row[None], 0.5), noise))

        ways: tuple[Callable[[], object], ...] = (alone, lambda: together.runtime.infer(noise, 0.5))
        for way in ways:  # warm
            way()
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            for number, way in enumerate(ways):
                start = time.perf_counter()
                way()
                spent[number] += time.perf_counter() - start
    return spent[1] < spent[0]
