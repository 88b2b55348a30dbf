"""What of a definition the original does not have, and each other layer held against the original by itself.

The original takes a word it does not know for another (mish for relu) or passes over it (groups of a [route]), so that
all after it differs, or dies. So each layer that it has is run alone there, on what torch gave that layer in the whole
network; the others are named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from darknet_compat.definition.spec import Convolutional, Cost, Dropout, LayerSpec, NetworkSpec, Shape
from darknet_compat.formats.cfg import Cfg, CfgOption, Section, format_cfg
from darknet_compat.network.load import load_network, save_weights
from darknet_compat.network.network import Network
from darknet_compat.parity.compare import TOLERANCES, Difference, compare
from darknet_compat.parity.reference import Original

SECTIONS = frozenset(
    (
        "activation", "avg", "avgpool", "batchnorm", "connected", "conn", "convolutional", "conv", "cost", "crnn",
        "crop", "deconvolutional", "deconv", "detection", "dropout", "gru", "iseg", "l2norm", "local", "logistic",
        "lrn", "lstm", "max", "maxpool", "normalization", "region", "reorg", "rnn", "route", "shortcut", "soft",
        "softmax", "upsample", "yolo",
    )
)  # fmt: skip
"""The original's (its parser.c, `string_to_layer_type`)."""

ACTIVATIONS = frozenset(
    (
        "elu", "hardtan", "leaky", "lhtan", "linear", "loggy", "logistic", "plse", "ramp", "relie", "relu", "selu",
        "stair", "tanh",
    )
)  # fmt: skip
"""The original's (its activations.c, `get_activation`)."""

OPTIONS: dict[str, dict[str, str]] = {
    "convolutional": {
        "antialiasing": "0", "bin_output": "0", "cbn": "0", "dilation": "1", "share_index": "", "stride_x": "",
        "stride_y": "",
    },
    "maxpool": {"antialiasing": "0", "maxpool_depth": "0", "stride_x": "", "stride_y": ""},
    "route": {"groups": "1"},
    "shortcut": {"weights_type": "none"},
    "yolo": {"new_coords": "0", "scale_x_y": "1"},
    "rnn": {"logistic": "0"},
    "crnn": {"dilation": "1", "groups": "1", "hidden": "", "output": "", "size": "3"},
}  # fmt: skip
"""Options that change what a layer gives and that the original does not have → the value that changes nothing."""


def foreign(section: Section) -> str:
    """What of a layer's section the original does not have; empty where it has all that counts."""
    if section.type not in SECTIONS:
        return f"[{section.type}]"
    given = section.given
    if given.get("activation", "linear") not in ACTIVATIONS:
        return f"activation={given['activation']}"
    if section.type == "shortcut" and "," in given.get("from", ""):
        return "several layers in from"
    if section.type == "rnn" and given.get("hidden", given.get("output")) != given.get("output"):
        return f"hidden={given['hidden']}"  # passed over there, and as large as output in its own files
    for key, nothing in OPTIONS.get(
        {"conv": "convolutional", "max": "maxpool"}.get(section.type, section.type), {}
    ).items():
        if key in given and not _equal(given[key], nothing):
            return f"{key}={given[key]}"
    return ""


def foreign_layers(cfg: Cfg) -> dict[int, str]:
    """By layer what the original does not have; a first [dropout] takes the output of the layer before it: of none."""
    layers = cfg.sections[1:]
    first = {0: "[dropout] as the first layer"} if layers and layers[0].type == "dropout" else {}
    return first | {index: why for index, section in enumerate(layers) if (why := foreign(section))}


def remarks_on(cfg: Cfg, why: dict[int, str]) -> tuple[str, ...]:
    """One line on what could not be compared, and one on how the others were; none where all could."""
    if not why:
        return ()
    layers: dict[str, list[int]] = {}
    for index, reason in why.items():
        kind = f"[{cfg.sections[index + 1].type}]"
        layers.setdefault(reason if reason.startswith(kind) else f"{reason} of {kind}", []).append(index)
    shown = [f"{reason} ({_places(places)})" for reason, places in layers.items()]
    more = f" and {len(shown) - 6} more" if len(shown) > 6 else ""
    return (
        f"the original does not have {', '.join(shown[:6])}{more}",
        "so each other layer was run in it alone, on what torch gave that layer; --reader opencv compares all",
    )


def rows_alone(
    cfg: Cfg, network: Network, found: list[Tensor], images: Tensor, original: Original, folder: Path
) -> Iterator[Difference]:
    """A row a layer: the original's alone against torch's alone, or why there is none."""
    why = foreign_layers(cfg)
    for layer in network.spec.layers:
        name = f"{layer.index} {layer.type}"
        if layer.index in why:
            yield _nothing(name, layer, f"the original has no {why[layer.index]}")
        elif reason := _inseparable(layer, network.spec):
            yield _nothing(name, layer, reason)
        else:
            inputs = [images if source < 0 else found[source] for source in layer.sources]
            yield _alone(name, cfg.sections[layer.index + 1], layer, network, inputs, original, folder)


def _alone(
    name: str,
    section: Section,
    layer: LayerSpec,
    network: Network,
    inputs: list[Tensor],
    original: Original,
    folder: Path,
) -> Difference:
    """One layer in a network of its own, which has the layer's weights."""
    # What is no image goes in as one of 1 x 1: the values are the same, and several can be joined.
    inputs = [values if values.dim() == 4 else values[:, :, None, None] for values in inputs]
    shapes = [Shape(*values.shape[1:]) for values in inputs]
    sections = _one_input(section, layer) if len(inputs) == 1 else _several(section, shapes)
    cfg, weights = folder / f"{layer.index}.cfg", folder / f"{layer.index}.weights"
    cfg.write_text(format_cfg([_net(shapes), *sections]), "utf-8", errors="surrogateescape")
    small = load_network(cfg, batchnorm="cpu", dialect="original")
    _fill(small, network, layer, shapes)
    save_weights(small, weights)
    images = torch.cat(inputs, 1) if len(inputs) > 1 else inputs[0]
    theirs = original.layer_outputs(cfg, weights, np.ascontiguousarray(images.numpy()))[-1].output
    ours = small.layer_outputs(images)[-1].numpy()
    for path in (cfg, weights):
        path.unlink()
    return compare(name, theirs, ours, TOLERANCES["original", "torch", "fp32"])


def _one_input(section: Section, layer: LayerSpec) -> list[Section]:
    """The section itself, in the original's words; of a [route] of one layer the layer becomes the input."""
    if section.type == "route":
        return [_section("activation", activation="linear"), _section("route", layers=-1)]
    if isinstance(layer, Convolutional) and section.find("groups"):  # with xnor, or of 0, the fork takes them for 1
        return [_section(section.type, **section.given | {"groups": layer.groups})]
    return [section]


def _several(section: Section, shapes: list[Shape]) -> list[Section]:
    """A layer that reads several: the input holds them all, and 1x1 convolutions of ones pick each out again."""
    picks: list[Section] = [_section("activation", activation="linear")]
    places: list[int] = []
    # The last one comes first among a shortcut's sources: it adds another layer to the one before it.
    for shape in reversed(shapes):
        if places:
            picks.append(_section("route", layers=0))
        places.insert(0, len(picks))
        picks.append(_section("convolutional", filters=shape.c, size=1, stride=1, activation="linear"))
    if section.type == "route":
        return [*picks, _section("route", layers=",".join(map(str, places)))]
    return [*picks, _section("shortcut", **section.given | {"from": places[1]})]


@torch.no_grad()
def _fill(small: Network, network: Network, layer: LayerSpec, shapes: list[Shape]) -> None:
    """The layer's own weights; where it reads several, the ones that pick each out of the input."""
    if len(shapes) == 1:
        own = {slot.name: values for slot, values in network.slots() if slot.layer == layer.index}
        for slot, _ in small.slots():
            small.parameter(slot).copy_(torch.from_numpy(own[slot.name]))
        return
    starts = np.cumsum([0, *(shape.c for shape in shapes)])
    picks = [slot for slot, _ in small.slots() if slot.name == "weights"]
    for slot, start in zip(picks, reversed(starts[:-1]), strict=True):
        small.parameter(slot).zero_()[:, start : start + slot.shape[0], 0, 0].fill_diagonal_(1.0)


def _inseparable(layer: LayerSpec, spec: NetworkSpec) -> str:
    """Why a layer that the original has cannot be run there by itself; empty where it can."""
    if isinstance(layer, Cost):
        return "a cost without truth"
    if isinstance(layer, Dropout):
        return "hands on what is before it, which a layer alone does not have"
    if layer.recurrent:
        return "keeps a state, which a layer alone does not have"
    if len(layer.sources) > 1:
        sides = {spec.layers[source].output[1:] if source >= 0 else spec.net.input[1:] for source in layer.sources}
        if len(sides) > 1:
            return "reads layers of different sizes, which do not fit into one input"
    return ""


def _net(shapes: list[Shape]) -> Section:
    return _section("net", batch=1, width=shapes[0].w, height=shapes[0].h, channels=sum(shape.c for shape in shapes))


def _section(kind: str, **options: object) -> Section:
    return Section(kind, tuple(CfgOption(key, str(value), 0) for key, value in options.items()), 0)


def _equal(value: str, nothing: str) -> bool:
    try:
        return bool(nothing) and float(value.partition("#")[0]) == float(nothing)
    except ValueError:
        return value == nothing


def _places(layers: list[int]) -> str:
    return f"layer {layers[0]}" if len(layers) == 1 else f"{len(layers)} layers from {layers[0]}"


def _nothing(name: str, layer: LayerSpec, why: str) -> Difference:
    tolerance = TOLERANCES["original", "torch", "fp32"]
    return Difference(name, (1, *layer.output[:3]), 0, 0, 0, 0, tolerance, (), 0, 0, "nothing to compare", why)
