"""What the tests of inference share: real trained models, and the original that ran them."""

from __future__ import annotations

import copy
import ctypes
import functools
from collections.abc import Callable, Iterator
from ctypes import POINTER, c_char_p, c_float, c_int, c_void_p
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.inference.detector import Detector
from darknet_compat.parity import reference
from tests.conftest import Original
from tests.inference.support import Files

Load = Callable[..., Detector]


@pytest.fixture(scope="session")
def darknet(original: Original) -> Iterator[reference.Original]:
    """The original's library, in a process of its own."""
    with reference.Original() as library:
        yield library


class Picture(ctypes.Structure):
    """The original's `image`."""

    _fields_ = [("w", c_int), ("h", c_int), ("c", c_int), ("data", POINTER(c_float))]


class Library:
    """Functions of the original that `parity.reference` does not call. None of them makes it exit."""

    def __init__(self, path: Path) -> None:
        so = ctypes.CDLL(str(path))
        torch.set_flush_denormal(False)  # the library is made with -ffast-math, and sets this for the whole process
        declared = {
            "grayscale_image": ([Picture], Picture),
            "free_image": ([Picture], None),
            "read_tree": ([c_char_p], c_void_p),
            "hierarchy_predictions": ([POINTER(c_float), c_int, c_void_p, c_int, c_int], None),
            "hierarchy_top_prediction": ([POINTER(c_float), c_void_p, c_float, c_int], c_int),
        }
        for name, (arguments, result) in declared.items():
            function = getattr(so, name)
            function.argtypes, function.restype = arguments, result
            setattr(self, f"_{name}", function)

    def grey(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        """[3, H, W], RGB → [1, H, W]."""
        channels, height, width = planes.shape
        image = self._grayscale_image(Picture(width, height, channels, planes.ctypes.data_as(POINTER(c_float))))
        values = np.ctypeslib.as_array(image.data, (image.c, image.h, image.w)).copy()
        self._free_image(image)
        return values

    def tree(self, path: Path) -> c_void_p:
        """A WordTree, for the functions below. It stays in memory."""
        return self._read_tree(str(path).encode())

    def absolute(self, tree: c_void_p, conditional: NDArray[np.float32]) -> NDArray[np.float32]:
        """[nodes] given the parent → absolute."""
        values = conditional.astype(np.float32)
        self._hierarchy_predictions(values.ctypes.data_as(POINTER(c_float)), len(values), tree, 0, 1)
        return values

    def top(self, tree: c_void_p, absolute: NDArray[np.float32], thresh: float) -> int:
        """The node at which the way down stops."""
        return int(self._hierarchy_top_prediction(absolute.ctypes.data_as(POINTER(c_float)), tree, thresh, 1))


@pytest.fixture(scope="session")
def library(original: Original) -> Library:
    """The original's library in this process."""
    return Library(original.library)


@pytest.fixture(scope="session")
def real(shared_data: Path) -> Callable[[str], Files]:
    """`real(name)`: the files of a real trained model."""

    def files(name: str) -> Files:
        folder = shared_data / "models" / name
        return Files(next(folder.glob("*.cfg")), next(folder.glob("*.weights")))

    return files


@pytest.fixture(scope="session")
def load(real: Callable[[str], Files]) -> Load:
    """`load(name, thresh=0.5, …)`: a Detector of a real model, loaded once a session whatever the threshold; as the
    original reads its definition, the fork's words too."""
    loaded = functools.cache(lambda name, **arguments: Detector(*real(name), **{"dialect": "original"} | arguments))

    def detector(name: str, thresh: float = 0.5, **arguments: object) -> Detector:
        shared = copy.copy(loaded(name, **arguments))
        shared.thresh = thresh
        return shared

    return detector
