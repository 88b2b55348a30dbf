"""Which pictures a batch is made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Literal

import numpy as np

from darknet_compat.formats.arrays import Ints

Order = Literal["darknet", "epochs"]

_STREAM = 1


def picked(order: Order, pictures: int, batch: int, seed: int, number: int) -> Ints:
    """[batch]: the indices of batch `number`'s pictures, of `pictures` in all; a function of these numbers alone.

    `darknet` draws each anew from all of them (original: `get_random_paths`): after as many draws as there are
    pictures, 37 % of them have not been seen. `epochs` shows all in a new random order before any comes again.
    """
    return _ORDERS[order](pictures, batch, seed, number)


def _drawn(pictures: int, batch: int, seed: int, number: int) -> Ints:
    return np.random.default_rng((seed, _STREAM, number)).integers(pictures, size=batch)


def _shuffled(pictures: int, batch: int, seed: int, number: int) -> Ints:
    epochs, places = np.divmod(np.arange(number * batch, (number + 1) * batch), pictures)
    found = np.empty(batch, np.int64)
    for epoch in np.unique(epochs):
        chosen = epochs == epoch
        found[chosen] = _permutation(pictures, seed, int(epoch))[places[chosen]]
    return found


@lru_cache(maxsize=2)
def _permutation(pictures: int, seed: int, epoch: int) -> Ints:
    return np.random.default_rng((seed, _STREAM, epoch)).permutation(pictures)


_ORDERS: dict[Order, Callable[[int, int, int, int], Ints]] = {"darknet": _drawn, "epochs": _shuffled}
ORDERS = tuple(_ORDERS)
