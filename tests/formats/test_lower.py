from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darknet_compat.errors import CfgError, DarknetCompatError, TreeError
from darknet_compat.formats import spec as s
from darknet_compat.formats.cfg import format_cfg, parse_cfg, read_cfg
from darknet_compat.formats.lower import at_size, load_spec, lower
from darknet_compat.formats.lower_layers import LOWERINGS
from darknet_compat.formats.spec import LayerSpec, NetworkSpec, Shape
from tests.conftest import Original, find_original
from tests.formats import library

IMAGE = "width=8\nheight=6\nchannels=4"


def lowered(body: str, net: str = IMAGE) -> NetworkSpec:
    return lower(parse_cfg(f"[net]\n{net}\n{body}", "m.cfg"))


def last(body: str, net: str = IMAGE) -> LayerSpec:
    return lowered(body, net).layers[-1]


def refusal(call: Callable[[], object], error: type[DarknetCompatError] = CfgError) -> str:
    """The one line that a call is refused with."""
    with pytest.raises(error) as found:
        call()
    assert type(found.value) is error
    assert str(found.value).isprintable()
    return str(found.value)


# ------------------------------------------------------------------------------------------- the original's 45

CFGS = sorted(found.cfg.glob("*.cfg")) if (found := find_original()) else []
each_cfg = pytest.mark.parametrize("path", CFGS, ids=lambda path: path.stem)


def as_the_original_counts(layer: LayerSpec) -> tuple[int, ...]:
    """out_w, out_h, out_c, outputs; where the original forgets the first three, the values are no image here."""
    output = layer.output
    return (output.w, output.h, output.c, output.size) if output.image else (0, 0, 0, output.size)


@pytest.mark.reference
def test_every_layer_of_all_45_has_the_originals_shape_and_unused_options(original: Original) -> None:
    assert len(CFGS) == 45
    seen = library.shapes(original, CFGS)
    for path in CFGS:
        spec = load_spec(path)
        assert len(spec.layers) == len(seen[path].layers) > 0, path.name
        for layer, theirs in zip(spec.layers, seen[path].layers, strict=True):
            assert as_the_original_counts(layer) == theirs, f"{path.name}: {layer}"
        # The original does not look for unused options in [net].
        notes = [note for note in spec.notes if "[net]" not in note]
        unused = [note.partition("unused option ")[2].replace("=", " = ") for note in notes]
        assert unused == seen[path].unused, path.name


@pytest.mark.reference
@each_cfg
def test_the_originals_definitions_round_trip(path: Path) -> None:
    cfg = read_cfg(path)
    again = parse_cfg(format_cfg(cfg))
    assert [section.type for section in again.sections] == [section.type for section in cfg.sections]
    for ours, theirs in zip(again.sections, cfg.sections, strict=True):
        assert [(option.key, option.value) for option in ours.options] == [
            (option.key, option.value) for option in theirs.options
        ]


@pytest.mark.reference
def test_odd_networks_have_the_originals_shapes(original: Original, tmp_path: Path) -> None:
    path = tmp_path / "odd.cfg"
    path.write_text(
        """[net]
        width=61\nheight=53\nchannels=6
        [conv]\nfilters=8\nsize=3\nstride=2
        [conv]\nfilters=8\nsize=4\nstride=3\npadding=2\ngroups=2
        [conv]\nfilters=8\nsize=5\npad=1\npadding=7
        [deconv]\nfilters=8\nsize=4\nstride=3\npadding=1
        [deconvolutional]\nfilters=8\nsize=3\npad=1
        [max]\nsize=3\nstride=2
        [maxpool]\nsize=2\nstride=1
        [maxpool]\nsize=5\nstride=2\npadding=1
        [upsample]
        [upsample]\nstride=-2
        [upsample]\nstride=4
        [reorg]\nstride=2
        [reorg]\nstride=2\nreverse=1
        [local]\nfilters=3\nsize=3\nstride=2\npad=1
        [local]\nfilters=3\nsize=2
        [crnn]\noutput_filters=5\nhidden_filters=2
        [lrn]
        [batchnorm]
        [l2norm]
        [activation]\nactivation=elu
        [dropout]
        [logistic]
        [crop]\ncrop_width=4\ncrop_height=6
        [shortcut]\nfrom=-2
        [route]\nlayers=-1,0
        [route]\nlayers=-2
        [conv]\nfilters=30
        [yolo]\nclasses=5\nnum=6\nmask=0,1,2
        [region]\nclasses=10\nnum=2
        [iseg]\nclasses=9\nids=21
        [reorg]\nextra=7
        [conn]\noutput=30
        [softmax]\ngroups=3
        [cost]
        [rnn]\noutput=5
        [gru]\noutput=6
        [lstm]\noutput=90
        [detection]\nside=3\nclasses=4\ncoords=2\nnum=2
        [connected]\noutput=8
        [avg]
        """
    )
    layers, theirs = load_spec(path).layers, library.shapes(original, [path])[path].layers
    assert len(layers) == len(theirs)
    for layer, their in zip(layers, theirs, strict=True):
        assert as_the_original_counts(layer) == their, layer


# ------------------------------------------------------------------------------------------------- defaults


def common(type_: str, output: Shape, before: Shape | None = None, index: int = 0, line: int = 5) -> dict[str, Any]:
    before = before or Shape(4, 6, 8)
    return {"index": index, "line": line, "type": type_, "sources": (index - 1,), "input": before, "output": output}


FLAT = s.flat(4 * 6 * 8)
HALF = (0.5, 0.5)
SCALES: dict[str, float] = {"object_scale": 1, "noobject_scale": 1, "class_scale": 1, "coord_scale": 1}
BOXES: dict[str, float] = {"jitter": 0.2, "random": 0.0}
DEFAULTS: dict[str, LayerSpec] = {
    "[convolutional]": s.Convolutional(
        **common("convolutional", Shape(1, 6, 8)), filters=1, size=1, stride=1, padding=0, groups=1,
        activation="logistic", batch_normalize=False, binary=False, xnor=False, flipped=False,
    ),
    "[deconvolutional]": s.Deconvolutional(
        **common("deconvolutional", Shape(1, 6, 8)), filters=1, size=1, stride=1, padding=0, activation="logistic",
        batch_normalize=False,
    ),
    "[connected]": s.Connected(**common("connected", Shape(1)), activation="logistic", batch_normalize=False),
    "[local]": s.Local(
        **common("local", Shape(1, 6, 8)), filters=1, size=1, stride=1, padding=0, activation="logistic"
    ),
    "[batchnorm]": s.Batchnorm(**common("batchnorm", Shape(4, 6, 8))),
    "[activation]": s.Activation(**common("activation", Shape(4, 6, 8)), activation="linear"),
    "[maxpool]": s.Maxpool(**common("maxpool", Shape(4, 6, 8)), size=1, stride=1, padding=0),
    "[maxpool]\nstride=2": s.Maxpool(**common("maxpool", Shape(4, 3, 4)), size=2, stride=2, padding=1),
    "[avgpool]": s.Avgpool(**common("avgpool", Shape(4))),
    "[dropout]": s.Dropout(**common("dropout", Shape(4, 6, 8)), probability=0.5),
    "[crop]": s.Crop(
        **common("crop", Shape(4)), flip=False, angle=0, saturation=1, exposure=1, shift=0, noadjust=False
    ),
    "[normalization]": s.Normalization(
        **common("normalization", Shape(4, 6, 8)), size=5, alpha=0.0001, beta=0.75, kappa=1
    ),
    "[l2norm]": s.L2norm(**common("l2norm", Shape(4, 6, 8))),
    "[upsample]": s.Upsample(**common("upsample", Shape(4, 12, 16)), stride=2, reverse=False, scale=1),
    "[reorg]": s.Reorg(**common("reorg", Shape(4, 6, 8)), stride=1, reverse=False, flatten=False, extra=0),
    "[cost]": s.Cost(**common("cost", FLAT), cost="sse", scale=1, ratio=0, noobj=1, thresh=0),
    "[rnn]": s.Rnn(
        **common("rnn", s.flat(1)), outputs=1, steps=1, activation="logistic", batch_normalize=False, shortcut=False
    ),
    "[gru]": s.Gru(**common("gru", s.flat(1)), outputs=1, steps=1, batch_normalize=False, tanh=False),
    "[lstm]": s.Lstm(**common("lstm", s.flat(1)), outputs=1, steps=1, batch_normalize=False),
    "[crnn]": s.Crnn(
        **common("crnn", Shape(1, 8, 6)), hidden_filters=1, output_filters=1, steps=1, activation="logistic",
        batch_normalize=False, shortcut=False,
    ),
    "[softmax]": s.Softmax(**common("softmax", FLAT), groups=1, temperature=1, tree=None, spatial=False, noloss=False),
    "[logistic]": s.Logistic(**common("logistic", Shape(4, 6, 8))),
}  # fmt: skip


@pytest.mark.parametrize("body", DEFAULTS)
def test_defaults(body: str) -> None:
    assert last(body) == DEFAULTS[body]
    assert lowered(body).notes == ()


def test_defaults_of_layers_that_need_something_before_them() -> None:
    conv = "[conv]\nfilters={}\n"
    at = {"index": 1, "line": 7}
    assert last("[conv]\n[shortcut]\nfrom=-1") == s.Shortcut(
        **common("shortcut", Shape(1, 6, 8), Shape(1, 6, 8), 1, 6) | {"sources": (0, 0)},
        other=Shape(1, 6, 8), alpha=1, beta=1, activation="linear",
    )  # fmt: skip
    assert last(conv.format(2) + "[route]\nlayers=0") == s.Route(
        **common("route", Shape(2, 6, 8), Shape(2, 6, 8), **at)
    )
    image = Shape(25, 6, 8)
    assert last(conv.format(25) + "[yolo]") == s.Yolo(
        **common("yolo", image, image, **at), **BOXES, classes=20, anchors=(HALF,), mask=(0,), map=None, max_boxes=90,
        ignore_thresh=0.5, truth_thresh=1, scale_x_y=1,
    )  # fmt: skip
    assert last(conv.format(25) + "[region]") == s.Region(
        **common("region", image, image, **at), **BOXES, **SCALES, classes=20, coords=4, num=1, anchors=(HALF,),
        softmax=False, background=False, tree=None, map=None, max_boxes=30, rescore=False, thresh=0.5,
        bias_match=False, absolute=False, classfix=0, mask_scale=1,
    )  # fmt: skip
    assert last("[connected]\noutput=147\n[detection]") == s.Detection(
        **common("detection", s.flat(147), Shape(147), **at), **BOXES, **SCALES, classes=1, coords=1, num=1, side=7,
        softmax=False, sqrt=False, forced=False, rescore=False, reorg=False, max_boxes=90,
    )  # fmt: skip
    image = Shape(52, 6, 8)
    assert last(conv.format(52) + "[iseg]") == s.Iseg(**common("iseg", image, image, **at), classes=20, ids=32)


def test_every_section_has_a_test_of_its_defaults() -> None:
    tested = {type(layer) for layer in DEFAULTS.values()} | {s.Shortcut, s.Route, s.Yolo, s.Region, s.Detection, s.Iseg}
    assert tested == set(LayerSpec.__subclasses__())
    with_body = {"route": "layers=0", "shortcut": "from=0", "yolo": "classes=1\nnum=4", "region": "classes=1\nnum=4"}
    with_body |= {"iseg": "classes=20\nids=4", "detection": "side=8\nnum=1\nclasses=16"}
    for name in LOWERINGS:
        layer = last(f"[conv]\nfilters=24\n[connected]\noutput=576\n[local]\nfilters=24\n[conv]\n[route]\nlayers=0\n"
                     f"[{name}]\n{with_body.get(name, '')}")  # fmt: skip
        assert type(layer) in tested


def test_the_net_section_has_the_originals_defaults() -> None:
    net = lowered("[softmax]").net
    assert net == s.Net(
        batch=1, subdivisions=1, time_steps=1, width=8, height=6, channels=4, inputs=192, learning_rate=0.001,
        momentum=0.9, decay=0.0001, adam=False, B1=0.9, B2=0.999, eps=1e-7, policy="constant", burn_in=0, power=4,
        step=1, scale=1, gamma=1, steps=(), scales=(), max_batches=0, min_crop=8, max_crop=16, min_ratio=1, max_ratio=2,
        center=False, clip=0, angle=0, aspect=1, saturation=1, exposure=1, hue=0, random=0, notruth=False,
        letter_box=None,
    )  # fmt: skip
    assert net.input == Shape(4, 6, 8)
    assert lowered("[softmax]", "inputs=7").net.input == s.flat(7)


def test_options_that_every_layer_has() -> None:
    body = "truth=1\nonlyforward=1\nstopbackward=1\ndontsave=1\ndontload=1\nnumload=1\ndontloadscales=1\n"
    layer = last(f"[conv]\n{body}learning_rate=.5\nsmooth=.1")
    assert (layer.truth, layer.onlyforward, layer.stopbackward, layer.dontsave, layer.dontload) == (True,) * 5
    assert (layer.numload, layer.dontloadscales, layer.learning_rate, layer.smooth) == (1, True, 0.5, 0.1)


def test_routes_of_differing_sizes_are_plain_values() -> None:
    spec = lowered("[conv]\nfilters=2\n[max]\nstride=2\n[route]\nlayers=0,1\n[connected]\noutput=3")
    assert spec.layers[2].output == s.flat(2 * 6 * 8 + 2 * 3 * 4)
    assert spec.layers[2].sources == (0, 1)
    assert spec.layers[3].output == Shape(3)


def test_the_output_is_the_last_layer_that_is_no_cost() -> None:
    spec = lowered("[conv]\n[softmax]\n[cost]")
    assert (spec.output_index, spec.heads) == (1, (spec.layers[1],))


# --------------------------------------------------------------------------------------------------- notes


def test_notes_name_the_line() -> None:
    spec = lowered("[conv]\nfilters=2x\nsize=1\nsize=3\ndilation=2\n[cost]\ntype=nonsense", IMAGE + "\npolicy=sgdr")
    assert spec.notes == (
        "m.cfg:5: [net] unknown policy 'sgdr' is taken for constant",
        "m.cfg:7: [conv] filters='2x' is read as 2",
        "m.cfg:9: [conv] size stands twice; the first one counts",
        "m.cfg:10: [conv] unused option dilation=2",
        "m.cfg:12: [cost] unknown type 'nonsense' is taken for sse",
    )


def test_every_option_that_the_originals_parser_knows_is_read() -> None:
    net = "adam=1\nB1=1\nB2=1\neps=1\nburn_in=1\npower=1\npolicy=steps\nsteps=1,2\nscales=1,1"
    net += "\nclip=1\ncenter=1\nnotruth=1"
    body = "[conv]\nfilters=15\ndot=1\nflipped=1\nbinary=1\nxnor=1\npadding=0\npad=0\ngroups=1\n"
    body += (
        "[region]\nclasses=1\nnum=1\ncoords=13\nmax=9\nclassfix=1\nabsolute=1\nmask_scale=1\nbias_match=1\nrescore=1\n"
    )
    assert lowered(body, f"{IMAGE}\n{net}").notes == ()


# ------------------------------------------------------------------------------------------------- refusals

CONV = "[conv]\nfilters=2\n"
REFUSED: dict[str, tuple[str, str]] = {
    "a negative size": ("[conv]\nsize=-3", "m.cfg:6: [conv] size: expected 1 or more, found -3"),
    "no filters": ("[conv]\nfilters=0", "m.cfg:6: [conv] filters: expected 1 or more, found 0"),
    "negative filters": ("[local]\nfilters=-1", "m.cfg:6: [local] filters: expected 1 or more, found -1"),
    "no stride": ("[conv]\nstride=0", "m.cfg:6: [conv] stride: expected 1 or more, found 0"),
    "no stride of a pool": ("[maxpool]\nstride=0", "m.cfg:6: [maxpool] stride: expected 1 or more, found 0"),
    "overflow": ("[conv]\nsize=99999999999", "m.cfg:6: [conv] size: '99999999999' is beyond 32 bits"),
    "no number": ("[conv]\nsize=big", "m.cfg:6: [conv] size: expected a number, found 'big'"),
    "no outputs": ("[rnn]\noutput=0", "m.cfg:6: [rnn] output: expected 1 or more, found 0"),
    "no depth": ("[connected]\noutput=-5", "m.cfg:6: [connected] output: expected 1 or more, found -5"),
    "a window beyond the input": (
        "[conv]\nsize=9\npadding=1",
        "m.cfg:5: [conv] size=9 is larger than the input, 6 with padding 2",
    ),
    "groups of channels": (
        "[conv]\nfilters=3\ngroups=3",
        "m.cfg:7: [conv] groups=3 does not divide both channels (4) and filters (3)",
    ),
    "groups of filters": (
        "[conv]\nfilters=3\ngroups=2",
        "m.cfg:7: [conv] groups=2 does not divide both channels (4) and filters (3)",
    ),
    "no groups": ("[conv]\ngroups=0", "m.cfg:6: [conv] groups: expected 1 or more, found 0"),
    "flipped groups": (
        "[conv]\nfilters=4\ngroups=2\nflipped=1",
        "m.cfg:8: [conv] flipped weights and groups: the original reads such ones beyond their array",
    ),
    "rows to load": ("[conv]\nnumload=2", "m.cfg:6: [conv] numload=2 is more than filters=1"),
    "an activation": (
        "[conv]\nactivation=lekay",
        "m.cfg:6: [conv] unknown activation 'lekay'; known are logistic, relu, relie, linear, ramp, tanh, plse, leaky, "
        "elu, loggy, stair, hardtan, lhtan, selu, swish, mish, relu6, gelu",
    ),
    "an empty deconvolution": (
        "[deconv]\nsize=1\npadding=3",
        "m.cfg:5: [deconv] input 8 x 6 x 4 leaves an empty output (2 x 0 x 1)",
    ),
    "a local layer that pads otherwise": (
        "[local]\nsize=5\npad=1",
        "m.cfg:7: [local] pad=1 with size=5: the original sizes such a layer in two ways that differ",
    ),
    "an image needed": (
        "[softmax]\n[conv]",
        "m.cfg:6: [conv] needs an image before it, found 192 values without height and width",
    ),
    "route without layers": ("[route]", "m.cfg:5: [route] needs layers=, the layers to read"),
    "route with empty layers": ("[route]\nlayers=", "m.cfg:5: [route] needs layers=, the layers to read"),
    "route to itself": (
        CONV + "[route]\nlayers=1",
        "m.cfg:8: [route] layers=1 means layer 1; before layer 1 there are layers 0 to 0",
    ),
    "route too far back": (
        CONV + "[route]\nlayers=0,-2",
        "m.cfg:8: [route] layers=-2 means layer -1; before layer 1 there are layers 0 to 0",
    ),
    "route first": ("[route]\nlayers=-1", "m.cfg:6: [route] layers=-1 means layer -1; before layer 0 there are none"),
    "route in groups": (
        CONV + "[route]\nlayers=0\ngroups=4",
        "m.cfg:9: [route] groups=4 does not divide the channels of every layer it reads",
    ),
    "route to a group beyond": (
        CONV + "[route]\nlayers=0\ngroups=2\ngroup_id=2",
        "m.cfg:10: [route] group_id: expected 1 or less, found 2",
    ),
    "shortcut without from": (CONV + "[shortcut]", "m.cfg:7: [shortcut] needs from= with one layer, found 0"),
    "shortcut from several": (
        CONV + "[shortcut]\nfrom=-1,-1",
        "m.cfg:8: [shortcut] needs from= with one layer, found 2",
    ),
    "shortcut from ahead": (
        CONV + "[shortcut]\nfrom=3",
        "m.cfg:8: [shortcut] from=3 means layer 3; before layer 1 there are layers 0 to 0",
    ),
    "shortcut from no image": (
        "[softmax]\n[route]\nlayers=0\n[conn]\noutput=4\n[shortcut]\nfrom=0",
        "m.cfg:11: [shortcut] layer 0 is no image, but 192 values",
    ),
    "shortcut askew": (
        "[conv]\n[crop]\ncrop_width=4\ncrop_height=6\n[shortcut]\nfrom=0",
        "m.cfg:10: [shortcut] layer 0 (8 x 6 x 1) and the input (4 x 6 x 1) differ more in one direction",
    ),
    "upsample by nothing": ("[upsample]\nstride=0", "m.cfg:6: [upsample] stride=0 does not fit the input 8 x 6 x 4"),
    "downsample unevenly": ("[upsample]\nstride=-4", "m.cfg:6: [upsample] stride=-4 does not fit the input 8 x 6 x 4"),
    "reorg unevenly": ("[reorg]\nstride=3", "m.cfg:6: [reorg] stride=3 does not divide the input 8 x 6 x 4 evenly"),
    "reorg in two ways at once": (
        "[reorg]\nflatten=1\nextra=3",
        "m.cfg:7: [reorg] flatten and extra together make the original read beyond its memory",
    ),
    "the fork's other boxes": (
        "[yolo]\nnum=1\nanchors=1,1\nnew_coords=1",
        "m.cfg:8: [yolo] new_coords=1, the fork's other reading of the boxes, is not supported",
    ),
    "reorg of few channels": (
        "[conv]\nfilters=2\n[reorg]\nstride=2",
        "m.cfg:8: [reorg] stride=2 does not divide the input 8 x 6 x 2 evenly",
    ),
    "a crop beyond": ("[crop]\ncrop_height=7", "m.cfg:6: [crop] crop_height: expected 6 or less, found 7"),
    "a norm beyond": ("[lrn]\nsize=11", "m.cfg:6: [lrn] size=11 reaches beyond the 4 channels"),
    "dropping more than all": (
        "[dropout]\nprobability=1.5",
        "m.cfg:6: [dropout] probability: expected 1.0 or less, found 1.5",
    ),
    "softmax groups": ("[softmax]\ngroups=5", "m.cfg:6: [softmax] groups=5 does not divide its 192 inputs"),
    "no temperature": ("[softmax]\ntemperature=0", "m.cfg:6: [softmax] temperature=0 would divide by zero"),
    "region channels": (
        CONV + "[region]\nclasses=3\nnum=5",
        "m.cfg:7: [region] needs 5 x 8 = 40 channels, found 2; set filters=40 in the layer before, or correct num, "
        "coords or classes",
    ),
    "region anchors": (
        "[conv]\nfilters=12\n[region]\nclasses=1\nnum=2\nanchors=1,2,3",
        "m.cfg:10: [region] anchors: expected 2 x num = 4 numbers, found 3",
    ),
    "region coords": ("[region]\ncoords=3", "m.cfg:6: [region] coords: expected 4 or more, found 3"),
    "yolo anchors": (
        "[conv]\nfilters=12\n[yolo]\nclasses=1\nnum=2\nanchors=1,2,3,4,5,6",
        "m.cfg:10: [yolo] anchors: expected 2 x num = 4 numbers, found 6",
    ),
    "yolo mask": (
        "[conv]\nfilters=12\n[yolo]\nclasses=1\nnum=2\nmask=1,2",
        "m.cfg:10: [yolo] mask: expected anchors 0 to 1, found 1,2",
    ),
    "yolo negative mask": (
        "[conv]\nfilters=12\n[yolo]\nclasses=1\nnum=2\nmask=-1",
        "m.cfg:10: [yolo] mask: expected anchors 0 to 1, found -1",
    ),
    "yolo channels": (
        CONV + "[yolo]\nclasses=80\nnum=9\nmask=0,1,2",
        "m.cfg:7: [yolo] needs 3 x 85 = 255 channels, found 2; set filters=255 in the layer before, or correct num, "
        "mask or classes",
    ),
    "iseg channels": (
        CONV + "[iseg]",
        "m.cfg:7: [iseg] needs 1 x 52 = 52 channels, found 2; set filters=52 in the layer before, or correct classes "
        "or ids",
    ),
    "detection inputs": (
        "[connected]\noutput=1470\n[detection]\nside=7\nclasses=20\ncoords=4\nnum=3",
        "m.cfg:7: [detection] needs side²·(num·(1+coords)+classes) = 1715 inputs, found 1470",
    ),
    "an unknown section": (
        "[convolutonal]",
        "m.cfg:5: [convolutonal] unknown section; known are activation, avg, avgpool, batchnorm, conn, connected, "
        "conv, convolutional, cost, crnn, crop, deconv, deconvolutional, detection, dropout, gru, iseg, l2norm, local, "
        "logistic, lrn, lstm, max, maxpool, normalization, region, reorg, rnn, route, shortcut, soft, softmax, "
        "upsample, yolo",
    ),
    "a second [net]": (CONV + "[net]", "m.cfg:7: [net] stands a second time; are these two definitions in one file?"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_refused(what: str) -> None:
    body, message = REFUSED[what]
    assert refusal(lambda: lowered(body)) == message


@pytest.mark.parametrize(
    ("net", "message"),
    [
        ("width=8\nheight=8", "m.cfg:1: [net] expected width, height and channels (or inputs), all above 0 and "
         "together below 2^31; found width=8, height=8, channels=0"),
        ("width=65536\nheight=65536\nchannels=3", "m.cfg:1: [net] expected width, height and channels (or inputs), all "
         "above 0 and together below 2^31; found width=65536, height=65536, channels=3"),
        ("width=-8", "m.cfg:2: [net] width: expected 0 or more, found -8"),
        ("inputs=-8", "m.cfg:2: [net] inputs: expected 0 or more, found -8"),
        (IMAGE + "\ninputs=5", "m.cfg:5: [net] inputs=5, but width·height·channels = 192"),
        (IMAGE + "\nbatch=0", "m.cfg:5: [net] batch: expected 1 or more, found 0"),
        (IMAGE + "\nsubdivisions=0", "m.cfg:5: [net] subdivisions: expected 1 or more, found 0"),
        (IMAGE + "\ntime_steps=0", "m.cfg:5: [net] time_steps: expected 1 or more, found 0"),
        (IMAGE + "\npolicy=steps", "m.cfg:1: [net] policy=steps needs as many scales as steps, found 0 for 0"),
        (IMAGE + "\npolicy=steps\nsteps=1,2\nscales=.1",
         "m.cfg:6: [net] policy=steps needs as many scales as steps, found 1 for 2"),
    ],
)  # fmt: skip
def test_nets_that_are_refused(net: str, message: str) -> None:
    assert refusal(lambda: lowered("[conv]", net)) == message


def test_files_without_a_network() -> None:
    assert refusal(lambda: lower(parse_cfg("[conv]\n", "m.cfg"))) == (
        "m.cfg:1: expected [net] or [network] first, found [conv]"
    )
    assert refusal(lambda: lower(parse_cfg("[net]\nwidth=1", "m.cfg"))) == "m.cfg: only [net], no layers"


def test_redundant_inputs_are_no_contradiction() -> None:
    assert lowered("[conv]", IMAGE + "\ninputs=192").net.input == Shape(4, 6, 8)


# ---------------------------------------------------------------------------------- asking for more than there is

HUGE = {
    "weights": "[conv]\nfilters=50000\nsize=200",
    "connected": "[connected]\noutput=100000\n[connected]\noutput=100000",
    "local": "[local]\nfilters=1000\nsize=64\n[local]\nfilters=1000\nsize=32",
    "lstm": "[lstm]\noutput=30000",
    "crnn": "[crnn]\nhidden_filters=20000\noutput_filters=20000",
    "deconvolution": "[deconv]\nfilters=9000\nsize=300",
    "many": "[connected]\noutput=40000\n" + "[connected]\noutput=40000\n" * 2,
    "outputs": "[conv]\nfilters=90000",
    "upsample": "[upsample]\nstride=99999",
    "a window": "[conv]\nsize=2147483647\npadding=2147483647",
    "padding": "[max]\npadding=2147483647",
    "extra": "[reorg]\nextra=2147483647",
    "anchors": "[yolo]\nclasses=1\nnum=2147483647",
    "region": "[connected]\noutput=2147483646\n[region]\nclasses=1\nnum=357913941",
    "classes": "[region]\nclasses=2147483647\nnum=2147483647",
    "iseg": "[iseg]\nclasses=2147483647\nids=2147483647",
    "detection": "[detection]\nside=2147483647\nnum=2147483647",
}


@pytest.mark.parametrize("what", HUGE)
def test_a_small_file_that_asks_for_gigabytes_is_refused_before_anything_is_allocated(what: str) -> None:
    net = "width=1\nheight=1\nchannels=1" if what == "region" else "width=256\nheight=256\nchannels=3"
    text = f"[net]\n{net}\n{HUGE[what]}"
    assert len(text) < 200
    tracemalloc.start()
    start = time.perf_counter()
    try:
        message = refusal(lambda: lower(parse_cfg(text, "m.cfg")))
        assert time.perf_counter() - start < 0.5
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert message.startswith("m.cfg:")


def test_messages_on_size() -> None:
    assert refusal(lambda: lowered(HUGE["weights"] + "\npad=1")) == (
        "m.cfg:5: [conv] needs 32.0 GB of weights; more than 8.6 GB are refused"
    )
    assert refusal(lambda: lowered("[connected]\noutput=40000\n" * 3)) == (
        "m.cfg:9: [connected] brings the network to 12.8 GB of weights; more than 8.6 GB are refused"
    )
    assert refusal(lambda: lowered("[upsample]\nstride=9999")) == (
        "m.cfg:5: [upsample] output of 79992 x 59994 x 4 takes 76.8 GB; more than 8.6 GB are refused"
    )


def test_too_many_layers_are_refused() -> None:
    assert len(lowered("[softmax]\n" * 10_000).layers) == 10_000
    assert refusal(lambda: lowered("[softmax]\n" * 10_001)) == ("m.cfg: expected at most 10000 layers, found 10001")


# ------------------------------------------------------------------------------------- files that options name

TREE = "animal -1\nthing -1\ndog 0\ncat 0\n"
NINE = "[conv]\nfilters=9\n[region]\nclasses=4\n"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model's folder, in it `data/four.tree`."""
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "four.tree").write_text(TREE)
    return folder


def load(folder: Path, tail: str, body: str = NINE) -> NetworkSpec:
    (folder / "m.cfg").write_text(f"[net]\n{IMAGE}\n{body}{tail}")
    return load_spec(folder / "m.cfg")


def test_a_tree_is_read_from_the_models_folder(model: Path) -> None:
    spec = load(model, "tree=data/four.tree\n")
    assert spec.tree is not None and spec.tree.names == ("animal", "thing", "dog", "cat")
    assert spec.files == {"data/four.tree": str(model / "data" / "four.tree")}
    assert load(model, "tree=./data/../data/four.tree\n").tree == spec.tree
    assert load(model, f"tree={model}/data/four.tree\n").tree == spec.tree
    assert load(model, "tree=/usr/share/darknet/data/four.tree\n").tree == spec.tree
    assert load(model, "[softmax]\ntree=data/four.tree\n", "[connected]\noutput=4\n").tree == spec.tree


def test_a_cfg_in_a_folder_cfg_may_name_what_lies_beside_that_folder(model: Path) -> None:
    (model / "cfg").mkdir()
    (model / "cfg" / "m.cfg").write_text(f"[net]\n{IMAGE}\n{NINE}tree=data/four.tree\n")
    assert load_spec(model / "cfg" / "m.cfg").tree is not None


def test_a_link_to_a_cfg_is_where_the_cfg_is(model: Path, tmp_path: Path) -> None:
    load(model, "tree=data/four.tree\n")
    (tmp_path / "link.cfg").symlink_to(model / "m.cfg")
    assert load_spec(tmp_path / "link.cfg").tree is not None


def test_the_packaged_tree_is_found_from_anywhere(tmp_path: Path) -> None:
    spec = load(tmp_path, "[softmax]\ntree=data/9k.tree\n", "[connected]\noutput=9418\n")
    assert spec.tree is not None and len(spec.tree) == 9418


@pytest.mark.parametrize(
    "name", ["../four.tree", "data/../../four.tree", "{outside}", "data/link.tree", "link/four.tree"]
)
def test_a_path_that_leaves_the_models_folder_is_refused(name: str, model: Path, tmp_path: Path) -> None:
    outside = tmp_path / "four.tree"
    outside.write_text(TREE)
    (model / "data" / "link.tree").symlink_to(outside)
    (model / "link").symlink_to(tmp_path)
    name = name.format(outside=outside)
    message = refusal(lambda: load(model, f"tree={name}\n"))
    assert message.startswith(f"{model}/m.cfg:9: [region] tree: ")
    assert " leaves the model's folder; copy the file into " in message


@pytest.mark.parametrize("name", ["none.tree", "data", "data/four.tree/x", "n" * 300, "x/" * 100_000, "\udcff.tree"])
def test_a_file_that_is_not_there_is_refused_at_once(name: str, model: Path) -> None:
    start = time.perf_counter()
    (model / "m.cfg").write_bytes(f"[net]\n{IMAGE}\n{NINE}tree={name}\n".encode(errors="surrogateescape"))
    message = refusal(lambda: load_spec(model / "m.cfg"))
    assert message.startswith(f"{model}/m.cfg:9: [region] tree: there is no '")
    assert time.perf_counter() - start < 0.5


def test_the_whole_disk_is_no_models_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    from darknet_compat.formats.metadata import data_roots

    assert data_roots("/cfg/m.cfg") == [Path("/cfg")]
    assert data_roots("/models/cfg/m.cfg") == [Path("/models/cfg"), Path("/models")]


def test_trees_that_are_none(model: Path) -> None:
    path = model / "data" / "bad.tree"
    path.write_text("animal -1\ndog 2\ncat 1\nthing -1\n")
    assert refusal(lambda: load(model, "tree=data/bad.tree\n"), TreeError) == (
        f"{path}:2: 'dog' has parent 2 on line 3: a cycle"
    )
    path.write_text("animal -1\ndog 0\n")
    assert refusal(lambda: load(model, "tree=data/bad.tree\n")) == (
        f"{model}/m.cfg:9: [region] tree: {path} has 2 nodes, but there are 4 classes"
    )
    assert refusal(lambda: load(model, "[softmax]\ntree=data/bad.tree\n", "[conv]\n")) == (
        f"{model}/m.cfg:7: [softmax] tree: {path} has 2 nodes, but there are 48 inputs"
    )


def test_maps(model: Path) -> None:
    path = model / "data" / "my.map"
    path.write_text("3\n0\n")
    spec = load(model, "map=data/my.map\n")
    assert isinstance(spec.layers[1], s.Region) and spec.layers[1].map == (3, 0)
    path.write_text("3\n4\n")
    with pytest.raises(DarknetCompatError, match=r"my\.map:2: expected a class from 0 to 3, found 4$"):
        load(model, "map=data/my.map\n")


# ------------------------------------------------------------------------------------------ another input size


def test_at_another_size() -> None:
    cfg = parse_cfg(f"[net]\n{IMAGE}\ninputs=192\nwidth=9\n[conv]\n[max]\nstride=2\n", "m.cfg")
    spec = lower(at_size(cfg, 32, 16))
    assert spec.net.input == Shape(4, 16, 32)
    assert spec.layers[-1].output == Shape(1, 8, 16)
    assert spec.layers[0].line == lower(cfg).layers[0].line == 7


def test_networks_that_have_no_other_size() -> None:
    cfg = parse_cfg("[net]\ninputs=256\n[rnn]\n", "m.cfg")
    assert refusal(lambda: lower(at_size(cfg, 32, 32))).startswith("m.cfg:1: [net] expected width, height and channels")
    cfg = parse_cfg(f"[net]\n{IMAGE}\n[conv]\n", "m.cfg")
    assert refusal(lambda: lower(at_size(cfg, -1, 32))) == "m.cfg:1: [net] width: expected 0 or more, found -1"
    assert "found width=0, height=32, channels=4" in refusal(lambda: lower(at_size(cfg, 0, 32)))
