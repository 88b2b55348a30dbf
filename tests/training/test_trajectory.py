"""Twenty updates by the original and by us, on the same arrays from the same weights, end in the same weights.

By the original's CPU build, which is what can be run here. The bars are 1e-3 of a slot's largest value for the weights
after the last update and 1e-4 of each loss on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import read_weights
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity.reference import Original
from darknet_compat.parity.seeded import seed_weights
from darknet_compat.training.augment.boxes import PictureTruths
from darknet_compat.training.batches.truth import Truth, stack
from darknet_compat.training.losses import Losses
from darknet_compat.training.update.optimizer import make_optimizer
from darknet_compat.training.update.schedule import learning_rate

pytestmark = pytest.mark.reference

Array = NDArray[np.float32]
STEPS = 20

RECIPE = "momentum=0.9\ndecay=0.02\npolicy=steps\nsteps=8,15\nscales=.5,.1\nburn_in=4\n"
"""Burn-in and two steps within the twenty batches."""
RATES = {"yolov3-tiny": 0.001, "yolov2": 0.003, "binary": 0.003, "tree": 0.01}
"""The rate, where it is not 0.03: with larger steps these soon amplify rounding."""

TREE = "animal -1\nvehicle -1\ndog 0\ncat 0\nbird 0\nhusky 2\npoodle 2\ncar 1\nship 1\n"


def conv(filters: int, size: int = 3, *more: str) -> str:
    options = more or ("batch_normalize=1", "activation=leaky")
    return "\n".join(["[convolutional]", f"filters={filters}", f"size={size}", "stride=1", "pad=1", *options, ""])


HALVE = "[maxpool]\nsize=2\nstride=2\n"
LINEAR = "activation=linear"
SOFTMAX = f"{conv(9, 1, LINEAR)}[avgpool]\n[softmax]\n"
YOLO = (
    "[yolo]\nmask={mask}\nanchors=6,7, 12,10, 9,20, 22,18, 30,40, 50,45\nclasses=3\nnum=6\n"
    "ignore_thresh=.6\ntruth_thresh=1\n"
)
REGION = (
    "[region]\nanchors=.5,.6, 1.1,.9, 2,1.8\nclasses=3\ncoords=4\nnum=3\nsoftmax=1\nbias_match=1\nrescore=1\n"
    "object_scale=5\nnoobject_scale=1\nclass_scale=1\ncoord_scale=1\nthresh=.6\nabsolute=1\n"
)
NETWORKS = {
    "classifier": f"{conv(8)}{HALVE}{conv(16)}{HALVE}{conv(8, 1)}{SOFTMAX}",
    "rates of their own": (
        f"{conv(8)}{HALVE}{conv(8, 3, 'learning_rate=.3')}{HALVE}{conv(8, 3, 'learning_rate=0')}"
        f"[convolutional]\nfilters=9\nlearning_rate=2.5\n{LINEAR}\n[avgpool]\n[softmax]\n"
    ),
    "tree": f"{conv(8)}{HALVE}{conv(8)}{HALVE}{conv(9, 1, LINEAR)}[avgpool]\n[softmax]\ntree=small.tree\n",
    "connected": (
        "[connected]\noutput=20\nactivation=tanh\n[connected]\noutput=12\nbatch_normalize=1\nactivation=leaky\n"
        f"[connected]\noutput=9\n{LINEAR}\n[softmax]\n"
    ),
    "yolov3-tiny": (
        f"{conv(8)}{HALVE}{conv(12)}{HALVE}{conv(12)}[maxpool]\nsize=2\nstride=1\n{conv(16)}{conv(8, 1)}{conv(16)}"
        f"{conv(24, 1, LINEAR)}{YOLO.format(mask='3,4,5')}"
        f"[route]\nlayers=-4\n{conv(6, 1)}[upsample]\nstride=2\n[route]\nlayers=-1,2\n{conv(12)}"
        f"{conv(24, 1, LINEAR)}{YOLO.format(mask='0,1,2')}"
    ),
    "yolov2": (
        f"{conv(8)}{HALVE}{conv(12)}{HALVE}{conv(12)}[route]\nlayers=-3\n{conv(4, 1)}[reorg]\nstride=2\n"
        f"[route]\nlayers=-1,-4\n{conv(16)}{conv(24, 1, LINEAR)}{REGION}"
    ),
    "residual": (
        f"{conv(8)}{conv(4, 1)}{conv(8)}[shortcut]\nfrom=-3\nactivation=leaky\n{conv(4, 1)}{conv(8)}"
        f"[shortcut]\nfrom=-3\n{LINEAR}\n{HALVE}{SOFTMAX}"
    ),
    "frozen": f"{conv(8)}{HALVE}{conv(8, 3, 'batch_normalize=1', 'stopbackward=1')}{conv(6)}{SOFTMAX}",
    "local": f"{conv(6)}{HALVE}[local]\nfilters=5\nsize=3\nstride=2\npad=1\nactivation=leaky\n{SOFTMAX}",
    "groups, and normalizations of their own": (
        f"{conv(8)}{conv(8, 3, 'groups=4', 'activation=elu')}[normalization]\nsize=3\nalpha=.1\n{conv(6)}"
        f"[activation]\nactivation=logistic\n{conv(6)}[l2norm]\n{SOFTMAX}"
    ),
    "binary": f"{conv(8)}{conv(8, 3, 'batch_normalize=1', 'xnor=1', 'activation=leaky')}{HALVE}{SOFTMAX}",
    "logistic": f"{conv(8)}{HALVE}{conv(9, 1, LINEAR)}[avgpool]\n[logistic]\n",
    "adam, which the CPU build takes for SGD": f"{conv(8)}{HALVE}{conv(8)}{SOFTMAX}",
}
TRANSPOSED = f"{conv(6)}{HALVE}[deconvolutional]\nfilters=6\nsize=2\nstride=2\nbatch_normalize=1\n{SOFTMAX}"
"""What is trained; `yolov2` and `tree` with what the CUDA build does at their heads and the CPU build does not."""


@dataclass(frozen=True)
class Course:
    """A network to train, and what on."""

    cfg: Path
    weights: Path
    images: Array
    truths: Array
    losses: Callable[[Array], Truth | torch.Tensor]
    subdivisions: int
    steps: int
    batch: int = 8


def one_hot(random: np.random.Generator, rows: int) -> Array:
    return np.eye(9, dtype=np.float32)[random.integers(0, 9, rows)]


def paths(random: np.random.Generator, rows: int) -> Array:
    """Truths on the tree: 1 down to a label, 0 beside it, unknown in groups that its way does not pass."""
    parents = [int(line.split()[1]) for line in TREE.splitlines()]
    truths = np.full((rows, len(parents)), -1234, np.float32)
    for row in truths:
        node = int(random.integers(len(parents)))
        while node >= 0:
            row[[other for other, parent in enumerate(parents) if parent == parents[node]]] = 0
            row[node], node = 1, parents[node]
    return truths


def objects(random: np.random.Generator, rows: int, limit: int) -> Array:
    """[rows, limit·5]: up to four boxes and their class each, zeros after the last."""
    truths = np.zeros((rows, limit, 5), np.float32)
    for row in truths:
        count = random.integers(0, 5)
        row[:count, :2] = random.uniform(0.1, 0.9, (count, 2))
        row[:count, 2:4] = random.uniform(0.05, 0.6, (count, 2))
        row[:count, 4] = random.integers(0, 3, count)
    return truths.reshape(rows, -1)


def truth_of(rows: Array) -> Truth:
    """The original's rows of boxes and classes as our losses read them."""
    images = rows.reshape(len(rows), -1, 5)
    return stack(
        [PictureTruths(image[image[:, 2] > 0, :4], image[image[:, 2] > 0, 4].astype(np.int64)) for image in images]
    )


def course(name: str, folder: Path) -> Course:
    (folder / "small.tree").write_text(TREE)
    side = 32 if "yolo" in name else 16
    subdivisions = 2 if name in ("classifier", "yolov2") else 1
    adam = "adam=1\n" if "adam" in name else ""
    cfg = folder / "small.cfg"
    adam += f"learning_rate={RATES.get(name, 0.03)}\n"
    net = f"[net]\nwidth={side}\nheight={side}\nchannels=3\nbatch=8\nsubdivisions={subdivisions}\n{adam}{RECIPE}"
    cfg.write_text(net + NETWORKS.get(name, name))
    network = load_network(cfg)
    seed_weights(network)
    save_weights(network, folder / "start.weights")
    random = np.random.default_rng(5)
    steps = 3 if name == "binary" else STEPS  # then rounding has turned the first sign around
    rows = steps * 8
    images = random.uniform(0, 1, (rows, 3, side, side)).astype(np.float32)
    if "yolo" not in name:
        truths = paths(random, rows) if name == "tree" else one_hot(random, rows)
        return Course(cfg, folder / "start.weights", images, truths, torch.from_numpy, subdivisions, steps)
    truths = objects(random, rows, 90 if name == "yolov3-tiny" else 30)
    return Course(cfg, folder / "start.weights", images, truths, truth_of, subdivisions, steps)


def train(it: Course) -> tuple[Network, list[float]]:
    network = load_network(it.cfg, it.weights, batchnorm="cpu").train()
    losses, optimizer, reported, seen = Losses(network), make_optimizer(network), [], 0
    for step in range(it.steps):
        rows = slice(step * it.batch, (step + 1) * it.batch)
        cost = 0.0
        for images, truths in zip(
            np.split(it.images[rows], it.subdivisions), np.split(it.truths[rows], it.subdivisions), strict=True
        ):
            seen += len(images)
            result = losses(network(torch.from_numpy(images)), it.losses(truths), seen)
            result.loss.backward()
            cost += sum(map(float, result.costs)) / len(result.costs)
        optimizer.step(learning_rate(network.spec.net, step + 1))
        optimizer.zero_grad()
        reported.append(cost / it.batch)
    return network, reported


def check(it: Course, theirs: Array, end: Path) -> None:
    """Losses on the way, and weights at the end."""
    network, ours = train(it)
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    losses = np.abs(np.array(ours) / theirs - 1).max()
    spec = load_spec(it.cfg)
    start, saved = read_weights(it.weights, spec), read_weights(end, spec)
    assert saved.header.seen == it.steps * it.batch
    moved, apart = [], []
    for (slot, expected), (_, before) in zip(saved.arrays, start.arrays, strict=True):
        largest = np.abs(expected).max()
        difference = np.abs(network.parameter(slot).detach().numpy() - expected).max()
        assert difference <= 1e-3 * largest, (slot.layer, slot.name)
        moved.append(np.abs(expected - before).max() / largest)
        apart.append(difference / largest)
    print(f"weights {max(apart):.2g} of a slot's largest, losses {losses:.2g}")
    assert max(moved) > 0.02


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_twenty_updates(name: str, tmp_path: Path, darknet: Original) -> None:
    it = course(name, tmp_path)
    end = tmp_path / "end.weights"
    theirs = darknet.train(it.cfg, it.weights, it.images, it.truths, end, batch=it.batch, subdivisions=it.subdivisions)
    check(it, theirs, end)


def test_twenty_updates_of_a_transposed_convolution(tmp_path: Path) -> None:
    """Which the original cannot load: it divides by the layer's number of groups, 0. So it begins at random."""
    it = course(TRANSPOSED, tmp_path)
    end = tmp_path / "end.weights"
    with Original() as darknet:  # a new process: its normal numbers depend on how many were drawn before
        darknet.save_weights(it.cfg, None, it.weights)
        theirs = darknet.train(it.cfg, None, it.images, it.truths, end, batch=it.batch)
    check(it, theirs, end)
