"""What Label Studio 1.23.2 and datumaro 1.13.12 wrote that is not like anything else: `material`.

`layouts.MADE` has what can be held against the same truth as all layouts. The rest is here: outlines and pictures
without objects, boxes on other pixels, pictures that stayed on the server, forms that are no data set of ours.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_compat.datasets.base import Dataset
from darknet_compat.datasets.check import check_dataset
from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.options import Reading
from darknet_compat.errors import DatasetError
from tests.datasets.layouts import left_by
from tests.datasets.shapes import NAMES, PARTS
from tests.datasets.test_layouts import held_against_the_truth


def corners_of(dataset: Dataset, stem: str) -> list[tuple[str, list[float]]]:
    (sample,) = [sample for sample in dataset if sample.id.endswith(stem)]
    corners = sample.labels.corners(96, 72).tolist()
    return sorted((dataset.names[n], box) for n, box in zip(sample.labels.classes.tolist(), corners, strict=True))


@pytest.mark.parametrize(("form", "outlines"), [("mixed-yolo", {"polygons"}), ("mixed-coco", set())])
def test_label_studios_rectangles_and_polygons(form: str, outlines: set[str], tmp_path: Path) -> None:
    """A picture with rectangles and a polygon, one without anything. COCO's has a bbox for the polygon, too."""
    left_by(f"labelstudio/{form}")(tmp_path)
    dataset = open_dataset(tmp_path)
    report = check_dataset(dataset, decode_pictures=True)
    assert (report.pictures, sum(report.objects), report.wrong) == (3, 5, 0)
    assert set(report.findings) == {"empty", *outlines}
    for stem, boxes in PARTS["valid"].items():
        expected = sorted((NAMES[box.class_id], list(map(float, box[1:]))) for box in boxes)
        assert corners_of(dataset, stem) == expected


def test_label_studios_turned_boxes_are_outlines(tmp_path: Path) -> None:
    left_by("labelstudio/yolo-obb")(tmp_path)
    dataset = open_dataset(tmp_path)
    held_against_the_truth(dataset, "train")
    assert {kind: one.count for kind, one in check_dataset(dataset).findings.items()} == {"polygons": 9}


def test_label_studios_coco_without_its_pictures(tmp_path: Path) -> None:
    """They are named where they were on the server. Not one is there: said in one line, with what names the folder."""
    left_by("labelstudio/coco-bare")(tmp_path / "set")
    report = check_dataset(open_dataset(tmp_path / "set"))
    assert report.refusal == "none of its 4 pictures is there; --pictures names their folder"
    left_by("labelstudio/coco")(tmp_path / "downloaded")
    reading = Reading(pictures=tmp_path / "downloaded/images")
    held_against_the_truth(open_dataset(tmp_path / "set", reading=reading), "train")


def test_label_studios_own_forms_are_named(tmp_path: Path) -> None:
    left_by("labelstudio/json")(tmp_path)
    with pytest.raises(DatasetError, match="Label Studio's own JSON; export it once more as YOLO, COCO or VOC"):
        open_dataset(tmp_path / "export.json")
    left_by("labelstudio/csv")(tmp_path)
    with pytest.raises(DatasetError, match=r"export.csv:1: expected the columns image,xmin"):
        open_dataset(tmp_path / "export.csv")


def test_datumaros_voc_is_a_pixel_off(tmp_path: Path) -> None:
    """It counts xmin from 0, which nothing in its files tells."""
    left_by("datumaro/voc")(tmp_path)
    for split in ("train", "valid", "test"):
        dataset = open_dataset(tmp_path, split=split)
        assert (dataset.names, len(dataset)) == (NAMES, len(PARTS[split]))
        for stem, boxes in PARTS[split].items():
            truths = np.array([box[1:] for box in sorted(boxes, key=lambda box: (NAMES[box.class_id], box[1:]))])
            found = np.array([box for _, box in corners_of(dataset, stem)])
            assert (truths - found).tolist() == [[1, 1, 0, 0]] * len(boxes)
