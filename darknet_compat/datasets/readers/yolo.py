"""Files of labels without Darknet's lists: Ultralytics' and Roboflow's `data.yaml`, folders `images` and `labels`,
labels beside the pictures as labelImg, DarkMark and Roboflow's Darknet export leave them."""

from __future__ import annotations

import codecs
import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from darknet_compat.datasets.base import Dataset, Layout, Wanted
from darknet_compat.datasets.files import (
    USUAL_SPLITS,
    folder_called,
    names_in,
    pick_split,
    pictures_below,
    split_word,
    subfolders,
    suffixes_in,
)
from darknet_compat.datasets.options import LabelRule
from darknet_compat.datasets.readers.darknet import MAX_PICTURE_LIST_BYTES, ListedFile, Locator, PictureList
from darknet_compat.datasets.readers.labelfile import plain_rows
from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import MAX_LIST_BYTES, read_lines, read_text, shown

_YAML = (".yaml", ".yml")
_KEYS = ("train", "val", "valid", "test")
_IMAGES = ("images", "image", "img", "imgs", "jpegimages")
_LABELS = ("labels", "label")
_DEEPEST = 12
"""Folders of a path that are tried without those before them."""
_SNIFFED = 20
"""Files of labels that are looked into."""


class YoloPictures(PictureList):
    """Pictures of one split, with labels where Ultralytics, the fork or the original look for them."""

    has_one_place = False

    def _label_places(self, picture: ListedFile) -> tuple[str, ...]:
        return super()._label_places(picture)[::-1]

    def __init__(
        self, folder: Path, pictures: Sequence[str], names: Sequence[str], title: str, labels: LabelRule = "clip"
    ) -> None:
        if not pictures:
            raise DatasetError(f"{folder}: expected pictures, found none")
        super().__init__(folder, names, title=title, labels=labels, pictures=pictures)


# ---------------------------------------------------------------------------------------------- data.yaml


def claims_yaml(path: Path) -> str | None:
    """Why a file or folder is of this kind; None where it is not."""
    if path.is_file():
        return f"a {path.suffix} file" if path.suffix.lower() in _YAML else None
    files = _yaml_files(path)
    return f"there is {', '.join(file.name for file in files)}" if files else None


def open_yaml(path: Path, wanted: Wanted) -> Dataset:
    """What a `data.yaml` names: for each split a folder, a list, or several of them; relative ones from its `path`,
    itself relative to the file, then from the file. Raises DatasetError or MetadataError."""
    file = path
    if path.is_dir():
        files = _yaml_files(path)
        if len(files) > 1:
            raise DatasetError(f"{path}: which of its {', '.join(one.name for one in files)} is meant? give that")
        file = files[0]
    document = _read_yaml(file)
    there = {key: _sources(document[key], file, key) for key in _KEYS if document.get(key)}
    chosen = pick_split(wanted.split, there, USUAL_SPLITS, str(file))
    names = wanted.names if wanted.names is not None else _names(document, file)
    own = document.get("path")
    roots = [file.parent / own, file.parent] if isinstance(own, str) else [file.parent]
    pictures = [picture for source in there[chosen] for picture in _listed(source, roots, file, chosen)]
    base = Path(os.path.commonpath(list(map(os.path.dirname, pictures)))).absolute() if pictures else file.parent
    base = base.parent if base.name.lower() in _IMAGES else base
    base = next((folder.parent for folder in base.parents if folder.name.lower() in _IMAGES), base)
    dataset = YoloPictures(
        base, [os.path.relpath(p, base) for p in pictures], names, f"{file.parent.name} ({chosen})", wanted.labels
    )
    dataset.split, dataset.splits, dataset.keypoints = chosen, tuple(there), "kpt_shape" in document
    return dataset


def _yaml_files(folder: Path) -> list[Path]:
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _YAML and path.is_file() and {"train", "val"} & set(_top_keys(path))
    ]


def _top_keys(path: Path) -> list[str]:
    try:
        lines = read_lines(path, DatasetError, "a YAML file", MAX_LIST_BYTES)
    except DatasetError:
        return []
    return [line.partition(":")[0].strip() for line in lines if ":" in line and line[:1] not in (" ", "#", "-")]


def _read_yaml(path: Path) -> Mapping[str, Any]:
    try:
        import yaml
    except ModuleNotFoundError:
        raise DatasetError(f"{path}: PyYAML is not installed: pip install 'darknet-compat[vision]'") from None
    try:
        document = yaml.safe_load(read_text(path, DatasetError, "a data.yaml", MAX_LIST_BYTES))
    except (yaml.YAMLError, ValueError, RecursionError) as cause:
        mark = getattr(cause, "problem_mark", None)
        where = f"{path}:{mark.line + 1}" if mark else str(path)
        raise DatasetError(f"{where}: expected YAML: {getattr(cause, 'problem', None) or 'malformed'}") from None
    if not isinstance(document, dict):
        raise DatasetError(f"{path}: expected train, val and names")
    return document


def _sources(value: object, path: Path, key: str) -> list[str]:
    values = value if isinstance(value, list) else [value]
    texts = [one for one in values if isinstance(one, str)]
    if len(texts) < len(values):
        raise DatasetError(f"{path}: {key}: expected a folder, a list, or several of them, found {shown(str(value))}")
    return texts


def _names(document: Mapping[str, Any], path: Path) -> tuple[str, ...]:
    """`names` as a list or by number; without them as many numbers as `nc` says."""
    names, count = document.get("names"), document.get("nc")
    if names is None:
        return tuple(map(str, range(count))) if isinstance(count, int) and 0 < count < 1_000_000 else ()
    if isinstance(names, dict):
        names = {int(key) if isinstance(key, str) and key.isdecimal() else key: name for key, name in names.items()}
        if sorted(names, key=str) != sorted(range(len(names)), key=str):
            raise DatasetError(f"{path}: names: expected the numbers from 0 to {len(names) - 1}, each once")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not all(isinstance(name, str | int | float) for name in names):
        raise DatasetError(f"{path}: names: expected a list of names, or numbers with names")
    if isinstance(count, int) and count != len(names):
        raise DatasetError(f"{path}: nc is {count}, but there are {len(names)} names")
    return tuple(str(name) for name in names)


def _listed(source: str, roots: Sequence[Path], file: Path, key: str) -> Iterable[str]:
    """The pictures of a folder, or on a list; where it is not where it should be, under the end of its path."""
    rest = PurePosixPath(_without_ups(source)).parts
    ends = [roots[-1].joinpath(*rest[drop:]) for drop in range(1, min(len(rest), _DEEPEST))]
    for places in (*((root / source, root / _without_ups(source)) for root in roots), ends):
        for place in places:
            if os.path.isdir(place):  # Path's own answer to a name that is too long is an error
                return list(pictures_below(place))
            if os.path.isfile(place):
                locator = Locator(place.parent, place.parent)
                lines = read_lines(place, DatasetError, "a list of pictures", MAX_PICTURE_LIST_BYTES)
                texts = [line.strip().removeprefix("./") for line in lines if line.strip()]
                return [(locator.find(text) or locator.otherwise(text)).path for text in texts]
    raise DatasetError(
        f"{file}: {key}: there is no {shown(source, 200)}, neither from {' nor from '.join(map(str, roots))}"
    )


def _without_ups(source: str) -> str:
    """Roboflow's `../train/images` is `train/images` beside its file."""
    parts = [
        part
        for part in PurePosixPath(source.replace("\\", "/")).parts
        if part not in ("..", ".", "/") and part[-1] != ":"
    ]
    return "/".join(parts)


# ------------------------------------------------------------------------------------------------ folders


def claims_folders(path: Path) -> str | None:
    """Why a folder is of this kind; None where it is not."""
    if not path.is_dir():
        return None
    found = [(part, _kind(part)) for part in _parts(path).values()]
    words = next((kind for _, kind in found if kind), None)
    if words is None:
        return None
    parts = [part.name for part, kind in found if kind and part != path]
    return f"there are {words}{' in ' + ', '.join(parts[:4]) if parts else ''}"


def open_folders(path: Path, wanted: Wanted) -> Dataset:
    """The pictures of a folder or of the part of it that is asked for. Names are those that the tool left in the folder
    or in the part. Raises DatasetError."""
    parts = {name: part for name, part in _parts(path).items() if _kind(part)}
    if set(parts) == {""} and wanted.split is None:
        chosen = ""
    else:
        chosen = pick_split(wanted.split, [name for name in parts if name], USUAL_SPLITS, str(path))
    part = parts[chosen]
    names = wanted.names or names_in(path, part, part.parent, *subfolders(path)) or _names_above(path)
    pictures = [os.path.relpath(picture, path) for picture in pictures_below(part)]
    title = f"{path.name} ({chosen})" if chosen else path.name
    dataset = YoloPictures(path.absolute(), pictures, names, title, wanted.labels)
    dataset.split, dataset.splits = chosen, tuple(name for name in parts if name)
    return dataset


def _names_above(folder: Path) -> tuple[str, ...]:
    """The names of the data set of which a folder is a part."""
    if split_word(folder.name) is None:
        return ()
    files = _yaml_files(folder.parent)
    return names_in(folder.parent) or (_names(_read_yaml(files[0]), files[0]) if len(files) == 1 else ())


def _parts(folder: Path) -> dict[str, Path]:
    """The folders of pictures by split: train/, images/train/ or train/images/; the folder itself under ""."""
    images = folder_called(folder, _IMAGES)
    for place in (folder, images):
        parts = {part.name: part for part in subfolders(place) if split_word(part.name)} if place else {}
        if parts:
            return parts
    return {"": folder}


def _kind(folder: Path) -> str | None:
    """Whether there are pictures with labels in a folder or further down, and where, in words."""
    images, labels = folder_called(folder, _IMAGES), folder_called(folder, _LABELS)
    if labels is None and folder.parent.name.lower() in _IMAGES:
        labels = folder_called(folder.parent.parent, _LABELS)
        labels = labels / folder.name if labels else None
        images = folder
    if images and labels and labels.is_dir() and _has_labels(labels, deep=True):
        return "pictures and .txt files in folders of labels"
    if _has_labels(folder, deep=True, beside=True):
        return ".txt files beside the pictures"
    return None


def _has_labels(folder: Path, *, deep: bool, beside: bool = False) -> bool:
    """Whether some .txt files in the folder look like labels."""
    there = suffixes_in(folder)
    stems = there.get(".txt", set()) & (there.get(".jpg", set()) if beside else there.get(".txt", set()))
    if any(_is_label(folder / f"{stem}.txt") for stem in islice(sorted(stems), _SNIFFED)):
        return True
    return deep and any(_has_labels(path, deep=True, beside=beside) for path in subfolders(folder))


def _is_label(path: Path) -> bool:
    """Whether a file is empty or its first line is a class and at least four numbers."""
    try:
        with open(path, "rb") as file:
            text = file.read(4096).removeprefix(codecs.BOM_UTF8)
    except OSError:
        return False
    line = next((line for line in text.split(b"\n") if line.strip()), None)
    if line is None:
        return len(text) < 64
    fields = line.split()
    return plain_rows(line) is not None or (len(fields) >= 5 and fields[0].isdigit() and all(map(_is_number, fields)))


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


LAYOUTS = {
    "yaml": Layout("Ultralytics' data.yaml (also Roboflow's YOLOv5 to v11)", 0, claims_yaml, open_yaml, rule=True),
    "yolo": Layout("pictures and .txt files of labels", 2, claims_folders, open_folders, rule=True),
}
"""See `datasets.base.Layout`."""
