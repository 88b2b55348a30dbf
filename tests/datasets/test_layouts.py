"""Each layout of the labelling tools: recognised, read, checked, and written in every other form."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.datasets.base import Dataset
from darknet_compat.datasets.check import check_dataset
from darknet_compat.datasets.open import LAYOUTS, open_dataset, recognise
from darknet_compat.datasets.options import Reading
from darknet_compat.datasets.writers.layouts import WRITERS, write_dataset
from darknet_compat.errors import DatasetError
from tests.datasets.layouts import MADE, made
from tests.datasets.shapes import HEIGHT, NAMES, PARTS, WIDTH, picture, put, voc_xml, yolo_lines

KINDS = list(MADE)


def held_against_the_truth(dataset: Dataset, part: str, most: float = 1e-6) -> None:
    """Every picture's boxes are those that were laid out, with classes by their names."""
    assert set(dataset.names) == set(NAMES)
    truths = PARTS[part]
    assert len(dataset) == len(truths)
    for sample in dataset:
        stem = next(stem for stem in truths if stem in sample.id)
        expected = sorted((NAMES[box.class_id], box.fractions) for box in truths[stem])
        found = sorted(
            (dataset.names[class_id], tuple(box))
            for class_id, box in zip(sample.labels.classes.tolist(), sample.labels.boxes.tolist(), strict=True)
        )
        assert [name for name, _ in found] == [name for name, _ in expected]
        assert np.abs(np.array([box for _, box in found]) - [box for _, box in expected]).max() <= most
        assert isinstance(sample.image, Path) and sample.image.read_bytes() == picture(stem)


def test_the_layouts_are_what_the_readers_state() -> None:
    assert [one.rank for one in LAYOUTS.values()] == sorted(one.rank for one in LAYOUTS.values())
    assert {one.layout for one in MADE.values()} | {"folders", "list", "cvat-video"} == set(LAYOUTS)


@pytest.mark.parametrize("kind", KINDS)
def test_read(kind: str, tmp_path: Path) -> None:
    source = made(kind, tmp_path / "set")
    found = recognise(source)
    assert found.layout == MADE[kind].layout and found.why
    dataset = open_dataset(source)
    held_against_the_truth(dataset, "train", MADE[kind].most)
    assert set(dataset.splits) >= set(MADE[kind].splits)
    for split in ("valid", "test") if len(MADE[kind].splits) == 3 else ():
        held_against_the_truth(open_dataset(source, split=split), split)
    with pytest.raises(DatasetError, match="split"):
        open_dataset(source, split="nonsense")
    report = check_dataset(dataset, decode_pictures=True)
    assert (report.pictures, sum(report.objects), report.wrong, report.findings) == (4, 9, 0, {})


@pytest.mark.parametrize("kind", KINDS)
def test_names_of_the_models_order_are_taken(kind: str, tmp_path: Path) -> None:
    source = made(kind, tmp_path / "set")
    dataset = open_dataset(source, names=("cat", *NAMES[::-1]))
    assert dataset.names == ("cat", "disc", "square")
    if not dataset.is_numbered:
        assert dataset[0].labels.classes.max() == 2


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("kind", KINDS)
def test_converted(kind: str, form: str, tmp_path: Path) -> None:
    source = made(kind, tmp_path / "set")
    splits = ("train", "valid", "test") if len(MADE[kind].splits) == 3 else ("train",)
    parts = {split: open_dataset(source, split=split if len(splits) > 1 else None) for split in splits}
    path = write_dataset(tmp_path / "written", form, parts)  # type: ignore[arg-type]
    (tmp_path / "written").rename(tmp_path / "moved")
    again = tmp_path / "moved" / path.relative_to(tmp_path / "written")
    for split in splits:
        written = open_dataset(again, split=split)
        assert written.names == parts["train"].names
        held_against_the_truth(written, split, MADE[kind].most)
        assert all(Path(str(sample.image)).is_relative_to(tmp_path / "moved") for sample in written)


@pytest.mark.parametrize("form", WRITERS)
def test_nothing_is_written_over_itself(form: str, tmp_path: Path) -> None:
    source = made("roboflow-coco", tmp_path / "set")
    before = sorted(path for path in tmp_path.rglob("*"))
    for folder in (source, tmp_path):
        with pytest.raises(DatasetError, match="lies in it and would be overwritten"):
            write_dataset(folder, form, {"train": open_dataset(source)})  # type: ignore[arg-type]
    assert sorted(path for path in tmp_path.rglob("*")) == before


@pytest.mark.parametrize("form", WRITERS)
def test_names_that_repeat_stay_apart_or_are_refused(form: str, tmp_path: Path) -> None:
    """VOC's annotations call a class by its name, and COCO's categories are found by theirs."""
    source = made("ultralytics", tmp_path / "set")
    put(source / "data.yaml", "train: images/train\nval: images/val\nnames: [thing, thing]\n")
    parts = {"train": open_dataset(source)}
    if form in ("voc", "coco"):
        with pytest.raises(DatasetError, match=r"2 of its classes are called 'thing', which .* cannot tell apart"):
            write_dataset(tmp_path / "written", form, parts)  # type: ignore[arg-type]
        assert not (tmp_path / "written").exists()
        return
    path = write_dataset(tmp_path / "written", form, parts)  # type: ignore[arg-type]
    assert [one.labels.classes.tolist() for one in open_dataset(path)] == [
        one.labels.classes.tolist() for one in parts["train"]
    ]


def test_pictures_of_another_data_set_are_not_taken_in(tmp_path: Path) -> None:
    dataset = open_dataset(made("roboflow-coco", tmp_path / "set"))
    write_dataset(tmp_path / "written", "yolo", {"train": dataset})
    with pytest.raises(DatasetError, match="has pictures in its images/"):
        write_dataset(tmp_path / "written", "yolo", {"train": dataset})


# ---------------------------------------------------------------------------------------------- recognition


def test_what_may_be_several_things_is_asked_about(tmp_path: Path) -> None:
    made("roboflow-yolov8", tmp_path)
    MADE["cvat-coco"].make(tmp_path)
    with pytest.raises(DatasetError, match=r"it may be coco \(.*\); or yaml \(.*data.yaml\): say which with --layout"):
        recognise(tmp_path)
    assert recognise(tmp_path, "coco").layout == "coco"
    assert open_dataset(tmp_path, reading=Reading(layout="yaml")).split == "train"
    with pytest.raises(DatasetError, match="expected KITTI's folders"):
        recognise(tmp_path, "kitti")


@pytest.mark.parametrize("kind", ["voc", "kitti", "supervisely", "csv", "coco", "yolo", "darknet"])
def test_options_that_a_layout_does_not_ask_for_are_refused(kind: str, tmp_path: Path) -> None:
    source = made("labelimg-yolo" if kind == "yolo" else kind, tmp_path / "set")
    for reading, asked in (
        (Reading(labels="skip"), kind in ("coco", "yolo", "darknet")),
        (Reading(pictures=tmp_path), kind in ("coco", "csv")),
    ):
        if asked:
            assert len(open_dataset(source, reading=reading)) == 4
        else:
            with pytest.raises(DatasetError, match=r"--labels is for|--pictures is for"):
                open_dataset(source, reading=reading)


@pytest.mark.parametrize(("kind", "file"), [("roboflow-csv", "valid/old.csv"), ("roboflow-coco", "valid/old.json")])
def test_two_files_of_one_part_are_asked_about(kind: str, file: str, tmp_path: Path) -> None:
    made(kind, tmp_path)
    put(tmp_path / file, next((tmp_path / "valid").glob("_annotations*")).read_bytes())
    with pytest.raises(DatasetError, match=rf"which of valid/_annotations\S+ and {file} is meant\? give that"):
        open_dataset(tmp_path)


def test_the_more_specific_signs_count(tmp_path: Path) -> None:
    made("voc", tmp_path)
    for part in PARTS.values():  # as the original's voc_label.py leaves it
        for stem, boxes in part.items():
            put(tmp_path / f"labels/{stem}.txt", yolo_lines(boxes))
    assert recognise(tmp_path).layout == "voc"


@pytest.mark.parametrize("sign", ["train_0.txt", "train_0.xml", "_annotations.coco.json"])
def test_folders_with_labels_in_them_are_no_classes(sign: str, tmp_path: Path) -> None:
    for split in ("train", "valid"):
        put(tmp_path / split / "train_0.png", picture("train_0"))
        boxes = PARTS["train"]["train_0"]
        content = {".txt": yolo_lines(boxes), ".xml": voc_xml("train_0", boxes)}.get(Path(sign).suffix)
        put(tmp_path / split / sign, content or json.dumps({"images": [], "annotations": [], "categories": []}))
    assert recognise(tmp_path).layout != "folders"


@pytest.mark.parametrize("folders", [("train", "valid", "test"), ("images",)])
def test_folders_of_unlabelled_pictures_are_no_classes(folders: tuple[str, ...], tmp_path: Path) -> None:
    for folder in folders:
        put(tmp_path / folder / "a.png", picture("train_0"))
    with pytest.raises(
        DatasetError, match=r"there (is 1 picture|are 3 pictures) in this folder, and nothing that labels"
    ):
        recognise(tmp_path)


def test_folders_of_classes(tmp_path: Path) -> None:
    for folder in ("train/cat", "train/dog", "val/cat"):
        put(tmp_path / folder / "a.png", picture("train_0"))
    assert recognise(tmp_path).layout == "folders"
    assert (len(open_dataset(tmp_path)), open_dataset(tmp_path).names) == (2, ("cat", "dog"))


def test_a_part_of_a_data_set_has_its_names(tmp_path: Path) -> None:
    made("roboflow-yolov8", tmp_path)
    assert open_dataset(tmp_path / "valid").names == NAMES


# ---------------------------------------------------------------------------------------------- yaml


def test_names_by_numbers_in_quotes(tmp_path: Path) -> None:
    made("ultralytics", tmp_path)
    put(tmp_path / "data.yaml", "train: images/train\nval: images/val\nnames: {'1': disc, '0': square}\n")
    held_against_the_truth(open_dataset(tmp_path), "train")


def test_outlines_become_their_boxes(tmp_path: Path) -> None:
    made("ultralytics", tmp_path)
    put(tmp_path / "labels/train/train_0.txt", "1 0.25 0.5 0.75 0.5 0.5 0.875\n")
    sample = open_dataset(tmp_path)[0]
    assert sample.labels.boxes.tolist() == [[0.5, 0.6875, 0.5, 0.375]]
    assert sample.repairs == (("polygons", 1),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("train: [\n", r"data.yaml:2: expected YAML"),
        ("train: nothere\nnames: [a]\n", r"data.yaml: train: there is no 'nothere'"),
        ("train: 3\nnames: [a]\n", "train: expected a folder, a list"),
        ("train: images/train\nnames: {0: a, 2: b}\n", "expected the numbers from 0 to 1"),
        ("train: images/train\nnames: [a]\nnc: 2\n", "nc is 2, but there are 1 names"),
        ("- a\n", "data.yaml: expected train, val and names"),
        ("val: images/val\ntest: images/test\nnames: [a]\n", "say which split is meant"),
    ],
)
def test_yaml_that_is_malformed(text: str, message: str, tmp_path: Path) -> None:
    made("ultralytics", tmp_path)
    path = put(tmp_path / "data.yaml", text)
    with pytest.raises(DatasetError, match=message) as error:
        open_dataset(path)
    assert "\n" not in str(error.value)


# ----------------------------------------------------------------------------------------- what tools write


def test_coco_as_tools_write_it(tmp_path: Path) -> None:
    """Ids as text, sizes as floats or none, an outline in place of a box, nothing at all, whole paths."""
    put(tmp_path / "images/a.png", picture("train_0"))
    document = {
        "images": [
            {"id": "7", "file_name": "C:\\photos\\a.png", "width": 96.0, "height": 72},
            {"id": "b", "file_name": "images/a.png", "width": None, "height": None},
        ],
        "categories": [{"id": "1", "name": "square"}, {"id": 2, "name": "disc"}],
        "annotations": [
            {"image_id": "7", "category_id": 1, "bbox": [0, 0, 48, 36]},
            {"image_id": 7, "category_id": "2", "bbox": [], "segmentation": [[0, 0, 96, 0, 96, 36]]},
            {"image_id": "b", "category_id": 2.0, "bbox": None},
            {"image_id": "b", "category_id": 2, "bbox": [0, 0, 96, 72]},
        ],
    }
    path = put(tmp_path / "x.json", json.dumps(document))
    first, second = open_dataset(path)
    assert first.labels.boxes.tolist() == [[0.25, 0.25, 0.5, 0.5], [0.5, 0.25, 1, 0.5]]
    assert (first.labels.classes.tolist(), first.repairs) == ([0, 1], (("polygons", 1),))
    assert (second.labels.boxes.tolist(), second.repairs) == ([[0.5, 0.5, 1, 1]], (("left out", 1),))
    assert first.image == second.image == tmp_path / "images/a.png"
    with pytest.raises(DatasetError, match="annotation 3: it has neither a bbox nor an outline"):
        open_dataset(path, reading=Reading(labels="strict"))


def test_a_table_with_splits_and_pictures_without_objects(tmp_path: Path) -> None:
    for stem in ("train_0", "train_1"):
        put(tmp_path / f"{stem}.png", picture(stem))
    rows = "image,x1,y1,x2,y2,label,split\ntrain_0.png,0,0,48,36,disc,train\ntrain_1.png,,,,,,train\n"
    put(tmp_path / "boxes.csv", rows + "train_0.png,0,0,9,9,square,val\n")
    dataset = open_dataset(tmp_path)
    assert (dataset.names, dataset.splits) == (("disc", "square"), ("train", "val"))
    assert [sample.labels.boxes.tolist() for sample in dataset] == [[[0.25, 0.25, 0.5, 0.5]], []]
    put(tmp_path / "boxes.csv", rows + "train_0.png,0,0,9,x,square,val\n")
    with pytest.raises(DatasetError, match=r"boxes.csv:4: expected xmin, ymin, xmax, ymax in pixels and a class"):
        open_dataset(tmp_path)


def test_numbers_without_names(tmp_path: Path) -> None:
    put(tmp_path / "a.png", picture("train_0"))
    put(tmp_path / "a.txt", yolo_lines(PARTS["train"]["train_0"]))
    dataset = open_dataset(tmp_path)
    assert dataset.names == ()
    path = write_dataset(tmp_path / "written", "voc", {"train": dataset})
    assert open_dataset(path).names == ("0", "1")
    corners = open_dataset(path)[0].labels.corners(WIDTH, HEIGHT)
    assert corners.tolist() == dataset[0].labels.corners(WIDTH, HEIGHT).tolist()
