"""The shape of one layer's values."""

from __future__ import annotations

from typing import NamedTuple


class Shape(NamedTuple):
    """One image's worth of a layer's values.

    A layer that is no image (softmax, cost, a recurrent layer) has `image=False` and all its values in `c`; tensors
    are then [N, c] instead of [N, c, h, w].
    """

    c: int
    h: int = 1
    w: int = 1
    image: bool = True

    @property
    def size(self) -> int:
        """The number of values (original: `layer.outputs`)."""
        return self.c * self.h * self.w

    def __str__(self) -> str:
        return f"{self.w} x {self.h} x {self.c}" if self.image else str(self.c)


def flat(size: int) -> Shape:
    """The shape of `size` values that are no image."""
    return Shape(size, image=False)
