"""How large a tensor's values are over many pictures, and the scale that rounds them to 8 bits with the least error."""

from __future__ import annotations

import numpy as np

from darknet_compat.formats.arrays import Array, Doubles

LEVELS = 127
"""The largest int8; -128 stays unused, so that zero is in the middle."""

LEAST_SCALE = 2.0**-20 * 448 / 127
"""The least scale: it stays a number with a few digits where the graph becomes float16, and in fp8, whose scales are
127/448 of int8's. TensorRT's parser refuses a scale of 0."""

BINS = 4096
SHARES = np.linspace(0.2, 1.0, 81)
"""Which parts of the largest value are tried as what becomes 127."""


class Observed:
    """A histogram of magnitudes whose range doubles as larger ones come."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        self.top = 0.0
        self.largest = 0.0

    def add(self, values: Array) -> None:
        """Count a picture's values, of any shape and finite."""
        magnitudes = np.abs(values).ravel()
        largest = float(magnitudes.max(initial=0.0))
        if largest == 0:
            self.counts[0] += magnitudes.size
            return
        self.largest = max(self.largest, largest)
        self.top = self.top or largest
        while largest > self.top:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(1), np.zeros(BINS // 2, np.int64)])
            self.top *= 2
        places = np.minimum((magnitudes * (BINS / self.top)).astype(np.intp), BINS - 1)
        self.counts += np.bincount(places, minlength=BINS)

    @property
    def centres(self) -> Doubles:
        """[BINS], the values that are counted."""
        return np.asarray((np.arange(BINS) + 0.5) * (self.top / BINS), np.float64)

    def scale(self) -> float:
        """What 1 stands for; 1 where all values are zero."""
        if self.largest == 0:
            return 1.0
        return max(LEAST_SCALE, min((float(share) * self.largest / LEVELS for share in SHARES), key=self.noise))

    def noise(self, scale: float) -> float:
        """The part of the values' power that rounding to `scale` changes."""
        centres = self.centres
        power = float((self.counts * centres**2).sum())
        error = centres - scale * np.minimum(np.rint(centres / scale), LEVELS)
        return float((self.counts * error**2).sum()) / power if power else 0.0


class Signed:
    """The values of a tensor, those below zero apart."""

    def __init__(self) -> None:
        self.above, self.below = Observed(), Observed()

    def add(self, values: Array) -> None:
        """Count a picture's values, of any shape and finite."""
        self.above.add(values[values >= 0])
        self.below.add(values[values < 0])

    @property
    def largest(self) -> float:
        """The largest magnitude."""
        return max(self.above.largest, self.below.largest)
