"""A comparison with the original as one piece of work: from an options value to rows, with files if asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from darknet_compat.catalogue.locate import Sources, locate
from darknet_compat.errors import OptionError, OriginalError
from darknet_compat.formats.atomic import atomic_write, results_folder
from darknet_compat.inference.progress import Loading
from darknet_compat.options import made
from darknet_compat.parity.layers import LayerParity, layer_parity
from darknet_compat.parity.options import ParityOptions
from darknet_compat.parity.reference import require_original
from darknet_compat.parity.stages import Chain, stage_parity
from darknet_compat.runtime.registry import is_exported
from darknet_compat.vision.header import limited_pixels

_PHOTOGRAPHS = Path("/usr/share/darknet/data")


@dataclass(frozen=True)
class Held:
    """A network's layers, or its whole chain, held against another program's; and the `files` written."""

    found: LayerParity | Chain
    files: tuple[Path, ...] = ()

    def to_dict(self) -> dict[str, object]:
        """Plain values, for JSON, which has no nan: null for such."""
        return {name: _finite(value) for name, value in self.found.to_dict().items()}


def parity(
    options: ParityOptions | None = None, *, progress: Callable[[Loading], None] | None = None, **given: object
) -> Held:
    """Hold every layer's output, or with `stages` the whole chain, against the original's.

    Takes a `ParityOptions` or its fields as keyword arguments. `progress` is called with each event. Raises OptionError
    for options that cannot be, OriginalError where the original is not installed, and other DarknetCompatErrors for
    whatever is missing or wrong.
    """
    options = made(ParityOptions, options, given)
    sources = locate(options.model, options.weights, download=False)
    if is_exported(sources.cfg):
        raise OptionError(
            f"{options.model} is what comes out at the chain's end; name the .cfg that it was made from, which"
            " --stages exports"
        )
    if options.reader == "original":
        require_original()
    if options.out is not None:
        results_folder(options.out)
    if progress:
        progress(Loading(options.model))
    with limited_pixels(options.max_pixels):
        found = _stages(sources, options) if options.stages else _layers(sources, options)
    held = Held(found)
    return held if options.out is None else Held(found, _written(held, options.out))


def _stages(sources: Sources, options: ParityOptions) -> Chain:
    return stage_parity(
        sources.cfg,
        sources.weights,
        options.image or _photographs(),
        seed=options.seed,
        size=options.size,
        precision=options.precision,
        thresh=options.thresh,
        layers=options.layers,
        names=options.names,
    )


def _layers(sources: Sources, options: ParityOptions) -> LayerParity:
    compare = layer_parity
    if options.reader == "opencv":
        from darknet_compat.parity.opencv import opencv_parity as compare  # type: ignore[assignment]
    image = options.image[0] if options.image else None
    return compare(sources.cfg, sources.weights, image=image, seed=options.seed, size=options.size)


def _photographs() -> list[Path]:
    """Those that come with the original. Raises OriginalError where they are not installed."""
    found = sorted(_PHOTOGRAPHS.glob("*.jpg"))
    if not found:
        raise OriginalError(f"{_PHOTOGRAPHS}: has no pictures to send through; name some with --image")
    return found


def _written(held: Held, out: Path) -> tuple[Path, ...]:
    """A table as JSON, and a plot of layers or a page of stages."""
    from darknet_compat.parity.plot import save_plot
    from darknet_compat.parity.report import write_report

    found, stem = held.found, Path(held.found.cfg).stem
    if isinstance(found, Chain):
        table, shown = out / f"{stem}-stages.json", out / f"{stem}-stages.html"
    else:
        table, shown = out / f"{stem}-parity.json", out / f"{stem}-parity.png"
    with atomic_write(table) as file:
        file.write(json.dumps(held.to_dict(), indent=1).encode())
    write_report(found, shown) if isinstance(found, Chain) else save_plot(found, shown)
    return table, shown


def _finite(value: object) -> object:
    """The same with null for numbers that JSON does not have, such as the difference to a nan."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and value - value != 0 else value
