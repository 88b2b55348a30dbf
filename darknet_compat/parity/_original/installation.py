"""Where the original Darknet lies on this machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from darknet_compat.errors import OriginalError

PREFIX_VARIABLE = "DARKNET_COMPAT_ORIGINAL"
"""The environment variable that names a prefix folder other than /usr."""


@dataclass(frozen=True)
class Installation:
    """The files of one installed original.

    `library` is libdarknet.so, `header` its darknet.h, `program` the darknet executable, `cfg` and `data` the folders
    with its network definitions and with its names, trees and photos.
    """

    library: Path
    header: Path
    program: Path
    cfg: Path
    data: Path


def find_original() -> Installation | None:
    """The installed original, or None.

    Looks under the folder that DARKNET_COMPAT_ORIGINAL names and nowhere else if it is set, else under /usr and
    /usr/local. A folder may be laid out as Debian's package does (lib/darknet, bin, share/darknet) or as a source
    tree that was built with `make` (all at the top).
    """
    prefix = os.environ.get(PREFIX_VARIABLE)
    for folder in [Path(prefix)] if prefix else [Path("/usr"), Path("/usr/local")]:
        for installation in (_packaged(folder.absolute()), _source_tree(folder.absolute())):
            if installation.library.is_file() and installation.header.is_file():
                return installation
    return None


def require_original() -> Installation:
    """The installed original. Raises OriginalError that says how to get it."""
    installation = find_original()
    if installation is None:
        prefix = os.environ.get(PREFIX_VARIABLE)
        where = f"under {prefix} (from {PREFIX_VARIABLE})" if prefix else "under /usr or /usr/local"
        raise OriginalError(
            f"the original Darknet is not installed: no libdarknet.so with its darknet.h {where}; "
            f"install it with `apt-get install darknet`, or set {PREFIX_VARIABLE} to the folder that holds it"
        )
    return installation


def _packaged(prefix: Path) -> Installation:
    library, share = prefix / "lib/darknet", prefix / "share/darknet"
    return Installation(
        library / "libdarknet.so", library / "include/darknet.h", prefix / "bin/darknet", share / "cfg", share / "data"
    )


def _source_tree(prefix: Path) -> Installation:
    return Installation(
        prefix / "libdarknet.so", prefix / "include/darknet.h", prefix / "darknet", prefix / "cfg", prefix / "data"
    )
