"""A folder of classes, each a folder of pictures: ImageNet as everybody unpacks it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.datasets.files import PICTURE_SUFFIXES, pick_split
from darknet_compat.errors import DatasetError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import shown

_USUAL_SPLITS = ("train", "training")


class ClassFolders(Dataset):
    """Pictures in `folder`/class/, or in `folder`/split/class/ where the folder has splits, sorted by path.

    Without `names` the classes are the folders' names by the alphabet, except that ImageNet's thousand (folders called
    n01440764 and so on) have Darknet's order and names. With `names` the folders are called by them; or, where these
    are a thousand, by ImageNet's ids. Raises DatasetError.
    """

    def __init__(self, folder: str | Path, split: str | None = None, names: Sequence[str] | None = None) -> None:
        self.folder = Path(folder)
        self.title = self.folder.name
        root = self.folder
        splits = [path.name for path in _folders(root) if not _has_pictures(path) and _class_folders(path)]
        if splits:
            chosen = pick_split(split, splits, _USUAL_SPLITS, str(folder))
            root, self.title = root / chosen, f"{self.title} ({chosen})"
        elif split is not None:
            raise DatasetError(f"{folder}: there is no split {shown(split)}; it has the classes' folders itself")
        folders = _class_folders(root)
        if not folders:
            raise DatasetError(f"{root}: expected a folder of pictures for each class, found none")
        self.names, number_of = _numbered([path.name for path in folders], names, root)
        self._pictures = tuple((str(picture), number_of[path.name]) for path in folders for picture in _pictures(path))

    def __len__(self) -> int:
        return len(self._pictures)

    def sample(self, index: int) -> Sample:
        """Picture number `index` and its class."""
        path, class_id = self._pictures[index]
        return Sample(Path(path).stem, Path(path), Labels.whole_picture(class_id))


def is_class_folders(folder: Path) -> bool:
    """Whether there are folders of pictures in it, or one level further down."""
    return bool(_class_folders(folder)) or any(_class_folders(path) for path in _folders(folder))


def _folders(folder: Path) -> list[Path]:
    try:
        entries = [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir() and entry.name[0] != "."]
    except OSError as cause:
        raise DatasetError(f"{folder}: cannot be read: {cause.strerror or cause}") from None
    return sorted(entries)


def _class_folders(folder: Path) -> list[Path]:
    return [path for path in _folders(folder) if _has_pictures(path)]


def _has_pictures(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(_is_picture(entry.name) for entry in entries)


def _pictures(folder: Path) -> list[Path]:
    return sorted(folder / name for name in os.listdir(folder) if _is_picture(name))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(PICTURE_SUFFIXES) and name[0] != "."


def _numbered(
    folders: Sequence[str], names: Sequence[str] | None, root: Path
) -> tuple[tuple[str, ...], dict[str, int]]:
    """The classes' names, and the class of each folder."""
    data = cfg_dir() / "data"
    ids = read_names(data / "imagenet1k.labels")
    if names is None and set(folders) == set(ids):
        return read_names(data / "imagenet1k.names"), {name: number for number, name in enumerate(ids)}
    names = tuple(folders if names is None else names)
    by_id = len(names) == len(ids) and set(folders) <= set(ids)
    number_of = {name: number for number, name in enumerate(ids if by_id else names)}
    unknown = next((name for name in folders if name not in number_of), None)
    if unknown is not None:
        raise DatasetError(f"{root / unknown}: {shown(unknown)} is none of the {len(names)} classes")
    return names, number_of
