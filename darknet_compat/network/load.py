"""The two ends of a network's life in files: `load_network` and `save_weights`."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from darknet_compat.catalogue.locate import is_name, locate
from darknet_compat.definition.dialects import DialectName
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import FLOAT, SeenBytes, Weights, read_weights, write_weights
from darknet_compat.errors import WeightsError
from darknet_compat.formats.words import Build
from darknet_compat.network.network import Network


def load_network(
    cfg: str | Path,
    weights: str | Path | None = None,
    *,
    batchnorm: Build = "cuda",
    cutoff: int | None = None,
    size: tuple[int, int] | None = None,
    dialect: DialectName | None = None,
    seen_bytes: SeenBytes | None = None,
    longer: bool = False,
) -> Network:
    """A network from its `.cfg` and `.weights`, ready for inference (call `.train()` to train it).

    `cfg` is a file, or a name of the catalogue, whose weights are fetched where none are given. Of a file without
    `weights` they are drawn at random as the original does; with `cutoff` only the file's first layers are
    there (`darknet19_448.conv.23`: cutoff 23) and the rest is random. `batchnorm` chooses the build of the original
    whose batch normalization is meant: "cuda", with which the official weights were made, or "cpu". `size` is another
    input size than the cfg's, (width, height). `dialect` says whose words the cfg's are, "original" or "fork"; by
    default its own words tell. `seen_bytes`, 4 or 8, says how wide the header's `seen` is in a file whose version tells
    otherwise (some of version 0.0 have 8); with `longer` a file may hold more than the network needs, and the rest is
    passed over, as Darknet does without a word.
    Raises CfgError, WeightsError, TreeError, MetadataError, CatalogError or DownloadError, all DarknetCompatError, each
    one line.
    """
    if is_name(cfg):
        found = locate(cfg, weights)
        cfg, weights = found.cfg, found.weights
    spec = load_spec(cfg, size, dialect=dialect)
    # The file is checked against the network before anything is allocated for it.
    values = None if weights is None else read_weights(weights, spec, cutoff, seen_bytes=seen_bytes, longer=longer)
    complete = (
        values is not None and cutoff is None and not any(layer.dontload or layer.numload for layer in spec.layers)
    )
    network = Network(spec, batchnorm=batchnorm, initialize=not complete)
    if weights is not None and values is not None:
        network.load(_in_memory(weights, values), adopt=True)
    return network.eval()


def _in_memory(path: str | Path, weights: Weights) -> Weights:
    """The mapped file's values, read into an array of its own for each slot.

    For a network to take over: copying from the map would hold each page twice. And numpy asks the system for large
    pages, as torch does not, which makes filling its memory twice as fast.
    """
    with open(path, "rb") as file:
        file.seek(weights.header.layout.size)
        read = [(slot, np.fromfile(file, FLOAT, slot.size)) for slot, _ in weights.arrays]
    if any(slot.size != values.size for slot, values in read):
        raise WeightsError(f"{path}: became shorter while it was read")
    return Weights(weights.header, tuple((slot, slot.from_file(values)) for slot, values in read))


def save_weights(network: Network, path: str | Path) -> None:
    """Write a network's `.weights`; byte for byte the file it was loaded from if nothing was trained.

    The header keeps its version and with it the width of `seen` (a new network gets the original's 0.2.0). Raises
    WeightsError where the file cannot be written; then nothing is left behind.
    """
    write_weights(path, network.header, network.slots())
