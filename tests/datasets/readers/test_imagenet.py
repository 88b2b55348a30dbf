"""A folder of pictures for each class."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.readers.imagenet import ClassFolders
from darknet_compat.errors import DatasetError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir

IDS = read_names(cfg_dir() / "data" / "imagenet1k.labels")
NAMES = read_names(cfg_dir() / "data" / "imagenet1k.names")


def make(folder: Path, *pictures: str) -> Path:
    for name in pictures:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def test_classes_by_the_alphabet(tmp_path: Path) -> None:
    folder = make(tmp_path, "dog/2.jpg", "dog/1.JPEG", "cat/x.png", "cat/notes.txt", "cat/._x.png", "empty/notes.txt")
    pictures = ClassFolders(folder)
    assert (pictures.names, pictures.title) == (("cat", "dog"), tmp_path.name)
    assert [(sample.id, sample.labels.classes.tolist()) for sample in pictures] == [("x", [0]), ("1", [1]), ("2", [1])]
    assert not pictures[0].labels.is_drawn.any()
    assert ClassFolders(folder, names=["dog", "cow", "cat"])[0].labels.classes.tolist() == [2]
    with pytest.raises(DatasetError, match="cat: 'cat' is not one of the 1 class"):
        ClassFolders(folder, names=["dog"])


def test_splits(tmp_path: Path) -> None:
    folder = make(tmp_path, "train/dog/1.jpg", "val/dog/2.jpg", "val/dog/3.jpg")
    assert [len(open_dataset(folder, split=split)) for split in (None, "train", "valid", "val")] == [1, 1, 2, 2]
    with pytest.raises(DatasetError, match="there is no split 'test'; there are 'train', 'val'"):
        open_dataset(folder, split="test")
    with pytest.raises(DatasetError, match="there is no split 'val'; it has the classes' folders itself"):
        open_dataset(folder / "train", split="val")


def test_imagenets_thousand_have_darknets_order(tmp_path: Path) -> None:
    folder = make(tmp_path, *(f"{name}/1.JPEG" for name in IDS))
    pictures = ClassFolders(folder)
    assert pictures.names == NAMES
    assert {Path(str(sample.image)).parent.name: sample.labels.classes[0] for sample in pictures} == {
        name: number for number, name in enumerate(IDS)
    }


def test_some_of_the_thousand_for_a_network_of_a_thousand(tmp_path: Path) -> None:
    folder = make(tmp_path, f"{IDS[7]}/1.JPEG", f"{IDS[3]}/1.JPEG")
    classes = [sample.labels.classes[0] for sample in open_dataset(folder, names=NAMES)]
    assert sorted(classes) == [3, 7]
    assert open_dataset(folder).names == tuple(sorted([IDS[3], IDS[7]]))


def test_a_folder_without_pictures(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="expected a folder of pictures for each class, found none"):
        ClassFolders(tmp_path)
    with pytest.raises(DatasetError, match="cannot be read: No such file"):
        ClassFolders(tmp_path / "absent")
