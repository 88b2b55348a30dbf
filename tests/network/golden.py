"""What the running fork answered (`../shared/data/fork`), case by case."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from darknet_compat.definition.adapt import with_net_options
from darknet_compat.definition.lower import lower
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.definition.weights.file import read_weights
from darknet_compat.formats.cfg import read_cfg
from darknet_compat.network.network import Network
from tests.conftest import SHARED_DATA

FOLDER = SHARED_DATA / "fork"
TOLERANCE = 1e-4
"""Of the largest value of a layer."""

ANSWERS_OTHERWISE = {
    "conv_act_silu": "the fork takes PyTorch's name of swish for relu",
}
"""Where this package knowingly does not what the fork does, beside the faults of its CPU build."""

LONGER = ("weights_long_file",)
"""Whose files are longer than the network needs: read as the fork reads them, on request."""

INDEX: dict[str, dict[str, Any]] = json.loads((FOLDER / "index.json").read_text()) if FOLDER.is_dir() else {}
NAMES = [name for name in INDEX if not INDEX[name]["cpu_fault"] and name not in ANSWERS_OTHERWISE]


def cases_with(key: str) -> pytest.MarkDecorator:
    """The cases whose answers have `key`, as a test's parameter `name`."""
    names: list[Any] = [name for name in NAMES if key in np.load(FOLDER / f"{name}.npz").files]
    return pytest.mark.parametrize("name", names or [pytest.param("", marks=pytest.mark.skip("no ../shared/data"))])


@dataclass(frozen=True)
class Case:
    """A network of the fork's, its input [N, C, H, W], and what came of it."""

    spec: NetworkSpec
    network: Network
    images: NDArray[np.float32]
    answers: dict[str, NDArray[Any]]

    def layers(self) -> dict[int, NDArray[np.float32]]:
        """Each layer's output as far as it is given, flat."""
        found = {int(key[6:]): value for key, value in self.answers.items() if key.startswith("layer_")}
        return {index: value.ravel() for index, value in found.items() if not self.spec.layers[index].silent}


def load(name: str, folder: Path, change: Callable[[str], str] = str) -> Case:
    """The case, its files copied into `folder`; its cfg's text after a `change`."""
    with np.load(FOLDER / f"{name}.npz") as stored:
        answers = dict(stored)
    for file in (f"{name}.cfg", "golden.tree", "golden.map"):
        shutil.copy(FOLDER / file, folder)
    (folder / f"{name}.cfg").write_text(change((folder / f"{name}.cfg").read_text()))
    (folder / "m.weights").write_bytes(answers["weights"].tobytes())
    images, cfg = answers["input"], read_cfg(folder / f"{name}.cfg")
    if images.ndim == 3:
        images = images[None]
    elif name != "history":  # calls one after the other, with the state kept: here the steps of one call
        cfg = with_net_options(cfg, {"time_steps": len(images)})
    spec = lower(cfg, [folder], dialect="fork")
    network = Network(spec, initialize=False).eval()
    network.load(read_weights(folder / "m.weights", spec, longer=name in LONGER))
    return Case(spec, network, images, answers)


def deviation(found: NDArray[Any], expected: NDArray[Any]) -> float:
    """The largest difference by the largest value."""
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / max(float(np.abs(expected).max()), 1e-12))
