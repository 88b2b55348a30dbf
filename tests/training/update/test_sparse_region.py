"""The sparse head against the full one: gradients, and twenty updates."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import TrainingError
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.network.load import load_network
from darknet_compat.network.network import Network
from darknet_compat.training.batches.loader import Batch
from darknet_compat.training.batches.truth import Truth
from darknet_compat.training.losses import Losses
from darknet_compat.training.options import ObjectnessRule
from darknet_compat.training.trainer import Trainer, TrainerSettings
from darknet_compat.training.update.optimizer import make_optimizer
from darknet_compat.training.update.sparse_region import (
    Features,
    SparseHead,
    SparseSGD,
    sparsely_trainable,
    worth_sparse,
)
from darknet_compat.training.update.sparse_sgd import RowSGD
from tests.training.losses.making import random_tree

CHANNELS, GRID = 16, 5


def network_of(folder: Path, nodes: int, options: str = "", net: str = "") -> Network:
    """Two convolutions and a [region] over a tree of so many nodes; 9418 are YOLO9000's."""
    tree = "data/9k.tree" if nodes == 9418 else "random.tree"
    if nodes != 9418:
        (folder / tree).write_text(random_tree(np.random.default_rng(nodes), nodes))
    region = f"[region]\nclasses={nodes}\nnum=3\nanchors=1,1,2,1.5,3,4\nsoftmax=1\nthresh=.4\n{options}"
    (folder / "small.cfg").write_text(
        f"[net]\nwidth={GRID}\nheight={GRID}\nchannels=3\nbatch=4\nmomentum=0.9\ndecay=0.001\nlearning_rate=.001\n{net}\n"
        f"[convolutional]\nfilters={CHANNELS}\nsize=3\npad=1\nactivation=leaky\n"
        f"[convolutional]\nfilters={3 * (5 + nodes)}\nsize=1\nactivation=linear\nlearning_rate=0.5\n"
        f"{region}\n" + ("" if "flat" in options else f"tree={tree}\n")
    )
    return Network(load_spec(folder / "small.cfg")).train()


def twins(folder: Path, nodes: int, options: str = "", net: str = "") -> tuple[Network, Network]:
    """Two networks with the same weights."""
    full, sparse = network_of(folder, nodes, options, net), network_of(folder, nodes, options, net)
    sparse.load_state_dict(full.state_dict())
    return full, sparse


def batch(seed: int, nodes: int) -> tuple[Tensor, Truth]:
    """Four images: boxes, a label of the whole picture, nothing, and both."""
    generator = torch.Generator().manual_seed(seed)
    boxes = torch.rand(4, 9, 4, generator=generator) * 0.5 + 0.1
    classes = torch.randint(0, nodes, (4, 9), generator=generator)
    boxes[0, :4] = boxes[0, :1]  # several truths at one slot
    boxes[1] = 0
    boxes[3, 2] = 0
    classes[1, 1:] = -1
    classes[2] = -1
    return torch.rand(4, 3, GRID, GRID, generator=generator), Truth(boxes, classes)


def off(found: Tensor, expected: Tensor) -> float:
    """The largest difference, of the largest value expected."""
    return float((found - expected).abs().max() / expected.abs().max())


@pytest.mark.parametrize("nodes", [10, 100, 1000, 9418])
@pytest.mark.parametrize(
    ("options", "rule"), [("rescore=1", "paper"), ("bias_match=1", "darknet"), ("object_scale=2", "surest")]
)
def test_gradients_are_the_full_heads(tmp_path: Path, nodes: int, options: str, rule: ObjectnessRule) -> None:
    """Of the features, of every row of the weights and of the biases, to 1e-6 of the largest."""
    full, sparse = twins(tmp_path, nodes, options)
    head, losses = SparseHead(sparse, rule=rule), Losses(full, rule=rule)
    for seed in range(5 if nodes < 9000 else 2):
        images, truth = batch(seed, nodes)
        seen = 100 if seed % 2 else 20_000
        expected = losses(full(images), truth, seen)
        expected.loss.backward()
        found = head(Features(sparse)(images), truth, seen)
        found.loss.backward()
        rows, gradient = head.rows.touched()
        dense = torch.zeros(3 * (5 + nodes), CHANNELS).index_add_(0, rows, gradient)
        ((_, weights), (_, biases)) = ((n, p.grad) for n, p in sorted(full.layers[1].named_parameters(), reverse=True))
        assert off(dense, weights.flatten(1)) < 1e-6
        assert off(sparse.layers[1].biases.grad, biases) < 1e-6
        for name, parameter in full.layers[0].named_parameters():
            assert off(sparse.layers[0].get_parameter(name).grad, parameter.grad) < 1e-6
        assert float(found.costs[0]) == pytest.approx(float(expected.costs[0]), rel=1e-6)
        assert found.figures == pytest.approx(expected.figures, rel=1e-5)
        full.zero_grad()
        sparse.zero_grad()
        head.rows.pending.clear()


def test_without_a_tree_all_classes_of_a_cell_are_siblings(tmp_path: Path) -> None:
    full, sparse = twins(tmp_path, 50, "# flat")
    head, losses = SparseHead(sparse), Losses(full)
    images, truth = batch(0, 50)
    losses(full(images), truth, 0).loss.backward()
    head(Features(sparse)(images), truth, 0).loss.backward()
    rows, gradient = head.rows.touched()
    dense = torch.zeros(3 * 55, CHANNELS).index_add_(0, rows, gradient)
    assert off(dense, full.layers[1].weights.grad.flatten(1)) < 1e-6


def test_nothing_to_be_seen(tmp_path: Path) -> None:
    _, sparse = twins(tmp_path, 100)
    head = SparseHead(sparse)
    truth = Truth(torch.zeros(2, 1, 4), torch.full((2, 1), -1))
    result = head(Features(sparse)(torch.rand(2, 3, GRID, GRID)), truth, 0)
    result.loss.backward()
    assert result.loss.isfinite()
    assert result.figures["count"] == 0
    assert sparse.layers[0].weights.grad.isfinite().all()


def test_updates_are_those_of_the_dense_optimizer(tmp_path: Path) -> None:
    """Twenty steps in two parts each, at changing rates, and going on from a state in between."""
    full, sparse = twins(tmp_path, 300)
    head, losses = SparseHead(sparse), Losses(full)
    dense, rows = make_optimizer(full), SparseSGD(sparse, head)
    for step in range(20):
        rate = 1e-2 / (1 + step)
        for part in range(2):
            images, truth = batch(2 * step + part, 300)
            losses(full(images), truth, 20_000).loss.backward()
            head(Features(sparse)(images), truth, 20_000).loss.backward()
        for optimizer in (dense, rows):
            optimizer.step(rate)
            optimizer.zero_grad()
        if step == 9:
            state, weights = rows.state_dict(), sparse.state_dict()
            sparse = network_of(tmp_path, 300)
            sparse.load_state_dict(weights)
            head = SparseHead(sparse)
            rows = SparseSGD(sparse, head)
            rows.load_state_dict(state)
    start = network_of(tmp_path, 300).state_dict()
    untouched = (head.rows.done < head.rows.steps).sum()
    assert 0 < untouched < len(head.rows.done)
    for (name, found), expected in zip(sparse.state_dict().items(), full.state_dict().values(), strict=True):
        assert off(found, expected) < 1e-5, name
        assert off(start[name], expected) > 1e-3 or "biases" in name


def test_rows_move_as_all_would_in_double_precision() -> None:
    """Over the number of steps after which everything is brought up to date, at random rates."""
    generator = torch.Generator().manual_seed(0)
    weights = torch.nn.Parameter(torch.randn(30, 4, generator=generator, dtype=torch.float64))
    twin = torch.nn.Parameter(weights.detach().clone())
    rows = RowSGD(weights, 0.9, 0.01)
    dense = torch.optim.SGD([twin], 0.1, 0.9, weight_decay=0.01)
    for _ in range(1100):
        chosen = torch.randperm(30, generator=generator)[:2]
        gradient = torch.randn(2, 4, generator=generator, dtype=torch.float64)
        dense.param_groups[0]["lr"] = rate = 0.1 * float(torch.rand((), generator=generator))
        twin.grad = torch.zeros_like(twin).index_add_(0, chosen, gradient)
        dense.step()
        torch.testing.assert_close(rows.read(chosen), weights[chosen].detach())
        rows.add(chosen, gradient)
        rows.step(rate)
    rows.flush()
    torch.testing.assert_close(weights, twin, rtol=1e-10, atol=1e-12)


def test_whoever_reads_the_weights_elsewhere_gets_them_up_to_date(tmp_path: Path) -> None:
    for read in (lambda n: n(torch.rand(1, 3, GRID, GRID)), lambda n: n.state_dict()):
        network = network_of(tmp_path, 300)
        head = SparseHead(network)
        optimizer = SparseSGD(network, head)
        optimizer.step(0.01)
        read(network)
        assert (head.rows.done == 1).all()


def test_what_cannot_be_trained_so_is_refused(tmp_path: Path) -> None:
    flat = Network(load_spec(cfg_dir() / "yolov3-tiny.cfg"))
    assert not sparsely_trainable(flat.spec)
    assert not worth_sparse(flat)
    assert not worth_sparse(network_of(tmp_path, 100))
    assert worth_sparse(network_of(tmp_path, 300))
    with pytest.raises(TrainingError, match=r"no \[region\] with a softmax"):
        SparseHead(flat)
    for option in ("clip", "adam"):
        network = network_of(tmp_path, 300, net=f"{option}=1")
        assert not worth_sparse(network)
        with pytest.raises(TrainingError, match=option):
            SparseSGD(network, SparseHead(network))


def test_the_trainer_takes_it_and_comes_to_the_same(tmp_path: Path) -> None:
    """With a running average, which reads all weights after every step, it trains the full head."""
    trained = {}
    for name, ema in (("sparse", None), ("full", 0.9)):
        network = network_of(tmp_path, 300, net="max_batches=6\nburn_in=2")
        network.load_state_dict({key: torch.full_like(value, 0.02) for key, value in network.state_dict().items()})

        def batches(start: int) -> Iterator[Batch]:
            return (Batch(*batch(number, 300), number, ()) for number in range(start, 100))

        settings = TrainerSettings(device="cpu", ema=ema, checkpoint_every=4)
        trainer = Trainer(network, batches, tmp_path / name, name="tree", settings=settings)
        assert isinstance(trainer.losses, SparseHead if name == "sparse" else Losses)
        assert len(list(trainer.run())) == 6
        trained[name] = load_network(tmp_path / "small.cfg", tmp_path / name / "tree_final.weights").state_dict()
    for name, found in trained["sparse"].items():
        assert off(found, trained["full"][name]) < 1e-5, name
