"""Boxes as a network sees them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from darknet_compat.datasets.anchors.shapes import fitted, read_csv, shapes_of
from darknet_compat.datasets.open import open_dataset
from darknet_compat.errors import DatasetError
from darknet_compat.vision.image import letterbox
from tests.datasets.readers.test_voc import OBJECT, annotation, make

HEADER = "image,xmin,ymin,xmax,ymax,class\n"


def table(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_table_without_sizes(tmp_path: Path) -> None:
    path = table(
        tmp_path / "x.csv", HEADER.replace("\n", "\r\n") + "a,0,0,100,200,dog\r\n\r\na,10,20,60,40,x\nb,5,5,5,9,x\n"
    )
    shapes = read_csv(path, (400, 800))
    assert shapes.sizes.tolist() == [[200, 400], [100, 40]]  # of 200 a side to 400 in the narrower direction
    assert (shapes.pictures, shapes.left_out) == (2, 1)
    assert shapes.note == "sizes of pictures not given: 200 pixels a side taken"
    assert read_csv(path, (400, 800), "stretch").sizes.tolist() == [[200, 800], [100, 80]]


def test_a_table_with_sizes_in_any_order(tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", "height,xmax,image,ymax,xmin,ymin,WIDTH\n100,20,a,10,0,0,200\n")
    assert read_csv(path, (100, 100)).sizes.tolist() == [[10, 5]]
    assert read_csv(path, (100, 100), "stretch").sizes.tolist() == [[10, 10]]
    assert read_csv(path, (100, 100)).note == ""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ":1: expected the columns image,xmin,ymin,xmax,ymax, image is missing"),
        ("image,xmin,ymin,xmax\n", ":1: expected the columns image,xmin,ymin,xmax,ymax, ymax is missing"),
        (HEADER, ": expected a box a line after the first, found none"),
        (HEADER + "a,1,2,3\n", ":2: expected 6 columns, found 4"),
        (HEADER + "a,1,2,3,4,x\na,1,2,3,?,x\n", ":3: expected xmin, ymin, xmax, ymax in pixels, found 'a,1,2,3,?,x'"),
        (HEADER + "a,1,2,3,nan,x\n", ":2: expected xmin, ymin, xmax, ymax in pixels, found 'a,1,2,3,nan,x'"),
        (HEADER + "a,1,2,3," + "9" * 200_000 + "\n", ": expected a table of boxes (CSV): field larger than"),
        (b"\0", ": expected a table of boxes (CSV) (text), found binary data; is another file meant?"),
    ],
    ids=range(8),
)
def test_tables_that_are_none(text: str | bytes, message: str, tmp_path: Path) -> None:
    path = table(tmp_path / "x.csv", text)
    with pytest.raises(DatasetError) as error:
        read_csv(path, (416, 416))
    assert str(error.value).startswith(f"{path}{message}")
    assert str(error.value).isprintable()


@pytest.mark.parametrize(("width", "height"), [(64, 48), (48, 64), (100, 30)])
def test_a_letterboxed_box_is_as_large_as_the_picture_shows_it(width: int, height: int) -> None:
    _, placement = letterbox(np.zeros((height, width, 3), np.uint8), 320, 256)
    ours = fitted([[width / 2, height / 4]], [[width, height]], (320, 256), "letterbox")[0]
    theirs = [placement.new_width / 2, placement.new_height / 4]
    assert ours == pytest.approx(theirs, abs=0.51)  # the original rounds the picture's new size down to a pixel


def test_what_is_left_out_and_who_says_the_size(tmp_path: Path) -> None:
    objects = [OBJECT.format("dog", mark, 1, 1, 100, 50) for mark in ("", "<difficult>1</difficult>")]
    objects.append(OBJECT.format("dog", "", 30, 1, 20, 50))
    folder = make(tmp_path, {"a": annotation(*objects), "b": annotation(objects[0], size=""), "c": annotation(size="")})
    cv2.imwrite(str(folder / "JPEGImages/b.jpg"), np.zeros((100, 100, 3), np.uint8))
    seen: list[tuple[int, int]] = []
    shapes = shapes_of(open_dataset(folder), (400, 400), progress=lambda *both: seen.append(both))
    assert shapes.sizes.tolist() == [[200, 100], [400, 200]]
    assert (shapes.pictures, shapes.left_out, seen[-1]) == (3, 2, (3, 3))
    assert shapes_of(open_dataset(folder), (400, 400), "stretch").sizes.tolist() == [[200, 200], [400, 200]]


def test_a_list_whose_pictures_have_to_be_decoded(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("0 .5 .5 .5 .5\n0 0 0 0 0\n")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((50, 100, 3), np.uint8))
    table(tmp_path / "list", "a.png\n")
    assert shapes_of(open_dataset(tmp_path / "list"), (200, 200)).sizes.tolist() == [[100, 50]]
    assert shapes_of(open_dataset(tmp_path / "list"), (200, 200), "stretch").sizes.tolist() == [[100, 100]]
