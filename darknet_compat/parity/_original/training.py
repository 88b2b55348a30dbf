"""What a worker can be asked about training."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np

from darknet_compat.errors import OriginalError
from darknet_compat.formats.arrays import Floats
from darknet_compat.parity._original.networks import Setup
from darknet_compat.parity._original.session import Session

_UNKNOWN = -1234
"""The original's `SECRET_NUM`."""


def rates(session: Session, setup: Setup, first: int, count: int, seed: int) -> Floats:
    """`get_current_rate` of `count` batches from `first` on; `seed` is for `rand`, which policy=random draws from."""
    net = session.networks.fresh(setup)
    session.lib.srand(seed)
    found = np.empty(count, np.float32)
    for i in range(count):
        net.seen[0] = (first + i) * net.batch * net.subdivisions
        found[i] = session.lib.get_current_rate(net)
    return found


def train(session: Session, setup: Setup, images: Floats, truths: Floats, out: str) -> list[float]:
    """Train on all rows in order; the loss of every batch. The weights then are saved in `out`."""
    net = session.networks.fresh(setup)
    losses = [float(step(session, net, x, y)) for x, y in _batches(net, images, truths)]
    session.lib.save_weights_upto(net, os.fsencode(out), net.n)
    return losses


def time_train(
    session: Session, setup: Setup, images: Floats, truths: Floats, repeats: int, processor: bool
) -> list[float]:
    """Seconds of each of `repeats` batches on the same rows, on the wall or of the processor."""
    clock = time.process_time if processor else time.perf_counter
    net = session.networks.fresh(setup)
    ((x, y),) = _batches(net, images, truths)
    seconds = []
    for _ in range(repeats):
        start = clock()
        step(session, net, x, y)
        seconds.append(clock() - start)
    return seconds


def deltas(
    session: Session, setup: Setup, images: Floats, truths: Floats, seen: int, activated_trees: bool
) -> tuple[list[tuple[str, Floats, float | None]], str]:
    """After one forward pass in training: every layer's type, delta and cost, and what was printed."""
    net = session.networks.fresh(setup)
    ((x, y),) = _batches(net, images, truths)
    layers = [net.layers[i] for i in range(net.n)]
    for layer in layers:
        if activated_trees and layer.type == session.lib.REGION and layer.softmax_tree:
            layer.softmax_tree.groups = 0  # read by nothing but the softmax
    session.view(net.input, *x.shape)[:] = x
    session.view(net.truth, *y.shape)[:] = y
    net.seen[0] = seen
    net.train = 1
    session.lib.forward_network(net)
    session.lib.fflush(session.ffi.NULL)
    found = [
        (
            session.networks.layer(net, i)[0],
            session.floats(layer.delta, len(x), layer.outputs),
            float(layer.cost[0]) if layer.cost else None,
        )
        for i, layer in enumerate(layers)
    ]
    return found, os.pread(2, 1 << 16, 0).decode(errors="replace")


def step(session: Session, net: Any, images: Floats, truths: Floats) -> float:
    """One batch: `train_network`, or its parts with what the CPU build lacks (a [region], a softmax over a tree)."""
    lib = session.lib
    layers = [net.layers[i] for i in range(net.n)]
    regions = [i for i, layer in enumerate(layers) if layer.type == lib.REGION]
    trees = [i for i, layer in enumerate(layers) if layer.type == lib.SOFTMAX and layer.softmax_tree]
    if not regions and not trees:
        matrices = {"X": _matrix(session, images), "y": _matrix(session, truths)}
        return float(lib.train_network(net, session.ffi.new("data *", matrices)[0]))
    total = 0.0
    for x, y in zip(np.split(images, net.subdivisions), np.split(truths, net.subdivisions), strict=True):
        session.view(net.input, *x.shape)[:] = x
        session.view(net.truth, *y.shape)[:] = y
        net.seen[0] += net.batch
        net.train = 1
        lib.forward_network(net)
        for i in trees:
            _leave_unknown(session, layers[i], y)
        for i in regions:
            _hand_back(session, layers[i], layers[i - 1])
        lib.backward_network(net)
        costs = [layer.cost[0] for layer in layers if layer.cost]
        total += sum(costs) / len(costs)
    lib.update_network(net)
    return total / len(images)


def _leave_unknown(session: Session, softmax: Any, truths: Floats) -> None:
    """What `forward_softmax_layer_gpu` does with a tree: groups of which nothing is known have no delta and no loss."""
    unknown = truths == _UNKNOWN
    delta, loss = (session.view(pointer, *truths.shape) for pointer in (softmax.delta, softmax.loss))
    delta[unknown] = loss[unknown] = 0
    softmax.cost[0] = loss.sum()


def _hand_back(session: Session, region: Any, previous: Any) -> None:
    """What `backward_region_layer_gpu` does: from activated outputs to raw ones, and on to the layer before."""
    shape = region.batch, region.n, region.coords + 1 + region.classes, region.h * region.w
    delta, output = (session.view(pointer, *shape) for pointer in (region.delta, region.output))
    logistic = [0, 1, *range(4, region.coords), *([] if region.background else [region.coords])]
    delta[:, :, logistic] *= (1 - output[:, :, logistic]) * output[:, :, logistic]
    session.view(previous.delta, *shape)[:] += delta


def _batches(net: Any, images: Floats, truths: Floats) -> list[tuple[Floats, Floats]]:
    rows = net.batch * net.subdivisions
    images, truths = images.reshape(len(images), -1), truths.reshape(len(truths), -1)
    expected = (net.inputs, net.truths)
    if (images.shape[1], truths.shape[1]) != expected or len(images) != len(truths) or len(images) % rows:
        raise OriginalError(
            f"training reads rows of {expected[0]} values and truths of {expected[1]}, in batches of {rows}; "
            f"found {list(images.shape)} and {list(truths.shape)}"
        )
    steps = len(images) // rows
    return list(zip(np.split(images, steps), np.split(truths, steps), strict=True))


def _matrix(session: Session, rows: Floats) -> dict[str, Any]:
    """A `matrix` that shares the array's memory, as cffi takes it; good for as long as both are kept."""
    start = session.ffi.from_buffer("float[]", rows)
    pointers = session.ffi.new("float *[]", [start + i * rows.shape[1] for i in range(len(rows))])
    return {"rows": len(rows), "cols": rows.shape[1], "vals": pointers}
