"""A folder of classes, each a folder of pictures: ImageNet as everybody unpacks it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from darknet_compat.datasets.base import Dataset, Labels, Layout, Sample, Wanted
from darknet_compat.datasets.files import (
    USUAL_SPLITS,
    class_number,
    first_words,
    is_picture,
    pick_split,
    pictures_in,
    split_word,
    subfolders,
)
from darknet_compat.errors import DatasetError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.textfile import shown

_NO_CLASSES = ("images", "img", "jpegimages", "pictures", "photos", "data")
"""What a folder of all pictures is called, in lower case."""


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
        splits = [path.name for path in subfolders(root) if not _has_pictures(path) and _class_folders(path)]
        if splits:
            chosen = pick_split(split, splits, USUAL_SPLITS, str(folder))
            self.split, self.splits = chosen, tuple(splits)
            root, self.title = root / chosen, f"{self.title} ({chosen})"
        elif split is not None:
            raise DatasetError(f"{folder}: there is no split {shown(split)}; it has the classes' folders itself")
        folders = _class_folders(root)
        if not folders:
            raise DatasetError(f"{root}: expected a folder of pictures for each class, found none")
        self.names, number_of = _numbered([path.name for path in folders], names, root)
        self._pictures = tuple(
            (str(picture), number_of[path.name]) for path in folders for picture in pictures_in(path)
        )

    def __len__(self) -> int:
        return len(self._pictures)

    def sample(self, index: int) -> Sample:
        """Picture number `index` and its class."""
        path, class_id = self._pictures[index]
        return Sample(Path(path).stem, Path(path), Labels.whole_picture(class_id))


def claims(path: Path) -> str | None:
    """Why a folder is of this kind; None where it is not: folders of pictures in it, or one level further down, that
    are not called like the parts of a data set."""
    if not path.is_dir():
        return None
    for place in (path, *subfolders(path)):
        names = [folder.name for folder in _class_folders(place)]
        if any(split_word(name) is None and name.lower() not in _NO_CLASSES for name in names):
            return f"there are folders of pictures and nothing that labels them: {first_words(names, 3)}"
    return None


def open_layout(path: Path, wanted: Wanted) -> Dataset:
    """The folder. Raises DatasetError."""
    return ClassFolders(path, wanted.split, wanted.names)


def _class_folders(folder: Path) -> list[Path]:
    return [path for path in subfolders(folder) if _has_pictures(path)]


def _has_pictures(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(is_picture(entry.name) for entry in entries)


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
    for name in folders:
        class_number(name, number_of, str(root / name))
    return names, number_of


LAYOUTS = {
    "folders": Layout("a folder of pictures for each class", 3, claims, open_layout),
}
"""See `datasets.base.Layout`."""
