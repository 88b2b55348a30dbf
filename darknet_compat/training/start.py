"""Where training begins: a definition and weights, whole, cut, or of another number of classes."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from darknet_compat.definition.adapt import with_classes, with_net_options
from darknet_compat.definition.dialects import DialectName, dialect_of
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.definition.weights.file import Weights, covered_layers, read_weights
from darknet_compat.definition.weights.slots import Header, slots
from darknet_compat.errors import TrainingError, WeightsError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.cfg import Cfg, format_cfg, read_cfg
from darknet_compat.formats.textfile import count
from darknet_compat.network.network import Network


class Start(NamedTuple):
    """A network to train, the definition it was made from, and what a person should know of how it begins."""

    network: Network
    cfg: Path
    notes: tuple[str, ...]


def start_training(
    cfg: str | Path,
    weights: str | Path | None = None,
    *,
    out: str | Path,
    classes: int | None = None,
    options: Mapping[str, int | float | str] | None = None,
    clear: bool = False,
    seed: int | None = None,
    dialect: DialectName | None = None,
) -> Start:
    """Lay the definition into the folder `out`, with the files that it names, and make the network.

    `weights` may hold the whole network, only its first layers (`darknet19_448.conv.23`), or the same network with
    other classes: what does not fit is drawn at random, which `notes` say. With `classes` unlike the definition's, its
    heads are made anew for so many. `options` stand in `[net]` instead of the definition's own. `clear` starts at 0
    images seen (original: `-clear`), as do weights of which not all could be used. With a `seed`, torch's random
    numbers, by which weights begin and dropout drops, are the same in every run. `dialect` as in `load_network`.

    Raises DarknetCompatError, one line, for files that cannot be read, and weights of some other network.
    """
    old = load_spec(cfg, dialect=dialect)
    notes = [f"{old.name}: training does not follow {'; '.join(old.unfollowed)}"] if old.unfollowed else []
    sections = read_cfg(cfg)
    adapted = classes is not None and classes != head_classes(old)
    if classes is not None and adapted:
        sections = with_classes(sections, classes)
        own = count(head_classes(old), "class")
        notes.append(f"the cfg has {own}, the data {classes}: its heads are made anew for these")
    sections, remark = _telling(with_net_options(sections, dict(options or {})), dialect, old)
    notes += remark
    place = _lay_out(out, cfg, format_cfg(sections), {} if adapted else old.files)
    if seed is not None:
        torch.manual_seed(seed)
    network = Network(load_spec(place, dialect=dialect, quiet=True))
    if weights is not None:
        notes += _load(network, Path(weights), old)
    if clear and network.header.seen:
        notes.append(f"{count(network.header.seen, 'image')} seen before do not count (clear)")
        network.header = replace(network.header, seen=0)
    return Start(network.train(), place, tuple(notes))


def _telling(sections: Cfg, asked: DialectName | None, spec: NetworkSpec) -> tuple[Cfg, list[str]]:
    """The folder's definition so that its words tell the dialect `asked` for, whoever reads it later; and what to say
    where no words can: none take back what only the fork has."""
    spoken, told = dialect_of(sections, asked), dialect_of(sections)
    if spoken == told:
        return sections, []
    if told.signs:
        return sections, [
            f"the cfg has words that make it the {told.name}'s ({', '.join(told.signs)}): what is trained here has to"
            f" be read with --dialect {spoken.name}, each time"
        ]
    return with_net_options(sections, {"letter_box": int(spec.resize == "letterbox")}), []


def head_classes(spec: NetworkSpec) -> int:
    """How many classes the last head tells apart."""
    head = spec.heads[-1] if spec.heads else None
    if head is None:
        raise TrainingError(f"{spec.name}: has no head, so there is nothing to be learned")
    return getattr(head, "classes", None) or head.output.size


def _lay_out(out: str | Path, cfg: str | Path, text: str, files: Mapping[str, str]) -> Path:
    """Write the definition, and copies of the files that it names under the names it gives them."""
    folder, place = Path(out), Path(out) / Path(cfg).name
    if place.resolve() == Path(cfg).resolve():
        if format_cfg(read_cfg(cfg)) == text:
            return place
        raise TrainingError(f"{cfg}: would be overwritten by what is made of it; choose another folder for the results")
    folder.mkdir(parents=True, exist_ok=True)
    for name, found in files.items():
        target = folder / name
        if target.resolve().is_relative_to(folder.resolve()) and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(found, target)
    with atomic_write(place, TrainingError) as file:
        file.write(text.encode())
    return place


def _load(network: Network, path: Path, old: NetworkSpec) -> list[str]:
    """Copy whatever of a file suits the network, which may differ from `old`, the file's, in its heads."""
    covered = covered_layers(path, old)
    if not covered and covered_layers(path, network.spec):
        old, covered = network.spec, covered_layers(path, network.spec)  # of a network adapted before
    values = read_weights(path, old, covered or None)  # without a fit, for its account of why
    shapes = {(slot.layer, slot.name): slot.shape for slot in slots(network.spec)}
    kept = [(slot, array) for slot, array in values.arrays if shapes.get((slot.layer, slot.name)) == slot.shape]
    left_out = sorted({slot.layer for slot, _ in values.arrays} - {slot.layer for slot, _ in kept})
    network.load(Weights(values.header, tuple(kept)))
    notes = []
    if covered < len(old.layers):
        notes.append(
            f"{path.name} holds the first {covered} of {count(len(old.layers), 'layer')}; the others start at random"
        )
    if left_out:
        layers = ", ".join(f"{layer} [{network.spec.layers[layer].type}]" for layer in left_out)
        notes.append(f"layer {layers} of {path.name} is for other classes and starts at random")
    if notes and values.header.seen:
        notes.append(f"so the {count(values.header.seen, 'image')} seen before do not count")
    if notes:
        network.header = Header()
    if not kept:
        raise WeightsError(f"{path}: nothing in it suits {network.spec.name}")
    return notes
