"""Lines and zones, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from darknet_compat.errors import OptionError
from darknet_compat.inference.counting import Counts, contains, crossed, parse_shape
from tests.inference.test_tracking import detections

LINE = np.array([[0.0, 100.0], [200.0, 100.0]])  # from left to right: forward is downwards


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ((50, 90), (50, 110), 1),
        ((50, 110), (50, 90), -1),
        ((50, 90), (150, 110), 1),
        ((50, 80), (50, 90), 0),
        ((250, 90), (250, 110), 0),  # past its end
        ((50, 90), (50, 100), 0),  # onto it, not across
        ((50, 100), (50, 110), 1),
        ((50, 90), (50, 90), 0),
    ],
)
def test_what_crosses_a_line_and_which_way(before: tuple[int, int], after: tuple[int, int], expected: int) -> None:
    assert crossed(LINE, np.array(before, float), np.array(after, float)) == expected


def test_what_a_zone_contains() -> None:
    hollow = np.array([[0, 0], [100, 0], [100, 100], [50, 20], [0, 100]], float)  # an arrow, open below
    points = {(50, 10): True, (50, 60): False, (10, 60): True, (90, 60): True, (150, 50): False, (-1, 0): False}
    assert {point: contains(hollow, np.array(point, float)) for point in points} == points


def test_tracks_are_counted_once_each_by_class_and_way() -> None:
    counts = Counts((parse_shape("0,100,640,100", "line", 1),), (parse_shape("door=0,0,1,0,1,.5,0,.5", "zone", 1),))
    for y in (60, 80, 95, 105, 120, 95, 110):  # down, up, and down again
        found = detections([[90, y - 10, 110, y + 10], [290, y - 10, 310, y + 10]], [0.9, 0.9], [0, 1])
        counts.update(replace(found, width=640, height=200, track_ids=np.array([4, -1])))
    assert counts.to_dict() == {
        "tracks": {"cat": 1},
        "lines": [{"name": "line 1", "forward": {"cat": 2}, "back": {"cat": 1}}],
        "zones": [{"name": "door", "now": {}, "ever": {"cat": 1}}],
    }


def test_fractions_are_of_the_picture_and_pixels_are_pixels() -> None:
    assert parse_shape("0,.5,1,.5", "line", 1).within(640, 200).tolist() == [[0, 100], [640, 100]]
    assert parse_shape("a=0,50,640,50", "line", 1).within(640, 200).tolist() == [[0, 50], [640, 50]]


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "1,2,3,4,5,6", "a,b,c,d", "1,2,1,2", "-1,2,3,4", "nan,1,2,3", "=1,2,3,4"]
)
def test_what_is_no_line(text: str) -> None:
    with pytest.raises(OptionError, match="expected"):
        parse_shape(text, "line", 1)


@pytest.mark.parametrize("text", ["1,2,3,4", "1,2,3,4,5", "x=1,2"])
def test_what_is_no_zone(text: str) -> None:
    with pytest.raises(OptionError, match="X,Y,X,Y,X,Y"):
        parse_shape(text, "zone", 1)
