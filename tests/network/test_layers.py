"""Each layer by hand on a few numbers, and in float64 on odd shapes against its formula."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition import spec as s
from darknet_compat.network import layers
from darknet_compat.network.network import Network

Array = NDArray[np.float64]
Make = Callable[..., Network]


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def outputs(network: Network, x: Array) -> list[Array]:
    """Every layer's output, computed in float64."""
    return [y.numpy() for y in network.double().layer_outputs(torch.from_numpy(x))]


def run(network: Network, x: Array) -> Array:
    return outputs(network, x)[-1]


def values(network: Network, name: str, index: int = -1) -> Array:
    """A parameter of a layer."""
    found: Array = getattr(network.layers[index], name).detach().double().numpy()
    return found


def assert_equal(found: Array, expected: Array) -> None:
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def of(*rows: list[float]) -> Array:
    """One image of one channel."""
    return np.array([[rows]], np.float64)


# ------------------------------------------------------------------------------------- layers with weights


def convolved(x: Array, weights: Array, stride: int, padding: int, groups: int = 1) -> Array:
    """Σ over channels and window of weight · value, zeros around the image; filters see their own group's channels."""
    filters, channels, size, _ = weights.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = ((side - size) // stride + 1 for side in padded.shape[2:])
    result = np.zeros((len(x), filters, rows, columns))
    for f, i, j in itertools.product(range(filters), range(rows), range(columns)):
        first = f // (filters // groups) * channels
        window = padded[:, first : first + channels, i * stride : i * stride + size, j * stride : j * stride + size]
        result[:, f, i, j] = (window * weights[f]).sum((1, 2, 3))
    return result


def test_convolution_by_hand(make: Make) -> None:
    network = make("[convolutional]\nfilters=1\nsize=2\nactivation=linear", (1, 3, 3))
    layer = network.layers[0]
    layer.weights.data = torch.tensor([[[[1.0, 2], [3, 4]]]])
    layer.biases.data = torch.tensor([0.5])
    # 1·1 + 2·2 + 3·4 + 4·5 + 0.5 in the first corner
    assert_equal(run(network, of([1, 2, 3], [4, 5, 6], [7, 8, 9])), of([37.5, 47.5], [67.5, 77.5]))


CONVOLUTIONS = [
    ("filters=5\nsize=3\nstride=1\npad=1", 1, 1, 1),
    ("filters=4\nsize=4\nstride=1\npad=1", 1, 2, 1),
    ("filters=6\nsize=3\nstride=2\npadding=2", 2, 2, 1),
    ("filters=3\nsize=5\nstride=3\npad=1\npadding=7", 3, 2, 1),
    ("filters=9\nsize=3\nstride=2\npad=1\ngroups=3", 2, 1, 3),
    ("filters=6\nsize=1\ngroups=6", 1, 0, 6),
    ("filters=2\nsize=7\npadding=0", 1, 0, 1),
]


@pytest.mark.parametrize(("options", "stride", "padding", "groups"), CONVOLUTIONS)
def test_convolution(make: Make, options: str, stride: int, padding: int, groups: int) -> None:
    network = make(f"[convolutional]\n{options}\nactivation=linear", (6, 9, 7))
    x = random(2, 6, 9, 7)
    expected = convolved(x, values(network, "weights"), stride, padding, groups)
    expected += values(network, "biases")[:, None, None]
    assert_equal(run(network, x), expected)
    assert network.spec.layers[0].output[:3] == expected.shape[1:]


@pytest.mark.parametrize(("options", "build", "signs_in", "signs_of_weights"), [
    ("xnor=1", "cpu", True, True),
    ("xnor=1", "cuda", True, True),
    ("binary=1", "cpu", False, False),  # the CPU build forgets to
    ("binary=1", "cuda", False, True),
])  # fmt: skip
def test_binary_convolution(make: Make, options: str, build: str, signs_in: bool, signs_of_weights: bool) -> None:
    text = f"[convolutional]\nfilters=4\nsize=3\npad=1\ngroups=2\n{options}\nactivation=linear"
    network = make(text, (6, 5, 4), batchnorm=build)
    x = random(2, 6, 5, 4)
    x[0, 0, 0, :2] = 0, -0.0  # zero counts as negative, here and in weights
    network.layers[0].weights.data[:, 0, 0, 0] = 0
    weights = values(network, "weights")
    if signs_of_weights:
        weights = np.where(weights > 0, 1, -1) * np.abs(weights).mean((1, 2, 3), keepdims=True)
    expected = convolved(np.where(x > 0, 1.0, -1.0) if signs_in else x, weights, 1, 1, 2)
    assert_equal(run(network, x), expected + values(network, "biases")[:, None, None])


@pytest.mark.parametrize(("build", "expected"), [("cuda", [[1, 3], [7, 9]]), ("cpu", [[1, 2], [3, 4]])])
def test_1x1_convolution_with_a_stride(make: Make, build: str, expected: list[list[float]]) -> None:
    """The CPU build takes as many cells as it puts out, one after another, instead of every stride-th."""
    network = make("[convolutional]\nstride=2\nactivation=linear", (1, 3, 3), batchnorm=build)
    network.layers[0].weights.data = torch.ones(1, 1, 1, 1)
    network.layers[0].biases.data = torch.zeros(1)
    assert_equal(run(network, of([1, 2, 3], [4, 5, 6], [7, 8, 9])), of(*expected))


def test_1x1_convolution_with_a_stride_and_groups_in_the_cpu_build(make: Make) -> None:
    """Each group's values, [c / groups, h, w], are read as [c / groups, h', w'] from their first on."""
    network = make("[convolutional]\nfilters=9\nstride=3\ngroups=3\nactivation=linear", (6, 9, 7), batchnorm="cpu")
    x = random(2, 6, 9, 7)
    read = x.reshape(2, 3, 126)[:, :, :18].reshape(2, 6, 3, 3)
    expected = convolved(read, values(network, "weights"), 1, 0, 3)
    assert_equal(run(network, x), expected + values(network, "biases")[:, None, None])


def test_deconvolution_by_hand(make: Make) -> None:
    network = make("[deconvolutional]\nfilters=1\nsize=2\nstride=2\nactivation=linear", (1, 1, 2))
    network.layers[0].weights.data = torch.tensor([[[[1.0, 2], [3, 4]]]])
    network.layers[0].biases.data = torch.tensor([0.5])
    assert_equal(run(network, of([1, 10])), of([1.5, 2.5, 10.5, 20.5], [3.5, 4.5, 30.5, 40.5]))


@pytest.mark.parametrize(("options", "size", "stride", "padding"), [
    ("size=3\nstride=2\npadding=1", 3, 2, 1),
    ("size=4\nstride=3", 4, 3, 0),
    ("size=5\npad=1", 5, 1, 2),
])  # fmt: skip
def test_deconvolution(make: Make, options: str, size: int, stride: int, padding: int) -> None:
    """Every input value adds its multiple of the kernel, `stride` cells apart; `padding` cells are cut off around."""
    network = make(f"[deconvolutional]\nfilters=4\n{options}\nactivation=linear", (3, 5, 4))
    x, weights = random(2, 3, 5, 4), values(network, "weights")  # [c, filters, size, size]
    whole = np.zeros((2, 4, 4 * stride + size, 3 * stride + size))
    for i, j in itertools.product(range(5), range(4)):
        whole[:, :, i * stride : i * stride + size, j * stride : j * stride + size] += np.einsum(
            "nc,cfyx->nfyx", x[:, :, i, j], weights
        )
    cut = slice(padding, -padding or None)
    assert_equal(run(network, x), whole[:, :, cut, cut] + values(network, "biases")[:, None, None])


def test_connected(make: Make) -> None:
    network = make("[connected]\noutput=4\nactivation=relu", (2, 3, 5))
    x = random(3, 2, 3, 5)
    expected = x.reshape(3, 30) @ values(network, "weights").T + values(network, "biases")
    assert_equal(run(network, x), np.maximum(expected, 0)[:, :, None, None])


@pytest.mark.parametrize(("options", "size", "stride", "padding"), [
    ("size=3\npad=1", 3, 1, 1),
    ("size=2\nstride=2", 2, 2, 0),
    ("size=3\nstride=2\npad=1", 3, 2, 1),
])  # fmt: skip
def test_local(make: Make, options: str, size: int, stride: int, padding: int) -> None:
    """A convolution whose weights and bias are each location's own."""
    network = make(f"[local]\nfilters=3\n{options}\nactivation=linear", (2, 6, 5))
    x, weights = random(2, 2, 6, 5), values(network, "weights")
    padded = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    rows, columns = ((side - size) // stride + 1 for side in padded.shape[2:])
    expected = np.tile(values(network, "biases").reshape(3, rows, columns), (2, 1, 1, 1))
    for i, j in itertools.product(range(rows), range(columns)):
        window = padded[:, :, i * stride : i * stride + size, j * stride : j * stride + size]
        expected[:, :, i, j] += window.reshape(2, -1) @ weights[i * columns + j].T
    assert_equal(run(network, x), expected)


# ---------------------------------------------------------------------------------------------- pooling


def pooled(x: Array, size: int, stride: int, padding: int) -> Array:
    """The maximum over the cells that windows share with the image; padding // 2 of the padding is left and above."""
    rows, columns = ((side + padding - size) // stride + 1 for side in x.shape[2:])
    result = np.full((*x.shape[:2], rows, columns), np.finfo(x.dtype).min)
    for i, j in itertools.product(range(rows), range(columns)):
        top, left = i * stride - padding // 2, j * stride - padding // 2
        window = x[:, :, max(top, 0) : max(top + size, 0), max(left, 0) : max(left + size, 0)]
        if window.size:
            result[:, :, i, j] = window.max((2, 3))
    return result


@pytest.mark.parametrize("shape", [(4, 7), (5, 5), (8, 6), (13, 4)], ids=str)
def test_maxpool_in_every_combination(make: Make, shape: tuple[int, int]) -> None:
    x = random(2, 3, *shape) - 5  # all below 0: a padded cell that counts as 0 would win
    for size, stride in itertools.product(range(1, 5), range(1, 5)):
        for padding in range(size + 2):
            network = make(f"[maxpool]\nsize={size}\nstride={stride}\npadding={padding}", (3, *shape))
            assert_equal(run(network, x), pooled(x, size, stride, padding))


def test_maxpool_by_default_pads_size_minus_one_below_and_right(make: Make) -> None:
    network = make("[maxpool]\nsize=2\nstride=2", (1, 3, 3))
    assert_equal(run(network, of([1, 2, 3], [4, 5, 6], [7, 8, -9])), of([5, 6], [8, -9]))


def test_maxpool_of_size_two_and_stride_one_keeps_the_size(make: Make) -> None:
    network = make("[maxpool]\nsize=2\nstride=1", (1, 2, 3))
    assert_equal(run(network, of([1, 2, 3], [6, 5, 4])), of([6, 5, 4], [6, 5, 4]))


def test_avgpool(make: Make) -> None:
    x = random(2, 3, 5, 7)
    assert_equal(run(make("[avgpool]", (3, 5, 7)), x), x.mean((2, 3))[:, :, None, None])


# ---------------------------------------------------------------------------------- dropout, crop, norms


def test_dropout_scales_what_it_keeps(make: Make) -> None:
    network = make("[dropout]\nprobability=.25", (4, 50, 50))
    x = random(3, 4, 50, 50)
    assert_equal(run(network, x), x)
    torch.manual_seed(0)
    dropped = run(network.train(), x)
    kept = dropped != 0
    assert_equal(dropped[kept], x[kept] / 0.75)
    assert 0.73 < kept.mean() < 0.77


@pytest.mark.parametrize(("noadjust", "scale", "shift"), [(0, 2, -1), (1, 1, 0)])
def test_crop_takes_the_centre_when_not_training(make: Make, noadjust: int, scale: int, shift: int) -> None:
    network = make(f"[crop]\ncrop_height=3\ncrop_width=2\nflip=1\nnoadjust={noadjust}", (2, 6, 7))
    x = random(2, 2, 6, 7)
    assert_equal(run(network, x), x[:, :, 1:4, 2:4] * scale + shift)


def test_crop_takes_any_place_and_side_when_training(make: Make) -> None:
    network = make("[crop]\ncrop_height=2\ncrop_width=2\nflip=1\nnoadjust=1", (1, 3, 4)).train()
    x = np.tile(np.arange(12.0).reshape(1, 1, 3, 4), (2, 1, 1, 1))
    possible = {(i, j, side) for i in range(2) for j in range(3) for side in (1, -1)}
    crops = {x[0, 0, i : i + 2, j : j + 2][:, ::side].tobytes(): (i, j, side) for i, j, side in possible}
    torch.manual_seed(0)
    found = set()
    for _ in range(150):
        first, second = run(network, x)[:, 0]
        assert_equal(first, second)  # one place for the whole batch
        found.add(crops[first.tobytes()])
    assert found == possible


def test_normalization_by_hand(make: Make) -> None:
    network = make("[normalization]\nsize=3\nalpha=1\nbeta=1\nkappa=0", (4, 1, 1))
    x = np.array([1.0, 2, 3, 4]).reshape(1, 4, 1, 1)
    # Channel 1's square, 4, is in no sum: 1, 1 + 9, 9 + 16, and 9 + 16 less the 4 that leaves without having entered.
    assert_equal(run(network, x).ravel(), np.array([1 / 1, 2 / (1 + 9), 3 / (9 + 16), 4 / (9 + 16 - 4)]))


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 8, 10, 14])
def test_normalization(make: Make, size: int) -> None:
    """x·(kappa + alpha·Σ)^-beta; Σ starts with the size // 2 first squares, gains one and loses one a channel."""
    network = make(f"[lrn]\nsize={size}\nalpha=.01\nbeta=.6\nkappa=2", (7, 3, 2))
    x = random(2, 7, 3, 2)
    total = (x[:, : size // 2] ** 2).sum(1)
    expected = np.zeros_like(x)
    for channel in range(7):
        if channel:
            dropped, gained = channel - (size - 1) // 2 - 1, channel + size // 2
            total = total - (x[:, dropped] ** 2 if dropped >= 0 else 0) + (x[:, gained] ** 2 if gained < 7 else 0)
        expected[:, channel] = x[:, channel] * (2 + 0.01 * total) ** -0.6
    assert_equal(run(network, x), expected)


def test_l2norm(make: Make) -> None:
    network = make("[l2norm]", (2, 1, 2))
    x = np.array([3.0, 0, 4, -2]).reshape(1, 2, 1, 2)
    assert_equal(run(network, x).ravel(), np.array([0.6, 0, 0.8, -1]))
    network, x = make("[l2norm]", (5, 4, 3)), random(2, 5, 4, 3)
    assert_equal(run(network, x), x / np.sqrt((x**2).sum(1, keepdims=True)))


def test_activation(make: Make) -> None:
    x = random(2, 3, 4, 5)
    assert_equal(run(make("[activation]\nactivation=leaky", (3, 4, 5)), x), np.where(x > 0, x, 0.1 * x))
    assert_equal(run(make("[activation]", (3, 4, 5)), x), x)


def test_cost_without_a_truth_is_nothing(make: Make) -> None:
    assert_equal(run(make("[cost]", (3, 4, 5)), random(2, 3, 4, 5)), np.zeros((2, 60)))


# --------------------------------------------------------------------------------------- moving things about


def test_route_puts_layers_one_after_another(make: Make) -> None:
    network = make("[activation]\nactivation=relu\n[route]\nlayers=0\n[route]\nlayers=-1,0,-2", (3, 2, 5))
    x = random(2, 3, 2, 5)
    relu = np.maximum(x, 0)
    _, single, several = outputs(network, x)
    assert_equal(single, relu)
    assert_equal(several, np.concatenate([relu, relu, relu], 1))


def test_route_of_differing_sizes_gives_plain_values(make: Make) -> None:
    network = make("[activation]\n[avgpool]\n[route]\nlayers=1,0", (3, 2, 5))
    x = random(2, 3, 2, 5)
    assert_equal(run(network, x), np.concatenate([x.mean((2, 3)), x.reshape(2, 30)], 1))


@pytest.mark.parametrize("group", [0, 1, 2])
def test_route_of_one_group_of_channels(make: Make, group: int) -> None:
    """The fork's: of each layer the `group_id`-th of `groups` equal parts."""
    text = f"[activation]\nactivation=relu\n[activation]\n[route]\nlayers=-1,-2\ngroups=3\ngroup_id={group}"
    network = make(text, (6, 2, 5))
    x = random(2, 6, 2, 5)
    part = np.maximum(x, 0)[:, 2 * group : 2 * group + 2]
    assert_equal(run(network, x), np.concatenate([part, part], 1))


def added(x: Array, other: Array, alpha: float, beta: float) -> Array:
    """Cell by cell, as far as the smaller of the two goes in each direction, the larger one in whole strides."""
    result = x.copy()
    channels, height, width = (min(x.shape[axis], other.shape[axis]) for axis in (1, 2, 3))
    step, sample = max(other.shape[3] // x.shape[3], 1), max(x.shape[3] // other.shape[3], 1)
    for k, j, i in itertools.product(range(channels), range(height), range(width)):
        to = (slice(None), k, j * sample, i * sample)
        result[to] = alpha * x[to] + beta * other[:, k, j * step, i * step]
    return result


@pytest.mark.parametrize("other", [
    (4, 6, 8), (2, 6, 8), (7, 6, 8), (4, 12, 16), (7, 18, 24), (3, 13, 17), (4, 3, 4), (6, 2, 2), (2, 5, 7), (4, 8, 9),
], ids=str)  # fmt: skip
def test_shortcut_across_shapes(other: tuple[int, int, int]) -> None:
    module = layers.Shortcut(shortcut_spec(other, (4, 6, 8), "linear"), "cuda")
    x, y = random(2, 4, 6, 8), random(2, *other, seed=1)
    expected = added(x, y, 0.3, -0.7)
    before = x.copy()
    assert_equal(module(torch.from_numpy(x), torch.from_numpy(y)).numpy(), expected)
    assert_equal(x, before)  # whoever else reads the layer before still finds it


def shortcut_spec(other: tuple[int, int, int], own: tuple[int, int, int], activation: str) -> Any:
    shapes = {"input": s.Shape(*own), "output": s.Shape(*own), "other": s.Shape(*other)}
    common: dict[str, Any] = {"index": 2, "line": 1, "type": "shortcut", "sources": (1, 0), **shapes}
    return s.Shortcut(**common, alpha=0.3, beta=-0.7, activation=activation)


def test_shortcut_by_hand(make: Make) -> None:
    text = "[activation]\n[maxpool]\nsize=2\nstride=2\n[shortcut]\nfrom=0\nalpha=2\nbeta=3\nactivation=relu"
    network = make(text, (1, 2, 4))
    # maxima 6 and 8; of the layer added every second cell, 1 and 3: 2·6 + 3·1, 2·8 + 3·3
    assert_equal(run(network, of([1, 2, 3, 4], [5, 6, 7, 8])), of([15, 25]))
    assert_equal(run(network, of([-5, -5, -9, 1], [-5, -5, -5, -5])), of([0, 0]))


def test_upsample_by_hand(make: Make) -> None:
    network = make("[upsample]\nstride=2\nscale=3\n[upsample]\nstride=-2\nscale=.5", (1, 1, 2))
    up, down = outputs(network, of([1, 2]))
    assert_equal(up, of([3, 3, 6, 6], [3, 3, 6, 6]))
    assert_equal(down, of([6, 12]))


@pytest.mark.parametrize("stride", [1, 2, 3, 5, 7, 16])
def test_upsample(make: Make, stride: int) -> None:
    x = random(2, 2, 3, 29).astype(np.float32)
    with torch.no_grad():
        found = make(f"[upsample]\nstride={stride}", (2, 3, 29))(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(found, x.repeat(stride, 2).repeat(stride, 3))
    blocks = random(2, 2, 2 * stride, 3 * stride)
    network = make(f"[upsample]\nstride=-{stride}\nscale=.7", (2, 2 * stride, 3 * stride))
    assert_equal(run(network, blocks), 0.7 * blocks.reshape(2, 2, 2, stride, 3, stride).sum((3, 5)))


def reorganized(x: Array, stride: int) -> Array:
    """[C, H, W] read as [C/s², H·s, W·s]; of each block its first cells, then its second ones, …; in the new shape."""
    c, h, w = x.shape
    read = x.reshape(c // stride**2, h * stride, w * stride)
    cells = [read[:, row::stride, column::stride] for row in range(stride) for column in range(stride)]
    return np.concatenate(cells).reshape(c * stride**2, h // stride, w // stride)


def test_reorg_by_hand(make: Make) -> None:
    x = np.arange(16.0).reshape(1, 4, 2, 2)
    forward = run(make("[reorg]\nstride=2", (4, 2, 2)), x)
    # read as one image of 4 x 4: its even rows' even columns, even rows' odd columns, odd rows' even columns, …
    assert forward.ravel().tolist() == [0, 2, 8, 10, 1, 3, 9, 11, 4, 6, 12, 14, 5, 7, 13, 15]
    assert forward.shape == (1, 16, 1, 1)
    # and back, the four channels' first cells are the first block: no inverse, for the channels are not read otherwise
    back = run(make("[reorg]\nstride=2\nreverse=1", (4, 2, 2)), x)
    assert_equal(back, of([0, 4, 1, 5], [8, 12, 9, 13], [2, 6, 3, 7], [10, 14, 11, 15]))


@pytest.mark.parametrize(("stride", "shape"), [(2, (8, 4, 6)), (2, (64, 26, 26)), (3, (9, 6, 3)), (1, (3, 4, 5))])
def test_reorg(make: Make, stride: int, shape: tuple[int, int, int]) -> None:
    x = random(2, *shape)
    forward = run(make(f"[reorg]\nstride={stride}", shape), x)
    assert_equal(forward, np.stack([reorganized(image, stride) for image in x]))
    back = run(make(f"[reorg]\nstride={stride}\nreverse=1", shape), x)
    quarter = shape[0] // stride**2
    for row, column in itertools.product(range(stride), range(stride)):
        first = (row * stride + column) * quarter
        assert_equal(back[:, :, row::stride, column::stride], x[:, first : first + quarter])


def test_reorg_flatten_puts_channels_last_and_back(make: Make) -> None:
    network = make("[reorg]\nstride=2\nflatten=1\n[reorg]\nstride=2\nreverse=1\nflatten=1", (4, 2, 6))
    x = random(2, 4, 2, 6)
    flat, back = outputs(network, x)
    assert_equal(flat, np.moveaxis(x, 1, 3).reshape(2, 16, 1, 3))
    # The way back takes [locations, channels] of its own input, 3 x 16, for what it turns.
    assert_equal(back, flat.reshape(2, 3, 16).swapaxes(1, 2).reshape(2, 4, 2, 6))


def test_reorg_extra_appends_zeros(make: Make) -> None:
    x = random(2, 3, 4, 5)
    assert_equal(run(make("[reorg]\nextra=7", (3, 4, 5)), x), np.pad(x.reshape(2, 60), ((0, 0), (0, 7))))
