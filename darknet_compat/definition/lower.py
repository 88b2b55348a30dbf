"""Sections → NetworkSpec: defaults filled in, relative indices made absolute, every shape known.

This is the only place where option names and defaults stand (original: `parse_network_cfg` and its `parse_*`); the
layers' own are in `lower_layers`. What would make the original crash, read beyond its arrays or ask for more than
32-bit counts is a CfgError here, before anything is allocated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from darknet_compat.definition.context import LIMIT, Context
from darknet_compat.definition.lower_layers import LOWERINGS
from darknet_compat.definition.spec import Net, NetworkSpec
from darknet_compat.errors import CfgError
from darknet_compat.formats.cfg import Cfg, Option, Options, read_cfg
from darknet_compat.formats.metadata import data_roots
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import plain, shown

MAX_LAYERS = 10_000
"""The deepest network that the original ships has 305; a definition beyond this only costs time."""

_NET = ("net", "network")
_POLICIES = ("constant", "step", "steps", "exp", "sigmoid", "poly", "random")


def load_spec(path: str | Path, size: tuple[int, int] | None = None) -> NetworkSpec:
    """Read a `.cfg` file and lower it, at another input `size` (width, height) if given.

    Raises CfgError, or TreeError and MetadataError for files it names.
    """
    cfg = read_cfg(path)
    return lower(cfg if size is None else at_size(cfg, *size), data_roots(path, [cfg_dir()]))


def at_size(cfg: Cfg, width: int, height: int) -> Cfg:
    """The same definition for images of `width` x `height` (original: `resize_network`)."""
    net, *rest = cfg.sections
    changed = (Option("width", str(width), net.line), Option("height", str(height), net.line))
    kept = tuple(option for option in net.options if option.key not in ("width", "height", "inputs"))
    return replace(cfg, sections=(replace(net, options=(*changed, *kept)), *rest))


def lower(cfg: Cfg, roots: Sequence[Path] | None = None) -> NetworkSpec:
    """Lower parsed sections.

    `roots` are the folders in which files named by the cfg (`tree`, `map`) may lie; by default only the packaged one.
    Raises CfgError naming the line for whatever describes no possible network.
    """
    first, *rest = cfg.sections
    if first.type not in _NET:
        raise CfgError(f"{cfg.name}:{first.line}: expected [net] or [network] first, found [{plain(first.type)}]")
    if not rest:
        raise CfgError(f"{cfg.name}: only [net], no layers")
    if len(rest) > MAX_LAYERS:
        raise CfgError(f"{cfg.name}: expected at most {MAX_LAYERS} layers, found {len(rest)}")
    options = Options(first, cfg.name)
    net = _lower_net(options)
    notes = options.finish()
    context = Context(net, cfg.name, [cfg_dir()] if roots is None else roots)
    for section in rest:
        options = Options(section, cfg.name)
        if section.type in _NET:
            raise options.error("stands a second time; are these two definitions in one file?")
        if section.type not in LOWERINGS:
            raise options.error(f"unknown section; known are {', '.join(sorted(LOWERINGS))}")
        context.layers.append(LOWERINGS[section.type](options, context))
        notes += options.finish()
    return NetworkSpec(net, tuple(context.layers), cfg.name, tuple(notes), context.files)


def _lower_net(options: Options) -> Net:
    """The `[net]` section (original: `parse_net_options`)."""
    size = {key: options.integer(key, 0, minimum=0) for key in ("width", "height", "channels")}
    pixels = size["height"] * size["width"] * size["channels"]
    inputs = options.integer("inputs", min(pixels, LIMIT), minimum=0)
    if max(inputs, pixels) > LIMIT or not (inputs or pixels):
        found = ", ".join(f"{key}={value}" for key, value in size.items())
        raise options.error(
            "expected width, height and channels (or inputs), all above 0 and together below 2^31; found " + found
        )
    if pixels and inputs != pixels:
        raise options.error(f"inputs={inputs}, but width·height·channels = {pixels}", "inputs")
    policy = options.text("policy", "constant")
    if policy not in _POLICIES:
        options.note(f"unknown policy {shown(policy)} is taken for constant", "policy")
        policy = "constant"
    steps, scales = (options.integers("steps"), options.reals("scales")) if policy == "steps" else ((), ())
    if policy == "steps" and (not steps or len(scales) < len(steps)):
        raise options.error(
            f"policy=steps needs as many scales as steps, found {len(scales)} for {len(steps)}", "steps"
        )
    step = options.integer("step", 1)
    if policy == "step" and not step:
        raise options.error("policy=step needs a step above 0, found 0", "step")
    max_crop = options.integer("max_crop", 2 * size["width"])
    min_crop = options.integer("min_crop", size["width"])
    width = max(size["width"], 1)
    return Net(
        batch=options.integer("batch", 1, minimum=1),
        subdivisions=options.integer("subdivisions", 1, minimum=1),
        time_steps=options.integer("time_steps", 1, minimum=1),
        **size,
        inputs=inputs,
        learning_rate=options.real("learning_rate", 0.001),
        momentum=options.real("momentum", 0.9),
        decay=options.real("decay", 0.0001),
        adam=options.flag("adam"),
        B1=options.real("B1", 0.9),
        B2=options.real("B2", 0.999),
        eps=options.real("eps", 1e-7),
        policy=cast(Any, policy),
        burn_in=options.integer("burn_in", 0),
        power=options.real("power", 4.0),
        step=step,
        scale=options.real("scale", 1.0),
        gamma=options.real("gamma", 1.0),
        steps=steps,
        scales=scales[: len(steps)],
        max_batches=options.integer("max_batches", 0),
        min_crop=min_crop,
        max_crop=max_crop,
        min_ratio=options.real("min_ratio", min_crop / width),
        max_ratio=options.real("max_ratio", max_crop / width),
        center=options.flag("center"),
        clip=options.real("clip", 0.0),
        angle=options.real("angle", 0.0),
        aspect=options.real("aspect", 1.0),
        saturation=options.real("saturation", 1.0),
        exposure=options.real("exposure", 1.0),
        hue=options.real("hue", 0.0),
        flip=options.flag("flip", default=True),
        random=options.integer("random", 0),
        notruth=options.flag("notruth"),
        letter_box=options.flag("letter_box") if options.has("letter_box") else None,
    )
