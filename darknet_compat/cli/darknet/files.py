"""The files that Darknet's command lines name: definitions and weights, `.data` files and what they name, pictures."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from darknet_compat.errors import CatalogError, MetadataError, OptionError, WeightsError
from darknet_compat.formats.metadata import read_data, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import shown

DEFAULTS = {"cfg/coco.data": ("coco.names", 80), "cfg/imagenet1k.data": ("imagenet1k.names", 1000)}
"""`.data` files that commands take where none is named, and what stands in for them where they are not there."""


class Data:
    """A `.data` file: options by name, whose files are looked for from the working directory, as Darknet does, then
    beside the `.data` file and among this package's."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.options: dict[str, str] = {}
        self.stands_in = path in DEFAULTS and not os.path.exists(path)
        if self.stands_in:
            names, classes = DEFAULTS[path]
            self.options = {"names": f"data/{names}", "classes": str(classes)}
            return
        if self.path.suffix in (".cfg", ".weights"):
            raise OptionError(f"{path}: expected a .data file first, then the .cfg, then the weights")
        for option in read_data(path).options:
            self.options.setdefault(option.key, option.value or "")

    def text(self, *keys: str) -> str | None:
        """The value of the first of these keys that there is."""
        return next((self.options[key] for key in keys if key in self.options), None)

    def number(self, key: str, default: int) -> int:
        """A whole number. Raises MetadataError."""
        text = self.options.get(key, str(default))
        try:
            return int(text)
        except ValueError:
            raise MetadataError(f"{self.path}: {key}: expected a whole number, found {shown(text)}") from None

    def file(self, *keys: str) -> Path:
        """The file that the first of these keys names. Raises MetadataError where there is no key, or no file."""
        value = self.text(*keys)
        if value is None:
            raise MetadataError(f"{self.path}: has no {' nor '.join(f'{key}=' for key in keys)}, which this needs")
        folder = self.path.parent
        for place in (Path(value), folder / value, folder.parent / value, cfg_dir() / value):
            if place.is_file():
                return place
        raise MetadataError(f"{self.path}: {keys[0]}: there is no {shown(value, 200)}")

    def names(self, *keys: str) -> tuple[str, ...]:
        """The names that a key's file lists; a line each."""
        return read_names(self.file(*keys))


def class_names(data: Data, cfg: Path, *keys: str) -> tuple[str, ...]:
    """The names of a network's classes from the list of a key; of a longer list the first, which is all that Darknet
    looks at."""
    from darknet_compat.definition.lower import load_spec

    spec = load_spec(cfg, dialect="original")
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
