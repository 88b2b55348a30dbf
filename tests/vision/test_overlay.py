"""What is drawn beside boxes, and what nobody is to see."""

from __future__ import annotations

import numpy as np
import pytest

from darknet_compat.vision.overlay import blur, draw_shape, fitting


def checked(height: int, width: int) -> np.ndarray:
    """Black and white squares of four pixels."""
    rows, columns = np.indices((height, width)) // 4
    return np.repeat((((rows + columns) % 2) * 255).astype(np.uint8)[..., None], 3, 2)


def test_what_is_blurred_cannot_be_told_and_the_rest_is_as_it_was() -> None:
    image = checked(120, 160)
    before = image.copy()
    blur(image, np.array([[40, 30, 100, 90]], np.float32))
    inside = image[30:90, 40:100].astype(int)
    assert inside.std() < 12  # of 127: six cells a side have all the same mean
    changed = np.argwhere((image != before).any(2))
    assert changed.min(0).tolist() == [24, 34] and changed.max(0).tolist() == [
        95,
        105,
    ]  # a tenth beyond, and no further


def test_small_boxes_and_those_at_the_edge_or_beyond_it() -> None:
    image = checked(60, 60)
    before = image.copy()
    blur(image, np.array([[-20, -20, 5, 5], [55, 55, 90, 90], [100, 100, 120, 120], [np.nan, 0, 9, 9]], np.float32))
    assert (image[:8, :8] != before[:8, :8]).any() and (image[-4:, -4:] != before[-4:, -4:]).any()
    np.testing.assert_array_equal(image[10:50, 10:50], before[10:50, 10:50])
    blur(image, np.array([[30, 30, 30, 30]], np.float32))


@pytest.mark.parametrize("points", [[[10, 50], [190, 50]], [[20, 20], [180, 20], [100, 90]]])
def test_lines_and_zones_are_seen_with_their_text(points: list[list[float]]) -> None:
    image = np.full((100, 200, 3), 90, np.uint8)
    draw_shape(image, np.array(points, float), "door: 3 now")
    assert (image > 150).all(2).sum() > 100 and (image < 50).all(2).sum() > 100


def test_texts_are_letters_that_opencv_has() -> None:
    assert fitting(["Tür", "狗"]) == "T?r, ?" and fitting([]) == "0"
