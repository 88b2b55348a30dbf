"""Processes that make batches, in memory that they share with the one that trains.

Processes and not threads, although these would copy less: what Python itself does for a picture, one thread at a time,
would bound many of them and hold up the training, and data sets that compose their pictures would gain nothing.
"""

from __future__ import annotations

import mmap
import multiprocessing
import os
import signal
import threading
import warnings
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.connection import wait

import numpy as np
import torch

from darknet_compat.formats.arrays import Floats, Ints
from darknet_compat.inference.batch import Failure
from darknet_compat.training.batches.batch import Batch, Examples
from darknet_compat.training.batches.truth import Truth
from darknet_compat.vision.opencv import opencv

SharedArrays = list[Floats]

CAN_FORK = "fork" in multiprocessing.get_all_start_methods()
"""A forked process has the data set and the shared memory at once. Without fork (Windows) batches are made in the main
process."""

_examples: Examples
_memory: SharedArrays
"""In a worker: what it makes, and where images go."""


class Workers:
    """`count` processes that have up to `ahead` batches in the making. With `pin_memory`, images arrive where a GPU
    fetches them fastest."""

    def __init__(self, examples: Examples, count: int, ahead: int, pin_memory: bool) -> None:
        self._examples, self._pin_memory = examples, pin_memory
        # Anonymous memory is not bounded by what a container allows for /dev/shm; used again and again, it costs less.
        size = 4 * examples.largest
        self._memory = [np.frombuffer(mmap.mmap(-1, size), np.float32) for _ in range(ahead)]
        self._free = list(range(ahead))
        self._pool = _forked(examples, self._memory, count)
        self._fetching = ThreadPoolExecutor(1)

    def submit(self, number: int) -> Future[Batch]:
        """Have a batch made. Its result, or this call, raises BrokenProcessPool where a worker has died."""
        place = self._free.pop()
        return self._fetching.submit(self._fetched, self._pool.submit(_made, number, place), number, place)

    def close(self) -> None:
        """End them, which takes as long as the batches that are being made."""
        self._pool.shutdown(cancel_futures=True)
        self._fetching.shutdown(cancel_futures=True)

    def _fetched(self, made: Future[_Made], number: int, place: int) -> Batch:
        """The batch in memory of its own; the shared memory is free for another."""
        boxes, classes, shares, skipped = made.result()
        shape = self._examples.shape(number)
        images = torch.empty(shape, pin_memory=self._pin_memory)
        images.copy_(torch.from_numpy(self._memory[place][: images.numel()]).view(shape))
        self._free.append(place)
        known = None if shares is None else torch.from_numpy(shares)
        return Batch(images, Truth(torch.from_numpy(boxes), torch.from_numpy(classes), known), number, skipped)


_Made = tuple[Floats, Ints, Floats | None, tuple[Failure, ...]]


def _forked(examples: Examples, memory: SharedArrays, count: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("fork")
    pool = ProcessPoolExecutor(count, context, initializer=_start, initargs=(examples, memory))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of forking beside threads: a worker uses none of them
        pool.submit(int)
    return pool


def _start(examples: Examples, memory: SharedArrays) -> None:
    """Prepare this process: one thread, no part in Ctrl-C, and an end when the one that started it has ended."""
    global _examples, _memory
    _examples, _memory = examples, memory
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    opencv().setNumThreads(0)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _made(number: int, place: int) -> _Made:
    shape = _examples.shape(number)
    images = _memory[place][: np.prod(shape)].reshape(shape)
    truth, skipped = _examples.fill(number, images)
    shares = None if truth.shares is None else truth.shares.numpy()
    return truth.boxes.numpy(), truth.classes.numpy(), shares, skipped
