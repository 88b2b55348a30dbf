"""Data sets as people have them: what is read all the same, and the one line for what cannot be."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from darknet_compat.datasets.check import check_dataset
from darknet_compat.datasets.open import open_dataset
from darknet_compat.errors import DatasetError
from tests.datasets.layouts import made
from tests.datasets.shapes import NAMES, PARTS, put, put_labels, put_pictures, yolo_lines
from tests.datasets.test_layouts import held_against_the_truth


def labelled(folder: Path, change: Callable[[str], str | bytes] = str, suffix: str = ".png") -> Path:
    """Pictures with labels beside them, and names."""
    put_pictures(folder, PARTS["train"], f"{{}}{suffix}")
    for stem, boxes in PARTS["train"].items():
        put(folder / f"{stem}.txt", change(yolo_lines(boxes)))
    put(folder / "classes.txt", "\n".join(NAMES))
    return folder


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode(),
        lambda text: text.replace(" ", "\t"),
        lambda text: "\n" + text + "\n\n",
    ],
    ids=["windows", "tabs", "empty lines"],
)
def test_labels_of_other_editors(change: Callable[[str], str | bytes], tmp_path: Path) -> None:
    labelled(tmp_path, change)
    put(tmp_path / "classes.txt", b"\xef\xbb\xbf" + "\r\n".join(NAMES).encode())
    held_against_the_truth(open_dataset(tmp_path), "train")


def test_capital_suffixes_links_and_what_a_mac_leaves(tmp_path: Path) -> None:
    labelled(tmp_path / "real", suffix=".PNG")
    for path in (tmp_path / "real").iterdir():
        put(tmp_path / "set/.keep", "")
        (tmp_path / "set" / path.name).symlink_to(path)
    put(tmp_path / "set/._train_0.PNG", b"\0\5\x16\7")
    put(tmp_path / "set/__MACOSX/._train_0.PNG", b"\0\5\x16\7")
    held_against_the_truth(open_dataset(tmp_path / "set"), "train")


@pytest.mark.parametrize("path", ["", "path: /content/datasets/shapes\n"])
@pytest.mark.parametrize("above", ["/home/someone/shapes/", "C:\\Users\\someone\\shapes\\", ""])
def test_a_yaml_that_names_another_machine(above: str, path: str, tmp_path: Path) -> None:
    made("ultralytics", tmp_path / "set")
    sources = "".join(f"{key}: {above}images/{key}\n" for key in ("train", "val", "test"))
    put(tmp_path / "set/data.yaml", f"{path}{sources}names: [square, disc]\n")
    held_against_the_truth(open_dataset(tmp_path / "set", split="val"), "valid")


def test_key_points_are_not_outlines(tmp_path: Path) -> None:
    """`class x y w h` and two points, as Ultralytics has poses: 9 numbers, which might be an outline of four points."""
    made("ultralytics", tmp_path)
    put(tmp_path / "data.yaml", (tmp_path / "data.yaml").read_text() + "kpt_shape: [2, 2]\n")
    for path in (tmp_path / "labels").rglob("*.txt"):
        put(path, "".join(f"{line} 0.9 0.9 0.1 0.1\n" for line in path.read_text().splitlines()))
    dataset = open_dataset(tmp_path)
    held_against_the_truth(dataset, "train")
    assert not check_dataset(dataset).findings


@pytest.mark.parametrize("separator", [";", "\t"])
def test_tables_of_other_spreadsheets(separator: str, tmp_path: Path) -> None:
    made("csv", tmp_path)
    for path in tmp_path.glob("*.csv"):
        put(path, b"\xef\xbb\xbf" + path.read_text().replace(",", separator).replace("\n", "\r\n").encode())
    held_against_the_truth(open_dataset(tmp_path), "train")


# ------------------------------------------------------------------------------------------ one line, and why


def refused(path: Path) -> str:
    with pytest.raises(DatasetError) as error:
        open_dataset(path)
    assert "\n" not in str(error.value) and str(error.value).startswith(str(path))
    return str(error.value)


@pytest.mark.parametrize("change", [lambda text: text.replace(" ", ","), lambda text: text.replace("0 ", "square ")])
def test_what_stands_beside_pictures_is_shown(change: Callable[[str], str], tmp_path: Path) -> None:
    assert "train_0.txt beside them says '" in refused(labelled(tmp_path, change))


def test_a_folder_around_a_data_set(tmp_path: Path) -> None:
    made("roboflow-yolov8", tmp_path / "downloads/shapes.v1")
    assert refused(tmp_path).endswith("in it downloads/shapes.v1 is one: give that")


def test_an_archive(tmp_path: Path) -> None:
    labelled(tmp_path / "set")
    path = Path(shutil.make_archive(str(tmp_path / "set"), "zip", tmp_path / "set"))
    assert refused(path).endswith("found a .zip file; unpack it, and give the folder")


def test_pictures_that_a_list_names_and_nobody_has(tmp_path: Path) -> None:
    put_labels(tmp_path / "labels", PARTS["train"])
    put(tmp_path / "train.txt", "".join(f"images/{stem}.png\n" for stem in PARTS["train"]))
    report = check_dataset(open_dataset(tmp_path / "train.txt"))
    assert report.findings["missing"].count == 4 and "bad labels" not in report.findings
    assert (
        report.findings["missing"]
        .examples[0]
        .endswith("train.txt:1: expected a picture, found no file 'images/train_0.png'")
    )
    assert report.refusal == "none of its 4 pictures is there"
