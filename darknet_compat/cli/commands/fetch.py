"""`darknet-compat fetch`: a model's weights onto this machine."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from darknet_compat.cli.options import Json
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.errors import DarknetCompatError
from darknet_compat.options import Option

Models = Annotated[
    list[str], Option("Names from the catalogue (`info` alone lists it).", metavar="MODEL", positional=True)
]


def fetch(models: Models, json: Json = False) -> None:
    """Download weights, check them, print their path.

    They come into the cache folder (the system's, or the one that DARKNET_COMPAT_CACHE names) and stay there. An
    interrupted download is resumed by the next. stdout gets nothing but the path.
    """
    answers = [_fetch(name, json) for name in models]
    if json:
        terminal.print_json({"models": answers})
    if any("error" in answer for answer in answers):
        raise typer.Exit(1)


def _fetch(name: str, json: bool) -> dict[str, Any]:
    from darknet_compat.catalogue import catalog

    try:
        model = catalog.find(name)
        with terminal.Transfers(model.name, quiet=json) as progress:
            path = catalog.fetch(model, progress=progress)
    except DarknetCompatError as error:
        terminal.say(str(error))
        return {"name": name, "error": str(error)}
    checksums = model.weights.expected.checksums
    size = path.stat().st_size
    if not json:
        held = (
            f"its {', '.join(checksums)} as published" if checksums else "its length; no checksum of it was published"
        )
        came = "fetched" if progress.fetched else "already here"
        terminal.say(f"{model.name}: {came}, {terminal.in_bytes(size)}, checked by {held}")
        print(terminal.printable(path))
    return {
        "name": model.name,
        "file": str(path),
        "bytes": size,
        "fetched": progress.fetched,
        "checksums": checksums or "unknown",
    }
