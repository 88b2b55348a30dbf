"""CVAT's XML by hand: everything that is drawn in it, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.options import Reading
from darknet_compat.errors import DatasetError
from tests.datasets.shapes import NAMES, PARTS, cvat_task, cvat_xml, picture, put, put_pictures
from tests.datasets.test_layouts import held_against_the_truth

DRAWN = """
<box label="disc" xtl="10" ytl="20" xbr="30.5" ybr="50" occluded="1"><attribute name="a">b</attribute></box>
<box label="disc" xtl="10" ytl="20" xbr="30" ybr="60" rotation="90.0"/>
<polygon label="square" points="1.00,2.00;11.00,2.00;5.00,12.00"/>
<ellipse label="disc" cx="40" cy="30" rx="8" ry="4" rotation="90"/>
<mask label="square" rle="4, 8" left="5" top="6" width="3" height="4"/>
<polyline label="disc" points="1,2;3,4"/>
<points label="disc" points="1,2"/>
<tag label="disc"/>
"""
BOXES = [[10, 20, 30.5, 50], [0, 30, 40, 50], [1, 2, 11, 12], [36, 22, 44, 38], [5, 6, 8, 10]]


def image(drawn: str = DRAWN, name: str = "a.png", size: str = 'width="96" height="72"') -> str:
    return f'<image id="0" name="{name}" {size}>{drawn}</image>'


def test_everything_drawn(tmp_path: Path) -> None:
    put(tmp_path / "images/a.png", picture("train_0"))
    put(tmp_path / "annotations.xml", cvat_task(image() + image("", "b.png")))
    dataset = open_dataset(tmp_path)
    assert (dataset.names, len(dataset)) == (NAMES, 2)
    assert np.abs(dataset[0].labels.corners(96, 72) - BOXES).max() < 1e-6
    assert [NAMES[n] for n in dataset[0].labels.classes] == ["disc", "disc", "square", "disc", "square"]
    assert dict(dataset[0].repairs) == {"polygons": 4, "left out": 3}
    assert (len(dataset[1].labels), dataset.size(1)) == (0, (96, 72))


def test_annotations_alone(tmp_path: Path) -> None:
    """As CVAT exports them without `save images`: the file is given, and the folder of the pictures."""
    path = put(tmp_path / "task/annotations.xml", cvat_task(cvat_xml(PARTS["train"])))
    put_pictures(tmp_path / "photos", PARTS["train"])
    held_against_the_truth(open_dataset(path, reading=Reading(pictures=tmp_path / "photos")), "train")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (cvat_task(image() + '<track id="0" label="disc"/>'), "has tracks of a video; export"),
        (cvat_task(image('<box label="disc" xtl="1" ytl="2" xbr="3"/>')), r"image 'a.png': box: ybr: expected pixels"),
        (cvat_task(image('<box xtl="1" ytl="2" xbr="3" ybr="4"/>')), r"image 'a.png': box: it has no label"),
        (
            cvat_task(image('<box label="disc" xtl="1" ytl="2" xbr="3" ybr="4" rotation="x"/>')),
            r"image 'a.png': box: rotation: expected",
        ),
        (cvat_task(image('<polygon label="disc" points="1,2;3"/>')), "polygon: expected 3 or more points"),
        (cvat_task(image(size='width="0" height="72"')), "image 'a.png': expected a width and a height in pixels"),
        (cvat_task(image(name="")), "image '0': it has no name"),
        (cvat_task(image())[:-20], "expected CVAT's XML, found damaged XML: unclosed token"),
        (cvat_task(""), "expected boxes, found none"),
        ("<!DOCTYPE x [<!ENTITY a 'b'>]><annotations></annotations>", "CVAT's XML has no document type"),
        ("<a><annotations></annotations></a>", "expected <annotations>, found <a>"),
    ],
)
def test_files_that_are_none(content: str, message: str, tmp_path: Path) -> None:
    path = put(tmp_path / "annotations.xml", content)
    with pytest.raises(DatasetError, match=message) as error:
        open_dataset(path)
    assert "\n" not in str(error.value)
