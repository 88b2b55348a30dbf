"""A `.data` file as Darknet's own programs read it: keys, the files that they name, and lists of names in these."""

from __future__ import annotations

import os
from pathlib import Path

from darknet_compat.errors import MetadataError
from darknet_compat.formats.metadata import read_data, read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import shown

DEFAULTS = {"cfg/coco.data": ("coco.names", 80), "cfg/imagenet1k.data": ("imagenet1k.names", 1000)}
"""`.data` files that commands take where none is named, and what stands in for them where they are not there."""


class DataFile:
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
            raise MetadataError(f"{path}: expected a .data file, which comes before the .cfg and the weights")
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
        """The names that a key's file lists, a line each. Raises MetadataError."""
        return read_names(self.file(*keys))
