from __future__ import annotations

import time
import tracemalloc

import pytest

from darknet_compat.definition.layers.table import LOWERINGS
from darknet_compat.definition.lower import lower
from darknet_compat.definition.spec import Shape
from darknet_compat.formats.cfg import parse_cfg
from tests.formats.making import IMAGE, lowered, refusal

# ------------------------------------------------------------------------------------------------- refusals

CONV = "[conv]\nfilters=2\n"
REFUSED: dict[str, tuple[str, str]] = {
    "a negative size": ("[conv]\nsize=-3", "m.cfg:6: layer 0 [conv] size: expected 1 or more, found -3"),
    "no filters": ("[conv]\nfilters=0", "m.cfg:6: layer 0 [conv] filters: expected 1 or more, found 0"),
    "negative filters": ("[local]\nfilters=-1", "m.cfg:6: layer 0 [local] filters: expected 1 or more, found -1"),
    "no stride": ("[conv]\nstride=0", "m.cfg:6: layer 0 [conv] stride: expected 1 or more, found 0"),
    "no stride of a pool": ("[maxpool]\nstride=0", "m.cfg:6: layer 0 [maxpool] stride: expected 1 or more, found 0"),
    "overflow": ("[conv]\nsize=99999999999", "m.cfg:6: layer 0 [conv] size: '99999999999' is beyond 32 bits"),
    "no number": ("[conv]\nsize=big", "m.cfg:6: layer 0 [conv] size: expected a number, found 'big'"),
    "no outputs": ("[rnn]\noutput=0", "m.cfg:6: layer 0 [rnn] output: expected 1 or more, found 0"),
    "no depth": ("[connected]\noutput=-5", "m.cfg:6: layer 0 [connected] output: expected 1 or more, found -5"),
    "a window beyond the input": (
        "[conv]\nsize=9\npadding=1",
        "m.cfg:5: layer 0 [conv] size=9 is larger than the input, 6 with padding 2",
    ),
    "groups of channels": (
        "[conv]\nfilters=3\ngroups=3",
        "m.cfg:7: layer 0 [conv] groups=3 does not divide both channels (4) and filters (3)",
    ),
    "groups of filters": (
        "[conv]\nfilters=3\ngroups=2",
        "m.cfg:7: layer 0 [conv] groups=2 does not divide both channels (4) and filters (3)",
    ),
    "no groups": ("[conv]\ngroups=0", "m.cfg:6: layer 0 [conv] groups: expected 1 or more, found 0"),
    "flipped groups": (
        "[conv]\nfilters=4\ngroups=2\nflipped=1",
        "m.cfg:8: layer 0 [conv] flipped weights and groups: the original reads such ones beyond their array",
    ),
    "rows to load": ("[conv]\nnumload=2", "m.cfg:6: layer 0 [conv] numload=2 is more than filters=1"),
    "an activation": (
        "[conv]\nactivation=lekay",
        "m.cfg:6: layer 0 [conv] unknown activation 'lekay'; known are logistic, relu, relie, linear, ramp,"
        " tanh, plse, leaky, "
        "elu, loggy, stair, hardtan, lhtan, selu, swish, mish, hard_mish, relu6, gelu, normalize_channels, "
        "normalize_channels_softmax, normalize_channels_softmax_maxval",
    ),
    "an empty deconvolution": (
        "[deconv]\nsize=1\npadding=3",
        "m.cfg:5: layer 0 [deconv] input 8 x 6 x 4 leaves an empty output (2 x 0 x 1)",
    ),
    "a local layer that pads otherwise": (
        "[local]\nsize=5\npad=1",
        "m.cfg:7: layer 0 [local] pad=1 with size=5: the original sizes such a layer in two ways that differ",
    ),
    "a pool beyond all memory": (
        "[maxpool]\nsize=1000000",
        "m.cfg:5: layer 0 [maxpool] padding 999999 takes 16000.2 GB; more than 8.6 GB are refused",
    ),
    "an image needed": (
        "[softmax]\n[conv]",
        "m.cfg:6: layer 1 [conv] needs an image before it, found 192 values without height and width",
    ),
    "route without layers": ("[route]", "m.cfg:5: layer 0 [route] needs layers=, the layers to read"),
    "route with empty layers": ("[route]\nlayers=", "m.cfg:5: layer 0 [route] needs layers=, the layers to read"),
    "route to itself": (
        CONV + "[route]\nlayers=1",
        "m.cfg:8: layer 1 [route] layers=1 means layer 1; before layer 1 there are layers 0 to 0",
    ),
    "route too far back": (
        CONV + "[route]\nlayers=0,-2",
        "m.cfg:8: layer 1 [route] layers=-2 means layer -1; before layer 1 there are layers 0 to 0",
    ),
    "route first": (
        "[route]\nlayers=-1",
        "m.cfg:6: layer 0 [route] layers=-1 means layer -1; before layer 0 there are none",
    ),
    "route in groups": (
        CONV + "[route]\nlayers=0\ngroups=4",
        "m.cfg:9: layer 1 [route] groups=4 does not divide the channels of every layer it reads",
    ),
    "route to a group beyond": (
        CONV + "[route]\nlayers=0\ngroups=2\ngroup_id=2",
        "m.cfg:10: layer 1 [route] group_id: expected 1 or less, found 2",
    ),
    "shortcut without from": (CONV + "[shortcut]", "m.cfg:7: layer 1 [shortcut] needs from= with one layer, found 0"),
    "shortcut from ahead": (
        CONV + "[shortcut]\nfrom=3",
        "m.cfg:8: layer 1 [shortcut] from=3 means layer 3; before layer 1 there are layers 0 to 0",
    ),
    "shortcut from no image": (
        "[softmax]\n[route]\nlayers=0\n[conn]\noutput=4\n[shortcut]\nfrom=0",
        "m.cfg:11: layer 3 [shortcut] layer 0 is no image, but 192 values",
    ),
    "shortcut askew": (
        "[conv]\n[crop]\ncrop_width=4\ncrop_height=6\n[shortcut]\nfrom=0",
        "m.cfg:10: layer 2 [shortcut] layer 0 (8 x 6 x 1) and the input (4 x 6 x 1) differ more in one direction",
    ),
    "upsample by nothing": (
        "[upsample]\nstride=0",
        "m.cfg:6: layer 0 [upsample] stride=0 does not fit the input 8 x 6 x 4",
    ),
    "downsample unevenly": (
        "[upsample]\nstride=-4",
        "m.cfg:6: layer 0 [upsample] stride=-4 does not fit the input 8 x 6 x 4",
    ),
    "reorg unevenly": (
        "[reorg]\nstride=3",
        "m.cfg:6: layer 0 [reorg] stride=3 does not divide the input 8 x 6 x 4 evenly",
    ),
    "reorg in two ways at once": (
        "[reorg]\nflatten=1\nextra=3",
        "m.cfg:7: layer 0 [reorg] flatten and extra together make the original read beyond its memory",
    ),
    "reorg of few channels": (
        "[conv]\nfilters=2\n[reorg]\nstride=2",
        "m.cfg:8: layer 1 [reorg] stride=2 does not divide the input 8 x 6 x 2 evenly",
    ),
    "a crop beyond": ("[crop]\ncrop_height=7", "m.cfg:6: layer 0 [crop] crop_height: expected 6 or less, found 7"),
    "a norm beyond": ("[lrn]\nsize=11", "m.cfg:6: layer 0 [lrn] size=11 reaches beyond the 4 channels"),
    "dropping more than all": (
        "[dropout]\nprobability=1.5",
        "m.cfg:6: layer 0 [dropout] probability: expected 1.0 or less, found 1.5",
    ),
    "softmax groups": ("[softmax]\ngroups=5", "m.cfg:6: layer 0 [softmax] groups=5 does not divide its 192 inputs"),
    "no temperature": ("[softmax]\ntemperature=0", "m.cfg:6: layer 0 [softmax] temperature=0 would divide by zero"),
    "region channels": (
        CONV + "[region]\nclasses=3\nnum=5",
        "m.cfg:7: layer 1 [region] needs 5 x 8 = 40 channels, found 2; set filters=40 in the layer before, or"
        " correct num, "
        "coords or classes",
    ),
    "region coords": ("[region]\ncoords=3", "m.cfg:6: layer 0 [region] coords: expected 4 or more, found 3"),
    "yolo mask": (
        "[conv]\nfilters=12\n[yolo]\nclasses=1\nnum=2\nmask=1,2",
        "m.cfg:10: layer 1 [yolo] mask: expected anchors 0 to 1, found 1,2",
    ),
    "yolo negative mask": (
        "[conv]\nfilters=12\n[yolo]\nclasses=1\nnum=2\nmask=-1",
        "m.cfg:10: layer 1 [yolo] mask: expected anchors 0 to 1, found -1",
    ),
    "yolo channels": (
        CONV + "[yolo]\nclasses=80\nnum=9\nmask=0,1,2",
        "m.cfg:7: layer 1 [yolo] needs 3 x 85 = 255 channels, found 2; set filters=255 in the layer before, or"
        " correct num, "
        "mask or classes",
    ),
    "iseg channels": (
        CONV + "[iseg]",
        "m.cfg:7: layer 1 [iseg] needs 1 x 52 = 52 channels, found 2; set filters=52 in the layer before, or"
        " correct classes "
        "or ids",
    ),
    "detection inputs": (
        "[connected]\noutput=1470\n[detection]\nside=7\nclasses=20\ncoords=4\nnum=3",
        "m.cfg:7: layer 1 [detection] needs side²·(num·(1+coords)+classes) = 1715 inputs, found 1470",
    ),
    "an unknown section": (
        "[convolutonal]",
        "m.cfg:5: layer 0 [convolutonal] unknown section; did you mean [convolutional]?",
    ),
    "a section like no other": (
        "[qqqqqqqqqqqq]",
        "m.cfg:5: layer 0 [qqqqqqqqqqqq] unknown section; known are " + ", ".join(sorted(LOWERINGS, key=str.lower)),
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
    start = time.process_time()
    try:
        message = refusal(lambda: lower(parse_cfg(text, "m.cfg")))
        assert time.process_time() - start < 0.5
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
    assert message.startswith("m.cfg:")


def test_messages_on_size() -> None:
    assert refusal(lambda: lowered(HUGE["weights"] + "\npad=1")) == (
        "m.cfg:5: layer 0 [conv] needs 32.0 GB of weights; more than 8.6 GB are refused"
    )
    assert refusal(lambda: lowered("[connected]\noutput=40000\n" * 3)) == (
        "m.cfg:9: layer 2 [connected] brings the network to 12.8 GB of weights; more than 8.6 GB are refused"
    )
    assert refusal(lambda: lowered("[upsample]\nstride=9999")) == (
        "m.cfg:5: layer 0 [upsample] output of 79992 x 59994 x 4 takes 76.8 GB; more than 8.6 GB are refused"
    )


def test_too_many_layers_are_refused() -> None:
    assert len(lowered("[softmax]\n" * 10_000).layers) == 10_000
    assert refusal(lambda: lowered("[softmax]\n" * 10_001)) == ("m.cfg: expected at most 10000 layers, found 10001")
