"""The rate of every batch, by whichever policy the `[net]` names (original: `get_current_rate`).

Batches are counted as the original counts them: `seen` moves before a pass, so that the first update of a new network
is that of batch 1, not of batch 0. Arithmetic is the original's too: float32 where C has floats and double inside `pow`
and `exp`, and 64 bits without a sign where it compares or subtracts a batch number.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable

import numpy as np

from darknet_compat.definition.spec import Net
from darknet_compat.errors import TrainingError


def current_batch(net: Net, seen: int) -> int:
    """How many batches `seen` images are, the last one counted only when it is whole (original: `get_current_batch`).

    Training lasts while this is below `net.max_batches`; 0 there means without end.
    """
    return seen // net.step_rows if net.step_rows else 0


def learning_rate(net: Net, batch_number: int, *, seed: int = 0) -> float:
    """The rate of the update that ends batch `batch_number`, a float32's value; 1 is a new network's first batch.

    With policy=random it is drawn from a generator of (`seed`, `batch_number`), hence the same whenever asked for; the
    original draws from the process's `rand`. It is no finite number where the cfg's options make it none. Raises
    TrainingError for policy=poly without max_batches.
    """
    if batch_number < _unsigned(net.burn_in):
        factor = _pow(_float(_float(batch_number) / net.burn_in), _float(net.power))
        return _float(_float(net.learning_rate) * factor)
    if net.policy == "random":
        return random_rate(net, float(np.random.default_rng([seed, batch_number]).random(dtype=np.float32)))
    return _float(_POLICIES[net.policy](net, batch_number))


def random_rate(net: Net, uniform: float) -> float:
    """The rate that policy=random makes of a number drawn from 0..1."""
    return _float(_float(net.learning_rate) * _pow(uniform, _float(net.power)))


def _constant(net: Net, batch: int) -> float:
    return net.learning_rate


def _step(net: Net, batch: int) -> float:
    """Times `scale` every `step` batches."""
    return _float(net.learning_rate) * _pow(_float(net.scale), batch // _unsigned(net.step))


def _steps(net: Net, batch: int) -> float:
    """Times one of `scales` from each of `steps` on."""
    rate = _float(net.learning_rate)
    for step, scale in zip(net.steps, net.scales, strict=True):
        if _unsigned(step) > batch:
            break
        rate = _float(rate * _float(scale))
    return rate


def _exp(net: Net, batch: int) -> float:
    return _float(net.learning_rate) * _pow(_float(net.gamma), batch)


def _poly(net: Net, batch: int) -> float:
    """Falls to 0 at `max_batches`, and beyond it, with an even `power`, rises again."""
    if not net.max_batches:
        raise TrainingError("policy=poly falls to 0 at max_batches, and [net] has no max_batches=; add one")
    left = _float(1 - _float(_float(batch) / net.max_batches))
    return _float(net.learning_rate) * _pow(left, _float(net.power))


def _sigmoid(net: Net, batch: int) -> float:
    """Half the rate at batch `step`.

    Before it the original's difference of batch and step wraps around to almost 2^64: with gamma > 0 the rate is 0
    there, where it was meant to be almost all of it, and with gamma < 0 all of it. The fork's has a sign.
    """
    since = batch - net.step if net.signed_batches else _unsigned(batch - net.step)
    product = _float(_float(net.gamma) * _float(since))
    return _float(net.learning_rate) * (1 / (1 + _exponential(product)))


def _sgdr(net: Net, batch: int) -> float:
    """The fork's: down a cosine to `learning_rate_min`, then from the top again in a cycle `sgdr_mult` times as long
    (Loshchilov and Hutter 2017, arXiv 1608.03983). The batch at which a cycle ends still has the least rate."""
    start, cycle = 0, net.sgdr_cycle or net.max_batches
    if cycle <= 0:
        raise TrainingError("policy=sgdr needs sgdr_cycle= or max_batches= in [net]")
    while start + cycle < batch:
        start, cycle = start + cycle, cycle * max(net.sgdr_mult, 1)
    least, span = _float(net.learning_rate_min), _float(_float(net.learning_rate) - _float(net.learning_rate_min))
    return least + 0.5 * span * (1 + math.cos(_float(batch - start) * _PI / cycle))


_PI = 3.14159265
"""As many digits as the fork writes."""

_POLICIES: dict[str, Callable[[Net, int], float]] = {
    "constant": _constant,
    "step": _step,
    "steps": _steps,
    "exp": _exp,
    "poly": _poly,
    "sigmoid": _sigmoid,
    "sgdr": _sgdr,
}


def _float(value: float) -> float:
    """Rounded to float32. Of one operation on two of these that is what C's float operation gives."""
    return ctypes.c_float(value).value


def _unsigned(value: int) -> int:
    """What C makes of an `int` that meets a `size_t`."""
    return value % 2**64


def _pow(base: float, exponent: float) -> float:
    """C's `pow`, with infinities and NaN where Python raises."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:
        return math.nan if base else math.inf


def _exponential(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf
