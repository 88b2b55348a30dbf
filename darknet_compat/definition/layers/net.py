"""The `[net]` section: what a network reads and how it is trained (original: `parse_net_options`)."""

from __future__ import annotations

from typing import Any, get_args, get_type_hints

from darknet_compat.definition.context import LIMIT
from darknet_compat.definition.dialects import Dialect
from darknet_compat.definition.spec import Net
from darknet_compat.formats.cfg import SectionOptions
from darknet_compat.formats.textfile import shown

_POLICIES = get_args(get_type_hints(Net)["policy"])


def lower_net(options: SectionOptions, dialect: Dialect) -> Net:
    """The section as a value. Raises CfgError for a size of no picture, or steps without scales."""
    options.without_effect("notruth", 0.0)
    size: dict[str, Any] = {key: options.integer(key, 0, minimum=0) for key in ("width", "height", "channels")}
    max_crop = options.integer("max_crop", 2 * size["width"])
    min_crop = options.integer("min_crop", size["width"])
    width = max(size["width"], 1)
    return Net(
        batch=options.integer("batch", 1, minimum=1),
        subdivisions=options.integer("subdivisions", 1, minimum=1),
        time_steps=options.integer("time_steps", 1, minimum=1),
        **size,
        inputs=_inputs(options, size),
        **_rate(options, dialect),
        momentum=options.real("momentum", 0.9),
        decay=options.real("decay", 0.0001),
        adam=options.flag("adam"),
        B1=options.real("B1", 0.9),
        B2=options.real("B2", 0.999),
        eps=options.real("eps", dialect.adam_eps),
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
        letter_box=options.flag("letter_box") if options.has("letter_box") else None,
        **_fork(options),
    )


def _inputs(options: SectionOptions, size: dict[str, Any]) -> int:
    """How many values one input has."""
    pixels = size["height"] * size["width"] * size["channels"]
    inputs = options.integer("inputs", min(pixels, LIMIT), minimum=0)
    if max(inputs, pixels) > LIMIT or not (inputs or pixels):
        found = ", ".join(f"{key}={value}" for key, value in size.items())
        raise options.error(
            "expected width, height and channels (or inputs), all above 0 and together below 2^31; found " + found
        )
    if pixels and inputs != pixels:
        raise options.error(f"inputs={inputs}, but width·height·channels = {pixels}", "inputs")
    return inputs


def _rate(options: SectionOptions, dialect: Dialect) -> dict[str, Any]:
    """The learning rate and how it changes."""
    policy = options.text("policy", "constant")
    if policy not in _POLICIES:
        options.note(f"unknown policy {shown(policy)} is taken for constant", "policy")
        policy = "constant"
    steps, scales = (
        (options.integers("steps", dialect.list_end), options.reals("scales")) if policy == "steps" else ((), ())
    )
    if policy == "steps" and (not steps or len(scales) < len(steps)):
        raise options.error(
            f"policy=steps needs as many scales as steps, found {len(scales)} for {len(steps)}", "steps"
        )
    step = options.integer("step", 1)
    if policy == "step" and not step:
        raise options.error("policy=step needs a step above 0, found 0", "step")
    max_batches = options.integer("max_batches", 0)
    return {
        "learning_rate": options.real("learning_rate", 0.001),
        "policy": policy,
        "burn_in": options.integer("burn_in", 0),
        "power": options.real("power", 4.0),
        "step": step,
        "signed_batches": dialect.signed_batches,
        "scale": options.real("scale", 1.0),
        "gamma": options.real("gamma", 1.0),
        "steps": steps,
        "scales": scales[: len(steps)],
        "max_batches": max_batches,
        "learning_rate_min": options.real("learning_rate_min", 1e-5),
        "sgdr_cycle": options.integer("sgdr_cycle", max_batches),
        "sgdr_mult": options.integer("sgdr_mult", 2),
    }


_FLAGS = ("mosaic", "mosaic_bound", "mixup", "cutmix")
_WHOLE = {"blur": 0, "gaussian_noise": 0, "resize_step": 32}
_REAL = {"label_smooth_eps": 0.0, "ema_alpha": 0.0}


def _fork(options: SectionOptions) -> dict[str, Any]:
    """What only the fork has, for training."""
    return {
        **{key: options.flag(key) for key in _FLAGS},
        **{key: options.integer(key, default, minimum=0) for key, default in _WHOLE.items()},
        **{key: options.real(key, default) for key, default in _REAL.items()},
    }
