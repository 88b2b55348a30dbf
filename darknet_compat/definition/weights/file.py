"""`.weights` files: read, written and cut.

A header and then float32s to the end, little-endian, without names, lengths or checksum, in the order of `slots`. The
original checks no read, so that a wrong file loads silently and detects nonsense; here a file has exactly the
network's length or is refused, with the layer at which it parts.
"""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.definition.weights.mismatch import divergence, other_kind
from darknet_compat.definition.weights.slots import FLOAT, Header, Slot, slots
from darknet_compat.errors import WeightsError
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.textfile import plain

__all__ = [
    "FLOAT",
    "Header",
    "Slot",
    "Weights",
    "covered_layers",
    "cut_weights",
    "read_header",
    "read_weights",
    "slots",
    "write_weights",
]


SeenBytes = Literal[4, 8]
"""How many bytes a header's count of images seen may have."""


@dataclass(frozen=True)
class Weights:
    """A file's header and, per slot, its values [slot.size], float32: read-only views of the mapped file, nothing read
    until used."""

    header: Header
    arrays: tuple[tuple[Slot, Floats], ...]


def read_header(path: str | Path) -> Header:
    """The header of a weights file. Raises WeightsError if there is no room for one."""
    return _open(path)[1]


def read_weights(
    path: str | Path,
    spec: NetworkSpec,
    cutoff: int | None = None,
    *,
    seen_bytes: SeenBytes | None = None,
    longer: bool = False,
) -> Weights:
    """Map a weights file that belongs to `spec`; with `cutoff` only its first layers, from a cut file or a whole one.
    `seen_bytes`: how many bytes `seen` has in its header, where that is not what the version says. `longer`: the file
    may have more than the network needs, and what is left is passed over, as Darknet does without a word.

    Raises WeightsError where the file is unreadable, no weights file, or not exactly as long as the network needs.
    """
    _check_cutoff(spec, cutoff)
    size, header = _open(path, spec, seen_bytes)
    wanted = list(slots(spec, transposed=header.transposed, cutoff=cutoff))
    needed, whole = (header.layout.size + 4 * sum(slot.size for slot in some) for some in (wanted, slots(spec)))
    if size not in (needed, whole) and not (longer and size > needed):
        first = "layer" if cutoff == 1 else f"{cutoff} layers"
        asker = spec.name if cutoff is None else f"the first {first} of {spec.name}"
        raise WeightsError(
            f"{path}: has {size} bytes, but {asker} need{'s' * (cutoff in (None, 1))} {needed}: "
            + divergence(spec, header, size, wanted)
        )
    floats: Floats = np.empty(0, FLOAT)
    if needed > header.layout.size:
        try:
            count = sum(slot.size for slot in wanted)
            floats = np.memmap(path, FLOAT, mode="r", offset=header.layout.size, shape=(count,))
        except (OSError, ValueError) as error:  # no address space left, say, or the file has changed meanwhile
            raise WeightsError(f"{path}: cannot be mapped: {getattr(error, 'strerror', '') or error}") from None
    ends = np.cumsum([slot.size for slot in wanted]).tolist()
    parts = [slot.from_file(floats[end - slot.size : end]) for slot, end in zip(wanted, ends, strict=True)]
    return Weights(header, tuple(zip(wanted, parts, strict=True)))


def write_weights(path: str | Path, header: Header, arrays: Iterable[tuple[Slot, Floats]]) -> None:
    """Write a weights file; it appears at `path` whole or not at all.

    `arrays`: each slot with its values, float32 in its shape, in file order. Raises WeightsError where that fails, or
    where an array is not as large as its slot.
    """
    start = header.to_bytes()
    with atomic_write(path, WeightsError) as file:
        file.write(start)
        for slot, parameter in arrays:
            if parameter.shape != slot.shape:
                raise WeightsError(
                    f"{path}: layer {slot.layer} ({slot.name}): expected an array of shape {slot.shape}, "
                    f"found {parameter.shape}"
                )
            file.write(slot.to_file(parameter).data)


def cut_weights(
    path: str | Path,
    spec: NetworkSpec,
    out: str | Path,
    cutoff: int,
    *,
    seen_bytes: SeenBytes | None = None,
    longer: bool = False,
) -> None:
    """Write the first `cutoff` layers of a weights file as a file of their own, as `darknet partial` byte for byte.

    The header is today's (0.2.0) and `seen` starts at 0, as training from such a file does. Only `flipped` layers
    differ: the original writes them unflipped, though the same cfg will flip them again. `seen_bytes`, `longer` as in
    `read_weights`. Raises WeightsError, too, for layers that
    `dontload` and its like keep from being read: the original would write random numbers for them.
    """
    _check_cutoff(spec, cutoff)
    read = read_weights(path, spec, seen_bytes=seen_bytes, longer=longer)
    values = {(slot.layer, slot.name): (slot, array) for slot, array in read.arrays}
    kept = []
    for slot in slots(spec, cutoff=cutoff, saving=True):
        known, array = values.get((slot.layer, slot.name), (None, None))
        if known is None or array is None or known.shape != slot.shape:
            layer = spec.layers[slot.layer]
            option = next(name for name in ("dontload", "numload", "dontloadscales") if getattr(layer, name))
            raise WeightsError(
                f"{path}: layer {layer.index} [{layer.type}] is not loaded from it as a whole ({option}), "
                "so it cannot be kept; remove that option"
            )
        kept.append((slot, array))
    write_weights(out, Header(), kept)


def covered_layers(path: str | Path, spec: NetworkSpec) -> int:
    """How many of the network's first layers the file holds exactly: all of them, fewer of a cut file
    (`darknet19_448.conv.23`: 23), or 0 where its length fits no number of layers.

    Raises WeightsError as `read_header`.
    """
    size, header = _open(path, spec)
    left = size - header.layout.size
    per_layer = [0] * len(spec.layers)
    for slot in slots(spec, transposed=header.transposed):
        per_layer[slot.layer] += 4 * slot.size
    covered = 0
    for number, wanted in enumerate(per_layer, start=1):
        left -= wanted
        if left == 0:  # layers without weights go with the one before them
            covered = number
    return covered


def _open(path: str | Path, spec: NetworkSpec | None = None, seen_bytes: SeenBytes | None = None) -> tuple[int, Header]:
    """A regular file's size and header, by the rule of the network's dialect."""
    try:
        status = os.stat(path)  # before opening it, which would wait for a pipe's other end
        if not stat.S_ISREG(status.st_mode):
            kind = "folder" if stat.S_ISDIR(status.st_mode) else "device or pipe"
            raise WeightsError(f"{path}: expected a .weights file, found a {kind}")
        with open(path, "rb") as file:
            start = file.read(512)
    except (OSError, ValueError) as error:
        shown = plain(str(path), 4096)  # it may hold a NUL byte
        raise WeightsError(f"{shown}: cannot be read as .weights: {getattr(error, 'strerror', '') or error}") from None
    if other := other_kind(start):
        raise WeightsError(f"{path}: {other}")
    rule = (lambda header: replace(header, wide=seen_bytes == 8)) if seen_bytes else _rule(spec)
    return status.st_size, _header(path, start, rule)


def _rule(spec: NetworkSpec | None) -> Callable[[Header], Header]:
    """How wide a header is, other than by itself."""
    return Header.as_fork if spec is not None and spec.dialect.wide_seen else lambda header: header


def _header(path: str | Path, start: bytes, rule: Callable[[Header], Header]) -> Header:
    found = f"found a file of {len(start)}" if start else "found an empty file"
    if len(start) < 16:
        raise WeightsError(f"{path}: expected a header of 16 or 20 bytes, {found}")
    header = rule(Header(*struct.unpack_from("<iii", start)))
    if len(start) < header.layout.size:
        raise WeightsError(f"{path}: expected a header of {header.layout.size} bytes, {found}")
    return replace(header, seen=header.layout.unpack_from(start)[3])


def _check_cutoff(spec: NetworkSpec, cutoff: int | None) -> None:
    if cutoff is not None and not 0 < cutoff <= len(spec.layers):
        raise WeightsError(f"{spec.name}: expected 1 to {len(spec.layers)} layers to keep, found {cutoff}")
