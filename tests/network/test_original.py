"""Every kind of layer, with every option that changes what it computes, against the original's own library."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition.weights.file import Slot, slots
from darknet_compat.errors import OriginalError
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity.reference import Original

pytestmark = pytest.mark.reference

Array = NDArray[np.float32]
Write = Callable[..., Path]
Fill = Callable[[Network], Network]

TOLERANCE = 1e-5
"""Of a layer's own largest value. Measured: 1.0e-6 at most, over 316 layers."""

CONV = "[convolutional]\nfilters=8\nsize=3\npad=1\nactivation=linear\n"
POOL = "[maxpool]\nsize=2\nstride=2\n"

ORIGINAL_ACTIVATIONS = (
    "logistic", "loggy", "relu", "elu", "selu", "relie", "ramp", "linear", "tanh", "plse", "leaky", "stair",
    "hardtan", "lhtan",
)  # fmt: skip


class Case(NamedTuple):
    shape: tuple[int, ...]
    layers: str
    net: str = ""
    rows: int = 2


def convolutions() -> Iterator[tuple[str, Case]]:
    options = {
        "plain": "filters=5\nsize=3\npad=1",
        "padding": "filters=5\nsize=4\nstride=2\npadding=3",
        "normalized": "filters=5\nsize=3\npad=1\nbatch_normalize=1",
        "groups": "filters=9\ngroups=3\nsize=3\nstride=2\npadding=2\nbatch_normalize=1",
        "depthwise": "filters=6\ngroups=6\nsize=3\npad=1",
        "1x1": "filters=9\ngroups=3",
        "1x1 with stride": "filters=9\nstride=2",
        "1x1 with stride and groups": "filters=9\nstride=3\ngroups=3",
        "xnor": "filters=9\ngroups=3\nsize=3\nstride=2\npad=1\nxnor=1\nbatch_normalize=1",
        "binary": "filters=9\nsize=3\npad=1\nbinary=1",
        "flipped": "filters=9\nsize=3\nflipped=1",
    }
    for name, option in options.items():
        yield f"convolutional {name}", Case((6, 9, 7), f"[convolutional]\n{option}\nactivation=leaky")
    for name in ORIGINAL_ACTIVATIONS:
        layers = f"[convolutional]\nfilters=8\nsize=3\nactivation={name}\n[activation]\nactivation={name}"
        yield f"activation {name}", Case((3, 7, 5), layers)
    yield (
        "connected",
        Case((6, 3, 2), "[connected]\noutput=11\nactivation=elu\n[connected]\noutput=5\nbatch_normalize=1"),
    )
    local = (
        "[local]\nfilters=5\nsize=3\npad=1\nactivation=leaky\n[local]\nfilters=3\nsize=2\nstride=2\nactivation=linear"
    )
    yield "local", Case((3, 8, 6), local)


def pools_and_moves() -> Iterator[tuple[str, Case]]:
    for size, stride in itertools.product((1, 2, 3, 4), (1, 2, 3)):
        layers = [
            f"[maxpool]\nsize={size}\nstride={stride}\npadding={padding}\n[route]\nlayers=0" for padding in range(5)
        ]
        yield f"maxpool {size} {stride}", Case((3, 8, 5), "[activation]\n" + "\n".join(layers))
    yield "maxpool by default", Case((3, 9, 5), f"{POOL}[maxpool]\nsize=2\nstride=1\n[avgpool]")
    crop = "[crop]\ncrop_height=6\ncrop_width=5\nflip=1\n[crop]\ncrop_height=3\ncrop_width=4\nnoadjust=1"
    yield "crop", Case((3, 9, 8), crop)
    yield "dropout", Case((3, 9, 5), f"{CONV}[dropout]\nprobability=.7\n[route]\nlayers=-2,-1")
    routes = (
        "[route]\nlayers=-1,0\n[connected]\noutput=3\n[route]\nlayers=0\n[route]\nlayers=-1,0,-1\n[route]\nlayers=3,3"
    )
    yield "route", Case((5, 4, 6), CONV + POOL + routes)
    scales = "[upsample]\nstride=3\nscale=.7\n[upsample]\nstride=-2\nscale=.3\n[upsample]\nstride=-3"
    yield "upsample", Case((3, 4, 6), scales)
    layers = ["stride=2", "stride=2\nreverse=1", "stride=2\nflatten=1", "stride=2\nreverse=1\nflatten=1", "extra=5"]
    yield "reorg", Case((4, 4, 6), "".join(f"[reorg]\n{options}\n" for options in layers))
    yield (
        "reorg of other strides",
        Case((36, 4, 6), "[reorg]\nstride=3\nreverse=1\n[reorg]\nstride=2\nreverse=1\n[reorg]"),
    )
    for size in (1, 2, 3, 4, 5, 8, 10):
        yield f"normalization {size}", Case((5, 4, 3), f"[normalization]\nsize={size}\nalpha=.03\nbeta=.6\nkappa=2")
    yield "l2norm", Case((5, 4, 3), "[l2norm]")
    for name, between in shortcuts():
        yield (
            f"shortcut {name}",
            Case((3, 9, 12), f"{CONV}{between}[shortcut]\nfrom=0\nalpha=.3\nbeta=.7\nactivation=tanh"),
        )


def shortcuts() -> Iterator[tuple[str, str]]:
    """What lies between layer 0, of 8 channels and 9 x 12, and the shortcut that adds it."""
    yield "of the same shape", CONV
    yield "of more channels", CONV.replace("8", "5")
    yield "of fewer channels", CONV.replace("8", "11")
    yield "three times as large", "[maxpool]\nsize=3\nstride=3\npadding=0\n"
    yield "half as large", "[upsample]\nstride=2\n" + CONV.replace("8", "5")
    yield "a little larger", CONV.replace("pad=1", "pad=0")
    yield "a little smaller", CONV.replace("pad=1", "padding=2")


def recurrents() -> Iterator[tuple[str, Case]]:
    for normalized, flag in itertools.product((0, 1), repeat=2):
        norm = f"batch_normalize={normalized}"
        layers = {
            "rnn": f"[rnn]\noutput=5\nactivation=leaky\nshortcut={flag}\n{norm}\n[rnn]\noutput=4\n[softmax]",
            "gru": f"[gru]\noutput=5\ntanh={flag}\n{norm}\n[connected]\noutput=4",
            "lstm": f"[lstm]\noutput=5\n{norm}\n[lstm]\noutput=4",
        }
        for name, text in layers.items():
            yield f"{name} {normalized}{flag}", Case((7,), text, "time_steps=3", 6)
        crnn = f"[crnn]\nhidden_filters=4\noutput_filters=3\nactivation=leaky\nshortcut={flag}\n{norm}\n"
        yield f"crnn {normalized}{flag}", Case((2, 5, 3), crnn + CONV.replace("pad=1", ""), "time_steps=3", 6)


def heads() -> Iterator[tuple[str, Case]]:
    yield "softmax", Case((4, 1, 6), "[softmax]\ngroups=3\ntemperature=2.5\n[softmax]\ntemperature=.5")
    yield "softmax with a tree", Case((7, 1, 1), "[softmax]\ntree=small.tree\ntemperature=.5")
    yield "softmax and cost", Case((4, 4, 6), f"{CONV}[softmax]\n[cost]\ntype=L1")
    yield "logistic", Case((4, 2, 6), f"[logistic]\n{CONV}")
    for softmax, background, coords in itertools.product((0, 1), (0, 1), (4, 7)):
        options = f"num=2\nclasses=3\ncoords={coords}\nsoftmax={softmax}\nbackground={background}"
        layers = f"[convolutional]\nfilters={2 * (coords + 4)}\nactivation=linear\n[region]\nanchors=1,2,3,4\n{options}"
        yield f"region {softmax}{background} with {coords} coords", Case((3, 4, 6), layers)
    yolo = "[yolo]\nmask={}\nanchors=1,2,3,4,5,6\nnum=3\nclasses=3\n"
    text = f"{CONV.replace('8', '16')}{yolo.format('1,2')}[route]\nlayers=0\n{yolo.format('0,2')}"
    yield "yolo", Case((3, 4, 6), text)
    for softmax in (0, 1):
        detection = f"[detection]\nside=3\nnum=2\nclasses=3\ncoords=4\nsqrt=1\nsoftmax={softmax}"
        yield f"detection {softmax}", Case((3, 4, 6), f"[connected]\noutput=117\nactivation=linear\n{detection}")


CASES = dict(itertools.chain(convolutions(), pools_and_moves(), recurrents(), heads()))
TREE = "a -1\nb -1\nc 0\nd 0\ne 0\nf 3\ng 1\n"


@pytest.fixture(scope="module")
def running() -> Iterator[Original]:
    with Original() as original:
        yield original


def images(case: Case, seed: int = 1) -> Array:
    return np.random.default_rng(seed).standard_normal((case.rows, *case.shape), np.float32)


def assert_same(network: Network, x: Array, expected: list[Array]) -> None:
    found = network.layer_outputs(torch.from_numpy(x))
    assert len(found) == len(expected) == len(network.spec.layers) > 0
    for layer, ours, theirs in zip(network.spec.layers, found, expected, strict=True):
        assert ours[0].numel() == theirs[0].size == layer.output.size, layer.type
        assert np.isfinite(theirs).all()
        scale = np.abs(theirs).max()
        assert scale > 0 or layer.type == "cost", f"{layer.index} {layer.type} has only zeros to compare"
        error = np.abs(ours.numpy().reshape(theirs.shape) - theirs).max()
        assert error <= TOLERANCE * scale, f"{layer.index} {layer.type}: {error / scale:.1e} of its largest value"


@pytest.mark.parametrize("name", CASES)
def test_layer(name: str, running: Original, write: Write, fill: Fill) -> None:
    case = CASES[name]
    cfg = write(case.layers, case.shape, case.net)
    cfg.with_name("small.tree").write_text(TREE)
    network, weights = fill(load_network(cfg, batchnorm="cpu")), cfg.with_suffix(".weights")
    save_weights(network, weights)
    x = images(case)
    assert_same(network, x, [layer.output for layer in running.layer_outputs(cfg, weights, x)])


@pytest.mark.parametrize(
    "options", ["size=3\nstride=2\npadding=1", "size=4\nstride=3", "size=3\npad=1\nbatch_normalize=1"]
)
def test_deconvolution(options: str, running: Original, write: Write) -> None:
    """The original saves such a layer but dies of loading one (it divides by groups=0): so we read what it drew."""
    cfg = write(f"[deconvolutional]\nfilters=6\n{options}\nactivation=leaky", (3, 5, 4))
    weights = cfg.with_suffix(".weights")
    running.save_weights(cfg, None, weights, seed=3)
    x = images(Case((3, 5, 4), ""))
    expected = [layer.output for layer in running.layer_outputs(cfg, None, x, seed=3)]
    assert_same(load_network(cfg, weights, batchnorm="cpu"), x, expected)
    with pytest.raises(OriginalError, match="SIGFPE"):
        running.layer_outputs(cfg, weights, x)


def test_batchnorm(running: Original, write: Write, fill: Fill) -> None:
    """The original dies of a [batchnorm], whose memory it forgets to ask for; of a convolution by 1 it does not."""
    shape = (5, 4, 3)
    cfg = write("[convolutional]\nfilters=5\nbatch_normalize=1\nactivation=linear", shape, name="convolution")
    convolution = fill(load_network(cfg, batchnorm="cpu"))
    with torch.no_grad():
        convolution.layers[0].weights.copy_(torch.eye(5)[:, :, None, None])
        convolution.layers[0].biases.zero_()
    save_weights(convolution, cfg.with_suffix(".weights"))
    batchnorm = load_network(write("[batchnorm]", shape), batchnorm="cpu")
    batchnorm.layers[0].load_state_dict(convolution.layers[0].state_dict(), strict=False)
    x = images(Case(shape, ""))
    expected = running.layer_outputs(cfg, cfg.with_suffix(".weights"), x)
    assert_same(batchnorm, x, [layer.output for layer in expected])


def test_iseg(running: Original, write: Write, fill: Fill) -> None:
    """The original reads a truth even when predicting: a layer with `truth=1` says that the image shows no instance."""
    text = f"{CONV}[connected]\noutput=630\ntruth=1\nactivation=linear\n[route]\nlayers=0\n[iseg]\nclasses=3\nids=5"
    cfg = write(text, (3, 2, 3))
    network = fill(load_network(cfg, batchnorm="cpu"))
    with torch.no_grad():
        network.layers[1].weights.zero_()
        network.layers[1].biases.fill_(-1)
    save_weights(network, cfg.with_suffix(".weights"))
    x = images(Case((3, 2, 3), ""))
    assert_same(network, x, [layer.output for layer in running.layer_outputs(cfg, cfg.with_suffix(".weights"), x)])


PARTLY = f"{CONV}numload=3\n{CONV}batch_normalize=1\ndontloadscales=1\n{CONV}dontload=1\n{CONV}"


def test_loading_a_part(running: Original, write: Write) -> None:
    """numload, dontload, dontloadscales: what the original makes of such a file it saves as a whole one."""
    cfg = write(PARTLY, (3, 6, 5), name="part")
    whole = write("\n".join(line for line in PARTLY.split("\n") if "load" not in line), (3, 6, 5), name="whole")
    network = load_network(cfg)
    part, saved = cfg.with_suffix(".weights"), whole.with_suffix(".weights")
    random = np.random.default_rng(0)
    wanted: list[Slot] = list(slots(network.spec))
    arrays = [random.standard_normal(slot.size).astype("<f4") for slot in wanted]
    part.write_bytes(network.header.to_bytes() + b"".join(array.tobytes() for array in arrays))
    running.save_weights(cfg, part, saved)
    theirs = load_network(whole, saved)
    ours = load_network(cfg, part)
    for slot in wanted:
        count = slot.shape[0]
        torch.testing.assert_close(ours.parameter(slot)[:count], theirs.parameter(slot)[:count], rtol=0, atol=0)


RESIZED = (
    f"{CONV}{POOL}{CONV}batch_normalize=1\n[reorg]\nstride=2\n[route]\nlayers=-2\n{POOL}[route]\nlayers=-1,-3\n"
    "[convolutional]\nfilters=14\nactivation=linear\n[upsample]\n[normalization]\n[region]\nnum=2\nclasses=2\nanchors=1,2,3,4\n"
)


@pytest.mark.parametrize("size", [(16, 12), (4, 4), (20, 8), (8, 36)], ids=str)
def test_any_size(size: tuple[int, int], running: Original, write: Write, fill: Fill) -> None:
    """The same network at another size (width, height) than its cfg's, without being made anew."""
    cfg = write(RESIZED, (3, 12, 16))
    network, weights = fill(load_network(cfg, batchnorm="cpu")), cfg.with_suffix(".weights")
    save_weights(network, weights)
    x = np.random.default_rng(0).standard_normal((3, 3, size[1], size[0]), np.float32)
    expected = running.layer_outputs(cfg, weights, x, size=size)
    found = network.layer_outputs(torch.from_numpy(x))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert tuple(ours.shape[1:]) == theirs.shape
        scale = np.abs(theirs.output).max()
        assert np.abs(ours.numpy().reshape(3, -1) - theirs.output).max() <= TOLERANCE * scale
