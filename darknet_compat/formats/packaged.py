"""Where this package's own `cfg/` and `weights/` lie.

They stand at the top of the repository, where people look for them, and travel inside the package when it is built as
a wheel. This is the only place that knows both; everything else asks here.
"""

from __future__ import annotations

from pathlib import Path

from darknet_compat.errors import CatalogError

_PACKAGE = Path(__file__).resolve().parents[1]


def cfg_dir() -> Path:
    """Return the folder of the network definitions and, in its `data/`, of names, labels, trees and maps.

    Raises CatalogError where the installation lacks it.
    """
    return _find("cfg")


def weights_dir() -> Path:
    """Return the folder of the shipped weights and of the manifest with their checksums.

    Raises CatalogError where the installation lacks it.
    """
    return _find("weights")


def _find(name: str) -> Path:
    # An installed wheel has _data and no repository around it, a checkout (editable or on PYTHONPATH) the other way
    # round. The wheel's comes first: a folder that happens to be called cfg in site-packages is not ours.
    for folder in (_PACKAGE / "_data" / name, _PACKAGE.parent / name):
        if folder.is_dir():
            return folder
    raise CatalogError(
        f"{_PACKAGE}: the packaged folder {name}/ is missing, neither inside the package nor beside it;"
        " this installation is incomplete, reinstall darknet-compat"
    )
