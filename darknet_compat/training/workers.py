"""Processes that make batches."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import wait

import torch.multiprocessing  # has tensors handed over in shared memory
from torch import Tensor

from darknet_compat.training.examples import Batch
from darknet_compat.training.truth import Truth
from darknet_compat.vision.opencv import opencv

Make = Callable[[int], Batch]

_make: Make
"""In a worker: what it was started for."""


class Workers:
    """`count` processes that call `make`. With `pin_memory`, tensors arrive where a GPU fetches them fastest."""

    def __init__(self, make: Make, count: int, pin_memory: bool) -> None:
        self._make, self._count = make, count
        self._pinning = ThreadPoolExecutor(1) if pin_memory else None
        self._pool: ProcessPoolExecutor | None = None

    def submit(self, number: int) -> Future[Batch]:
        """Have a batch made. Its result, or this call, raises BrokenProcessPool where a worker has died."""
        self._pool = self._pool or self._started()
        made = self._pool.submit(_made, number)
        return made if self._pinning is None else self._pinning.submit(_pinned, made)

    def stop(self) -> None:
        """End all, which takes as long as the batches that are being made. The next `submit` starts anew."""
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End all for good."""
        self.stop()
        if self._pinning is not None:
            self._pinning.shutdown(cancel_futures=True)

    def _started(self) -> ProcessPoolExecutor:
        # Forked where that is possible: a data set of a million paths is then shared, not sent to every worker.
        method = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
        context = multiprocessing.get_context(method)
        pool = ProcessPoolExecutor(self._count, context, initializer=_start, initargs=(self._make,))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: a worker uses none of them
            pool.submit(int).result()
        return pool


def _start(make: Make) -> None:
    """Prepare this process: one thread, no part in Ctrl-C, and an end when the one that started it has ended."""
    global _make
    _make = make
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    opencv().setNumThreads(0)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _made(number: int) -> Batch:
    return _make(number)


def _pinned(made: Future[Batch]) -> Batch:
    batch = made.result()
    pinned: Callable[[Tensor], Tensor] = Tensor.pin_memory
    return batch._replace(images=pinned(batch.images), truth=Truth(*map(pinned, batch.truth)))
