"""Decoding, letterboxing, stretching, and the way back to the picture."""

from __future__ import annotations

import contextlib
import io
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from darknet_compat.errors import ImageError
from darknet_compat.formats.arrays import Floats
from darknet_compat.vision.image import Placement, _fitting_size, decode, letterbox, stretch

Bytes = NDArray[np.uint8]

SIDES = st.integers(1, 3000)
RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def corners() -> Bytes:
    """64x32, RGB: red top left, green top right, blue bottom left, white bottom right; large areas survive JPEG."""
    image = np.full((32, 64, 3), 255, np.uint8)
    image[:16, :32], image[:16, 32:], image[16:, :32] = RED, GREEN, BLUE
    return image


def encoded(image: Bytes, suffix: str = ".png") -> bytes:
    return bytes(cv2.imencode(suffix, image[..., ::-1])[1])


def jpeg_turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(corners()).save(file, "JPEG", quality=95, exif=exif)
    return file.getvalue()


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


# ------------------------------------------------------------------------------------------- what is decoded


def test_a_path_bytes_and_arrays_give_the_same_rgb(tmp_path: Path) -> None:
    image, path = corners(), tmp_path / "corners.png"
    path.write_bytes(encoded(image))
    bgr = np.ascontiguousarray(image[..., ::-1])
    sources = [path, str(path), path.read_bytes(), bytearray(path.read_bytes()), memoryview(path.read_bytes()), bgr]
    sources += [image[..., ::-1], np.dstack([bgr, np.zeros((32, 64), np.uint8)]), Image.fromarray(image)]
    for source in sources:
        found = decode(source)
        assert found.dtype == np.uint8 and found.flags.c_contiguous and found.flags.writeable
        np.testing.assert_array_equal(found, image)


def test_grey_becomes_three_equal_channels(tmp_path: Path) -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(3, 4)
    for source in (grey, grey[..., None], Image.fromarray(grey), encoded(np.dstack([grey] * 3))):
        np.testing.assert_array_equal(decode(source), np.dstack([grey] * 3))


def test_the_given_array_is_not_touched_nor_shared() -> None:
    for channels in (1, 3, 4):
        given_array = np.zeros((4, 4, channels), np.uint8)
        decode(given_array)[:] = 7
        assert not given_array.any()


def test_sixteen_bits_and_transparency_are_dropped() -> None:
    deep = corners().astype(np.uint16) * 257
    np.testing.assert_array_equal(decode(bytes(cv2.imencode(".png", deep[..., ::-1])[1])), corners())
    clear = np.dstack([corners()[..., ::-1], np.zeros((32, 64), np.uint8)])
    np.testing.assert_array_equal(decode(bytes(cv2.imencode(".png", clear)[1])), corners())


def test_a_grey_pil_image_of_sixteen_bits_is_not_white(tmp_path: Path) -> None:
    levels = np.arange(0, 65536, 97, np.uint16)[:660].reshape(22, 30)
    cv2.imwrite(str(tmp_path / "a.png"), levels)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode.startswith("I")
        found = decode(image)
    assert np.array_equal(found, decode(tmp_path / "a.png"))
    assert np.array_equal(found[..., 0], levels >> 8)


@pytest.mark.parametrize("name", ["собака.png", "犬 🐕.png", "with space & 'quotes'.png"])
def test_a_name_in_any_script(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encoded(corners()))
    np.testing.assert_array_equal(decode(tmp_path / name), corners())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured_from_bytes_and_by_pil_alike(orientation: int) -> None:
    upright = corners()
    if orientation in (2, 4, 5, 7):  # mirrored ones have the turn of their neighbour besides
        upright = upright[:, ::-1] if orientation in (2, 5, 7) else upright[::-1]
    turns = {3: 2, 5: 1, 6: 3, 7: 3, 8: 1}.get(orientation, 0)
    upright = np.rot90(upright, turns)
    data = jpeg_turned(orientation)
    for found in (decode(data), decode(Image.open(io.BytesIO(data)))):
        assert found.shape == upright.shape
        assert np.abs(found[8::16, 8::16].astype(int) - upright[8::16, 8::16]).max() < 20


@pytest.mark.reference
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_as_the_original(library: Any, tmp_path: Path, orientation: int) -> None:
    path = tmp_path / "turned.jpg"
    path.write_bytes(jpeg_turned(orientation))
    theirs, ours = library.load(path), decode(path)
    assert ours.transpose(2, 0, 1).shape == theirs.shape
    assert np.abs(ours.transpose(2, 0, 1) / 255 - theirs).max() < 0.02


@pytest.mark.reference
def test_photographs_decode_as_in_the_original(library: Any, photos: list[Path]) -> None:
    for photo in photos:
        theirs = library.load(photo)
        ours = (decode(photo).transpose(2, 0, 1) / 255).astype(np.float32)
        np.testing.assert_array_equal(ours, theirs, err_msg=photo.name)


# ------------------------------------------------------------------------------------------ what is refused


def refusal(source: Any) -> str:
    with pytest.raises(ImageError) as caught:
        decode(source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    missing, empty, text = tmp_path / "missing.jpg", tmp_path / "empty.jpg", tmp_path / "page.jpg"
    empty.touch()
    text.write_text("<!DOCTYPE html><html>")
    assert refusal(missing) == f"{missing}: no such file"
    assert refusal(tmp_path) == f"{tmp_path}: a folder, not a picture"
    assert refusal(empty) == f"{empty}: empty, not a picture"
    assert refusal(text) == f"{text}: not a picture that OpenCV can read: it starts with b'<!DOCTYPE html><'"
    assert "null" in refusal("a\0b.jpg")
    assert "too long" in refusal("a" * 5000)


@contextlib.contextmanager
def somebody_else() -> Iterator[None]:
    """Root may read everything: while this lasts the tests are run by nobody in particular."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.skipif(not hasattr(os, "seteuid"), reason="this system has no permissions of this kind")
def test_a_file_without_permission(tmp_path: Path) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(encoded(corners()))
    path.chmod(0)
    with somebody_else():
        assert refusal(path) == f"{path}: cannot be read: Permission denied"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".webp", ".tiff"])
def test_a_file_cut_short_is_refused_and_not_filled_with_grey(suffix: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(noise, suffix)
    assert decode(data).shape == (64, 64, 3)
    for share in (0.5, 0.9):
        assert "damaged, cut short" in refusal(data[: int(len(data) * share)])


@pytest.mark.parametrize("claimed", [(40_000, 40_000), (10_001, 10_000), (2_000_000, 51)])
def test_a_file_that_claims_too_much(claimed: tuple[int, int]) -> None:
    width, height = claimed
    data, hint = png_claiming(width, height), "larger ones with max_pixels (--max-pixels)"
    expected = f"picture of {len(data)} bytes: {width} x {height} pixels are more than 100,000,000; {hint}"
    assert refusal(data) == expected


@pytest.mark.parametrize(
    "array, found",
    [
        (np.zeros((4, 4, 3), np.float32), r"not float32 [4, 4, 3]"),
        (np.zeros((4, 4, 3), np.int64), r"not int64 [4, 4, 3]"),
        (np.zeros((4, 4, 2), np.uint8), r"not uint8 [4, 4, 2]"),
        (np.zeros((3, 4, 4, 3), np.uint8), r"not uint8 [3, 4, 4, 3]"),
        (np.zeros(4, np.uint8), r"not uint8 [4]"),
        (np.zeros((0, 4, 3), np.uint8), "a picture of 4x0 pixels has nothing to look at"),
        (np.zeros((4, 0), np.uint8), "a picture of 0x4 pixels has nothing to look at"),
    ],
    ids=["float", "wide integers", "two channels", "a batch", "one axis", "no rows", "no columns"],
)
def test_arrays_that_are_no_picture(array: Any, found: str) -> None:
    assert found in refusal(array)


def test_things_that_are_no_source() -> None:
    assert refusal(b"") == "picture of 0 bytes: empty, not a picture"
    assert refusal(None) == "a picture is a path, bytes, a PIL image or an ndarray, not NoneType"
    assert refusal([1, 2]).endswith("not list")


def test_a_pil_image_whose_file_is_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "cut.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    path.write_bytes(encoded(noise, ".jpg")[:-2000])
    with Image.open(path) as lazy:
        assert refusal(lazy).startswith(f"{path}: cannot be read: ")


# ------------------------------------------------------------------------------------ letterbox and stretch


def test_letterbox_centres_the_picture_on_grey() -> None:
    pixels, placement = letterbox(corners(), 40, 30)
    assert placement == Placement(64, 32, 40, 30, 40, 20, "letterbox")
    assert pixels.shape == (3, 30, 40) and pixels.dtype == np.float32
    assert (pixels[:, :5] == 0.5).all() and (pixels[:, 25:] == 0.5).all()
    assert pixels[:, 6, 1].tolist() == [1, 0, 0] and pixels[:, 6, -2].tolist() == [0, 1, 0]
    assert pixels[:, 23, 1].tolist() == [0, 0, 1]
    pixels, placement = letterbox(corners(), 40, 10)
    assert (placement.new_width, placement.new_height) == (20, 10)
    assert (pixels[:, :, :10] == 0.5).all() and (pixels[:, :, 30:] == 0.5).all()


def test_stretch_fills_the_whole_input() -> None:
    pixels, placement = stretch(corners(), 10, 50)
    assert placement == Placement(64, 32, 10, 50, 10, 50, "stretch")
    assert pixels[:, 0, 0].tolist() == [1, 0, 0] and pixels[:, -1, -1].tolist() == [1, 1, 1]


@pytest.mark.parametrize("fit", [letterbox, stretch])
def test_an_impossible_input_is_one_clear_line(fit: Any) -> None:
    with pytest.raises(ImageError, match="input of 0x5 pixels"):
        fit(corners(), 0, 5)
    with pytest.raises(ImageError, match="expected a picture"):
        fit(np.zeros((4, 4), np.uint8), 5, 5)


@pytest.mark.parametrize("shape", [(1, 2000, 3), (2000, 1, 3)])
def test_a_picture_too_long_to_leave_a_pixel_is_all_grey(shape: tuple[int, int, int]) -> None:
    pixels, placement = letterbox(np.zeros(shape, np.uint8), 416, 416)
    assert 0 in (placement.new_width, placement.new_height)
    assert (pixels == 0.5).all()
    boxes = placement.to_image([[0.5, 0.5, 0.2, 0.2]])
    np.testing.assert_allclose(to_network(placement, boxes), [[0.5, 0.5, 0.2, 0.2]], atol=1e-5)


@pytest.mark.reference
def test_extreme_shapes_as_the_original(library: Any) -> None:
    for width, height in ((2000, 1), (1, 2000), (900, 2), (3, 1250), (1, 1)):
        image = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
        planes = np.ascontiguousarray((image / 255.0).astype(np.float32).transpose(2, 0, 1))
        np.testing.assert_array_equal(letterbox(image, 416, 320)[0], library.letterbox(planes, 416, 320))


@pytest.mark.reference
def test_the_size_within_the_input_as_the_original(library: Any) -> None:
    rng = np.random.default_rng(7)
    for width, height, network_width, network_height in rng.integers(1, 700, (300, 4)).tolist():
        white = np.ones((1, height, width), np.float32)
        pixels, placement = letterbox(white, network_width, network_height)
        if placement.new_height != 1:  # the original divides 0 by 0 there
            np.testing.assert_array_equal(pixels, library.letterbox(white, network_width, network_height))


@pytest.mark.reference
def test_a_tie_that_only_float32_sees_as_the_original(library: Any) -> None:
    whole, decided_by_rounding = np.ones((1, 4), np.float32), 0
    for width in range(5001, 5201, 2):
        height = width - 1
        image_height = height - pow(width, -1, height) + height  # so that the shapes differ by one part in 5e7
        image_width = (width * image_height + 1) // height
        size = _fitting_size(image_width, image_height, width, height)
        _, _, w, h = library.correct_region_boxes(whole, (image_width, image_height), (width, height))[0].tolist()
        assert size == (round(width / w), round(height / h))
        assert width * image_height < height * image_width
        decided_by_rounding += size != (width, image_height * width // image_width)
    assert decided_by_rounding > 50


# ------------------------------------------------------------------------------------------ boxes, both ways


def to_network(placement: Placement, boxes: Floats) -> Floats:
    """The inverse of `to_image`, by the definition of a placement."""
    picture = np.array([placement.image_width, placement.image_height], np.float64)
    shown = np.maximum([placement.new_width, placement.new_height], 1)
    network = np.array([placement.network_width, placement.network_height])
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    centre = ((low + high) / 2 / picture * shown + (network - shown) / 2) / network
    return np.concatenate([centre, (high - low) / picture * shown / network], axis=1)


@given(SIDES, SIDES, SIDES, SIDES, st.sampled_from([letterbox, stretch]), st.integers(0, 2**32 - 1))
def test_boxes_are_where_the_picture_is(width: int, height: int, across: int, down: int, fit: Any, seed: int) -> None:
    placement = fitted(width, height, across, down, fit)
    boxes = np.random.default_rng(seed).random((5, 4), np.float32)
    if placement.new_width and placement.new_height:
        np.testing.assert_allclose(to_network(placement, placement.to_image(boxes)), boxes, atol=2e-6)


def fitted(width: int, height: int, across: int, down: int, fit: Any) -> Placement:
    """The placement that `fit` gives to a picture of that size, without making the picture."""
    new = _fitting_size(width, height, across, down) if fit is letterbox else (across, down)
    return Placement(width, height, across, down, *new, "letterbox" if fit is letterbox else "stretch")


def test_a_box_over_the_whole_picture_comes_back_as_its_size() -> None:
    for width, height in ((768, 576), (576, 768), (10, 10)):
        placement = letterbox(np.zeros((height, width, 3), np.uint8), 416, 416)[1]
        whole = [0.5, 0.5, placement.new_width / 416, placement.new_height / 416]
        np.testing.assert_allclose(placement.to_image([whole]), [[0, 0, width, height]], atol=1e-3)


def test_the_margin_is_an_exact_half_where_the_paste_is_rounded() -> None:
    placement = letterbox(np.zeros((3, 4, 3), np.uint8), 100, 10)[1]
    assert (placement.new_width, placement.new_height) == (13, 10)
    left, _, right, _ = placement.to_image([[0.5, 0.5, 13 / 100, 1]])[0]
    assert (left, right) == (pytest.approx(0, abs=1e-5), pytest.approx(4, abs=1e-5))


def test_no_boxes_at_all() -> None:
    placement = letterbox(corners(), 32, 32)[1]
    for none in (np.empty((0, 4), np.float32), []):
        assert placement.to_image(none).shape == (0, 4)


@pytest.mark.reference
def test_boxes_go_back_as_in_the_original(library: Any) -> None:
    rng = np.random.default_rng(3)
    for width, height, across, down in rng.integers(2, 1200, (100, 4)).tolist():
        placement = fitted(width, height, across, down, letterbox)
        if not (placement.new_width and placement.new_height):
            continue
        boxes = rng.random((20, 4), np.float32)
        x, y, w, h = library.correct_region_boxes(boxes, (width, height), (across, down)).astype(np.float64).T
        wanted = np.stack([(x - w / 2) * width, (y - h / 2) * height, (x + w / 2) * width, (y + h / 2) * height], 1)
        found = placement.to_image(boxes)
        np.testing.assert_allclose(found, wanted, rtol=3e-7, atol=3e-7 * max(width * across, height * down))
