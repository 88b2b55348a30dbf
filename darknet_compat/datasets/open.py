"""One door to every kind of data set: which layout a file or folder has, and the reader of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from darknet_compat.datasets.base import Dataset, Wanted
from darknet_compat.datasets.files import is_picture, subfolders, suffixes_in
from darknet_compat.datasets.options import PACKED, Reading
from darknet_compat.datasets.readers import (
    coco,
    cvat,
    darknet,
    imagenet,
    kitti,
    labelme,
    supervisely,
    tables,
    voc,
    yolo,
)
from darknet_compat.datasets.readers.digits import is_digits, open_digits
from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import MAX_LIST_BYTES, read_lines, shown
from darknet_compat.formats.words import Task


class Layout(NamedTuple):
    """A way to lay a data set out: what it is called; how specific its signs are, 0 being the most; why a path is of
    this layout, None where it is not; the data set of it."""

    title: str
    rank: int
    claims: Callable[[Path], str | None]
    open: Callable[[Path, Wanted], Dataset]


LAYOUTS: dict[str, Layout] = {
    "darknet": Layout("a .data of Darknet's (also CVAT's YOLO 1.1)", 0, darknet.claims, darknet.open_layout),
    "yaml": Layout("Ultralytics' data.yaml (also Roboflow's YOLOv5 to v11)", 0, yolo.claims_yaml, yolo.open_yaml),
    "supervisely": Layout("Supervisely's project", 0, supervisely.claims, supervisely.open_layout),
    "open-images": Layout("Open Images' CSV", 0, tables.claims_open_images, tables.open_open_images),
    "coco": Layout("COCO's JSON (also Roboflow's, CVAT's, Label Studio's)", 0, coco.claims, coco.open_layout),
    "cvat": Layout("CVAT's XML for images (also datumaro's)", 0, cvat.claims, cvat.open_layout),
    "kitti": Layout("KITTI's folders", 1, kitti.claims, kitti.open_layout),
    "voc": Layout("VOC's XML files (also labelImg's, Kaggle's, ImageNet DET's)", 1, voc.claims, voc.open_layout),
    "labelme": Layout("labelme's JSON files (also AnyLabeling's)", 1, labelme.claims, labelme.open_layout),
    "csv": Layout("a table of boxes (CSV)", 2, tables.claims, tables.open_layout),
    "yolo": Layout("pictures and .txt files of labels", 2, yolo.claims_folders, yolo.open_folders),
    "folders": Layout("a folder of pictures for each class", 3, imagenet.claims, imagenet.open_layout),
    "list": Layout("a list of pictures", 3, darknet.claims_list, darknet.open_list),
}
"""All layouts by the name that `--layout` knows them under, most specific first."""

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
    where `layout` is not there.
    """
    path = Path(source)
    if not os.path.exists(path):
        raise DatasetError(f"{source}: no such file or folder; expected {_KINDS}")
    if layout is not None:
        if layout not in LAYOUTS:
            raise DatasetError(f"--layout {layout}: expected one of {', '.join(LAYOUTS)}")
        if (why := LAYOUTS[layout].claims(path)) is None:
            raise DatasetError(
                f"{source}: expected {LAYOUTS[layout].title} (--layout {layout}); its signs are not there"
            )
        return Recognised(layout, f"asked for; {why}")
    found: list[Recognised] = []
    for name, one in sorted(LAYOUTS.items(), key=lambda item: item[1].rank):
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
        is_one = path.suffix.lower() == ".xml" or labelme.is_labelme(path)
        hint = "; one annotation: give its folder" if is_one else ""
        return f"found a {path.suffix} file{hint}"
    if (below := _below(path)) is not None:
        return f"in it {below.relative_to(path)} is one: give that"
    pictures = sum(is_picture(entry.name) for place in (path, *subfolders(path)) for entry in os.scandir(place))
    if pictures:
        text = _texts_beside(path)
        return f"there are {pictures:,} pictures in this folder, and {text or 'nothing that labels them'}"
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
      with a label and no box; "digits:01234", "digit-pictures:567": with these digits only.

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
    wanted = Wanted(None if names is None else tuple(names), split, task, reading.labels, reading.pictures)
    dataset = LAYOUTS[found.layout].open(Path(source), wanted)
    dataset.asks_for_pictures = found.layout in _NAME_PICTURES
    return dataset


def _expect_used(reading: Reading, layout: str, what: str) -> None:
    """Raise DatasetError for what a layout does not ask for: an option that is passed over would be a surprise."""
    if layout == "digits" and reading.layout is not None:
        raise DatasetError(f"{what}, and has no --layout")
    if reading.pictures is not None and layout not in _NAME_PICTURES:
        raise DatasetError(
            f"{what}, and says itself where its pictures are; --pictures is for {', '.join(_NAME_PICTURES)}"
        )
    if reading.labels != "clip" and layout not in _BY_RULE:
        raise DatasetError(f"{what}, whose boxes are taken as they stand; --labels is for {', '.join(_BY_RULE)}")


_NAME_PICTURES = ("coco", "csv", "open-images", "cvat", "labelme")
"""Layouts of files that have pictures' names only."""
_BY_RULE = ("darknet", "yaml", "yolo", "list", "coco")
"""Layouts whose labels are read by a LabelRule."""
