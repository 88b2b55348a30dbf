"""The fork's layers held against their formulas, written out in numpy (FORK: sections 4 to 6)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from darknet_compat.definition.dialects import DialectName
from darknet_compat.definition.lower import lower
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.network.network import Network
from tests.network.conftest import filled, text_of

Array = NDArray[Any]


def network(layers: str, shape: tuple[int, ...], net: str = "", dialect: DialectName = "fork") -> Network:
    """Layers with weights that exercise everything."""
    return filled(Network(lower(parse_cfg(text_of(layers, shape, net)), dialect=dialect))).eval()


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


def outputs(net: Network, x: Array) -> list[Array]:
    """Every layer's output for one image, [C, H, W]."""
    return [output[0].numpy() for output in net.layer_outputs(torch.from_numpy(x)[None])]


def weights(net: Network, layer: int, name: str = "weights") -> Array:
    found: Array = net.layers[layer].get_parameter(name).detach().numpy()
    return found


def convolved(x: Array, w: Array, strides: tuple[int, int] = (1, 1), padding: int = 0, fill: float = 0) -> Array:
    """[C, H, W] by [F, C, k, k], cell by cell."""
    size = w.shape[2]
    x = np.pad(x, ((0, 0), (padding,) * 2, (padding,) * 2), constant_values=fill)
    rows, columns = ((side - size) // step + 1 for side, step in zip(x.shape[1:], strides, strict=True))
    out = np.empty((len(w), rows, columns))
    for r in range(rows):
        for c in range(columns):
            window = x[:, r * strides[0] : r * strides[0] + size, c * strides[1] : c * strides[1] + size]
            out[:, r, c] = (w * window).sum((1, 2, 3))
    return out


def near(found: Array, expected: Array) -> None:
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5 * float(np.abs(expected).max()))


CONV = "[conv]\nfilters={}\nsize={}\npad=1\nactivation=linear\n"


def test_strides_of_their_own() -> None:
    net, x = network(CONV.format(3, 3) + "stride_x=2\nstride_y=3", (2, 7, 9)), random(2, 7, 9)
    near(outputs(net, x)[0], convolved(x, weights(net, 0), (3, 2), 1) + weights(net, 0, "biases")[:, None, None])


def test_dilation_is_a_kernel_with_holes() -> None:
    net, x = network(CONV.format(3, 3) + "dilation=2", (2, 7, 9)), random(2, 7, 9)
    holes = np.zeros((3, 2, 5, 5))
    holes[:, :, ::2, ::2] = weights(net, 0)
    near(outputs(net, x)[0], convolved(x, holes, padding=2) + weights(net, 0, "biases")[:, None, None])


def filtered(x: Array, kernel: Array, strides: tuple[int, int], padding: int) -> Array:
    """Each channel by itself."""
    return np.concatenate([convolved(one[None], kernel[None, None], strides, padding) for one in x])


def test_antialiasing_filters_what_was_computed_everywhere() -> None:
    x, one = random(2, 8, 6), np.outer([1, 2, 1], [1, 2, 1]) / 16
    plain, soft = (network(CONV.format(3, 3) + options, (2, 8, 6)) for options in ("", "stride=2\nantialiasing=1"))
    near(outputs(soft, x)[0], filtered(outputs(plain, x)[0], one, (2, 2), 1))
    soft = network(CONV.format(3, 3) + "stride_x=2\nantialiasing=2", (2, 8, 6))
    near(outputs(soft, x)[0], filtered(outputs(plain, x)[0], np.full((2, 2), 0.25), (1, 2), 0))
    plain, soft = (
        network(f"[maxpool]\nsize=2\n{options}", (2, 8, 6)) for options in ("stride=1", "stride=2\nantialiasing=1")
    )
    near(outputs(soft, x)[0], filtered(outputs(plain, x)[0], one, (2, 2), 1))


def test_share_index_computes_with_anothers_weights() -> None:
    bn = "batch_normalize=1\n"
    net = network(CONV.format(2, 3) + bn + CONV.format(2, 3).replace("linear", "leaky") + "share_index=0", (2, 5, 6))
    x = random(2, 5, 6)
    first, second = outputs(net, x)
    again = net.layers[0](torch.from_numpy(first)[None])[0].detach().numpy()
    near(second, np.where(again > 0, again, 0.1 * again))
    assert not list(net.layers[1].parameters())
    folded = net.folded()
    near(outputs(folded, x)[1], second)


def test_maxpool_depth_takes_every_nth_channel() -> None:
    x = random(8, 3, 4)
    found = outputs(network("[maxpool]\nmaxpool_depth=1\nout_channels=3", (8, 3, 4)), x)[0]
    near(found, np.stack([x[0::3].max(0), x[1::3].max(0), x[2::3].max(0)]))


def test_local_avgpool_counts_cells_inside() -> None:
    x = random(2, 4, 5)
    found = outputs(network("[local_avgpool]\nsize=3\nstride=1", (2, 4, 5)), x)[0]
    for r in range(4):
        for c in range(5):
            near(found[:, r, c], x[:, max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2].mean((1, 2)))


@pytest.mark.parametrize("kind", ["per_feature", "per_channel"])
@pytest.mark.parametrize("normalization", ["relu", "softmax"])
def test_weighted_shortcuts(kind: str, normalization: str) -> None:
    text = 2 * CONV.format(3, 1) + f"[shortcut]\nfrom=0\nweights_type={kind}\nweights_normalization={normalization}\n"
    net, x = network(text + "activation=leaky", (3, 4, 5)), random(3, 4, 5)
    values = np.array([[2.0, -1, 0.5], [1, 3, 0]] if kind == "per_channel" else [[2.0], [-0.5]])
    net.layers[2].weights.data.copy_(torch.from_numpy(values))
    shares = np.exp(values - values.max(0)) if normalization == "softmax" else np.maximum(values, 0.001)
    shares = (shares / (shares.sum(0) + 1e-4))[:, :, None, None]
    first, second, found = outputs(net, x)
    total = shares[0] * second + shares[1] * first
    near(found, np.where(total > 0, total, 0.1 * total))


def test_shortcuts_add_other_shapes_value_by_value() -> None:
    x = random(2, 4, 4)
    first, second, found = outputs(network("[maxpool]\nstride=2\n[upsample]\n[shortcut]\nfrom=0,-1", (2, 4, 4)), x)
    added = np.zeros(second.size)
    added[: first.size] = first.ravel()
    near(found, 2 * second + added.reshape(second.shape))
    first, second, found = outputs(network("[upsample]\n[maxpool]\nstride=2\n[shortcut]\nfrom=0", (2, 4, 4)), x)
    near(found, second + first.ravel()[: second.size].reshape(second.shape))


def test_scale_channels_and_sam() -> None:
    x = random(3, 4, 5)
    net = network(CONV.format(3, 1) + "[avgpool]\n[scale_channels]\nfrom=0\nactivation=logistic", (3, 4, 5))
    first, means, found = outputs(net, x)
    near(found, 1 / (1 + np.exp(-first * means)))
    first, mask, found = outputs(
        network(CONV.format(3, 1) + CONV.format(1, 1) + "[scale_channels]\nfrom=0\nscale_wh=1", (3, 4, 5)), x
    )
    near(found, first * mask)
    first, second, found = outputs(network(2 * CONV.format(3, 1) + "[sam]\nfrom=0", (3, 4, 5)), x)
    near(found, first * second)


def test_implicit_layers() -> None:
    text = CONV.format(3, 1) + "[implicit{}]\nfilters=3\n[route]\nlayers=0\n[{}_channels]\nfrom=1\n"
    for kind, name in (("_add", "shift"), ("_mul", "control")):
        net, x = network(text.format(kind, name), (3, 4, 5)), random(3, 4, 5)
        first, values, _, found = outputs(net, x)
        near(values, weights(net, 1)[:, :, None])
        near(found, first + values if name == "shift" else first * values)


def test_reorg3d() -> None:
    x, step = random(3, 4, 6), 2
    found = outputs(network("[reorg3d]\nstride=2", (3, 4, 6)), x)[0]
    for k in range(12):
        offset, channel = divmod(k, 3)
        near(found[k], x[channel, offset // step :: step, offset % step :: step])


def test_reorg3d_in_reverse_is_the_forks_and_no_inverse() -> None:
    x, step = random(16, 2, 3), 2
    found = outputs(network("[reorg3d]\nstride=2\nreverse=1", (16, 2, 3)), x)[0]
    read, written = x.reshape(4, 4, 6), np.empty((1, 8, 12), np.float32)
    for k in range(4):
        written[0, k // step :: step, k % step :: step] = read[k]
    near(found, written.reshape(4, 4, 6))


def test_history_of_single_pictures() -> None:
    x = random(2, 3, 4)
    near(outputs(network("[history]\nhistory_size=3", (2, 3, 4)), x)[0], np.concatenate([x, np.zeros((4, 3, 4))]))


def test_history_of_a_sequence_has_the_newest_first() -> None:
    net, steps = network("[history]\nhistory_size=3", (2, 3, 4), "time_steps=4"), random(4, 2, 2, 3, 4)
    found = net(torch.from_numpy(steps.reshape(8, 2, 3, 4))).numpy().reshape(4, 2, 3, 2, 3, 4)  # step, sequence, age
    for step in range(4):
        for age in range(3):
            near(found[step, :, age], steps[step - age] if age <= step else np.zeros((2, 2, 3, 4)))


def sigmoid(x: Array) -> Array:
    found: Array = 1 / (1 + np.exp(-x))
    return found


@pytest.mark.parametrize("activation", ["", "lstm_activation=leaky"])
@pytest.mark.parametrize("peephole", [0, 1])
def test_conv_lstm(peephole: int, activation: str) -> None:
    words = f"output=2\npad=1\npeephole={peephole}\nstate_constrain=1\n{activation}"
    net = network(f"[conv_lstm]\n{words}", (3, 4, 5), "time_steps=3")
    x = random(3, 3, 4, 5)
    turn = (lambda v: np.where(v > 0, v, 0.1 * v)) if activation else np.tanh

    def part(name: str, value: Array) -> Array:
        layer = net.layers[0].get_submodule(name)
        biases = layer.get_parameter("biases").detach().numpy()
        return convolved(value, layer.get_parameter("weights").detach().numpy(), padding=1) + biases[:, None, None]

    h, c, expected = np.zeros((2, 4, 5)), np.zeros((2, 4, 5)), []
    for step in x:
        gates = {g: part(f"u{g}", step) + part(f"w{g}", h) for g in "figo"}
        f, i = (sigmoid(gates[g] + (part(f"v{g}", c) if peephole else 0)) for g in "fi")
        c = f * c + i * turn(gates["g"])
        h = sigmoid(gates["o"] + (part("vo", c) if peephole else 0)) * turn(c)
        c = c.clip(-1, 1)
        expected.append(h)
    found = net.layer_outputs(torch.from_numpy(x))[0].numpy()
    near(found, np.stack(expected))


def test_rnn_with_a_state_of_its_own_size() -> None:
    net = network("[rnn]\nhidden=3\noutput=2\nactivation=tanh\nlogistic=1", (4, 1, 1), "time_steps=3")
    x = random(3, 4, 1, 1)

    def part(name: str, value: Array) -> Array:
        layer = net.layers[0].get_submodule(name)
        found: Array = (
            layer.get_parameter("weights").detach().numpy() @ value + layer.get_parameter("biases").detach().numpy()
        )
        return found

    state, expected = np.zeros(3), []
    for step in x[:, :, 0, 0]:
        state = np.tanh(part("input_layer", step)) + sigmoid(part("self_layer", state))
        expected.append(np.tanh(part("output_layer", state)))
    near(net.layer_outputs(torch.from_numpy(x))[0].numpy(), np.stack(expected))


def test_crnn_keeps_width_and_height() -> None:
    net = network(
        "[crnn]\nhidden=2\noutput=3\npad=1\ngroups=1\ndilation=2\nactivation=linear", (2, 4, 6), "time_steps=2"
    )
    assert net.layer_outputs(torch.from_numpy(random(2, 2, 4, 6)))[0].shape == (2, 3, 4, 6)


def test_padding_counts_as_minus_one_among_signs() -> None:
    net, x = network(CONV.format(3, 3) + "xnor=1", (2, 5, 6)), random(2, 5, 6)
    w, signs = weights(net, 0), np.where(x > 0, 1.0, -1.0)
    binary = np.where(w > 0, 1, -1) * np.abs(w).mean((1, 2, 3), keepdims=True)
    near(outputs(net, x)[0], convolved(signs, binary, padding=1, fill=-1) + weights(net, 0, "biases")[:, None, None])


def test_a_variance_just_below_0_is_harmless() -> None:
    net = network("[batchnorm]", (2, 3, 4))
    module = net.layers[0]
    module.rolling_variance.copy_(torch.tensor([-7e-44, 1.0]))
    found = outputs(net, random(2, 3, 4))[0]
    scales, mean, biases = (value.detach().numpy()[0] for value in (module.scales, module.rolling_mean, module.biases))
    near(found[0], (random(2, 3, 4)[0] - mean) / np.sqrt(1e-5) * scales + biases)


def decoded(body: str, raw: Array, input_size: int) -> Any:
    net = network(body, raw.shape)
    head = net.layers[-1]
    activated = head(torch.from_numpy(raw)[None])
    return head.boxes(activated, (input_size, input_size)), activated  # type: ignore[operator]


def test_new_coords_by_hand() -> None:
    raw = np.array([0.25, 0.75, 0.5, 0.25, 0.8, 0.5], np.float32).reshape(6, 1, 1)
    boxes, activated = decoded("[yolo]\nclasses=1\nanchors=10,20\nnew_coords=1\nscale_x_y=2", raw, 40)
    near(activated[0, :, 0, 0].numpy(), np.array([0, 1, 0.5, 0.25, 0.8, 0.5]))
    near(boxes.xywh[0, 0].numpy(), np.array([0, 1, 4 * 0.25 * 10 / 40, 4 * 0.0625 * 20 / 40]))
    assert boxes.objectness.item() == pytest.approx(0.8) and boxes.classes.item() == pytest.approx(0.5)


@pytest.mark.parametrize("point, shift", [("center", 0), ("left_top", 0.5), ("right_bottom", -0.5)])
def test_gaussian_by_hand(point: str, shift: float) -> None:
    # x, σx, y, σy, w, σw, h, σh, objectness, class
    raw = np.array([0, 1, 0, -1, np.log(2), 2, 0, -2, 3, 1], np.float32).reshape(10, 1, 1)
    boxes, _ = decoded(f"[Gaussian_yolo]\nclasses=1\nanchors=10,20\nyolo_point={point}", raw, 40)
    near(boxes.xywh[0, 0].numpy(), np.array([0.5 + shift * 0.5, 0.5 + shift * 0.5, 0.5, 0.5]))
    assert boxes.objectness.item() == pytest.approx(sigmoid(np.array(3.0)))
    certain = 1 - np.mean(sigmoid(np.array([1.0, -1, 2, -2])))
    assert boxes.classes.item() == pytest.approx(sigmoid(np.array(1.0)) * certain)
