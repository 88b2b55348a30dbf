"""The files that Darknet's command lines name: definitions and weights, `.data` files and what they name, pictures."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from darknet_compat.cli.darknet.grammar import Line
from darknet_compat.errors import CatalogError, MetadataError, OptionError, WeightsError
from darknet_compat.formats.datafile import DataFile

if TYPE_CHECKING:
    from darknet_compat.definition.spec import NetworkSpec
    from darknet_compat.formats.words import Build


@cache
def read_spec(cfg: Path) -> NetworkSpec:
    """A definition in the original's words."""
    from darknet_compat.definition.lower import load_spec

    return load_spec(cfg, dialect="original")


def build_of(cfg: Path) -> Build:
    """The build whose numbers are to be printed: Debian's, for the CPU, except where that misreads a layer."""
    from darknet_compat.definition import spec as s
    from darknet_compat.definition.builds import misread

    faulty = any(isinstance(layer, s.Convolutional) and misread(layer, "cpu") for layer in read_spec(cfg).layers)
    return "cuda" if faulty else "cpu"


def class_names(data: DataFile, cfg: Path, *keys: str) -> tuple[str, ...]:
    """The names of a network's classes from the list of a key; of a longer list the first, which is all that Darknet
    looks at."""
    spec = read_spec(cfg)
    head = spec.heads[-1] if spec.heads else None
    count = None if head is None else getattr(head, "classes", None) or head.output.size
    return data.names(*keys)[:count]


def cfg_and_weights(cfg: str | None, weights: str | None, order: str) -> tuple[Path, Path | None]:
    """Both as paths. Raises one line for those that are missing or swapped; `order` is how the words stand."""
    if cfg is None:
        raise OptionError(f"expected {order}, and there is no CFG")
    path = Path(cfg)
    if path.suffix == ".weights" or (weights or "").endswith(".cfg"):
        raise OptionError(f"{cfg}: expected the .cfg before the weights; the order is {order}")
    if not path.is_file():
        raise CatalogError(f"{cfg}: there is no such .cfg")
    return path, None if weights is None else Path(weights)


def data_cfg_weights(line: Line, order: str) -> tuple[DataFile, Path, Path | None]:
    """The files of `FAMILY VERB DATA CFG WEIGHTS`; `order` is how the words stand. Raises one line for those that are
    missing or swapped."""
    data = line.word(2)
    if data is None:
        raise OptionError(f"expected {order}, and there is no DATA")
    opened = DataFile(data)
    return opened, *cfg_and_weights(line.word(3), line.word(4), order)


def need_weights(weights: Path | None, order: str) -> Path:
    """Raises WeightsError without a file of weights."""
    if weights is None:
        raise WeightsError(f"expected {order}, and there are no WEIGHTS")
    return weights


def picture_list(path: Path) -> list[str]:
    """The lines of a list of pictures."""
    try:
        lines = path.read_text(errors="surrogateescape").splitlines()
    except OSError as error:
        raise MetadataError(f"{path}: cannot be read: {error.strerror or error}") from None
    return [line.strip() for line in lines if line.strip()]


def asked_pictures(named: str | None) -> Iterator[str]:
    """The picture that was named, else those that are typed, or come from a list, on standard input, after a prompt as
    in the original."""
    if named is not None:
        yield named
        return
    while True:
        print("Enter Image Path: ", end="", flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield line.rstrip("\r\n").strip()
