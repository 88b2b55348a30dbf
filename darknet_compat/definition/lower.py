"""Sections → NetworkSpec: defaults filled in, relative indices made absolute, every shape known.

This is the only place where option names and defaults stand (original: `parse_network_cfg` and its `parse_*`); the
layers' own are in `layers`. What would make the original crash, read beyond its arrays or ask for more than
32-bit counts is a CfgError here, before anything is allocated.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from darknet_compat.definition.context import Context
from darknet_compat.definition.dialects import DialectName, dialect_of
from darknet_compat.definition.layers.net import lower_net
from darknet_compat.definition.layers.table import LOWERINGS
from darknet_compat.definition.options import known, not_followed
from darknet_compat.definition.other_tools import whose_section
from darknet_compat.definition.spec import Convolutional, LayerSpec, NetworkSpec, Route
from darknet_compat.errors import CfgError, CfgWarning
from darknet_compat.formats.cfg import Cfg, CfgOption, SectionOptions, read_cfg
from darknet_compat.formats.metadata import data_roots
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import plain

MAX_LAYERS = 10_000
"""The deepest network that the original ships has 305; a definition beyond this only costs time."""

_NET = ("net", "network")
_NOTES = 3  # that a warning, which is one line, has room for


def load_spec(
    path: str | Path,
    size: tuple[int, int] | None = None,
    *,
    dialect: DialectName | None = None,
    quiet: bool = False,
) -> NetworkSpec:
    """Read a `.cfg` file and lower it, at another input `size` (width, height) if given; `dialect` as in `lower`.

    Raises CfgError, or TreeError and MetadataError for files it names. Unless it shall
    be `quiet`, warns with CfgWarning of what has no effect.
    """
    cfg = read_cfg(path)
    spec = lower(cfg if size is None else at_size(cfg, *size), data_roots(path, [cfg_dir()]), dialect=dialect)
    if spec.notes and not quiet:
        warnings.warn(_in_one_line(spec), CfgWarning, stacklevel=2)
    return spec


def _in_one_line(spec: NetworkSpec) -> str:
    """The first notes of a definition, which its file's name begins."""
    first, *rest = spec.notes[:_NOTES]
    others = [f"line {note.removeprefix(f'{spec.name}:')}" for note in rest]
    more = len(spec.notes) - _NOTES
    return "; ".join([first, *others, *([f"{more} more, which `info` lists"] if more > 0 else [])])


def at_size(cfg: Cfg, width: int, height: int) -> Cfg:
    """The same definition for images of `width` x `height` (original: `resize_network`)."""
    net, *rest = cfg.sections
    changed = (CfgOption("width", str(width), net.line), CfgOption("height", str(height), net.line))
    kept = tuple(option for option in net.options if option.key not in ("width", "height", "inputs"))
    return replace(cfg, sections=(replace(net, options=(*changed, *kept)), *rest))


def lower(cfg: Cfg, roots: Sequence[Path] | None = None, *, dialect: DialectName | None = None) -> NetworkSpec:
    """Lower parsed sections.

    `roots` are the folders in which files named by the cfg (`tree`, `map`) may lie; by default only the packaged one.
    `dialect` says whose words these are, by default what the cfg's own words tell (`dialects.dialect_of`).
    Raises CfgError naming the line for whatever describes no possible network.
    """
    first, *rest = cfg.sections
    if first.type not in _NET:
        raise CfgError(f"{cfg.name}:{first.line}: expected [net] or [network] first, found [{plain(first.type)}]")
    if not rest:
        raise CfgError(f"{cfg.name}: only [net], no layers")
    if len(rest) > MAX_LAYERS:
        raise CfgError(f"{cfg.name}: expected at most {MAX_LAYERS} layers, found {len(rest)}")
    options = SectionOptions(first, cfg.name)
    spoken = dialect_of(cfg, dialect)
    net = lower_net(options, spoken)
    notes = options.finish(known(first.type))
    context = Context(net, cfg.name, [cfg_dir()] if roots is None else roots, spoken)
    for section in rest:
        options = SectionOptions(section, cfg.name, None if section.type in _NET else context.index)
        if section.type in _NET:
            raise options.error("stands a second time; are these two definitions in one file?")
        if section.type not in LOWERINGS:
            raise options.error(unknown_section(section.type))
        context.layers.append(LOWERINGS[section.type](options, context))
        notes += options.finish(known(section.type))
    unfollowed = not_followed(cfg.sections)
    return NetworkSpec(net, _packed(context.layers), cfg.name, tuple(notes), context.files, spoken, unfollowed)


def unknown_section(name: str) -> str:
    """What to say of a section that nobody here reads."""
    if whose := whose_section(name):
        return f"unknown section, which seems to be {whose}"
    if near := get_close_matches(name, [*LOWERINGS, *_NET], 1):
        return f"unknown section; did you mean [{near[0]}]?"
    return f"unknown section; known are {', '.join(sorted(LOWERINGS, key=str.lower))}"


def _packed(layers: Sequence[LayerSpec]) -> tuple[LayerSpec, ...]:
    """The layers as the fork packs bits: with bin_output a convolution of signs hands on what it has before its
    activation, unless a layer that joins others reads it."""
    joined = {
        source for layer in layers if len(layer.sources) > 1 or isinstance(layer, Route) for source in layer.sources
    }
    return tuple(
        replace(layer, activation="linear")
        if isinstance(layer, Convolutional) and layer.bin_output and layer.index not in joined
        else layer
        for layer in layers
    )
