"""The layouts that a data set can be written in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from darknet_compat.datasets.base import CountProgress, Dataset, Sample
from darknet_compat.datasets.writers.coco import write_coco
from darknet_compat.datasets.writers.darknet import write_darknet
from darknet_compat.datasets.writers.voc import write_voc
from darknet_compat.datasets.writers.yolo import write_yolo
from darknet_compat.errors import DatasetError
from darknet_compat.formats.textfile import shown
from darknet_compat.formats.words import LabelsFormat

WRITERS: dict[LabelsFormat, Callable[[str | Path, Mapping[str, Dataset], CountProgress], Path]] = {
    "darknet": write_darknet,
    "voc": write_voc,
    "coco": write_coco,
    "yolo": write_yolo,
}
"""What writes each, given the parts by train, valid and test."""
_BY_NAME = ("voc", "coco")
"""Those whose readers find classes by their names."""


def write_dataset(
    folder: str | Path, form: LabelsFormat, parts: Mapping[str, Dataset], *, progress: CountProgress | None = None
) -> Path:
    """Write the parts (train, valid, test) of a data set in a folder, a picture at a time; what to open it by: the
    `.data`, the `data.yaml`, or the folder. `progress` is called with (pictures done, all).

    Raises DatasetError where parts have other classes, `form` cannot tell classes of one name apart, labels of whole
    pictures cannot be written, or the folder cannot be, ImageError where a picture's size cannot be read.
    """
    first = next(iter(parts.values()))
    if form in _BY_NAME and len(set(first.names)) < len(first.names):
        name, times = Counter(first.names).most_common(1)[0]
        raise DatasetError(
            f"{first.title}: {times} of its classes are called {shown(name)}, which the form {form} cannot tell apart"
        )
    for dataset in parts.values():
        _expect_elsewhere(Path(folder), dataset)
        if dataset.names != first.names:
            raise DatasetError(f"{dataset.title}: its classes are not those of {first.title}; give the names (--names)")
        if form != "darknet" and _is_undrawn(dataset):
            raise DatasetError(f"{dataset.title}: has labels of whole pictures, which only the form darknet can hold")
    if not first.names:
        parts = {key: _Numbered(dataset, _count(parts)) for key, dataset in parts.items()}
    return WRITERS[form](folder, parts, progress or (lambda done, total: None))


def _expect_elsewhere(folder: Path, dataset: Dataset) -> None:
    """Raise DatasetError where a data set would be written over itself."""
    image = dataset[0].image if len(dataset) else None
    if isinstance(image, Path) and image.resolve().is_relative_to(folder.resolve()):
        raise DatasetError(f"{folder}: {dataset.title} lies in it and would be overwritten; choose another folder")


def _is_undrawn(dataset: Dataset) -> bool:
    """Whether the first labels there are have no box."""
    for start in range(0, len(dataset), 64):
        labels = dataset.rows(start, min(start + 64, len(dataset))).labels
        if len(labels):
            return not bool(labels.is_drawn[0])
    return False


def _count(parts: Mapping[str, Dataset]) -> int:
    """How many classes there are where they have no names."""
    found = [dataset.rows(0, len(dataset)).labels.classes for dataset in parts.values()]
    return 1 + max((int(classes.max()) for classes in found if len(classes)), default=0)


class _Numbered(Dataset):
    """A data set whose classes have no names, with numbers for names."""

    def __init__(self, dataset: Dataset, classes: int) -> None:
        self._dataset, self.title = dataset, dataset.title
        self.names = tuple(map(str, range(classes)))

    def __len__(self) -> int:
        return len(self._dataset)

    def sample(self, index: int) -> Sample:
        """See `Dataset`; unchanged."""
        return self._dataset.sample(index)

    def size(self, index: int) -> tuple[int, int] | None:
        """See `Dataset`; unchanged."""
        return self._dataset.size(index)
