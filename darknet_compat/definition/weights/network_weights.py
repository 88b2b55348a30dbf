"""A definition with its weights as numpy arrays, each made when it is asked for: what an export reads."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from darknet_compat.definition import spec as s
from darknet_compat.definition.builds import binary_weights
from darknet_compat.definition.dialects import DialectName
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import LayerSpec, NetworkSpec
from darknet_compat.definition.weights import fold
from darknet_compat.definition.weights.file import read_weights
from darknet_compat.definition.weights.slots import FLOAT, Header, Slot, layer_slots, slots
from darknet_compat.errors import ExportError, WeightsError
from darknet_compat.formats.arrays import Doubles, Floats
from darknet_compat.formats.words import Build

_PIECE = 1 << 20
"""How many bytes are read at once where they need not be looked at."""


class NetworkWeights(Protocol):
    """A definition with its weights: a torch `Network`, or a `.cfg` and its `.weights` (`StoredWeights`)."""

    @property
    def spec(self) -> NetworkSpec:
        """The definition."""
        ...

    @property
    def header(self) -> Header:
        """What stands before the weights in their file."""
        ...

    @property
    def batchnorm(self) -> Build:
        """The build of the original whose batch normalization is meant."""
        ...

    def array(self, slot: Slot) -> Floats:
        """The values of one slot, float32 of the shape `slot.shape`."""
        ...


class StoredWeights:
    """The weights of a file, read slot by slot, so that no more than one of them is in memory."""

    def __init__(self, spec: NetworkSpec, path: str | Path, batchnorm: Build = "cuda") -> None:
        """Raises WeightsError where the file does not belong to `spec`, ExportError where weights are random."""
        weights = read_weights(path, spec)
        self.spec, self.batchnorm, self.header = spec, batchnorm, weights.header
        self._path = Path(path)
        self._places: dict[tuple[int, str], tuple[Slot, int]] = {}
        offset = weights.header.layout.size
        for slot, _ in weights.arrays:
            self._places[slot.layer, slot.name] = slot, offset
            offset += 4 * slot.size
        for layer in spec.layers:
            if layer_slots(layer) and (layer.dontload or layer.numload):
                raise ExportError(
                    f"{spec.place(layer)} is not loaded as a whole (dontload, numload), and the rest of its weights"
                    " would be random"
                )

    def array(self, slot: Slot) -> Floats:
        """The slot's values, in its shape; what no file holds, or `dontloadscales` leaves out, is as in a new network.

        Raises WeightsError where the file does not hold them.
        """
        stored, offset = self._places.get((slot.layer, slot.name), (None, 0))
        if stored is None:
            return np.full(slot.shape, float(slot.name in ("scales", "rolling_variance")), np.float32)
        values = np.fromfile(self._path, FLOAT, slot.size, offset=offset)
        if values.size != slot.size:
            raise WeightsError(f"{self._path}: became shorter while it was read")
        return stored.from_file(values)

    def pieces(self) -> Iterator[memoryview] | None:
        """The bytes that `array`'s values lie in, a piece at a time, where they would be saved just so; else None."""
        transposed = self.header.transposed
        saved = [(slot.layer, slot.name) for slot in slots(self.spec, transposed=transposed, saving=True)]
        return self._read() if saved == list(self._places) else None

    def _read(self) -> Iterator[memoryview]:
        left = 4 * sum(slot.size for slot, _ in self._places.values())
        buffer = memoryview(bytearray(_PIECE))
        with open(self._path, "rb", buffering=0) as file:
            file.seek(self.header.layout.size)
            while left:
                count = file.readinto(buffer[: min(left, _PIECE)])
                if not count:
                    raise WeightsError(f"{self._path}: became shorter while it was read")
                left -= count
                yield buffer[:count]


def load_weights(
    cfg: str | Path,
    weights: str | Path,
    size: tuple[int, int] | None = None,
    *,
    dialect: DialectName | None = None,
) -> StoredWeights:
    """A `.cfg` with its `.weights`, at another input size (width, height) if one is given; `dialect` as in `lower`.

    Raises CfgError, WeightsError, TreeError, MetadataError or ExportError (`StoredWeights`), each one line.
    """
    return StoredWeights(load_spec(cfg, size, dialect=dialect), weights)


class LayerArrays:
    """One layer's parameters by their names in a `.weights` file; those with `folded` for inference.

    Shapes are known at once, values are read (and folded) when they are asked for.
    """

    def __init__(self, trained: NetworkWeights, layer: LayerSpec) -> None:
        self._trained, self._layer = trained, layer
        self._slots = {slot.name: slot for slot in layer_slots(layer)}
        if isinstance(layer, s.Batchnorm) and not layer.biases:  # which then have no place in a file
            self._slots["biases"] = Slot(layer.index, "biases", (layer.input.c,))
        self.normalized = "rolling_mean" in self._slots

    def shape(self, name: str) -> tuple[int, ...]:
        """A parameter's shape."""
        return self._slots[name].shape

    def __getitem__(self, name: str) -> Floats:
        """A parameter as it was trained."""
        return self._trained.array(self._slots[name])

    def folded_weights(self, axis: int = 0) -> Floats:
        """What the layer multiplies by, with batch normalization in it, in the shape of its slot `weights`; filters lie
        along `axis`."""
        weights, layer = self["weights"], self._layer
        if isinstance(layer, s.Convolutional) and binary_weights(layer, self._trained.batchnorm):
            weights = fold.signs(weights)
        if not self.normalized:
            return weights
        # What has just been read from a file is nobody else's.
        out = weights if isinstance(self._trained, StoredWeights) and weights.flags.writeable else None
        return fold.folded_weights(weights, self.factors(), axis, out)

    def folded_biases(self) -> Floats:
        """What the layer adds, with batch normalization in it, [filters]."""
        biases = self["biases"]
        return fold.folded_biases(biases, self["rolling_mean"], self.factors()) if self.normalized else biases

    def factors(self) -> Doubles:
        """Batch normalization's factor a filter, [filters]."""
        return fold.factors(self["scales"], self["rolling_variance"], self._trained.batchnorm)


def weights_sha256(trained: NetworkWeights) -> str:
    """The checksum of the `.weights` that these would be saved as."""
    digest = hashlib.sha256(trained.header.to_bytes())
    if isinstance(trained, StoredWeights) and (pieces := trained.pieces()) is not None:
        for piece in pieces:
            digest.update(piece)
        return digest.hexdigest()
    for slot in slots(trained.spec, transposed=trained.header.transposed, saving=True):
        digest.update(slot.to_file(trained.array(slot)).data)
    return digest.hexdigest()
