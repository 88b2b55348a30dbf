"""Any data set as Darknet's own: a list of pictures, a file of labels for each, names and a `.data`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darknet_compat.datasets.base import Dataset, Labels, Progress
from darknet_compat.datasets.readers.darknet import label_path
from darknet_compat.errors import DatasetError
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.formats.textfile import shown
from darknet_compat.vision.opencv import opencv


def write_darknet(
    folder: str | Path, train: Dataset, valid: Dataset | None = None, *, progress: Progress | None = None
) -> Path:
    """Write data sets in `folder` such that the original trains on them; the `.data` file's path.

    Pictures stay where they are: `images/` has links to them, and `labels/` the labels where the original looks for
    them. Composed pictures are written as PNG. Objects that are difficult or a crowd are left out, as by the original's
    voc_label.py. Numbers are written such that they read back the same.

    Paths are absolute, as the original wants them unless it is started there. Raises DatasetError where the folder's
    own path would lead the original astray, for blanks in it, and where it cannot be written.
    """
    folder = Path(folder).absolute()
    probe = f"{folder}/images/x.jpg"
    if label_path(probe) != f"{folder}/labels/x.txt" or len(str(folder).split()) != 1:
        raise DatasetError(
            f"{folder}: expected a folder without images, JPEGImages, raw or a blank in its path: the original would"
            f" look for labels in {shown(label_path(probe), 200)}"
        )
    total = len(train) + len(valid or ())
    done = 0
    options = {"classes": str(len(train.names))}
    for key, dataset in (("train", train), ("valid", valid)):
        if dataset is None:
            continue
        if dataset.names != train.names:
            raise DatasetError(f"{dataset.title}: its classes are not those of {train.title}; give the names")
        lines = []
        for index in range(len(dataset)):
            lines.append(_write_one(folder, key, dataset, index))
            done += 1
            if progress:
                progress(done, total)
        _write(folder / f"{key}.txt", "\n".join(lines) + "\n")
        options[key] = str(folder / f"{key}.txt")
    _write(folder / "names.list", "\n".join(train.names) + "\n")
    options |= {"names": str(folder / "names.list"), "backup": str(folder / "backup")}
    _make(folder / "backup")
    path = folder / f"{folder.name}.data"
    _write(path, "".join(f"{key} = {value}\n" for key, value in options.items()))
    return path


def format_labels(labels: Labels) -> str:
    """`class x y w h` lines, without what is difficult, a crowd or a box without area."""
    boxes = _clipped(labels.boxes)
    kept = ~(labels.difficult | labels.crowd) & (~labels.is_drawn | (boxes[:, 2:] > 0).all(axis=1))
    rows = zip(labels.classes[kept].tolist(), boxes[kept].tolist(), strict=True)
    return "".join(f"{class_id} {' '.join(map(repr, box))}\n" for class_id, box in rows)


def _clipped(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Boxes cut off at the picture's border, those that do not reach beyond it untouched."""
    centres, half = boxes[:, :2], boxes[:, 2:] / 2
    low, high = np.clip(centres - half, 0, 1), np.clip(centres + half, 0, 1)
    cut = np.concatenate([(low + high) / 2, high - low], axis=1)
    beyond = ((centres - half < 0) | (centres + half > 1)).any(axis=1, keepdims=True)
    clipped: NDArray[np.float64] = np.where(beyond, cut, boxes)
    return clipped


def _write_one(folder: Path, key: str, dataset: Dataset, index: int) -> str:
    """A picture's link and labels; its line in the list."""
    sample = dataset[index]
    drawn = not isinstance(sample.image, Path) or sample.image.suffix.lower() == ".png"
    picture = folder / "images" / f"{key}-{index:06d}{'.png' if drawn else '.jpg'}"
    _make(picture.parent)
    _make(folder / "labels")
    if isinstance(sample.image, Path):
        _link(picture, sample.image)
    else:
        encoded, data = opencv().imencode(".png", sample.image)
        with atomic_write(picture, DatasetError) as file:
            file.write(data.tobytes() if encoded else b"")
    _write(Path(label_path(str(picture))), format_labels(sample.labels))
    return str(picture)


def _link(link: Path, picture: Path) -> None:
    try:
        link.unlink(missing_ok=True)
        os.symlink(os.path.realpath(picture), link)
    except OSError as cause:
        raise DatasetError(f"{link}: cannot be made a link: {cause.strerror or cause}") from None


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as cause:
        raise DatasetError(f"{folder}: cannot be made: {cause.strerror or cause}") from None


def _write(path: Path, text: str) -> None:
    with atomic_write(path, DatasetError) as file:
        file.write(text.encode("utf-8", "surrogateescape"))
