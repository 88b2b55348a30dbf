"""A whole network: what it runs and keeps, what it refuses, and what survives copying, folding and saving."""

from __future__ import annotations

import copy
import pickle
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from darknet_compat.definition import spec as s
from darknet_compat.definition.weights.file import read_weights, slots
from darknet_compat.errors import WeightsError
from darknet_compat.formats.words import Build
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import MODULES, Network, out_of_memory

Make = Callable[..., Network]
Write = Callable[..., Path]
Fill = Callable[[Network], Network]

CONV = "[convolutional]\nfilters=8\nsize=3\npad=1\nbatch_normalize=1\nactivation=leaky\n"
REGION = "[convolutional]\nfilters=14\nactivation=linear\n[region]\nnum=2\nclasses=2\nanchors=1,2,3,4\n"
YOLO = "[convolutional]\nfilters=14\nactivation=linear\n[yolo]\nmask={}\nnum=4\nclasses=2\nanchors=1,2,3,4,5,6,7,8\n"
POOL = "[maxpool]\nsize=2\nstride=2\n"
DETECTOR = f"{CONV}{POOL}{CONV}[reorg]\nstride=2\n[route]\nlayers=-2\n{POOL}[route]\nlayers=-1,-3\n{CONV}{REGION}"
TWO_HEADS = f"{CONV}{POOL}{YOLO.format('2,3')}[route]\nlayers=1\n[upsample]\n[route]\nlayers=-1,0\n{YOLO.format('0,1')}"

EVERY_LAYER = {
    "images": (
        (4, 8, 8),
        f"{CONV}[convolutional]\nfilters=6\ngroups=2\nxnor=1\n[deconvolutional]\nfilters=4\nsize=2\nbatch_normalize=1\n"
        "[crop]\ncrop_height=8\ncrop_width=8\n[batchnorm]\n[activation]\nactivation=elu\n[maxpool]\nsize=2\nstride=1\n"
        "[dropout]\n[normalization]\n[l2norm]\n[route]\nlayers=-1,-2\n[convolutional]\nfilters=4\nflipped=1\n"
        "[shortcut]\nfrom=-3\n[upsample]\n[reorg]\nstride=2\n[local]\nfilters=3\nsize=3\npad=1\n"
        "[connected]\noutput=20\nbatch_normalize=1\n[route]\nlayers=13\n[avgpool]\n[softmax]\n[cost]\n",
        "",
    ),
    "sequences": (
        (3, 4, 5),
        "[crnn]\nhidden_filters=2\noutput_filters=3\nbatch_normalize=1\n[rnn]\noutput=6\nbatch_normalize=1\n"
        "[gru]\noutput=5\nbatch_normalize=1\n[lstm]\noutput=4\nbatch_normalize=1\n[logistic]\n",
        "time_steps=2",
    ),
    "region": ((3, 8, 8), DETECTOR, ""),
    "yolo": ((3, 8, 8), TWO_HEADS, ""),
    "gaussian": ((3, 8, 8), f"{CONV}[convolutional]\nfilters=22\n[Gaussian_yolo]\nmask=0,1\nnum=3\nclasses=2\n", ""),
    "fork": (
        (4, 8, 8),
        "[conv]\nfilters=8\nsize=3\npad=1\ndilation=2\nbatch_normalize=1\nactivation=mish\n"
        "[conv]\nfilters=8\nsize=3\npad=1\nstride_x=1\nantialiasing=1\nbatch_normalize=1\nactivation=hard_mish\n"
        "[conv]\nfilters=8\nsize=3\npad=1\nshare_index=1\nactivation=leaky\n"
        "[shortcut]\nfrom=0,-1\nweights_type=per_channel\nweights_normalization=softmax\n"
        "[avgpool]\n[conv]\nfilters=8\nactivation=logistic\n[scale_channels]\nfrom=3\n"
        "[conv]\nfilters=8\nactivation=linear\n[sam]\nfrom=6\n[local_avgpool]\nsize=3\nstride=1\n"
        "[maxpool]\nmaxpool_depth=1\nout_channels=4\n[reorg3d]\nstride=2\n[empty]\n[history]\nhistory_size=2\n"
        "[implicit_add]\nfilters=32\n[route]\nlayers=13\n[shift_channels]\nfrom=14\n"
        "[conv]\nfilters=7\nactivation=logistic\n[yolo]\nclasses=2\nnew_coords=1\n[contrastive]\nyolo_layer=-1\n",
        "",
    ),
    "fork sequences": (
        (3, 4, 5),
        "[conv_lstm]\noutput=4\npad=1\npeephole=1\nbatch_normalize=1\n[rnn]\nhidden=3\noutput=6\nlogistic=1\n",
        "time_steps=2",
    ),
    "detection": ((3, 2, 2), "[connected]\noutput=72\n[detection]\nside=3\nclasses=3\ncoords=4\n", ""),
    "iseg": ((3, 4, 4), f"{CONV}[iseg]\nclasses=3\nids=5\n", ""),
}
"""Networks that together hold every kind of layer: shape, layers, options of [net]."""


def images(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def every_layer(make: Make, name: str) -> tuple[Network, Tensor]:
    shape, text, net = EVERY_LAYER[name]
    return make(text, shape, net), images(4, *shape)


def assert_same(first: Network, second: Network, x: Tensor) -> None:
    for one, other in zip(first.layer_outputs(x), second.layer_outputs(x), strict=True):
        assert torch.equal(one, other)


def test_the_networks_here_hold_every_kind_of_layer(make: Make) -> None:
    kinds = {type(layer) for name in EVERY_LAYER for layer in every_layer(make, name)[0].spec.layers}
    assert kinds == set(MODULES)


# ------------------------------------------------------------------------------------------ what is run


@pytest.mark.parametrize("name", EVERY_LAYER)
def test_every_output_has_the_shape_its_spec_promises(make: Make, name: str) -> None:
    network, x = every_layer(make, name)
    for layer, output in zip(network.spec.layers, network.layer_outputs(x), strict=True):
        shape = layer.output[:3] if layer.output.image else (layer.output.size,)
        assert tuple(output.shape) == (4, *shape), layer.type
        assert output.isfinite().all()
        assert not output.requires_grad


def test_forward_gives_what_the_head_reads(make: Make) -> None:
    network, x = make(DETECTOR, (3, 8, 8)), images(2, 3, 8, 8)
    outputs = network.layer_outputs(x)
    raw = network(x)
    assert torch.equal(raw, outputs[-2])
    assert torch.equal(network.activated(raw)[0], outputs[-1])
    assert raw.requires_grad


def test_forward_gives_each_head_its_own(make: Make) -> None:
    network, x = make(TWO_HEADS, (3, 8, 8)), images(2, 3, 8, 8)
    outputs = network.layer_outputs(x)
    raw = network(x)
    first, second = (head.index for head in network.spec.heads)
    assert [r.shape[2] for r in raw] == [4, 8]
    assert torch.equal(raw[0], outputs[first - 1])
    assert torch.equal(raw[1], outputs[second - 1])
    for found, index in zip(network.activated(raw), (first, second), strict=True):
        assert torch.equal(found, outputs[index])


@pytest.mark.parametrize("end", ["", "[cost]"])
def test_without_a_head_forward_gives_the_last_layer_that_is_no_cost(make: Make, end: str) -> None:
    network, x = make(f"{CONV}[avgpool]\n{end}", (3, 8, 8)), images(2, 3, 8, 8)
    assert torch.equal(network(x), network.layer_outputs(x)[1])


def test_a_head_alone_reads_the_input(make: Make) -> None:
    network, x = make("[softmax]", (3, 2, 2)), images(2, 3, 2, 2)
    assert network(x) is x
    assert torch.equal(network.activated(x)[0], x.flatten(1).softmax(1))


def watch(network: Network) -> tuple[list[int], list[int]]:
    """Which layers run, in order, and how many layers' outputs are alive when each has run."""
    ran: list[int] = []
    alive: list[int] = []
    references: list[weakref.ref[Tensor]] = []

    def hook(index: int) -> Callable[..., None]:
        def note(module: object, inputs: object, output: Tensor) -> None:
            references.append(weakref.ref(output))
            ran.append(index)
            alive.append(sum(reference() is not None for reference in references))

        return note

    for index, layer in enumerate(network.layers):
        layer.register_forward_hook(hook(index))
    return ran, alive


def test_forward_runs_no_layer_that_no_head_needs(make: Make) -> None:
    # layers 0-2 feed the head; 3 is a side branch that nobody reads, and the head itself is no part of raw outputs
    network = make(f"{CONV}{CONV}{CONV}[route]\nlayers=0\n{POOL}[route]\nlayers=2\n{REGION}{CONV}", (3, 8, 8))
    ran, _ = watch(network)
    network(images(1, 3, 8, 8))
    assert ran == [0, 1, 2, 5, 6]
    ran.clear()
    network.layer_outputs(images(1, 3, 8, 8))
    assert ran == list(range(9))


@torch.no_grad()
def test_outputs_are_forgotten_after_their_last_use(make: Make) -> None:
    network = make(CONV * 8, (3, 8, 8))
    _, alive = watch(network)
    network(images(1, 3, 8, 8))
    assert alive == [1, *[2] * 7]


@torch.no_grad()
def test_an_output_stays_as_long_as_a_later_layer_needs_it(make: Make) -> None:
    network = make(f"{CONV * 4}[shortcut]\nfrom=0\n{CONV * 2}", (3, 8, 8))
    _, alive = watch(network)
    network(images(1, 3, 8, 8))
    assert alive == [1, 2, 3, 3, 3, 2, 2]  # layer 0 until layer 4 has added it


# -------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("shape", [(1, 4, 8, 8), (1, 1, 8, 8), (3, 8, 8), (1, 192), (1, 3, 8, 8, 1)], ids=str)
def test_another_kind_of_input_is_a_clear_error(make: Make, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"reads images \[N, 3, height, width\], found \[\d") as caught:
        make(CONV, (3, 8, 8))(torch.zeros(shape))
    assert str(list(shape)) in str(caught.value)
    with pytest.raises(ValueError, match=r"reads images \[N, 5\], found \[1, 3, 2, 2\]"):
        make("[connected]", (5,))(torch.zeros(1, 3, 2, 2))


@pytest.mark.parametrize(("text", "size", "index"), [
    (f"{POOL}[route]\nlayers=0\n[upsample]\n{CONV}[route]\nlayers=-1,-2\n[connected]\noutput=3", (10, 8), 5),
    (f"{CONV}{POOL}[upsample]\n[route]\nlayers=-1,0", (8, 9), 3),
    (f"{CONV}[reorg]\nstride=2", (7, 8), 1),
    (f"{CONV}[upsample]\nstride=-2", (7, 8), 1),
    (f"{CONV}[local]\nsize=3\n", (16, 16), 1),
    (f"{CONV}[connected]\noutput=2\n", (4, 4), 1),
    (f"{CONV}[convolutional]\nsize=5\n", (4, 4), 1),
    (f"{CONV}[maxpool]\nsize=6\npadding=0\n", (4, 4), 1),
])  # fmt: skip
def test_a_size_that_does_not_fit_names_the_layer(make: Make, text: str, size: tuple[int, int], index: int) -> None:
    network = make(text, (3, 8, 8))
    network(images(1, 3, 8, 8))
    with pytest.raises(ValueError, match=f"layer {index} ") as caught:
        network(images(1, 3, *size))
    message = str(caught.value)
    assert network.spec.layers[index].type in message
    assert f"{size[1]} x {size[0]}" in message
    assert "\n" not in message


def test_an_error_at_the_networks_own_size_is_not_explained_away(make: Make) -> None:
    network = make(CONV, (3, 8, 8))
    with pytest.raises(RuntimeError, match="type"):
        network(images(1, 3, 8, 8).double())


def test_lack_of_memory_at_another_size_is_not_explained_away(make: Make) -> None:
    network = make(CONV, (3, 8, 8))
    huge = torch.zeros(1, 1, 1, 1).expand(1, 3, 1 << 22, 1 << 22)  # no memory itself, but its convolution's output
    with pytest.raises(RuntimeError, match="allocate memory") as caught:
        network(huge)
    assert out_of_memory(caught.value)


@pytest.mark.parametrize("text", ["[rnn]\noutput=2", "[gru]\noutput=2", "[lstm]\noutput=2"])
def test_sequences_of_another_length_are_a_clear_error(make: Make, text: str) -> None:
    network = make(text, (5,), "time_steps=3")
    network(images(6, 5))
    with pytest.raises(ValueError, match=r"3 time steps.* found 7"):
        network(images(7, 5))


# ------------------------------------------------------------------------------------- copies, and modes


@pytest.mark.parametrize("name", EVERY_LAYER)
def test_copies(make: Make, name: str) -> None:
    network, x = every_layer(make, name)
    for clone in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert_same(network, clone, x)
        assert clone.spec == network.spec
        with torch.no_grad():
            for parameter in clone.parameters():
                parameter.add_(1)
        assert all(not torch.equal(a, b) for a, b in zip(network.parameters(), clone.parameters(), strict=True))


def test_state_is_named_as_the_slots_are(make: Make) -> None:
    network, _ = every_layer(make, "region")
    assert set(network.state_dict()) == {f"layers.{slot.layer}.{slot.name}" for slot in slots(network.spec)}
    network, _ = every_layer(make, "sequences")
    assert set(network.state_dict()) == {f"layers.{slot.layer}.{slot.name}" for slot in slots(network.spec)}
    assert "layers.2.uz.rolling_mean" in network.state_dict()


@pytest.mark.parametrize("name", EVERY_LAYER)
def test_state_loads_into_a_new_network(make: Make, name: str) -> None:
    network, x = every_layer(make, name)
    other = Network(network.spec).eval()
    other.load_state_dict(network.state_dict(), strict=True)
    assert_same(network, other, x)


@pytest.mark.parametrize("name", EVERY_LAYER)
def test_saving_and_loading_gives_the_same_network_and_file(make: Make, name: str, tmp_path: Path) -> None:
    network, x = every_layer(make, name)
    if name == "images":  # the biases of a [batchnorm] are in no file
        network.layers[4].biases.data.zero_()
    save_weights(network, tmp_path / "first.weights")
    other = Network(network.spec, initialize=False).eval()
    other.load(read_weights(tmp_path / "first.weights", network.spec))
    assert_same(network, other, x)
    save_weights(other, tmp_path / "second.weights")
    assert (tmp_path / "first.weights").read_bytes() == (tmp_path / "second.weights").read_bytes()


def test_training_moves_statistics_and_evaluation_does_not(make: Make) -> None:
    network, x = make(f"{CONV}[dropout]\n{CONV}", (3, 8, 8)), images(4, 3, 8, 8)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network(x)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.train()
    network(x).sum().backward()
    moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {f"layers.{layer}.rolling_{what}" for layer in (0, 2) for what in ("mean", "variance")}
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", EVERY_LAYER)
def test_lower_precision_runs_and_is_near(make: Make, name: str, dtype: torch.dtype) -> None:
    shape, text, net = EVERY_LAYER[name]
    network, x = make(text.replace("xnor=1\n", ""), shape, net), images(4, *shape)  # signs are no matter of precision
    expected = [y.clone() for y in network.layer_outputs(x)]
    found = network.to(dtype).layer_outputs(x.to(dtype))
    for layer, ours, reference in zip(network.spec.layers, found, expected, strict=True):
        assert ours.dtype == dtype
        error = (ours.float() - reference).abs().max() / reference.abs().max().clamp_min(1e-9)
        assert error < (0.02 if dtype == torch.float16 else 0.15), (layer.type, error)


def test_saving_from_lower_precision_writes_float32(make: Make, tmp_path: Path) -> None:
    network = make(CONV, (3, 8, 8)).bfloat16()
    save_weights(network, tmp_path / "small.weights")
    network.load(read_weights(tmp_path / "small.weights", network.spec))
    assert network.layers[0].weights.dtype == torch.bfloat16


def test_a_network_moves_to_another_device(make: Make) -> None:
    """Every tensor goes along; torch's `meta` device computes shapes only, and refuses to mix with the CPU."""
    for name in EVERY_LAYER:
        network, x = every_layer(make, name)
        network = network.to("meta")
        outputs = network.layer_outputs(x.to("meta"))
        assert all(output.is_meta for output in outputs)


# ----------------------------------------------------------------------------------------------- folding


@pytest.mark.parametrize("build", ["cuda", "cpu"])
@pytest.mark.parametrize("name", ["images", "region", "yolo"])
def test_folding_changes_nothing_but_rounding(make: Make, name: str, build: Build) -> None:
    shape, text, net = EVERY_LAYER[name]
    network, x = make(text, shape, net, batchnorm=build), images(2, *shape)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    folded = network.folded()
    convolutions = [layer for layer in folded.spec.layers if isinstance(layer, s.Convolutional)]
    assert any(layer.batch_normalize for layer in network.spec.layers if isinstance(layer, s.Convolutional))
    assert not any(layer.batch_normalize for layer in convolutions)
    for expected, found in zip(network.layer_outputs(x), folded.layer_outputs(x), strict=True):
        assert (found - expected).abs().max() <= 5e-6 * expected.abs().max()
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_folding_leaves_binary_weights_alone(make: Make) -> None:
    network = make(CONV.replace("[convolutional]", "[convolutional]\nxnor=1") * 2, (3, 8, 8))
    assert_same(network, network.folded(), images(2, 3, 8, 8))


def test_folding_keeps_mode_device_and_type(make: Make) -> None:
    network = make(CONV, (3, 8, 8)).double()
    assert not network.folded().training
    assert network.train().folded().training
    assert {parameter.dtype for parameter in network.folded().parameters()} == {torch.float64}
    assert {parameter.device.type for parameter in network.to("meta").folded().parameters()} == {"meta"}


def test_a_folded_network_saves_as_its_own_kind(make: Make, tmp_path: Path) -> None:
    network, x = make(DETECTOR, (3, 8, 8)), images(1, 3, 8, 8)
    folded = network.folded()
    save_weights(folded, tmp_path / "folded.weights")
    with pytest.raises(WeightsError):
        read_weights(tmp_path / "folded.weights", network.spec)
    other = Network(folded.spec).eval()
    other.load(read_weights(tmp_path / "folded.weights", folded.spec))
    assert_same(folded, other, x)


def test_another_build_than_the_two_is_an_error(write: Write) -> None:
    with pytest.raises(ValueError, match="found 'gpu'"):
        load_network(write(CONV, (3, 8, 8)), batchnorm="gpu")  # type: ignore[arg-type]


def test_loading_gives_a_network_ready_for_inference(write: Write) -> None:
    network = load_network(write(DETECTOR, (3, 8, 8)))
    assert not network.training
    assert network.batchnorm == "cuda"
