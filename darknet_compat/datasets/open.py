"""One door to every kind of data set: which layout a file or folder has, and the reader of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import NamedTuple

from darknet_compat.datasets import readers
from darknet_compat.datasets.base import Dataset, Layout, Wanted
from darknet_compat.datasets.files import is_picture, subfolders, suffixes_in
from darknet_compat.datasets.options import PACKED, Reading
from darknet_compat.datasets.readers.digits import is_digits, open_digits
from darknet_compat.datasets.readers.labelme import is_labelme
from darknet_compat.errors import DatasetError, OptionError
from darknet_compat.formats.textfile import MAX_LIST_BYTES, count, read_lines, shown
from darknet_compat.formats.words import Task


def found_layouts() -> dict[str, Layout]:
    """What the files of `readers` state, by the name that `--layout` knows it under, most specific first."""
    modules = [import_module(f"{readers.__name__}.{one.name}") for one in iter_modules(readers.__path__)]
    stated = [row for module in modules for row in getattr(module, "LAYOUTS", {}).items()]
    return dict(sorted(stated, key=lambda row: row[1].rank))


LAYOUTS = found_layouts()

_MOST_BELOW = 20
"""Folders in a folder that are looked into."""

_KINDS = "a list of pictures, a .data, a VOC folder, COCO's JSON, a data.yaml, a CSV or a folder of classes"


class Recognised(NamedTuple):
    """The name of a layout, and why."""

    layout: str
    why: str


def recognise(source: str | Path, layout: str | None = None) -> Recognised:
    """Which layout a file or folder has: the most specific one whose signs are there.

    Raises DatasetError where there is none, where several are equally specific and `layout` does not say which, and
    where `layout` is not there; OptionError for a `layout` that nobody knows.
    """
    path = Path(source)
    if not os.path.exists(path):
        raise DatasetError(f"{source}: no such file or folder; expected {_KINDS}")
    if layout is not None:
        if layout not in LAYOUTS:
            raise OptionError(f"expected one of {', '.join(LAYOUTS)}, found {shown(layout)}", "layout")
        if (why := LAYOUTS[layout].claims(path)) is None:
            raise DatasetError(
                f"{source}: expected {LAYOUTS[layout].title} (--layout {layout}); its signs are not there"
            )
        return Recognised(layout, f"asked for; {why}")
    found: list[Recognised] = []
    for name, one in LAYOUTS.items():
        if found and one.rank > LAYOUTS[found[0].layout].rank:
            break
        if (why := one.claims(path)) is not None:
            found.append(Recognised(name, why))
    if len(found) > 1:
        choices = "; or ".join(f"{one.layout} ({one.why})" for one in found)
        raise DatasetError(f"{source}: it may be {choices}: say which with --layout")
    if not found:
        raise DatasetError(f"{source}: expected {_KINDS}; {_instead(path)}")
    return found[0]


def _instead(path: Path) -> str:
    """What is there that is no data set."""
    if path.is_file():
        if path.suffix.lower() in PACKED:
            return f"found a {path.suffix} file; unpack it, and give the folder"
        is_one = path.suffix.lower() == ".xml" or is_labelme(path)
        hint = "; one annotation: give its folder" if is_one else ""
        return f"found a {path.suffix} file{hint}"
    if (below := _below(path)) is not None:
        return f"in it {below.relative_to(path)} is one: give that"
    pictures = sum(is_picture(entry.name) for place in (path, *subfolders(path)) for entry in os.scandir(place))
    if pictures:
        text = _texts_beside(path)
        there = "there is" if pictures == 1 else "there are"
        return f"{there} {count(pictures, 'picture')} in this folder, and {text or 'nothing that labels them'}"
    return "none of them is in this folder"


def _below(folder: Path) -> Path | None:
    """The first data set in the folders of a folder, as archives have them that are unpacked into one of their own."""
    places = subfolders(folder)[:_MOST_BELOW]
    deeper = (below for place in places for below in subfolders(place)[:_MOST_BELOW])
    for place in (*places, *deeper):
        if any(one.claims(place) for one in LAYOUTS.values()):
            return place
    return None


def _texts_beside(folder: Path) -> str:
    """What stands in a file beside a picture that might have been its labels, in words; empty where there is none."""
    there = suffixes_in(folder)
    for stem in sorted(there.get(".txt", set()) & there.get(".jpg", set())):
        with suppress(DatasetError):
            lines = read_lines(folder / f"{stem}.txt", DatasetError, "labels", MAX_LIST_BYTES)
            if lines:
                return f"{stem}.txt beside them says {shown(lines[0])}, expected class x y w h"
    return ""


def open_dataset(
    source: str | Path,
    *,
    names: Sequence[str] | None = None,
    split: str | None = None,
    task: Task | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """The labelled pictures in `source`, whatever layout of LAYOUTS it has (`recognise`), or:

    - "digits": scenes made of handwritten digits, nothing to download; "digit-pictures": pictures of one digit each,
      with a label and no box; "digit-groups": scenes of one kind of digit each, likewise; "digits:01234",
      "digit-pictures:567": with these digits only; "warped-digits" and so on: with more shapes than were written.

    `names` are the classes to use, as the network has them: what is annotated is found among them by its name, or by
    its number where the layout has numbers. `split` None is what one trains on; val, valid and validation are the same.
    `reading` has the layout where it cannot be told, what becomes of faulty labels, and where the pictures are. Raises
    DatasetError or MetadataError, naming what was expected.
    """
    reading = reading or Reading()
    if is_digits(source):
        _expect_used(reading, "digits", f"{source}: is made here")
        return open_digits(str(source), split)
    found = recognise(source, reading.layout)
    _expect_used(reading, found.layout, f"{source}: is {LAYOUTS[found.layout].title}")
    wanted = Wanted(
        None if names is None else tuple(names), split, task, reading.labels, reading.pictures, reading.beside
    )
    dataset = LAYOUTS[found.layout].open(Path(source), wanted)
    dataset.asks_for_pictures = LAYOUTS[found.layout].pictures
    return dataset


def _expect_used(reading: Reading, layout: str, what: str) -> None:
    """Raise DatasetError for what a layout does not ask for: an option that is passed over would be a surprise."""
    if layout == "digits" and reading.layout is not None:
        raise DatasetError(f"{what}, and has no --layout")
    own = LAYOUTS.get(layout)
    if reading.pictures is not None and not (own and own.pictures):
        able = ", ".join(name for name, one in LAYOUTS.items() if one.pictures)
        raise DatasetError(f"{what}, and says itself where its pictures are; --pictures is for {able}")
    if reading.labels != "clip" and not (own and own.rule):
        able = ", ".join(name for name, one in LAYOUTS.items() if one.rule)
        raise DatasetError(f"{what}, whose boxes are taken as they stand; --labels is for {able}")
