"""`.data`, `.names`, label lists and maps: the small files around a network."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from darknet_compat.errors import DarknetCompatError, MetadataError
from darknet_compat.formats.cfg import MAX_CFG_BYTES, Section, lines_that_count, option_on
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import MAX_LIST_BYTES, count, plain, read_lines, read_text, read_words, shown

_MAX_PATH = 4096  # Linux's PATH_MAX: a longer name belongs to no file


def read_names(path: str | Path) -> tuple[str, ...]:
    """The names or labels in a file, one a line, blanks at the ends removed (original: `get_labels`, which keeps them).

    They are text whether the file is in UTF-8, GBK or Latin-1. Raises MetadataError for a file without names or with an
    empty line between names, which would shift all after it.
    """
    names = [line.strip() for line in read_words(path, MetadataError, "a list of names", MAX_LIST_BYTES)]
    while names and not names[-1]:
        names.pop()
    if not names:
        raise MetadataError(f"{path}: expected one name a line, found an empty file")
    if "" in names:
        raise MetadataError(f"{path}:{names.index('') + 1}: expected a name, found an empty line")
    return tuple(names)


_NAMES_BY_COUNT = {20: "voc.names", 80: "coco.names", 1000: "imagenet1k.names", 9418: "9k.names"}
"""Class lists so widely used that their length tells them; only asked where nothing else names the classes."""


def names_beside(cfg: str | Path) -> Path | None:
    """The `.names` of a definition's own name, where there is one."""
    # os.path, since Path's own answer to a name that is too long is an error.
    path = Path(cfg).with_suffix(".names")
    return path if os.path.isfile(path) else None


def class_names(names: str | Path | Sequence[str] | None, classes: int) -> tuple[str, ...]:
    """One name a class: from a file, a list, or failing both the widely used list of that length, or numbers.

    Raises MetadataError where there are not exactly `classes` of them.
    """
    if names is None and classes in _NAMES_BY_COUNT:
        names = cfg_dir() / "data" / _NAMES_BY_COUNT[classes]
    if names is None:
        return tuple(f"class {number}" for number in range(classes))
    source = names if isinstance(names, str | Path) else "names"
    found = read_names(names) if isinstance(names, str | Path) else _texts(names)
    if len(found) != classes:
        raise MetadataError(f"{source}: has {count(len(found), 'name')}, but the network has {count(classes, 'class')}")
    return found


def _texts(names: Sequence[str]) -> tuple[str, ...]:
    found = tuple(names) if isinstance(names, Iterable) else (names,)
    if not all(isinstance(name, str) for name in found):
        raise MetadataError(f"names: expected a list of text, found {plain(repr(names))}")
    return found


def read_map(path: str | Path, classes: int | None = None) -> tuple[int, ...]:
    """The class each line's class is mapped to (original: `read_map`).

    `classes` bounds the values. Raises MetadataError with the line that is no number or out of bounds.
    """
    lines = read_lines(path, MetadataError, "a map (one number a line)", MAX_LIST_BYTES)
    while lines and not lines[-1].strip():
        lines.pop()
    numbers = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise MetadataError(f"{path}:{number}: expected the number of a class, found {shown(line)}")
        if classes is not None and int(text) >= classes:
            raise MetadataError(f"{path}:{number}: expected a class from 0 to {classes - 1}, found {text}")
        numbers.append(int(text))
    if not numbers:
        raise MetadataError(f"{path}: expected one number a line, found an empty file")
    return tuple(numbers)


def read_data(path: str | Path) -> Section:
    """A `.data` file as one section of options (original: `read_data_cfg`); `SectionOptions` reads it typed.

    Raises MetadataError for what is no such file.
    """
    options = []
    for number, line in lines_that_count(read_text(path, MetadataError, "a .data file", MAX_CFG_BYTES)):
        option = option_on(line, number)
        if option.value is None:
            raise MetadataError(f"{path}:{number}: expected key=value, found {shown(line)}")
        options.append(option)
    return Section("data", tuple(options), 1)


def resolve_inside(
    name: str, roots: Iterable[Path], where: str, error: type[DarknetCompatError] = MetadataError
) -> Path:
    """The file called `name` in the first of `roots` that has it, links followed, never outside that root.

    Raises `error`, its message beginning with `where`, if no root has it or it lies outside all of them.
    """
    roots = [Path(os.path.realpath(root)) for root in roots]
    left = False
    # Following the links of a longer one would take as long as somebody likes.
    for root in roots if len(name) <= _MAX_PATH else ():
        try:
            path = Path(os.path.realpath(root / name))
            if not path.is_relative_to(root):
                left = True
            elif path.is_file():
                return path
        except (OSError, ValueError):
            continue
    folders = " or ".join(dict.fromkeys(str(root) for root in roots))
    if left:
        raise error(f"{where}: {shown(name)} leaves the model's folder; copy the file into {folders}")
    raise error(f"{where}: there is no {shown(name)} in {folders}")


def data_roots(cfg_path: str | Path, packaged: Sequence[Path] = ()) -> list[Path]:
    """Where files that a cfg names are looked for: its own folder, the folder above one called `cfg` (the original is
    started there), then `packaged` folders."""
    folder = Path(os.path.realpath(cfg_path)).parent
    above = folder.parent
    # Above /cfg there is the whole disk, which is nobody's model folder.
    return [folder, *([above] if folder.name == "cfg" and above != above.parent else []), *packaged]
