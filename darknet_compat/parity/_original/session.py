"""What every request works with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from darknet_compat.formats.arrays import Floats
from darknet_compat.parity._original.networks import Networks


class Session:
    """The library, the loaded network, and a folder to work in."""

    def __init__(self, ffi: Any, lib: Any, scratch: Path) -> None:
        self.ffi, self.lib, self.scratch = ffi, lib, scratch
        self.networks = Networks(ffi, lib, scratch)

    def image(self, array: Floats) -> Any:
        """An `image` that shares the array's memory."""
        channels, height, width = array.shape
        return self.ffi.new("image *", (width, height, channels, self.ffi.from_buffer("float[]", array)))[0]

    def taken(self, image: Any) -> Floats:
        """The array [C, H, W] of an `image` that the library allocated, which is freed."""
        array: Floats = self.floats(image.data, image.c, image.h, image.w)
        self.lib.free_image(image)
        return array

    def view(self, pointer: Any, *shape: int) -> Floats:
        """C memory as an array."""
        count = int(np.prod(shape))
        memory: Floats = np.frombuffer(self.ffi.buffer(pointer, 4 * count), np.float32, count).reshape(shape)
        return memory

    def floats(self, pointer: Any, *shape: int) -> Floats:
        """A copy of C memory."""
        return np.array(self.view(pointer, *shape))
