"""`darknet-compat cache`: what is kept to start quickly, and its removal."""

from __future__ import annotations

from typing import Annotated

from darknet_compat.catalogue.cache import KINDS
from darknet_compat.cli.options import Json
from darknet_compat.cli.terminal import output as terminal
from darknet_compat.errors import OptionError
from darknet_compat.options import Option

Kinds = Annotated[
    list[str] | None,
    Option(f"Of these only: {', '.join(KINDS)} (all).", metavar="KIND", positional=True),
]
Clear = Annotated[bool, Option("Remove the files; they are made again when they are needed.")]


def cache(kinds: Kinds = None, clear: Clear = False, json: Json = False) -> None:
    """Show what is kept to start quickly, or remove it.

    Exports of networks, models that ONNX Runtime has optimised, TensorRT's engines; they lie in the folder that
    DARKNET_COMPAT_CACHE names (the system's for caches). What has not been used for longest goes where exports and
    optimised models exceed DARKNET_COMPAT_CACHE_LIMIT bytes (4 GiB). Downloaded weights are not touched.
    """
    from darknet_compat.catalogue import cache as kept
    from darknet_compat.catalogue.catalog import cache_dir

    for kind in kinds or ():
        if kind not in KINDS:
            raise OptionError(f"KIND: expected {', '.join(KINDS)}, found {kind!r}")
    wanted = [kind for kind in KINDS if not kinds or kind in kinds]
    found = kept.clear(wanted) if clear else kept.entries(wanted)
    total = sum(entry.bytes for entry in found)
    if json:
        listed = [
            {"file": str(entry.path), "kind": entry.kind, "bytes": entry.bytes, "used": round(entry.used, 3)}
            for entry in found
        ]
        terminal.print_json(
            {"folder": str(cache_dir()), "limit": kept.limit(), "bytes": total, "removed": clear, "files": listed}
        )
        return
    if clear:
        terminal.print_line(f"removed {terminal.count(len(found), 'file')}, {terminal.in_bytes(total)}")
        return
    own = {kind: [entry.bytes for entry in found if entry.kind == kind] for kind in wanted}
    rows = [(kind, len(own[kind]), terminal.in_bytes(sum(own[kind])), KINDS[kind]) for kind in wanted]
    terminal.print_table(("kind", "files", "size", "what"), rows, left=("kind", "what"))
    terminal.print_line(f"{cache_dir()}: {terminal.in_bytes(total)}, {terminal.in_bytes(kept.limit())} at most")
