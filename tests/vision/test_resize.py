"""The original's resize: against a plain reading of its definition, and bit for bit against its library."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from darknet_compat.errors import ImageError
from darknet_compat.vision.image import decode, letterbox
from darknet_compat.vision.resize import resize

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]

SIDES = st.integers(1, 12)


def picture(width: int, height: int, seed: int = 0) -> Bytes:
    return np.random.default_rng([seed, width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)


def planes(image: Bytes) -> Floats:
    """What the original makes of a decoded picture: [C, H, W], divided by 255 in double precision."""
    return np.ascontiguousarray((image / 255.0).astype(np.float32).transpose(2, 0, 1))


def sizes(count: int) -> list[tuple[int, int, int, int]]:
    """Picture and target sizes: every other one small, 1-pixel and odd sides among them."""
    rng = np.random.default_rng(2018)
    chosen = []
    for n in range(count):
        picture_limit, target_limit = ((9, 40), (700, 500))[n % 2]
        width, height = rng.integers(1, picture_limit, 2)
        new_width, new_height = rng.integers(2, target_limit, 2)
        chosen.append((int(width), int(height), int(new_width), int(new_height)))
    return chosen


def by_definition(image: Floats, width: int, height: int) -> Floats:
    """One number at a time, each rounded to float32: along x, where the last column is copied, then along y."""
    channels, rows, columns = image.shape
    one = np.float32(1)
    across = np.float32(columns - 1) / np.float32(width - 1) if width > 1 else None
    down = np.float32(rows - 1) / np.float32(height - 1) if height > 1 else None
    part = np.zeros((channels, rows, width), np.float32)
    for k, y, x in np.ndindex(*part.shape):
        if across is None or columns == 1 or x == width - 1:
            part[k, y, x] = image[k, y, -1]
        else:
            at = np.float32(x) * across
            d = at - np.float32(int(at))
            part[k, y, x] = (one - d) * image[k, y, int(at)] + d * image[k, y, int(at) + 1]
    out = np.zeros((channels, height, width), np.float32)
    for k, y, x in np.ndindex(*out.shape):
        if down is None:
            out[k, y, x] = part[k, -1, x]
            continue
        at = np.float32(y) * down
        d = at - np.float32(int(at))
        out[k, y, x] = (one - d) * part[k, int(at), x]
        if y < height - 1 and rows > 1:
            out[k, y, x] += d * part[k, int(at) + 1, x]
    return out


@settings(max_examples=60)
@given(SIDES, SIDES, SIDES, SIDES)
def test_every_small_size_follows_the_definition(columns: int, rows: int, width: int, height: int) -> None:
    image = picture(columns, rows)
    wanted = by_definition(planes(image), width, height)
    np.testing.assert_array_equal(resize(image, width, height), wanted)
    np.testing.assert_array_equal(resize(planes(image), width, height), wanted)


def test_the_same_size_is_the_same_picture() -> None:
    image = picture(31, 17)
    np.testing.assert_array_equal(resize(image, 31, 17), planes(image))


def test_other_numbers_of_channels() -> None:
    image = picture(20, 10)
    np.testing.assert_array_equal(resize(image[..., :1], 7, 8), resize(image, 7, 8)[:1])
    np.testing.assert_array_equal(resize(np.dstack([image, image]), 7, 8)[3:], resize(image, 7, 8))


def test_a_view_of_a_larger_picture() -> None:
    image = picture(40, 30)
    np.testing.assert_array_equal(resize(image[3:25:2, ::-1], 9, 9), resize(image[3:25:2, ::-1].copy(), 9, 9))


def test_the_picture_stays_as_it_was() -> None:
    image = planes(picture(9, 9))
    before = image.copy()
    resize(image, 5, 5)
    resize(image, 9, 9)
    np.testing.assert_array_equal(image, before)


def test_threads_do_not_disturb_each_other() -> None:
    pictures = [picture(301 + 40 * n, 203 + 30 * n, seed=n) for n in range(4)]
    wanted = [resize(image, 333, 222) for image in pictures]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            for found, right in zip(pool.map(lambda image: resize(image, 333, 222), pictures), wanted, strict=True):
                np.testing.assert_array_equal(found, right)


def test_the_last_row_darkens_where_the_originals_rounding_has_it() -> None:
    white = np.full((512, 2, 3), 255, np.uint8)
    column = resize(white, 2, 448)[0, :, 0]
    assert column[:-1].min() > 0.999
    assert column[-1] < 0.001


@pytest.mark.parametrize("width, height", [(0, 5), (5, 0), (-1, 5)])
def test_an_impossible_target_is_one_clear_line(width: int, height: int) -> None:
    with pytest.raises(ImageError, match=f"to {width}x{height}: both sides must be at least 1"):
        resize(picture(4, 4), width, height)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((3, 4, 4), np.float64),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((3, 4, 0), np.float32),
    ],
    ids=["no channels", "double", "no rows", "no columns"],
)
def test_what_is_no_picture_is_one_clear_line(image: Any) -> None:
    with pytest.raises(ImageError, match=r"expected a picture, uint8 \[height, width, channels\] or float32"):
        resize(image, 5, 5)


@pytest.mark.reference
def test_fifty_sizes_bit_for_bit_as_the_original(library: Any) -> None:
    chosen = sizes(50)
    sides = [side for width, height, _, _ in chosen for side in (width, height)]
    assert 1 in sides and any(side > 500 for side in sides) and any(side % 2 for side in sides)
    compared = 0
    for width, height, new_width, new_height in chosen:
        image = picture(width, height)
        wanted = library.resize(planes(image), new_width, new_height)
        for given_image in (image, planes(image)):
            np.testing.assert_array_equal(resize(given_image, new_width, new_height), wanted)
            found, placement = letterbox(given_image, new_width, new_height)
            if placement.new_height == 1:
                continue  # the original divides 0 by 0
            np.testing.assert_array_equal(found, library.letterbox(planes(image), new_width, new_height))
            compared += 1
    assert compared > 90


@pytest.mark.reference
@pytest.mark.parametrize("width, height", [(416, 416), (608, 352), (224, 448), (1001, 77)])
def test_photographs_bit_for_bit_as_the_original(library: Any, photos: list[Path], width: int, height: int) -> None:
    for photo in photos:
        image = decode(photo)
        np.testing.assert_array_equal(
            letterbox(image, width, height)[0], library.letterbox(planes(image), width, height)
        )
        np.testing.assert_array_equal(resize(image, width, height), library.resize(planes(image), width, height))
