"""The original against torch, layer by layer."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from darknet_compat.definition.spec import LayerSpec, NetworkSpec, Region
from darknet_compat.formats.arrays import Floats
from darknet_compat.formats.cfg import read_cfg
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity import definition
from darknet_compat.parity.compare import TOLERANCES, Difference, compare, verdict
from darknet_compat.parity.picture import loaded, seeded_images, sequence_length
from darknet_compat.parity.reference import LayerOutput, Original
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.parity.single_layers import foreign_layers, remarks_on, rows_alone


@dataclass(frozen=True)
class LayerParity:
    """The comparison of a whole network: a row a layer, and what went in. `reader` is what it was held against,
    `remarks` say in one line each what to know about that."""

    cfg: str
    weights: str
    input: str
    rows: tuple[Difference, ...]
    reader: str = "the original"
    remarks: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every layer is the same, and at least one was compared."""
        return verdict(self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "cfg": self.cfg,
            "weights": self.weights,
            "input": self.input,
            "reader": self.reader,
            "remarks": list(self.remarks),
            "passed": self.passed,
            "layers": [row.to_dict() for row in self.rows],
        }


def layer_parity(
    cfg: str | Path,
    weights: str | Path | None = None,
    *,
    image: str | Path | None = None,
    seed: int = 0,
    size: tuple[int, int] | None = None,
    original: Original | None = None,
) -> LayerParity:
    """Run one input through the original and through torch, and compare every layer's output.

    Without `weights` both get seeded ones. The input is `image`, through the original's own letterbox, or seeded noise.
    Where the definition has layers or options that the original has not, each of the others is run in it alone
    (`single_layers`). Batch normalization is the CPU build's, which is the original that runs here. A [region] with a
    tree is held against its definition in float64 instead, on what the original feeds its own. Raises OriginalError
    where the original is not installed or dies.
    """
    if original is None:
        with Original() as started:
            return layer_parity(cfg, weights, image=image, seed=seed, size=size, original=started)
    with tempfile.TemporaryDirectory() as folder:
        named = str(weights) if weights is not None else f"seed {seed}"
        if weights is None:
            weights = Path(folder) / "seeded.weights"
            save_weights(seeded_network(cfg, seed, size), weights)
        unknown = foreign_layers(parsed := read_cfg(cfg))
        # What the original has is compared as it reads it, whoever wrote the definition.
        network = load_network(cfg, weights, batchnorm="cpu", size=size, dialect=None if unknown else "original")
        images, source = _input(network.spec, image, seed, original)
        with torch.no_grad():
            found = network.layer_outputs(torch.from_numpy(images))
        if unknown:
            rows = list(rows_alone(parsed, network, found, torch.from_numpy(images), original, Path(folder)))
        else:
            # time_steps counts only where a layer keeps a state; elsewhere it would only ask for more pictures.
            steps = sequence_length(network.spec)
            outputs = original.layer_outputs(cfg, weights, images, size=size, time_steps=steps)
            rows = compare_layers(network, outputs, found)
    return LayerParity(str(cfg), named, source, tuple(rows), remarks=remarks_on(parsed, unknown))


def compare_layers(network: Network, outputs: Sequence[LayerOutput], found: Sequence[Tensor]) -> list[Difference]:
    """Every layer's output of the original's against torch's, for the same images."""
    return [_compare(network, layer, outputs, found[layer.index]) for layer in network.spec.layers]


def seeded_network(cfg: str | Path, seed: int, size: tuple[int, int] | None = None) -> Network:
    """A network with weights like those of a trained one."""
    network = load_network(cfg, batchnorm="cpu", size=size)
    seed_weights(network, seed)
    return network


def _input(spec: NetworkSpec, image: str | Path | None, seed: int, original: Original) -> tuple[Floats, str]:
    """One input (of a recurrent network one sequence), and what it is called."""
    shape = spec.net.input
    if image is not None and shape.image:
        picture = original.letterbox_image(loaded(original, image, shape.c), shape.w, shape.h)
        return np.stack([picture] * sequence_length(spec)), str(image)
    return seeded_input(spec, seed)


def seeded_input(spec: NetworkSpec, seed: int) -> tuple[Floats, str]:
    """Noise as a network's input, float32 [N, C, H, W] or [N, inputs], and what it is called."""
    shape = spec.net.input
    if shape.image:
        return seeded_images(spec, seed), f"seed {seed}"
    return np.random.default_rng(seed).random((spec.net.time_steps, shape.c), np.float32), f"seed {seed}"


def _compare(network: Network, layer: LayerSpec, outputs: Sequence[LayerOutput], found: Tensor) -> Difference:
    """A layer of the original's against ours; one with a tree, on the same raw values, against its definition."""
    name = f"{layer.index} {layer.type}"
    if isinstance(layer, Region) and layer.tree is not None:
        raw = outputs[layer.sources[0]].output
        expected = definition.region_with_tree(layer, raw)
        with torch.no_grad():
            found = network.layers[layer.index](torch.from_numpy(raw).reshape(found.shape))
        return compare(name, expected, found.numpy(), TOLERANCES["definition", "torch", "fp32"], "definition")
    return compare(name, outputs[layer.index].output, found.numpy(), TOLERANCES["original", "torch", "fp32"])
