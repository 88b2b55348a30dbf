"""The fork's sections and options: their defaults, what follows from them, and what is refused."""

from __future__ import annotations

import re
from typing import Any

import pytest

from darknet_compat.definition import spec as s
from darknet_compat.definition.lower import lower
from darknet_compat.definition.spec import LayerSpec, NetworkSpec, Shape
from darknet_compat.definition.weights.slots import slots
from darknet_compat.formats.cfg import parse_cfg
from tests.formats.making import IMAGE, last, refusal

IN = Shape(4, 6, 8)


def fork(body: str, net: str = IMAGE) -> NetworkSpec:
    return lower(parse_cfg(f"[net]\n{net}\n{body}", "m.cfg"), dialect="fork")


def common(type_: str, output: Shape, before: Shape = IN, index: int = 0, line: int = 5) -> dict[str, Any]:
    return {"index": index, "line": line, "type": type_, "sources": (index - 1,), "input": before, "output": output}


WINDOW = {"size": 3, "stride": 1, "padding": 1, "groups": 1, "dilation": 1}
AFTER_CONV = {"index": 1, "line": 7}
ONE = Shape(1, 6, 8)
FORK_DEFAULTS: dict[str, LayerSpec] = {
    "[maxpool]\nmaxpool_depth=1": s.MaxpoolDepth(**common("maxpool", ONE), out_channels=1),
    "[local_avgpool]": s.LocalAvgpool(**common("local_avgpool", IN), size=1, stride_x=1, stride_y=1, padding=0),
    "[local_avg]": s.LocalAvgpool(**common("local_avg", IN), size=1, stride_x=1, stride_y=1, padding=0),
    "[reorg3d]\nstride=2": s.Reorg3d(**common("reorg3d", Shape(16, 3, 4)), stride=2, reverse=False),
    "[empty]": s.Empty(**common("empty", IN)),
    "[silence]": s.Empty(**common("silence", IN)),
    "[implicit]": s.Implicit(**common("implicit", Shape(128)), filters=128, atoms=1, mean=0, std=0.2),
    "[implicit_add]\nfilters=2": s.Implicit(
        **common("implicit_add", Shape(2)), filters=2, atoms=1, mean=0, std=0.02, normal=True
    ),
    "[implicit_mul]\nfilters=2": s.Implicit(
        **common("implicit_mul", Shape(2)), filters=2, atoms=1, mean=1, std=0.02, normal=True
    ),
    "[history]": s.History(**common("history", Shape(16, 6, 8)), history_size=4),
    "[conv_lstm]\npad=1": s.ConvLstm(
        **common("conv_lstm", ONE), **WINDOW, filters=1, steps=1, activation="linear", lstm_activation="tanh",
        batch_normalize=False, peephole=False, state_constrain=32.0,
    ),
    "[conv]\nfilters=4\n[sam]\nfrom=0": s.Sam(
        **common("sam", IN, IN, 1, 7) | {"sources": (0, 0)}, activation="linear"
    ),
    "[conv]\nfilters=4\n[avgpool]\n[scale_channels]\nfrom=0": s.ScaleChannels(
        **common("scale_channels", IN, Shape(4), 2, 8) | {"sources": (1, 0)}, scale_wh=False, activation="linear"
    ),
    "[conv]\nfilters=4\n[avgpool]\n[route]\nlayers=0\n[shift_channels]\nfrom=1": s.Broadcast(
        **common("shift_channels", IN, IN, 3, 10) | {"sources": (2, 1)}, multiply=False
    ),
    "[conv]\nfilters=4\n[avgpool]\n[route]\nlayers=0\n[control_channels]\nfrom=1": s.Broadcast(
        **common("control_channels", IN, IN, 3, 10) | {"sources": (2, 1)}, multiply=True
    ),
    "[conv]\nfilters=4\n[conv]\nfilters=4\n[shortcut]\nfrom=0,-1": s.Sum(
        **common("shortcut", IN, IN, 2, 9) | {"sources": (1, 0, 1)}, others=(IN, IN), activation="linear",
        weights=None, weights_normalization="relu",
    ),
    "[conv]\nfilters=11\n[Gaussian_yolo]\nclasses=2": s.GaussianYolo(
        **common("Gaussian_yolo", Shape(11, 6, 8), Shape(11, 6, 8), **AFTER_CONV), classes=2, anchors=((0.5, 0.5),),
        mask=(0,), map=None, max_boxes=200, jitter=0.2, random=0, ignore_thresh=0.5, truth_thresh=1, scale_x_y=1,
        iou_normalizer=0.75,
    ),
    "[conv]\nfilters=6\n[yolo]\nclasses=1\n[contrastive]\nyolo_layer=-1": s.Contrastive(
        **common("contrastive", Shape(6, 6, 8), Shape(6, 6, 8), 2, 9)
    ),
}  # fmt: skip


@pytest.mark.parametrize("body", FORK_DEFAULTS)
def test_defaults(body: str) -> None:
    layer = last(body)  # each has words that only the fork has
    assert layer == FORK_DEFAULTS[body]


@pytest.mark.parametrize(
    "options, output",
    [
        ("size=3\npad=1\nstride_x=2", Shape(1, 6, 4)),
        ("size=3\npad=1\nstride=2\nstride_y=3", Shape(1, 2, 4)),
        ("size=3\npad=1\ndilation=2", Shape(1, 6, 8)),
        ("size=1\ndilation=9", Shape(1, 6, 8)),
        ("size=3\npad=1\nstride=2\nantialiasing=1", Shape(1, 3, 4)),
        ("size=3\npad=1\nstride=2\nantialiasing=2", Shape(1, 3, 4)),
        ("size=3\npad=1\nantialiasing=2", Shape(1, 5, 7)),
        ("groups=0", Shape(1, 6, 8)),
    ],
)
def test_shapes_of_convolutions(options: str, output: Shape) -> None:
    assert fork(f"[conv]\n{options}").layers[0].output == output


def test_a_shared_convolution_has_no_weights_of_its_own() -> None:
    text = (
        "[conv]\nfilters=4\nsize=3\npad=1\nbatch_normalize=1\n" + "[conv]\nfilters=4\nsize=3\npad=1\nshare_index={}\n"
    )
    spec = fork(text.format(0) + text.partition("\n[")[2].join(["[", ""]).format(-1))
    assert {slot.layer for slot in slots(spec)} == {0}
    shared = spec.layers[1:]
    assert all(isinstance(layer, s.Convolutional) and layer.share_index == 0 for layer in shared)
    assert all(isinstance(layer, s.Convolutional) and layer.batch_normalize for layer in shared)


def test_the_order_of_gates_is_the_dialects() -> None:
    def order(body: str, dialect: Any) -> list[str]:
        spec = lower(parse_cfg(f"[net]\n{IMAGE}\n{body}", "m.cfg"), dialect=dialect)
        return [slot.name.partition(".")[0] for slot in slots(spec) if slot.name.endswith("weights")]

    assert order("[lstm]", "original") == ["wi", "wf", "wo", "wg", "ui", "uf", "uo", "ug"]
    assert order("[lstm]", "fork") == ["wf", "wi", "wg", "wo", "uf", "ui", "ug", "uo"]
    assert order("[gru]", "original") == ["wz", "wr", "wh", "uz", "ur", "uh"]
    assert order("[gru]", "fork") == ["uz", "ur", "uh", "wz", "wr", "wh"]


def test_a_batchnorms_biases_are_in_the_forks_files_only() -> None:
    body = "[batchnorm]"
    names = [slot.name for slot in slots(fork(body))]
    assert names == ["biases", "scales", "rolling_mean", "rolling_variance"]
    plain = lower(parse_cfg(f"[net]\n{IMAGE}\n{body}", "m.cfg"))
    assert [slot.name for slot in slots(plain)] == names[1:]


def test_shortcuts_between_sizes_are_flat_in_the_fork_only() -> None:
    body = "[conv]\nfilters=4\n[conv]\nfilters=4\nstride=2\n[shortcut]\nfrom=0"
    assert isinstance(fork(body).layers[-1], s.Sum)
    assert isinstance(lower(parse_cfg(f"[net]\n{IMAGE}\n{body}", "m.cfg")).layers[-1], s.Shortcut)


def test_bin_output_drops_the_activation_unless_a_join_reads_the_layer() -> None:
    conv = "[conv]\nfilters=4\nxnor=1\nbin_output=1\nactivation=leaky\n"
    kinds = [
        layer.activation
        for layer in fork(conv + conv + "[route]\nlayers=1\n").layers
        if isinstance(layer, s.Convolutional)
    ]
    assert kinds == ["linear", "leaky"]


CONV = "[conv]\nfilters=4\n"
REFUSED = {
    "sam without from": (CONV + "[sam]", "m.cfg:7: layer 1 [sam] needs from= with one layer, found 0"),
    "scale_channels without from": (
        "[avgpool]\n[scale_channels]", "m.cfg:6: layer 1 [scale_channels] needs from= with one layer, found 0",
    ),
    "shift_channels without from": (
        CONV + "[shift_channels]", "m.cfg:7: layer 1 [shift_channels] needs from= with one layer, found 0",
    ),
    "sam of a later layer": (
        CONV + "[sam]\nfrom=5", "m.cfg:8: layer 1 [sam] from=5 means layer 5; before layer 1 there are layers 0 to 0",
    ),
    "a share of no layer": (
        "[conv]\nshare_index=3", "m.cfg:6: layer 0 [conv] share_index=3 means layer 3; before layer 0 there are none",
    ),
    "a share of another kind": (
        "[avgpool]\n[conv]\nshare_index=0", "m.cfg:7: layer 1 [conv] layer 0 is no [convolutional] but [avgpool]",
    ),
    "a share of another shape": (
        CONV + "[conv]\nfilters=3\nshare_index=0",
        "m.cfg:9: layer 1 [conv] layer 0 has 4 filters of 4 channels, size 1, groups 1; this one 3 filters of 4"
        " channels, size"
        " 1, groups 1",
    ),
    "sam of another shape": (
        CONV + "[conv]\nfilters=3\n[sam]\nfrom=0",
        "m.cfg:10: layer 2 [sam] layer 0 (8 x 6 x 4) and the input (8 x 6 x 3) have different shapes",
    ),
    "scale_channels of another shape": (
        CONV + "[conv]\nfilters=3\n[avgpool]\n[scale_channels]\nfrom=0",
        "m.cfg:11: layer 3 [scale_channels] needs 1 x 1 x 4 before it to scale layer 0 (8 x 6 x 4), found 1 x 1 x 3",
    ),
    "weights without normalization": (
        CONV + "[shortcut]\nfrom=0\nweights_type=per_channel",
        "m.cfg:7: layer 1 [shortcut] weights_type=per_channel needs weights_normalization, one of relu,"
        " avg_relu, softmax;"
        " found 'none'",
    ),
    "a route to a filtered layer": (
        CONV + "antialiasing=1\n[route]\nlayers=0",
        "m.cfg:9: layer 1 [route] layer 0 has antialiasing; the fork reads such a one's memory unfiltered",
    ),
    "dilation that is no convolution": (
        "[conv]\nsize=3\ndilation=2",
        "m.cfg:7: layer 0 [conv] dilation=2 with size=3 and padding=0: what the fork computes there is no"
        " convolution; it needs"
        " pad=1 and an odd size",
    ),
    "contrastive of no yolo": (
        CONV + "[contrastive]\nyolo_layer=0", "m.cfg:8: layer 1 [contrastive] layer 0 is no [yolo] but [conv]",
    ),
    "a bottleneck": (
        "[conv_lstm]\npad=1\nbottleneck=1",
        "m.cfg:7: layer 0 [conv_lstm] bottleneck=1 is not supported in [conv_lstm]; the fork's CPU build stops at it",
    ),
    "a recurrent layer's shortcut": (
        "[conv_lstm]\npad=1\nshortcut=1",
        "m.cfg:7: layer 0 [conv_lstm] shortcut=1 is not supported in [conv_lstm]; only the fork's GPU build has it",
    ),
    "a recurrent layer's signs": (
        "[crnn]\npad=1\nxnor=1",
        "m.cfg:7: layer 0 [crnn] xnor=1 is not supported in [crnn]; the fork packs the bits of [convolutional]"
        " alone, and is at"
        " fault where it does not",
    ),
    "a slip of the pen in from": (
        CONV + "[sam]\nform=0",
        "m.cfg:7: layer 1 [sam] needs from= with one layer, found 0; did you mean that by form= in line"
        " 8?",
    ),
    "a slip of the pen in layers": (
        CONV + "[route]\nlayer=-1",
        "m.cfg:7: layer 1 [route] needs layers=, the layers to read; did you mean that by layer= in"
        " line 8?",
    ),
    "a shortcut's weights of no kind": (
        CONV + "[shortcut]\nfrom=0\nweights_type=each",
        "m.cfg:9: layer 1 [shortcut] weights_type: expected one of none, per_feature, per_layer, per_channel,"
        " found 'each'",
    ),
    "counters of other classes": (
        "[conv]\nfilters=6\n[yolo]\nclasses=1\ncounters_per_class=1,2",
        "m.cfg:9: layer 1 [yolo] counters_per_class: expected a number for each of 1 class, found 2",
    ),
    "halves that do not meet": (
        "[conv]\n[conv]\nstride=2\n[conv]\nstride=2\n[upsample]\n[route]\nlayers=1,3\n[conv]",
        "m.cfg:13: layer 5 [conv] needs an image before it, found 28 values without height and width: layer 4"
        " [route] joins"
        " layers of 4 x 3 and 4 x 4; a width and height that 4 divides would not, such as 8 x 8",
    ),
    "an embedding layer to come": (
        "[conv]\nfilters=6\n[yolo]\nclasses=1\nembedding_layer=7",
        "m.cfg:9: layer 1 [yolo] embedding_layer=7 means layer 7; before layer 1 there are layers 0 to 0",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    body, expected = REFUSED[name]
    message = refusal(lambda: fork(body))
    assert message == expected
    assert re.match(r"m\.cfg:\d+: layer \d+ \[", message)


@pytest.mark.parametrize(
    "body, whose",
    [
        ("[yolo4]", "sowson"),
        ("[fspt]", "fspt"),
        ("[select]", "darkflow"),
        ("[Focus]", "YOLOv5"),
        ("[conv]\nactivation=h_swish", "SpursLipu"),
        ("[conv]\nfilters=28\n[yolo]\nfrom=0,0,0", "Ultralytics"),
    ],
)
def test_other_tools_words_are_refused_by_name(body: str, whose: str) -> None:
    for dialect in ("original", "fork"):
        message = refusal(lambda: lower(parse_cfg(f"[net]\n{IMAGE}\n{body}", "m.cfg"), dialect=dialect))  # type: ignore[arg-type]  # noqa: B023
        assert "seems to be" in message and whose in message


def test_an_unknown_activation_is_relu_in_the_fork_and_said_so() -> None:
    spec = fork("[conv]\nactivation=mishs")
    assert spec.notes == ("m.cfg:6: layer 0 [conv] unknown activation 'mishs' is taken for relu, as the fork does",)
