"""The image functions, against those of the original's library with the same parameters."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from darknet_compat.errors import ImageError
from darknet_compat.parity.reference import Original
from darknet_compat.training.augment import pixels
from darknet_compat.vision.image import decode

Bytes = NDArray[np.uint8]
Floats = NDArray[np.float32]
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def theirs() -> Iterator[Original]:
    with Original() as original:
        yield original


def picture(width: int, height: int, seed: int = 0) -> Bytes:
    return np.random.default_rng([seed, width, height]).integers(0, 256, (height, width, 3), dtype=np.uint8)


def planes(image: Bytes) -> Floats:
    return np.ascontiguousarray((image / 255.0).astype(np.float32).transpose(2, 0, 1))


def assert_equal(ours: Floats, theirs: Floats) -> None:
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() <= TOLERANCE


@pytest.mark.reference
@pytest.mark.parametrize(
    ("size", "target", "at"),
    [
        ((61, 43), (32, 30), (5, 3)),
        ((61, 43), (90, 77), (0, 0)),  # enlarged: the last column and row fade into what is outside
        ((61, 43), (61, 43), (2, 1)),
        ((61, 43), (70, 90), (-20, -13)),  # beyond every edge of the canvas
        ((61, 43), (40, 40), (80, 70)),
        ((1, 1), (9, 7), (0, 0)),
        ((500, 375), (1, 1), (3, 3)),
        ((7, 300), (0, 20), (3, 3)),  # nothing left of its width
        ((17, 9), (20, 20), (200, 10)),  # beside the canvas
        ((17, 9), (20, 20), (-20, 10)),
    ],
)
def test_place_image(theirs: Original, size: tuple[int, int], target: tuple[int, int], at: tuple[int, int]) -> None:
    image = picture(*size)
    canvas = np.full((3, 80, 96), 0.5, np.float32)
    expected = theirs.image_function("place_image", planes(image), *target, *at, canvas)
    ours, from_floats, mirrored = canvas.copy(), canvas.copy(), canvas.copy()
    pixels.place_image(image, *target, *at, ours)
    assert_equal(ours, expected)
    pixels.place_image(planes(image), *target, *at, from_floats)
    assert_equal(from_floats, expected)
    pixels.place_image(image, *target, *at, mirrored, flip=True)
    assert_equal(mirrored, theirs.image_function("flip_image", expected))


@pytest.mark.reference
def test_place_image_at_random_sizes(theirs: Original) -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        width, height, new_width, new_height = (int(side) for side in rng.integers(1, 400, 4))
        left, top = (int(side) for side in rng.integers(-30, 200, 2))
        image = picture(width, height)
        canvas = np.full((3, 224, 320), 0.5, np.float32)
        expected = theirs.image_function("place_image", planes(image), new_width, new_height, left, top, canvas)
        pixels.place_image(image, new_width, new_height, left, top, canvas)
        assert_equal(canvas, expected)


@pytest.mark.reference
def test_rotate_crop_image(theirs: Original) -> None:
    rng = np.random.default_rng(2)
    for n in range(40):
        width, height = (int(side) for side in rng.integers(1, 300, 2))
        new_width, new_height = (int(side) for side in rng.integers(1, 200, 2))
        radians = float(np.float32(rng.uniform(-7, 7))) if n % 4 else 0.0
        scale, aspect = (float(np.float32(value)) for value in rng.uniform(0.3, 3, 2))
        dx, dy = (float(np.float32(value)) for value in rng.uniform(-200, 200, 2))
        image = picture(width, height)
        parameters = radians, scale, new_width, new_height, dx, dy, aspect
        expected = theirs.image_function("rotate_crop_image", planes(image), *parameters)
        assert_equal(pixels.rotate_crop_image(image, *parameters), expected)
        assert_equal(pixels.rotate_crop_image(planes(image), *parameters), expected)


def test_what_is_too_large_to_be_turned_is_refused() -> None:
    with pytest.raises(ImageError, match="32767x1 pixels is too large to be turned: 32766 at most"):
        pixels.rotate_crop_image(np.zeros((1, 32767, 3), np.uint8), 0.1, 1, 8, 8, 0, 0, 1)


@pytest.mark.reference
@pytest.mark.parametrize("hue", [0.0, 0.1037, -0.1037, 0.4871, -0.9302, 0.9999])
@pytest.mark.parametrize(("saturation", "exposure"), [(1.0, 1.0), (1.5, 1.5), (1 / 1.5, 0.4), (2.0, 2.0)])
def test_distort_image(theirs: Original, photos: list[Path], hue: float, saturation: float, exposure: float) -> None:
    few = np.array([0, 1, 127, 128, 254, 255], np.uint8)  # greys, pure colours and their neighbours: all corners
    corners = np.stack(np.meshgrid(few, few, few), axis=-1).reshape(-1, 1, 3)
    photo = decode(photos[0])[::5, ::5]
    for image in (planes(corners), planes(photo), np.random.default_rng(3).random((3, 40, 50), np.float32)):
        expected = theirs.image_function("distort_image", image, hue, saturation, exposure)
        ours = image.copy()
        pixels.distort_image(ours, hue, saturation, exposure)
        assert_equal(ours, expected)


@pytest.mark.reference
def test_a_hue_of_one_is_red_and_not_magenta(theirs: Original) -> None:
    red_with_a_hair_of_blue = np.array([1, 0, 2**-26], np.float32).reshape(3, 1, 1)
    expected = theirs.image_function("distort_image", red_with_a_hair_of_blue, 0.0, 1.0, 1.0)
    ours = red_with_a_hair_of_blue.copy()
    pixels.distort_image(ours, 0, 1, 1)
    assert expected.ravel().tolist() == [1, 0, 1]
    assert ours.ravel() == pytest.approx([1, 0, 0], abs=1e-6)


def test_a_distorted_part_of_a_picture_is_the_part_of_the_distorted_picture() -> None:
    image = planes(picture(40, 30))
    whole, part = image.copy(), image.copy()
    pixels.distort_image(whole, 0.1, 1.3, 0.7)
    pixels.distort_image(part[:, 5:20, 3:33], 0.1, 1.3, 0.7)
    assert np.array_equal(part[:, 5:20, 3:33], whole[:, 5:20, 3:33])
    assert np.array_equal(part[:, 20:], image[:, 20:])
    pixels.distort_image(image[:, :0], 0.1, 1, 1)  # nothing to do, and no complaint


@pytest.mark.reference
@pytest.mark.parametrize("width", [1, 2, 7, 8])
def test_flip_image(theirs: Original, width: int) -> None:
    image = planes(picture(width, 3))
    expected = theirs.image_function("flip_image", image)
    pixels.flip_image(image)
    assert np.array_equal(image, expected)


@pytest.mark.reference
@pytest.mark.parametrize("size", [(50, 31), (30, 50), (40, 40), (1, 9)])
def test_center_crop_image(theirs: Original, size: tuple[int, int]) -> None:
    image = picture(*size)
    assert_equal(
        pixels.center_crop_image(image, 32, 24), theirs.image_function("center_crop_image", planes(image), 32, 24)
    )


def test_brightness_is_the_originals_weighting() -> None:
    image = np.array([1.0, 0.5, 0.25], np.float32).reshape(3, 1, 1)
    assert pixels.brightness(image).shape == (1, 1, 1)
    assert pixels.brightness(image)[0, 0, 0] == pytest.approx(0.299 + 0.587 / 2 + 0.114 / 4)
