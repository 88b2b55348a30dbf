from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from darknet_compat.definition import spec as s
from darknet_compat.definition.layers.table import LOWERINGS
from darknet_compat.definition.lower import at_size, load_spec, lower
from darknet_compat.definition.spec import LayerSpec, Shape
from darknet_compat.errors import CfgWarning
from darknet_compat.formats.cfg import format_cfg, parse_cfg, read_cfg
from tests.conftest import Original, find_original
from tests.definition.test_fork_layers import FORK_DEFAULTS
from tests.formats import library
from tests.formats.making import IMAGE, last, lowered, refusal

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
        # The original does not look for unused options in [net], and reads a [crop]'s shift, to no effect.
        notes = [note for note in spec.notes if "[net]" not in note and "shift" not in note]
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
        **common("convolutional", Shape(1, 6, 8)), filters=1, size=1, stride_x=1, stride_y=1, padding=0, groups=1,
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
    "[maxpool]": s.Maxpool(**common("maxpool", Shape(4, 6, 8)), size=1, stride_x=1, stride_y=1, padding=0),
    "[maxpool]\nstride=2": s.Maxpool(**common("maxpool", Shape(4, 3, 4)), size=2, stride_x=2, stride_y=2, padding=1),
    "[avgpool]": s.Avgpool(**common("avgpool", Shape(4))),
    "[dropout]": s.Dropout(**common("dropout", Shape(4, 6, 8)), probability=0.5),
    "[crop]": s.Crop(
        **common("crop", Shape(4)), flip=False, noadjust=False
    ),
    "[normalization]": s.Normalization(
        **common("normalization", Shape(4, 6, 8)), size=5, alpha=0.0001, beta=0.75, kappa=1
    ),
    "[l2norm]": s.L2norm(**common("l2norm", Shape(4, 6, 8))),
    "[upsample]": s.Upsample(**common("upsample", Shape(4, 12, 16)), stride=2, reverse=False, scale=1),
    "[reorg]": s.Reorg(**common("reorg", Shape(4, 6, 8)), stride=1, reverse=False, flatten=False, extra=0),
    "[cost]": s.Cost(**common("cost", FLAT), cost="sse", scale=1, ratio=0, noobj=1, thresh=0),
    "[rnn]": s.Rnn(
        **common("rnn", s.flat(1)), outputs=1, hidden=1, steps=1, activation="logistic", batch_normalize=False,
        shortcut=False,
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
        bias_match=False, mask_scale=1,
    )  # fmt: skip
    assert last("[connected]\noutput=147\n[detection]") == s.Detection(
        **common("detection", s.flat(147), Shape(147), **at), **BOXES, **SCALES, classes=1, coords=1, num=1, side=7,
        softmax=False, sqrt=False, forced=False, rescore=False, max_boxes=90,
    )  # fmt: skip
    image = Shape(52, 6, 8)
    assert last(conv.format(52) + "[iseg]") == s.Iseg(**common("iseg", image, image, **at), classes=20, ids=32)


def kinds(spec: type[LayerSpec]) -> set[type[LayerSpec]]:
    """The kinds of layers among a class's descendants: those that nothing else is made from."""
    below = [kind for kind in spec.__subclasses__() if kind.__module__.startswith("darknet_compat.")]
    return set().union(*map(kinds, below)) if below else {spec}


def test_every_section_has_a_test_of_its_defaults() -> None:
    tested = {type(layer) for layer in DEFAULTS.values()} | {s.Shortcut, s.Route, s.Yolo, s.Region, s.Detection, s.Iseg}
    tested |= set(map(type, FORK_DEFAULTS.values()))
    assert tested == kinds(LayerSpec)
    with_body = {"route": "layers=0", "shortcut": "from=0", "yolo": "classes=1\nnum=4", "region": "classes=1\nnum=4"}
    with_body |= {"iseg": "classes=20\nids=4", "detection": "side=8\nnum=1\nclasses=16"}
    for name in LOWERINGS.keys() - {layer.type for layer in FORK_DEFAULTS.values()}:
        layer = last(f"[conv]\nfilters=24\n[connected]\noutput=576\n[local]\nfilters=24\n[conv]\n[route]\nlayers=0\n"
                     f"[{name}]\n{with_body.get(name, '')}")  # fmt: skip
        assert type(layer) in tested


def test_the_net_section_has_the_originals_defaults() -> None:
    net = lowered("[softmax]").net
    assert net == s.Net(
        batch=1, subdivisions=1, time_steps=1, width=8, height=6, channels=4, inputs=192, learning_rate=0.001,
        momentum=0.9, decay=0.0001, adam=False, B1=0.9, B2=0.999, eps=1e-7, policy="constant", burn_in=0, power=4,
        step=1, scale=1, gamma=1, steps=(), scales=(), max_batches=0, min_ratio=1, max_ratio=2,
        center=False, clip=0, angle=0, aspect=1, saturation=1, exposure=1, hue=0, flip=True, random=0,
        letter_box=None,
    )  # fmt: skip
    assert net.input == Shape(4, 6, 8)
    assert lowered("[softmax]", "inputs=7").net.input == s.flat(7)


def test_options_that_every_layer_has() -> None:
    body = "truth=1\nstopbackward=1\ndontsave=1\ndontload=1\nnumload=1\ndontloadscales=1\n"
    layer = last(f"[conv]\n{body}learning_rate=.5\nsmooth=.1")
    assert (layer.truth, layer.stopbackward, layer.dontsave, layer.dontload) == (True,) * 4
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
    spec = lowered("[conv]\nfilters=2x\nsize=1\nsize=3\nbreadth=2\n[cost]\ntype=nonsense", IMAGE + "\npolicy=cosine")
    assert spec.notes == (
        "m.cfg:5: [net] unknown policy 'cosine' is taken for constant",
        "m.cfg:7: layer 0 [conv] filters='2x' is read as 2",
        "m.cfg:9: layer 0 [conv] size stands twice; the first one counts",
        "m.cfg:10: layer 0 [conv] unused option breadth=2",
        "m.cfg:12: layer 1 [cost] unknown type 'nonsense' is taken for sse",
    )


def test_what_nothing_here_goes_by_is_named() -> None:
    crop = "[crop]\ncrop_height=4\ncrop_width=4\nangle=7\nsaturation=1.5\nexposure=1\nshift=.1\nflip=1\n"
    head = "[conv]\nfilters=6\nonlyforward=1\n[region]\nclasses=1\nnum=1\nclassfix=1\nabsolute=1\n"
    assert [note.partition(" ")[2] for note in lowered(crop + head, IMAGE + "\nnotruth=1").notes] == [
        "[net] unused option notruth=1",
        "layer 0 [crop] unused option angle=7",
        "layer 0 [crop] unused option saturation=1.5",
        "layer 0 [crop] unused option shift=.1",
        "layer 1 [conv] unused option onlyforward=1",
        "layer 2 [region] unused option classfix=1",
    ]


@pytest.mark.parametrize(
    ("net", "body", "said"),
    [
        (
            "attention=1\nseq_scales=1,2",
            "[conv]\ncbn=1\n[conv]\ncbn=1\ndot=1",
            ("[net] attention (line 5), seq_scales (line 6)", "[conv] cbn (lines 8, 10), dot (line 11)"),
        ),
        (
            "mosaic=1\nema_alpha=.9\npolicy=poly\nsteps=1,2",
            "[dropout]\ndropblock=1",
            ("[dropout] dropblock (line 10)",),
        ),
        ("optimized_memory=1\nmax_chart_loss=9\ntrack=1", "[conv]\nstream=1", ()),
    ],
)
def test_options_for_training_are_the_trainers_matter(net: str, body: str, said: tuple[str, ...]) -> None:
    spec = lowered(body, f"{IMAGE}\n{net}")
    assert (spec.notes, spec.unfollowed) == ((), said)


def test_a_misspelt_option_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "m.cfg"
    body = "[conv]\nfilters=18\nfilter=9\n[yolo]\nclasses=1\nnum=3\nanchros=1,2,3,4,5,6\nmosaik=1\nfoo=2\n"
    path.write_text(f"[net]\n{IMAGE}\nmosaik=1\n{body}")
    with pytest.warns(CfgWarning) as warned:
        load_spec(path)
    (warning,) = warned
    assert str(warning.message) == (
        f"{path}:5: [net] unused option mosaik=1; did you mean mosaic?; line 8: layer 0 [conv] unused option filter=9;"
        " did you mean filters?; line 12: layer 1 [yolo] unused option anchros=1,2,3,4,5,6; did you mean anchors?; 2"
        " more, which `info` lists"
    )


def test_every_option_that_the_originals_parser_knows_is_read() -> None:
    net = "adam=1\nB1=1\nB2=1\neps=1\nburn_in=1\npower=1\npolicy=steps\nsteps=1,2\nscales=1,1"
    net += "\nclip=1\ncenter=1\nnotruth=0"
    body = "[conv]\nfilters=15\ndot=1\nflipped=1\nbinary=1\nxnor=1\npadding=0\npad=0\ngroups=1\n"
    body += (
        "[region]\nclasses=1\nnum=1\ncoords=13\nmax=9\nclassfix=0\nabsolute=1\nmask_scale=1\nbias_match=1\nrescore=1\n"
    )
    assert lowered(body, f"{IMAGE}\n{net}").notes == ()


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
