"""The lists of what options are good for."""

from __future__ import annotations

import ast
import dataclasses
from pathlib import Path

import pytest

import darknet_compat
from darknet_compat.definition import dialects
from darknet_compat.definition.lower import lower
from darknet_compat.definition.options import EVERY_LAYER, SILENT, TRAINING, UNFOLLOWED, known, not_followed
from darknet_compat.definition.spec import Net
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.network.network import MODULES
from tests.formats.making import IMAGE, lowered

PACKAGE = Path(darknet_compat.__file__).parent
TABLES = (TRAINING, UNFOLLOWED, SILENT)


@pytest.mark.parametrize("section", sorted({*TRAINING, *UNFOLLOWED, *SILENT} - {EVERY_LAYER}))
def test_an_option_stands_in_one_list_only(section: str) -> None:
    words = [word for table in TABLES for word in table.get(section, "").split()]
    if section != "net":
        words += [word for table in TABLES for word in table.get(EVERY_LAYER, "").split()]
    # Of "clip" there are two, that of [net] and a layer's.
    assert sorted(words) == sorted(set(words))


@pytest.mark.parametrize("option", sorted(dialects._OPTIONS["net"]))
def test_what_only_the_fork_has_in_net_is_known(option: str) -> None:
    spec = lowered("[conv]", f"{IMAGE}\n{option}=1")
    assert spec.notes == (), "read, for training, or without effect"


def test_spellings_and_what_all_layers_have() -> None:
    assert known("conv") == known("convolutional") and "learning_rate" in known("crop") and "clip" in known("net")
    assert "onlyforward" not in known("conv")
    sections = parse_cfg("[network]\ncutmix=1\n[conv]\ncbn=1\ndot\n[yolo]\nembedding_layer=2\n").sections
    assert not_followed(sections) == (
        "[network] cutmix (line 2)",
        "[conv] cbn (line 4)",
        "[yolo] embedding_layer (line 7)",
    )
    assert not_followed(sections[:1]) == ()
    many = parse_cfg("[conv]\ncbn=1\n" * 5).sections
    assert not_followed(many) == ("[conv] cbn (lines 2, 4, 6, 2 more)",)


FILTERS = "[conv]\nfilters=8\nsize=3\npad=1\nactivation=leaky\n"
BOXES = (
    "num=1 mask=0 max max_delta counters_per_class=1 label_smooth_eps scale_x_y objectness_smooth iou_normalizer"
    " obj_normalizer cls_normalizer delta_normalizer iou_loss=ciou iou_thresh_kind=giou beta_nms nms_kind=diounms"
    " jitter resize ignore_thresh truth_thresh iou_thresh random anchors=1,2 map"
)
EVERY = "clip dont_update burnin_update stopbackward train_only_bn dontload dontloadscales learning_rate truth"

FORKS = {
    "": (
        "batch learning_rate_min sgdr_cycle sgdr_mult momentum decay subdivisions time_steps track augment_speed"
        " sequential_subdivisions try_fix_nan weights_reject_freq equidistant_point badlabels_rejection_percentage"
        " num_sigmas_reject_badlabels ema_alpha use_cuda_graph loss_scale dynamic_minibatch optimized_memory"
        " workspace_size_limit_MB adam B1 B2 eps max_crop min_crop flip blur gaussian_noise mixup cutmix mosaic"
        " letter_box mosaic_bound contrastive contrastive_jit_flip contrastive_color unsupervised label_smooth_eps"
        " resize_step attention adversarial_lr max_chart_loss angle aspect saturation exposure hue power"
        " policy=sgdr burn_in step scale steps=1,2 scales=1,1 seq_scales=1,1 gamma show_receptive_field max_batches"
    ),
    FILTERS + "[conv]\nfilters=8": (
        "size groups stride_x stride_y stride dilation antialiasing pad padding activation=mish assisted_excitation"
        " batch_normalize cbn binary xnor bin_output sway rotate stretch stretch_sway flipped dot angle grad_centr"
        " reverse stream=0 wait_stream"
    ),
    FILTERS + FILTERS.replace("pad=1\n", "") + "[conv]\nfilters=8\nsize=3\npad=1": "share_index=1",
    "[crnn]\nsize=1": "stride dilation pad=0 padding=0 output hidden groups activation=relu batch_normalize shortcut",
    "[rnn]": "output hidden activation=relu batch_normalize logistic shortcut",
    "[gru]": "output batch_normalize",
    "[lstm]": "output batch_normalize",
    "[conv_lstm]\nsize=1": (
        "stride dilation pad=0 padding=0 output groups activation=relu batch_normalize peephole bottleneck=0 xnor=0"
        " shortcut=0 state_constrain lstm_activation=tanh time_normalizer"
    ),
    "[history]": "history_size",
    "[conn]": "output activation=mish batch_normalize",
    "[softmax]": "groups temperature tree spatial noloss",
    "[conv]\nfilters=25\n[yolo]\n[contrastive]\nyolo_layer=1": (
        "classes temperature cls_normalizer max_delta contrastive_neg_max"
    ),
    "[conv]\nfilters=6\n[yolo]\nclasses=1": (
        BOXES + " show_details new_coords focal_loss track_history_size sim_thresh dets_for_track dets_for_show"
        " track_ciou_norm embedding_layer=0"
    ),
    "[conv]\nfilters=10\n[Gaussian_yolo]\nclasses=1": BOXES + " uc_normalizer yolo_point=left_top",
    "[conv]\nfilters=6\n[region]\nclasses=1": (
        "coords=4 num max log sqrt softmax focal_loss jitter resize rescore thresh absolute random coord_scale"
        " object_scale noobject_scale mask_scale class_scale bias_match anchors=1,2 tree map"
    ),
    "[conn]\noutput=3\n[detection]\nside=1": (
        "coords num rescore softmax sqrt max coord_scale forced object_scale noobject_scale class_scale jitter resize"
        " random classes"
    ),
    "[cost]": "type=sse scale ratio",
    "[crop]": "crop_height crop_width flip saturation exposure noadjust",
    "[reorg]": "stride reverse",
    "[reorg3d]": "stride reverse",
    "[maxpool]": "stride stride_x stride_y size padding maxpool_depth antialiasing",
    "[maxpool]\nmaxpool_depth=1": "out_channels",
    "[local_avgpool]": "stride stride_x stride_y size padding",
    "[dropout]": "probability dropblock dropblock_size_rel dropblock_size_abs",
    "[lrn]": "alpha beta kappa size",
    FILTERS + "[shortcut]\nfrom=-1": "activation=mish weights_type=none weights_normalization=none",
    FILTERS + "[avgpool]\n[scale_channels]\nfrom=0": "scale_wh=0 activation=mish",
    FILTERS + "[sam]\nfrom=0": "activation=mish",
    "[implicit]": "mean std filters atoms",
    "[activation]": "activation=mish",
    "[upsample]": "stride scale",
    "[route]\nlayers=-1": "groups group_id=0 stream=0 wait_stream",
    "[local]": "filters size stride pad=0 activation=mish",
}
"""Layers, the last of which takes these options of the fork's reader (AlexeyAB's parser.c); those of [net] first."""


def each_option() -> list[tuple[str, str]]:
    found = []
    for layers, options in FORKS.items():
        found += [(layers, option if "=" in option else f"{option}=1") for option in options.split()]
        found += [(layers, f"{option}=1") for option in EVERY.split() if layers]
    return [pair for pair in found if pair[1] not in ("map=1", "tree=1")]  # which name files


def notes(layers: str, option: str) -> tuple[str, ...]:
    body, net = (layers, IMAGE) if layers else ("[conv]", f"{IMAGE}\n{option}")
    before = "" if "[conv]" in body or not layers or body.startswith(("[crop]", "[conn]")) else FILTERS
    text = f"[net]\n{net}\n{before}{body}\n{option if layers else ''}"
    return lower(parse_cfg(text, "m.cfg"), dialect="fork").notes


def test_every_option_of_the_forks_is_read_or_listed() -> None:
    unknown = [(layers, option, said) for layers, option in each_option() if (said := notes(layers, option))]
    assert not unknown


def test_a_slip_of_the_pen_in_any_of_them_is_noticed() -> None:
    missed = []
    for layers, option in each_option():
        key, _, value = option.partition("=")
        middle = len(key) // 2
        for slip in (key[:middle] + key[middle + 1 :], f"{key[:middle]}q{key[middle:]}"):
            if len(key) > 3 and not any("did you mean" in said for said in notes(layers, f"{slip}={value}")):
                missed.append((layers, slip))
    assert not missed


@pytest.mark.parametrize(
    "layers, option",
    [("[conv]", "coordconv"), ("[maxpool]", "maxpool_zero_nonmax"), ("[conv]", "onlyforward"), ("[crop]", "angle")],
)
def test_what_only_the_forks_gpu_build_or_nobody_follows_is_named(layers: str, option: str) -> None:
    assert len(notes(layers, f"{option}=1")) == 1


def used_words() -> set[str]:
    """What any stage after lowering reads of a value: attributes, and names in texts (`getattr`)."""
    words: set[str] = set()
    for file in PACKAGE.rglob("*.py"):
        lowering = file.is_relative_to(PACKAGE / "definition")
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                words.add(node.attr)
            elif not lowering and isinstance(node, ast.Constant) and isinstance(node.value, str):
                words.add(node.value)
    return words


@pytest.mark.parametrize("kind", [Net, *MODULES], ids=lambda kind: kind.__name__)
def test_what_is_read_into_a_spec_is_used_by_some_stage(kind: type) -> None:
    """An option that changes nothing stands in a list, and not on a spec, where it would look as if it did."""
    assert {field.name for field in dataclasses.fields(kind)} <= USED


USED = used_words()
