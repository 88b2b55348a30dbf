"""YOLO9000's tree: classification and descent against the original, detection against the definition."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import read_tree
from darknet_compat.heads.classes import TreeSoftmax
from darknet_compat.heads.numpy_ops import NumpyOps
from darknet_compat.inference.classifier import Classifier
from darknet_compat.inference.hierarchy import top_nodes
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.parity.reference import Original, require_original
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.runtime.torch import TorchRuntime

TREE = cfg_dir() / "data" / "9k.tree"


@pytest.fixture(scope="module")
def running() -> Iterator[Original]:
    with Original() as original:
        yield original


@pytest.mark.reference
def test_darknet9000_classifies_as_the_original(photos: list[Path], running: Original, tmp_path: Path) -> None:
    cfg, weights = cfg_dir() / "darknet9000.cfg", tmp_path / "seeded.weights"
    network = load_network(cfg, batchnorm="cpu")
    seed_weights(network, 5)
    # Random logits leave every leaf near nothing; larger ones give classes that tell pictures apart.
    with torch.no_grad():
        network.layers[23].weights.mul_(6)
    save_weights(network, weights)
    classifier = Classifier(cfg, weights)
    classifier.runtime = TorchRuntime(load_network(cfg, weights, batchnorm="cpu"))
    for photo in photos[:2]:
        expected = running.classify(cfg, weights, photo, 5)
        found = classifier(photo).top(5)
        assert [guess.class_id for guess in found] == expected.class_ids.tolist()
        np.testing.assert_allclose([guess.probability for guess in found], expected.scores, rtol=1e-3)
        assert expected.scores[0] > 1e-3


class _Library:
    """The original's own functions on trees, on arrays [nodes]."""

    def __init__(self) -> None:
        self.library = ctypes.CDLL(str(require_original().library))
        self.library.read_tree.restype = ctypes.c_void_p
        self.tree = ctypes.c_void_p(self.library.read_tree(str(TREE).encode()))

    def absolute(self, values: np.ndarray) -> np.ndarray:
        values = values.copy()
        self.library.hierarchy_predictions(_pointer(values), len(values), self.tree, 0, 1)
        return values

    def top(self, values: np.ndarray, thresh: float) -> int:
        found = self.library.hierarchy_top_prediction(_pointer(values), self.tree, ctypes.c_float(thresh), 1)
        return int(found)


def _pointer(values: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.ctypes.data)


@pytest.mark.reference
@pytest.mark.parametrize("thresh", [0.05, 0.2, 0.5, 0.8])
def test_the_way_down_is_the_originals_which_multiplies_twice(thresh: float) -> None:
    """The trap: `get_region_detections` makes probabilities absolute before it multiplies them down once more."""
    library, tree = _Library(), read_tree(TREE)
    logits = np.random.default_rng(0).normal(0, 6, (60, len(tree))).astype(np.float32)
    conditional = TreeSoftmax(tree)(NumpyOps(), logits, 1, last=True)
    expected = [library.top(library.absolute(row), thresh) for row in conditional]
    assert top_nodes(conditional, tree, thresh, "darknet").tolist() == expected
    once = [library.top(row.copy(), thresh) for row in conditional]
    assert top_nodes(conditional, tree, thresh, "paper").tolist() == once
    assert expected != once
