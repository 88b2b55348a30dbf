"""What is written is read by other libraries, with the same boxes. Each test needs the library it is named after."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.writers.layouts import write_dataset
from darknet_compat.formats.words import LabelsFormat
from tests.datasets.layouts import made
from tests.datasets.shapes import HEIGHT, NAMES, PARTS, WIDTH

Found = dict[str, list[tuple[str, list[float]]]]
"""Class and x1 y1 x2 y2 in pixels of each box by the picture's stem, sorted."""


@pytest.fixture
def quiet() -> Iterator[None]:
    """Other libraries warn and print as they like."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def written(form: LabelsFormat, folder: Path) -> Path:
    source = made("roboflow-coco", folder / "set")
    write_dataset(
        folder / "written", form, {"train": open_dataset(source), "valid": open_dataset(source, split="valid")}
    )
    return folder / "written"


def expected(part: str) -> Found:
    return {
        stem: sorted((NAMES[box.class_id], [float(value) for value in box[1:]]) for box in boxes)
        for stem, boxes in PARTS[part].items()
    }


def agree(found: Found, part: str = "train", most: float = 1e-4) -> None:
    truths = expected(part)
    assert set(found) == set(truths)
    for stem, boxes in truths.items():
        ours = sorted(found[stem])
        assert [name for name, _ in ours] == [name for name, _ in boxes]
        assert np.abs(np.array([box for _, box in ours]) - [box for _, box in boxes]).max() <= most


def test_pycocotools(tmp_path: Path, quiet: None) -> None:
    coco = pytest.importorskip("pycocotools.coco").COCO(
        str(written("coco", tmp_path) / "annotations/instances_val.json")
    )
    found: Found = {}
    for image in coco.loadImgs(coco.getImgIds()):
        assert (tmp_path / "written/images/val" / image["file_name"]).is_file()
        rows = coco.loadAnns(coco.getAnnIds(image["id"]))
        found[Path(image["file_name"]).stem] = [
            (coco.loadCats(row["category_id"])[0]["name"], [x, y, x + w, y + h])
            for row in rows
            for x, y, w, h in [row["bbox"]]
        ]
    agree(found, "valid")


@pytest.mark.parametrize("form", ["yolo", "voc", "coco"])
def test_supervision(form: LabelsFormat, tmp_path: Path, quiet: None) -> None:
    dataset: Any = pytest.importorskip("supervision").DetectionDataset
    folder = written(form, tmp_path)
    if form == "yolo":
        read = dataset.from_yolo(str(folder / "images/train"), str(folder / "labels/train"), str(folder / "data.yaml"))
    elif form == "voc":
        read = dataset.from_pascal_voc(str(folder / "JPEGImages"), str(folder / "Annotations"))
    else:
        read = dataset.from_coco(str(folder / "images/train"), str(folder / "annotations/instances_train.json"))
    found = {
        Path(path).stem: [(read.classes[c], box.tolist()) for c, box in zip(d.class_id, d.xyxy, strict=True)]
        for path, _, d in read
    }
    # It counts VOC's pixels from 0 but for the last ones, as we do; of VOC it reads all parts at once.
    agree({stem: boxes for stem, boxes in found.items() if stem in PARTS["train"]}, most=0.51)


@pytest.mark.parametrize(
    ("form", "name"), [("darknet", "yolo"), ("yolo", "yolo"), ("voc", "voc_detection"), ("coco", "coco")]
)
def test_datumaro(form: LabelsFormat, name: str, tmp_path: Path, quiet: None) -> None:
    datumaro = pytest.importorskip("datumaro")
    read = datumaro.Dataset.import_from(str(written(form, tmp_path)), name)
    labels = read.categories()[datumaro.AnnotationType.label]
    found: Found = {}
    for item in read:
        stem = Path(item.id).name
        if stem in PARTS["train"]:
            found[stem] = [
                (labels[one.label].name, list(one.points)) for one in item.annotations if one.type.name == "bbox"
            ]
    # It takes VOC's xmin for a pixel from 0 and writes and reads 1 less on one side only.
    agree(found, most=1.01 if form == "voc" else 0.02)


@pytest.mark.parametrize("form", ["yolo", "voc", "coco"])
def test_globox(form: LabelsFormat, tmp_path: Path, quiet: None) -> None:
    globox = pytest.importorskip("globox")
    folder = written(form, tmp_path)
    if form == "yolo":
        read = globox.AnnotationSet.from_yolo_v5(
            folder=folder / "labels/train", image_folder=folder / "images/train", image_extension=".png"
        )
    elif form == "voc":
        read = globox.AnnotationSet.from_pascal_voc(folder / "Annotations")
    else:
        read = globox.AnnotationSet.from_coco(folder / "annotations/instances_train.json")
    names = (
        {str(number): name for number, name in enumerate(NAMES)} if form == "yolo" else {name: name for name in NAMES}
    )
    found = {
        Path(one.image_id).stem: [
            (names[str(box.label)], [box.xmin, box.ymin, box.xmax, box.ymax]) for box in one.boxes
        ]
        for one in read
        if Path(one.image_id).stem in PARTS["train"]
    }
    agree(found, most=1.01 if form == "voc" else 1e-3)  # it takes VOC's pixels to count from 0


@pytest.mark.parametrize("form", ["coco", "voc", "yolo"])
def test_pylabel(form: LabelsFormat, tmp_path: Path, quiet: None) -> None:
    importer = pytest.importorskip("pylabel.importer")
    folder = written(form, tmp_path)
    if form == "coco":
        read = importer.ImportCoco(
            str(folder / "annotations/instances_train.json"), path_to_images=str(folder / "images/train")
        )
    elif form == "voc":
        read = importer.ImportVOC(str(folder / "Annotations"), path_to_images=str(folder / "JPEGImages"))
    else:
        read = importer.ImportYoloV5(
            str(folder / "labels/train"), img_ext="png", path_to_images="../../images/train", cat_names=list(NAMES)
        )
    found: Found = {}
    for row in read.df.to_dict("records"):
        box = [float(row[f"ann_bbox_{side}"]) for side in ("xmin", "ymin", "xmax", "ymax")]
        if Path(row["img_filename"]).stem in PARTS["train"]:
            found.setdefault(Path(row["img_filename"]).stem, []).append((row["cat_name"], box))
    agree(found, most=1.01 if form == "voc" else 0.02)


def test_the_pictures_sizes_are_known() -> None:
    assert (WIDTH, HEIGHT) == (96, 72)
