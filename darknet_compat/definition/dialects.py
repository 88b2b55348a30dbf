"""Where the same words mean different things: the original's Darknet and its best-known fork's (AlexeyAB, hank-ai).

`ROWS` is the only statement of that. A dialect is settled once, when a cfg is lowered, and travels on the NetworkSpec;
whoever needs to know asks for a row (`spec.dialect.letter_box`), never for the name. Words that only the fork has are
no matter of dialect: they mean what they mean there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

from darknet_compat.errors import CfgError
from darknet_compat.formats.cfg import Cfg, Section
from darknet_compat.formats.textfile import plain, shown

DialectName = Literal["original", "fork"]


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """What words mean that both have. `signs` are what told the fork's apart, empty where it was asked for."""

    name: DialectName
    signs: tuple[str, ...] = field(default=(), compare=False)

    letter_box: bool
    """Whether pictures get a border where [net] says nothing (but [detection], YOLO's first head, never does)."""
    adam_eps: float
    """[net] eps."""
    flat_shortcuts: bool
    """A [shortcut] adds another shape value by value, and has no alpha and beta; else on every stride-th cell of the
    channels both have."""
    dropout: float
    """[dropout] probability."""
    stopbackward_one: bool
    """Whether stopbackward has to be 1 to count; else any number but 0 does."""
    relu_for_unknown: bool
    """Whether an unknown activation is taken for relu, with a note; else it is refused."""
    lenient_groups: bool
    """Whether [convolutional] groups below 1 mean 1, as they always do with xnor."""
    batchnorm_biases: bool
    """Whether the file holds a [batchnorm]'s biases."""
    lstm_parts: tuple[str, ...]
    gru_parts: tuple[str, ...]
    """The connected parts in the file's order: w from the state, u from the input."""
    gru_tanh: bool
    """Whether [gru] has tanh; its candidate is logistic without."""
    rnn_hidden: str
    """The option with the size of an [rnn]'s state; empty where it is output, as large as what it puts out."""
    crnn_filters: tuple[str, str]
    """The options with the filters of a [crnn]'s state and of what it puts out."""
    crnn_any_size: bool
    """Whether [crnn] has size, stride, padding, groups and dilation; else its convolutions are 3x3, w and h swapped."""
    xnor_padding: float
    """What the cells of padding are to a convolution of signs."""
    list_end: str | None
    """What ends a list of numbers before its line's end."""
    most_anchors: bool
    """Whether more than 2·num anchors are refused, which the original writes beyond its array; else they count for
    nothing, unless mask names them."""
    cpu_batchnorm: bool
    """Whether the CPU build has other numbers: a batch normalization of its own, misread 1x1 convolutions."""
    rolling: tuple[float, float]
    """What part of a batch's mean and variance the rolling ones take: in the CUDA build, in the CPU build."""
    wide_seen: bool
    """Whether files of a version above 1000 may have 8 bytes of `seen`."""
    revision: int
    """The last number of the version that a new file gets: 0.2.this."""
    region_max: int
    yolo_max: int
    """`max`, the most boxes of a picture in training."""
    region_logistic: bool
    """Whether [region] without softmax puts its classes through the logistic function; else they stay raw."""
    region_raw: bool
    """Whether [region]'s deltas are those of raw values, and a box's the same whatever its area; else boxes count
    2 - area times, and the logistic function's derivative comes after."""
    leaves_first: bool
    """A WordTree's answer: the last node above 0.5 with its own probability; else down the tree, with objectness."""
    nms_kind: bool
    """Whether a head's nms_kind chooses the suppression."""
    iou_normalizer: float
    """[yolo] iou_normalizer, a factor of the loss of boxes."""
    uniform_weights: bool
    """Convolutions begin with uniform weights within ±sqrt(2/(size²·c/groups)); else normal ones of that deviation."""
    signed_batches: bool
    """Whether policy=sigmoid subtracts batch numbers with a sign; else they wrap around before `step`."""
    adding_deltas: bool
    """Whether [yolo] has iou_loss and its kin, and box deltas of several truths in a cell add up."""
    stopbackward_freezes: bool
    """Whether nothing before `stopbackward` learns or gathers statistics; else it decays and gathers them."""
    opencv_pictures: bool
    """Whether a detector's training pictures are cut and coloured by OpenCV, in 8 bits."""
    labels_beside: bool
    """Whether a picture's labels are looked for beside it first, those of COCO's folders and JPEGImages excepted; else
    where `images` in its path is `labels`. Both look in the other place next."""
    scaled_sizes: bool
    """Whether `random` of a head scales the cfg's own size; else it draws from 320 to 608."""

    def stops_backward(self, value: int) -> bool:
        """Whether stopbackward=value stops learning before the layer."""
        return value == 1 if self.stopbackward_one else value != 0


_LSTM = ("wi", "wf", "wo", "wg", "ui", "uf", "uo", "ug"), ("wf", "wi", "wg", "wo", "uf", "ui", "ug", "uo")
_GRU = ("wz", "wr", "wh", "uz", "ur", "uh"), ("uz", "ur", "uh", "wz", "wr", "wh")

ROWS: dict[str, tuple[Any, Any]] = {
    # what                original                                fork
    "letter_box":        (True,                                   False),
    "adam_eps":          (1e-7,                                   1e-6),
    "flat_shortcuts":    (False,                                  True),
    "dropout":           (0.5,                                    0.2),
    "stopbackward_one":  (False,                                  True),
    "relu_for_unknown":  (False,                                  True),
    "lenient_groups":    (False,                                  True),
    "batchnorm_biases":  (False,                                  True),
    "lstm_parts":        _LSTM,
    "gru_parts":         _GRU,
    "gru_tanh":          (True,                                   False),
    "rnn_hidden":        ("",                                     "hidden"),
    "crnn_filters":      (("hidden_filters", "output_filters"),   ("hidden", "output")),
    "crnn_any_size":     (False,                                  True),
    "xnor_padding":      (0.0,                                    -1.0),
    "list_end":          (None,                                   "#"),
    "most_anchors":      (True,                                   False),
    "cpu_batchnorm":     (True,                                   False),
    "rolling":           ((0.01, 0.01),                           (0.01, 0.1)),
    "wide_seen":         (False,                                  True),
    "revision":          (0,                                      5),
    "region_max":        (30,                                     200),
    "yolo_max":          (90,                                     200),
    "region_logistic":   (True,                                   False),
    "region_raw":        (False,                                  True),
    "leaves_first":      (False,                                  True),
    "nms_kind":          (False,                                  True),
    "iou_normalizer":    (1.0,                                    0.75),
    "uniform_weights":   (False,                                  True),
    "signed_batches":    (False,                                  True),
    "adding_deltas":     (False,                                  True),
    "stopbackward_freezes": (False,                               True),
    "opencv_pictures":   (False,                                  True),
    "labels_beside":     (False,                                  True),
    "scaled_sizes":      (False,                                  True),
}  # fmt: skip
"""Every row of the table: (the original's, the fork's). The fields of `Dialect` say what each means."""

ORIGINAL = Dialect(name="original", **{row: values[0] for row, values in ROWS.items()})
FORK = Dialect(name="fork", **{row: values[1] for row, values in ROWS.items()})

_ONLY_THERE = frozenset(
    (
        "Gaussian_yolo", "scale_channels", "sam", "local_avgpool", "local_avg", "reorg3d", "contrastive", "empty",
        "silence", "implicit", "implicit_add", "implicit_mul", "shift_channels", "control_channels", "conv_lstm",
        "history",
    )
)  # fmt: skip
"""Sections that the original does not know."""

_ACTIVATIONS = frozenset(
    (
        "swish", "silu", "mish", "hard_mish", "relu6", "gelu", "revleaky", "normalize_channels",
        "normalize_channels_softmax", "normalize_channels_softmax_maxval",
    )
)  # fmt: skip

_WINDOWS = frozenset(("stride_x", "stride_y", "antialiasing"))
_BOXES = frozenset(
    (
        "iou_loss", "iou_normalizer", "cls_normalizer", "obj_normalizer", "delta_normalizer", "nms_kind", "beta_nms",
        "scale_x_y", "iou_thresh", "iou_thresh_kind", "max_delta", "resize", "new_coords", "objectness_smooth",
        "label_smooth_eps", "focal_loss", "counters_per_class", "embedding_layer", "show_details",
    )
)  # fmt: skip

_OPTIONS: dict[str, frozenset[str]] = {
    "net": frozenset(
        (
            "letter_box", "mosaic", "mosaic_bound", "mixup", "cutmix", "blur", "gaussian_noise", "ema_alpha",
            "dynamic_minibatch", "loss_scale", "resize_step", "learning_rate_min", "sgdr_cycle", "sgdr_mult",
            "seq_scales", "sequential_subdivisions", "optimized_memory", "workspace_size_limit_MB", "use_cuda_graph",
            "try_fix_nan", "weights_reject_freq", "track", "augment_speed", "adversarial_lr", "attention",
            "contrastive", "unsupervised", "label_smooth_eps", "max_chart_loss", "show_receptive_field",
            "equidistant_point", "badlabels_rejection_percentage", "num_sigmas_reject_badlabels",
        )
    ),
    "convolutional": _WINDOWS | {"dilation", "share_index", "bin_output", "assisted_excitation", "grad_centr", "cbn"},
    "maxpool": _WINDOWS | {"maxpool_depth", "out_channels", "maxpool_zero_nonmax"},
    "shortcut": frozenset(("weights_type", "weights_normalization")),
    "route": frozenset(("groups", "group_id")),
    "dropout": frozenset(("dropblock", "dropblock_size_abs", "dropblock_size_rel")),
    "rnn": frozenset(("logistic",)),
    "crnn": frozenset(("hidden", "output", "size", "stride", "pad", "padding", "groups", "dilation")),
    "yolo": _BOXES,
    "region": frozenset(("focal_loss", "nms_kind", "beta_nms")),
}  # fmt: skip
"""Options that the original does not know, of sections that it does."""

_SPELLINGS = {"network": "net", "conv": "convolutional", "max": "maxpool"}
_SHOWN = 4


def named(name: str) -> Dialect:
    """The dialect of this name; `ORIGINAL` for any that is not the fork's."""
    return FORK if name == FORK.name else ORIGINAL


def dialect_of(cfg: Cfg, name: str | None = None) -> Dialect:
    """The dialect a definition is written in, or the one called `name`. Raises CfgError for an unknown name."""
    if name is not None:
        if name not in get_args(DialectName):
            known = ", ".join(get_args(DialectName))
            raise CfgError(f"dialect: expected one of {known}, found {shown(str(name))}")
        return named(name)
    signs: dict[str, str] = {}
    for word, place in _signs(cfg):
        signs.setdefault(word, place)
    if not signs:
        return ORIGINAL
    found = [f"{word} in {place}" for word, place in signs.items()]
    more = len(found) - _SHOWN
    return replace(FORK, signs=tuple(found[:_SHOWN] + ([f"{more} more"] if more > 0 else [])))


def _signs(cfg: Cfg) -> Iterator[tuple[str, str]]:
    """Words that only the fork has → where each stands, [net] first, and the heads' before the other layers'."""
    net, *layers = cfg.sections
    for word in _words(net):
        yield word, "[net]"
    for heads in (True, False):
        for index, section in enumerate(layers):
            if (section.type == "yolo") is heads:
                for word in _words(section):
                    yield word, f"layer {index}" if word[0] == "[" else f"[{plain(section.type)}] {index}"


def _words(section: Section) -> Iterator[str]:
    """The fork's words in one section."""
    kind = _SPELLINGS.get(section.type, section.type)
    if kind in _ONLY_THERE:
        yield f"[{kind}]"
        return
    known = _OPTIONS.get(kind, frozenset())
    for key, option in reversed(section.counting.items()):  # in the order of the file
        if option.value is None:
            continue
        if key in known:
            yield key
        elif key == "activation" and option.value in _ACTIVATIONS:
            yield f"activation={option.value}"
        elif kind == "net" and key == "policy" and option.value == "sgdr":
            yield "policy=sgdr"
        elif kind == "rnn" and key == "hidden" and option.value != _value(section, "output"):
            yield key  # which the original's own cfgs have, and it passes over, as large as output
        elif kind == "shortcut" and key == "from" and "," in option.value:
            yield "several layers in from"
        elif kind in ("yolo", "region") and key == "anchors" and _numbers(option.value) > 2 * _num(section):
            yield "more anchors than num"  # which the original writes beyond its array


def _numbers(text: str) -> int:
    """How many numbers a list has, up to a comment."""
    return sum(map(bool, text.partition("#")[0].split(",")))


def _num(section: Section) -> int:
    """A head's num, where it is a number."""
    text = _value(section, "num") or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else 1


def _value(section: Section, key: str) -> str | None:
    return option.value if (option := section.find(key)) else None
