"""How requests share a model: each on a lane of its own, or several in a batch; with a limit to how many may wait."""

from __future__ import annotations

import queue
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

from darknet_compat.inference.answering import Answering
from darknet_compat.inference.batch import Failure

T = TypeVar("T")


class Busy(Exception):
    """The queue is full: as many requests as may wait are waiting."""


@dataclass(frozen=True)
class Job:
    """A picture, encoded, and what its request asks for; or work of another kind, which shares its pass with none."""

    picture: bytes
    asked: Mapping[str, Any]
    work: Callable[[], Any] | None = None
    done: Future[Any] = field(default_factory=Future)


class Lanes(ABC):
    """Works on pictures, `limit` of them in hand or waiting at the most."""

    def __init__(self, model: Callable[[], Answering[Any]], limit: int) -> None:
        self.model, self.limit = model, limit
        self.waiting, self._lock = 0, threading.Lock()

    @abstractmethod
    def submit(self, picture: bytes, asked: Mapping[str, Any]) -> Future[Any]:
        """The answer to come, or the DarknetCompatError that it failed with. Raises Busy."""

    @abstractmethod
    def run(self, work: Callable[[], T]) -> Future[T]:
        """What `work` gives, called when a lane is free. Raises Busy."""

    @abstractmethod
    def close(self) -> None:
        """Finish what has been taken, and take no more."""

    @property
    def full(self) -> bool:
        """Whether `submit` would raise Busy now."""
        return self.waiting >= self.limit

    def enter(self) -> None:
        """Count a request as in hand. Raises Busy."""
        with self._lock:
            if self.full:
                raise Busy
            self.waiting += 1

    def leave(self, _: object = None) -> None:
        """Count one as done."""
        with self._lock:
            self.waiting -= 1


class SingleLanes(Lanes):
    """`count` pictures at a time, each by one thread from its bytes to its answer."""

    def __init__(self, model: Callable[[], Answering[Any]], count: int, limit: int) -> None:
        super().__init__(model, count + limit)
        self.pool = ThreadPoolExecutor(count, "lane")

    def submit(self, picture: bytes, asked: Mapping[str, Any]) -> Future[Any]:
        """See `Lanes`."""
        return self.run(lambda: self.model()(picture, **asked))

    def run(self, work: Callable[[], T]) -> Future[T]:
        """See `Lanes`."""
        self.enter()
        try:
            future = self.pool.submit(work)
        except RuntimeError:  # shut down
            self.leave()
            raise Busy from None
        future.add_done_callback(self.leave)
        return future

    def close(self) -> None:
        """See `Lanes`."""
        self.pool.shutdown()


class BatchLanes(Lanes):
    """Requests that come within `delay` seconds of each other go through the network together, `most` at once.

    One thread gathers and computes; pictures are decoded by the model's own readers meanwhile.
    """

    def __init__(self, model: Callable[[], Answering[Any]], most: int, delay: float, limit: int) -> None:
        super().__init__(model, most + limit)
        self.most, self.delay = most, delay
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
        self.enter()
        job.done.add_done_callback(self.leave)
        self.jobs.put(job)
        return job.done

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
