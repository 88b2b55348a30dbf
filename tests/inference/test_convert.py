"""Detections in other tools' forms, read back by those tools where they are installed: the same boxes."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.datasets.open import open_dataset
from darknet_compat.errors import BackendError, ImageError
from darknet_compat.inference.results import Detection, Detections
from darknet_compat.vision.boxes import xywh_to_xyxy

NAMES = ("cat", "dog", "bird")


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    import cv2

    path = tmp_path / "a.png"
    pixels = np.random.default_rng(1).integers(0, 256, (80, 100, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)
    return path


@pytest.fixture
def found(picture: Path) -> Detections:
    boxes = np.array([[10.25, 20.1, 50.3, 60.7], [1 / 3, 2, 30, 40.4], [0, 0, 99.9, 79.9]], np.float32)
    scores = np.array([0.75, 0.5, 0.3], np.float32)
    return Detections(
        boxes, scores, np.array([1, 0, 1]), ("dog", "cat", "dog"), 100, 80, places=np.array([2, 0, 1]), source=picture
    )


def test_indexing(found: Detections) -> None:
    assert isinstance(found[0], Detection)
    assert found[-1].score == pytest.approx(0.3)
    assert found["dog"].scores.tolist() == pytest.approx([0.75, 0.3])
    assert found["dog"].places.tolist() == [1, 0]  # type: ignore[union-attr]
    assert found[found.scores > 0.4].names == ("dog", "cat")
    assert found[1:].names == ("cat", "dog")
    assert found[[2, 0]].boxes.tolist() == [found.boxes[2].tolist(), found.boxes[0].tolist()]
    assert len(found["cow"]) == len(found[[]]) == 0
    assert found[["dog", "cow"]].names == ("dog", "dog")
    assert found["cat", "dog"].names == found.names
    assert found[[]].boxes.shape == (0, 4)
    with pytest.raises(IndexError):
        found[3]


def test_pictures(found: Detections, picture: Path, tmp_path: Path) -> None:
    import cv2

    original = cv2.imread(str(picture))
    unknown = replace(found, source=None)
    drawn = found.plot()
    assert (drawn.shape, drawn.dtype) == ((80, 100, 3), np.uint8)
    assert (drawn != original).any()
    parts = found.crop()
    assert [part.shape for part in parts] == [(41, 41, 3), (39, 30, 3), (80, 100, 3)]
    assert np.array_equal(parts[0], original[20:61, 10:51])
    assert np.array_equal(cv2.imread(str(found.save(tmp_path / "drawn.png"))), drawn)
    assert np.array_equal(unknown.plot(original), drawn)
    assert (found.save(tmp_path / "a.txt").read_text(), found.save(tmp_path / "a.csv").read_text()) == (
        found.to_yolo(),
        found.to_csv(),
    )
    with pytest.raises(ImageError, match="do not know their picture"):
        unknown.plot()
    with pytest.raises(ImageError, match="100 x 80 pixels, found one of 5 x 5"):
        found.plot(np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(ImageError, match=r"no picture format is called '\.xyz'"):
        found.save(tmp_path / "a.xyz")


def test_boxes_beyond_the_picture_are_cut(found: Detections) -> None:
    wide = Detections(
        np.array([[-5, -5, 500, 3], [200, 90, 300, 95]], np.float32),
        found.scores[:2],
        found.class_ids[:2],
        ("a", "b"),
        100,
        80,
    )
    parts = wide.crop(np.zeros((80, 100, 3), np.uint8))
    assert [part.shape for part in parts] == [(3, 100, 3), (1, 1, 3)]


def test_csv_and_a_table(found: Detections, picture: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(found.to_csv())))
    assert rows[0]["file"] == str(picture)
    boxes = np.array([[row[side] for side in ("left", "top", "right", "bottom")] for row in rows], np.float32)
    assert np.array_equal(boxes, found.boxes)
    assert np.array_equal(np.array([row["score"] for row in rows], np.float32), found.scores)
    document = json.loads(found.to_json())
    assert (document["file"], len(document["detections"])) == (str(picture), 3)
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    table = found.to_df()
    assert isinstance(table, pandas.DataFrame)
    assert table["class"].tolist() == ["dog", "cat", "dog"]


def test_yolo_labels_read_back_by_our_reader(found: Detections, picture: Path) -> None:
    picture.with_suffix(".txt").write_text(found.to_yolo())
    (picture.parent / "all.txt").write_text(f"{picture}\n")
    (sample,) = [open_dataset(str(picture.parent / "all.txt"), names=NAMES).sample(0)]
    boxes = xywh_to_xyxy(sample.labels.boxes.astype(np.float64)) * [100, 80, 100, 80]
    assert sample.labels.classes.tolist() == found.class_ids.tolist()
    np.testing.assert_allclose(boxes / 100, found.boxes / 100, atol=1e-6)
    assert found.to_yolo(scores=True).splitlines()[0].endswith(" 0.75")


def test_coco_read_back_by_our_reader_and_pycocotools(found: Detections, picture: Path, tmp_path: Path) -> None:
    path = tmp_path / "found.json"
    path.write_text(json.dumps(found.to_coco(NAMES, tmp_path)))
    sample = open_dataset(str(path), names=None).sample(0)
    boxes = xywh_to_xyxy(sample.labels.boxes.astype(np.float64)) * [100, 80, 100, 80]
    np.testing.assert_allclose(boxes / 100, found.boxes / 100, atol=1e-6)
    coco = pytest.importorskip("pycocotools.coco", reason="pycocotools is not installed")
    keys = ("image_id", "category_id", "bbox", "score")
    scored = [{key: one[key] for key in keys} for one in found.to_coco(NAMES)["annotations"]]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco.COCO(str(path))
        results = truth.loadRes(scored)
    for loaded in (truth, results):
        theirs = np.array([loaded.anns[number]["bbox"] for number in (1, 2, 3)])
        theirs[:, 2:] += theirs[:, :2]
        np.testing.assert_allclose(theirs, found.boxes, atol=1e-6 * 100)
    assert truth.cats[2]["name"] == "dog"


def test_labelme_and_supervision(found: Detections, picture: Path, tmp_path: Path) -> None:
    document = found.to_labelme()
    points = np.array([shape["points"] for shape in document["shapes"]], np.float32).reshape(-1, 4)
    assert np.array_equal(points, found.boxes)
    assert [shape["label"] for shape in document["shapes"]] == ["dog", "cat", "dog"]
    supervision = pytest.importorskip("supervision", reason="supervision is not installed")
    assert np.array_equal(found.to_supervision().xyxy, found.boxes)
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.json").write_text(json.dumps(document | {"imagePath": "../a.png"}))
    if hasattr(supervision.DetectionDataset, "from_labelme"):
        data = supervision.DetectionDataset.from_labelme(str(tmp_path), str(tmp_path / "labels"))
        (theirs,) = data.annotations.values()
        np.testing.assert_allclose(theirs.xyxy, found.boxes, atol=1e-4)


def test_a_tool_that_is_missing_is_named(found: Detections, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "fiftyone", None)
    with pytest.raises(BackendError, match="fiftyone is not installed: pip install fiftyone"):
        found.to_fiftyone()
