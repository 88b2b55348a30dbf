"""One door to every kind of data set, and what it says to anything else."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.datasets.base import Joined
from darknet_compat.datasets.open import open_dataset, recognise
from darknet_compat.errors import DatasetError
from tests.datasets.readers.test_voc import OBJECT, annotation, make

DOG = annotation(OBJECT.format("dog", "", 1, 1, 2, 2))


def test_a_devkit_of_two_years(tmp_path: Path) -> None:
    make(tmp_path / "VOC2007", {"a": DOG}, trainval="a\n", test="a\n")
    make(tmp_path / "VOC2012", {"b": DOG, "c": DOG}, trainval="b\nc\n")
    both = open_dataset(tmp_path)
    assert isinstance(both, Joined)
    assert (both.title, both.names, both.size(2)) == (f"{tmp_path.name} (trainval)", ("dog",), (200, 100))
    assert [sample.id for sample in both] == ["a", "b", "c"]
    assert [sample.id for sample in open_dataset(tmp_path, split="test")] == ["a"]
    with pytest.raises(DatasetError, match="there is no split 'x'; there are 'test', 'trainval'"):
        open_dataset(tmp_path, split="x")


def test_joined_sets_have_the_same_classes(tmp_path: Path) -> None:
    cat = annotation(OBJECT.format("cat", "", 1, 1, 2, 2))
    parts = [open_dataset(make(tmp_path / text, {"a": xml})) for text, xml in (("x", DOG), ("y", cat))]
    with pytest.raises(DatasetError, match=r"y \(all\): its classes are not those of x \(all\); give the names"):
        Joined(parts)


def test_a_list_has_the_names_that_are_given(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\n")
    assert open_dataset(tmp_path / "list.txt").names == ()
    assert open_dataset(str(tmp_path / "list.txt"), names=["dog"]).names == ("dog",)


def test_a_folder_with_one_data_file(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("a.jpg\n")
    (tmp_path / "x.data").write_text("train=list.txt\nclasses=3\n")
    assert open_dataset(tmp_path).names == ("0", "1", "2")


def test_images_and_labels_are_no_classes(tmp_path: Path) -> None:
    for name in ("images/a.jpg", "labels/a.txt"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("")
    dataset = open_dataset(tmp_path)
    assert (recognise(tmp_path).layout, len(dataset), len(dataset[0].labels)) == ("yolo", 1, 0)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent", "absent: no such file or folder; expected a list of pictures, a .data, a VOC folder, COCO's JSON"),
        ("coco.names", "coco.names: expected a list of pictures, .* found a .names file"),
        (".", "expected a list of pictures, .*; none of them is in this folder"),
    ],
)
def test_what_is_no_data_set(name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "coco.names").write_text("dog\n")
    with pytest.raises(DatasetError, match=message) as error:
        open_dataset(tmp_path / name)
    assert "\n" not in str(error.value)
