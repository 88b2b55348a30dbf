"""A folder that a data set is written into: its pictures, and files that are whole or not there."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

from darknet_compat.datasets.base import Dataset, Sample
from darknet_compat.errors import DatasetError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.vision.image import decode
from darknet_compat.vision.opencv import opencv
from darknet_compat.vision.orientation import read_stored


class OutFolder:
    """Where a data set goes. Pictures are hard links to where they were, or copies on another disk, so that the folder
    can be moved and packed; composed ones become PNG files. `is_name` says which names a layout can take."""

    def __init__(self, folder: str | Path, is_name: Callable[[str], bool] = lambda name: True) -> None:
        self.path = Path(folder).absolute()
        self._is_name = is_name
        self._taken: set[str] = set()

    def place(self, sample: Sample, folder: str, number: int) -> str:
        """Put the picture into `folder`; the name of its file, its own where that is free and can be taken. Raises
        DatasetError."""
        is_file = isinstance(sample.image, Path)
        suffix = sample.image.suffix.lower() if isinstance(sample.image, Path) and is_file else ".png"
        name = self._name(sample.id, suffix, number)
        target = self.path / folder / name
        make_folder(target.parent)
        if isinstance(sample.image, Path):
            link_or_copy(sample.image, target)
        else:
            encoded, data = opencv().imencode(".png", sample.image)
            write_bytes(target, data.tobytes() if encoded else b"")
        return name

    def _name(self, id: str, suffix: str, number: int) -> str:
        stem = re.sub(r"[^\w.-]+", "_", os.path.basename(id)).strip(".") or "picture"
        for candidate in (stem, f"{stem}-{number:06d}", f"picture-{number:06d}"):
            name = f"{candidate}{suffix}"
            if candidate.lower() not in self._taken and len(name.encode()) < 200 and self._is_name(name):
                self._taken.add(candidate.lower())
                return name
        raise DatasetError(f"{self.path}: no name is free for the picture {stem}")

    def write(self, name: str, text: str) -> Path:
        """Write a file of text that is whole or not there; its path. Raises DatasetError."""
        path = self.path / name
        make_folder(path.parent)
        write_bytes(path, text.encode("utf-8", "surrogateescape"))
        return path

    def write_label(self, name: str, text: str) -> None:
        """Write one of very many files: without waiting for the disk, as the files that name them are written last.
        Raises DatasetError."""
        path = self.path / name
        try:
            make_folder(path.parent)
            path.unlink(missing_ok=True)  # never through a link into somebody's labels
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
        except OSError as cause:
            raise DatasetError(f"{path}: cannot be written: {cause.strerror or cause}") from None


def size_of(dataset: Dataset, index: int, sample: Sample) -> tuple[int, int]:
    """Width and height of a picture as `decode` shows it. Raises ImageError."""
    if not isinstance(sample.image, Path):
        return sample.image.shape[1], sample.image.shape[0]
    if header := read_stored(sample.image):
        return header.seen
    stated = dataset.size(index)
    if stated is not None:
        return stated
    height, width, _ = decode(sample.image).shape
    return width, height


def link_or_copy(picture: Path, target: Path) -> None:
    """The picture again under another name. Raises DatasetError."""
    source = os.path.realpath(picture)
    try:
        if os.path.lexists(target):
            if os.path.realpath(target) == source:
                return
            target.unlink()
        try:
            os.link(source, target)
        except OSError:
            shutil.copyfile(source, target)
    except OSError as cause:
        raise DatasetError(f"{target}: cannot be written: {cause.strerror or cause}") from None


def make_folder(folder: Path) -> None:
    """Make a folder where there is none. Raises DatasetError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise DatasetError(f"{folder}: cannot be made: {cause.strerror or cause}") from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file that is whole or not there. Raises DatasetError."""
    with atomic_write(path, DatasetError) as file:
        file.write(data)
