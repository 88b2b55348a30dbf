"""labelme's files by hand: every shape it draws, and where it says the picture is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from darknet_compat.datasets.open import open_dataset, recognise
from darknet_compat.datasets.options import Reading
from darknet_compat.errors import DatasetError
from tests.datasets.shapes import picture, put

SHAPES: dict[str, list[list[float]]] = {
    "rectangle": [[48, 36], [24, 18]],
    "polygon": [[10, 20], [30, 20], [20, 50]],
    "circle": [[50, 40], [53, 44]],
    "oriented_rectangle": [[20, 10], [30, 20], [20, 30], [10, 20]],
    "mask": [[1, 2], [11, 12]],
    "line": [[0, 0], [9, 9]],
    "point": [[5, 5]],
}
BOXES = [[24, 18, 48, 36], [10, 20, 30, 50], [45, 35, 55, 45], [10, 10, 30, 30], [1, 2, 11, 12]]


def annotation(picture_at: str = "a.png", shapes: Any = SHAPES, **more: Any) -> str:
    drawn = [{"label": f"a {kind}", "points": points, "shape_type": kind} for kind, points in shapes.items()]
    sizes = {"imageHeight": 72, "imageWidth": 96}
    return json.dumps({"version": "5.5.0", "shapes": drawn, "imagePath": picture_at, "imageData": None} | sizes | more)


def test_every_shape(tmp_path: Path) -> None:
    put(tmp_path / "a.png", picture("train_0"))
    put(tmp_path / "a.json", annotation())
    dataset = open_dataset(tmp_path)
    assert dataset.names == ("a circle", "a mask", "a oriented_rectangle", "a polygon", "a rectangle")
    assert dataset[0].labels.corners(96, 72).tolist() == BOXES
    assert dataset[0].repairs == (("polygons", 4), ("left out", 2))


def test_a_size_that_is_not_stated_is_the_pictures(tmp_path: Path) -> None:
    put(tmp_path / "a.png", picture("train_0"))
    put(tmp_path / "a.json", annotation(imageHeight=None))
    assert open_dataset(tmp_path)[0].labels.corners(96, 72).tolist() == BOXES


@pytest.mark.parametrize(
    ("place", "called"),
    [
        ("images/a.png", "..\\images\\a.png"),
        ("images/a.png", "../images/a.png"),
        ("images/a.png", "C:\\photos\\a.png"),
        ("labels/a.png", "/home/someone/a.png"),
        ("labels/x.png", "renamed.png"),  # found by the annotation's own name
    ],
)
def test_where_the_picture_is(place: str, called: str, tmp_path: Path) -> None:
    put(tmp_path / place, picture("train_0"))
    put(tmp_path / "labels/x.json", annotation(called))
    assert open_dataset(tmp_path)[0].image == tmp_path / place


def test_pictures_outside_are_not_looked_for(tmp_path: Path) -> None:
    put(tmp_path / "secret.png", picture("train_0"))
    put(tmp_path / "set/x.json", annotation("../secret.png"))
    assert open_dataset(tmp_path / "set")[0].image == tmp_path / "set/x.jpg"
    put(tmp_path / "other/secret.png", picture("train_0"))
    read = open_dataset(tmp_path / "set", reading=Reading(pictures=tmp_path / "other"))
    assert read[0].image == tmp_path / "other/secret.png"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"shapes": [', r"a.json:1: expected a labelme annotation, found damaged JSON"),
        ('[{"shapes": []}]', "a.json: expected a labelme annotation, an object with shapes"),
        (annotation(shapes={"rectangle": [[1, 2]]}), "a.json: shape 1: expected 2 or more points"),
        (annotation(shapes={"polygon": [[1, 2], [3, 4]]}), "a.json: shape 1: expected 3 or more points"),
        (annotation(shapes={"rectangle": [[1, 2], [3, "x"]]}), "a.json: shape 1: expected 2 or more points"),
        (annotation(shapes={"circle": [[1, 2], [3, 1e300]]}), "a.json: shape 1: expected 2 or more points"),
        ('{"shapes": [{"points": []}]}', "a.json: shape 1: expected an object with a label"),
        ('{"shapes": [{"label": "a", "shape_type": [1]}]}', r"shape 1: expected a word for its shape_type"),
    ],
)
def test_files_that_are_none(content: str, message: str, tmp_path: Path) -> None:
    put(tmp_path / "a.json", content)
    assert recognise(tmp_path).layout == "labelme"
    with pytest.raises(DatasetError, match=message):
        list(open_dataset(tmp_path))


def test_one_file_is_not_a_data_set(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"found a .json file; one annotation: give its folder"):
        open_dataset(put(tmp_path / "a.json", annotation()))
