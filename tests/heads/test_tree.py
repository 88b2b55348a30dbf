"""The tree's arithmetic against its definition in float64, on random trees and on YOLO9000's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import WordTree, from_parents, read_tree
from darknet_compat.heads.classes import TreeSoftmax
from darknet_compat.heads.numpy_ops import NumpyOps
from darknet_compat.network.torch_ops import TorchOps
from darknet_compat.parity.definition import tree_softmax


def random_tree(seed: int, nodes: int) -> WordTree:
    """A tree of about `nodes` nodes with groups of 1 to 40 siblings."""
    random = np.random.default_rng(seed)
    parents = [-1] * int(random.integers(1, 6))
    free = list(range(len(parents)))
    while len(parents) < nodes and free:
        parent = free.pop(int(random.integers(len(free))))
        size = int(min(random.integers(1, 40) if random.random() < 0.2 else random.integers(1, 5), nodes))
        free += range(len(parents), len(parents) + size)
        parents += [parent] * size
    return from_parents([f"n{number}" for number in range(len(parents))], parents)


trees = st.builds(random_tree, st.integers(0, 10**6), st.integers(1, 2000))
NINE_K = read_tree(cfg_dir() / "data" / "9k.tree")


def softmax(tree: WordTree, x: torch.Tensor, axis: int = 1, temperature: float = 1.0) -> torch.Tensor:
    """By torch; `x` has at most one axis after the nodes'."""
    found: torch.Tensor = TreeSoftmax(tree, temperature)(TorchOps(), x, axis, last=axis == x.dim() - 1)
    return found


def logits(tree: WordTree, rows: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(0, 4, (rows, len(tree))).astype(np.float32))


@given(trees)
def test_softmax_is_its_definition(tree: WordTree) -> None:
    x = logits(tree)
    expected = tree_softmax(tree, x.numpy())
    np.testing.assert_allclose(softmax(tree, x), expected, atol=1e-6)
    np.testing.assert_allclose(TreeSoftmax(tree)(NumpyOps(), x.numpy(), 1, last=True), expected, atol=1e-6)


@given(trees)
def test_siblings_share_their_parents_probability(tree: WordTree) -> None:
    absolute = torch.from_numpy(tree.absolute(softmax(tree, logits(tree)).double().numpy()))
    sums = torch.zeros(3, len(tree.group_sizes), dtype=torch.float64)
    sums.index_add_(1, torch.from_numpy(tree.groups).long(), absolute)
    parents = torch.from_numpy(tree.parents[tree.group_offsets]).long()
    above = torch.where(parents < 0, 1.0, absolute[:, parents])
    torch.testing.assert_close(sums, above, atol=1e-6, rtol=1e-5)


@given(trees)
def test_leaves_share_all_the_mass(tree: WordTree) -> None:
    absolute = tree.absolute(softmax(tree, logits(tree)).double().numpy())
    np.testing.assert_allclose(absolute[:, tree.leaves].sum(1), 1, atol=1e-5)


@given(trees, st.integers(0, 10**6))
def test_absolute_probabilities_are_products_down_the_path(tree: WordTree, seed: int) -> None:
    conditional = softmax(tree, logits(tree, 1, seed))
    nodes = tuple(np.random.default_rng(seed).integers(0, len(tree), 5).tolist())
    expected = [float(conditional[0, tree.path(node)].double().prod()) for node in nodes]
    np.testing.assert_allclose(tree.absolute(conditional.numpy())[0, list(nodes)], expected, rtol=1e-5, atol=1e-30)


def test_yolo9000s_tree_along_any_axis() -> None:
    x = torch.randn(2, 3, len(NINE_K), 4, generator=torch.Generator().manual_seed(0)) * 5
    expected = tree_softmax(NINE_K, x.numpy(), axis=2)
    np.testing.assert_allclose(softmax(NINE_K, x, 2), expected, atol=1e-6)
    np.testing.assert_allclose(softmax(NINE_K, x.movedim(2, -1), 3).movedim(-1, 2), expected, atol=1e-6)
    np.testing.assert_allclose(TreeSoftmax(NINE_K)(NumpyOps(), x.numpy(), 2, last=False), expected, atol=1e-6)


def test_temperature_divides_the_logits() -> None:
    x = logits(NINE_K, 1)
    expected = tree_softmax(NINE_K, x.numpy(), temperature=2.5)
    np.testing.assert_allclose(softmax(NINE_K, x, temperature=2.5), expected, atol=1e-6)


@pytest.mark.parametrize(("dtype", "allowed"), [(torch.float16, 2e-3), (torch.bfloat16, 1.2e-2)])
def test_half_precision_stays_finite_and_near(dtype: torch.dtype, allowed: float) -> None:
    x = (logits(NINE_K, 2) * 20).to(dtype)  # up to ±300: beyond what a plain exponential survives
    found = softmax(NINE_K, x)
    assert found.dtype == dtype
    expected = tree_softmax(NINE_K, x.float().numpy())
    np.testing.assert_allclose(found.float(), expected, atol=allowed)


def test_gradients_stay_inside_the_group() -> None:
    tree = random_tree(3, 30)
    x = logits(tree, 1).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: softmax(tree, x), (x,))
    softmax(tree, x)[0, 7].backward()
    assert x.grad is not None
    assert set(np.flatnonzero(x.grad[0].numpy())) <= set(np.flatnonzero(tree.groups == tree.groups[7]))
