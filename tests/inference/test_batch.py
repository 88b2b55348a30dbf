"""Reading ahead: in order, not too far, and nothing left behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

from darknet_compat.errors import BackendError
from darknet_compat.inference.batch import Failure, Prepared, map_batches, prepare, prepared_batches
from darknet_compat.runtime.base import Description
from darknet_compat.sources.base import Frame
from darknet_compat.vision.image import letterbox, stretch
from tests.inference.conftest import Library
from tests.inference.support import noise

PICTURE = noise(40, 60)


def description(width: int = 32, height: int = 24, channels: int = 3, resize: str = "letterbox") -> Description:
    return Description("toy", "detect", width, height, channels, 4, resize=resize)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------------------- one picture


@pytest.mark.parametrize(("resize", "fit"), [("letterbox", letterbox), ("stretch", stretch)])
def test_a_picture_is_fitted_as_the_description_says(resize: str, fit: object) -> None:
    prepared = prepare(PICTURE, description(resize=resize))
    expected, placement = fit(PICTURE[..., ::-1].copy(), 32, 24)  # type: ignore[operator]
    np.testing.assert_array_equal(prepared.pixels, expected)
    assert prepared.placement == placement
    assert prepared.source is PICTURE


def test_grey_is_brightness_as_the_eye_weighs_it() -> None:
    """Red, green, blue and white; the border of a letterbox stays at one half."""
    colours = np.array([[[0, 0, 255], [0, 255, 0], [255, 0, 0], [255, 255, 255]]], np.uint8)  # BGR
    pixels = prepare(colours, description(4, 3, channels=1)).pixels
    assert pixels.shape == (1, 3, 4) and pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[0, 1], [0.299, 0.587, 0.114, 1], atol=0.5 / 255)
    np.testing.assert_array_equal(pixels[0, ::2], np.float32(0.5))


@pytest.mark.reference
def test_grey_is_the_originals(library: Library) -> None:
    planes = np.ascontiguousarray(PICTURE[..., ::-1].transpose(2, 0, 1), np.float32) / np.float32(255)
    found = prepare(PICTURE, description(60, 40, channels=1)).pixels
    np.testing.assert_allclose(found, library.grey(planes), atol=0.51 / 255)


# ----------------------------------------------------------------------------------------------------- many pictures


def sizes(batch: int, count: int) -> list[int]:
    return [len(group) for group in prepared_batches([PICTURE] * count, description(), batch)]


@pytest.mark.parametrize(
    ("batch", "count", "expected"),
    [(1, 0, []), (1, 1, [1]), (4, 1, [1]), (1, 3, [1, 1, 1]), (2, 5, [2, 2, 1]), (4, 4, [4]), (9, 5, [5])],
)
def test_groups_are_full_but_the_last(batch: int, count: int, expected: list[int]) -> None:
    assert sizes(batch, count) == expected


@pytest.mark.parametrize("batch", [0, -1])
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_batch_holds_at_least_one_picture(batch: int, count: int) -> None:
    with pytest.raises(BackendError, match=f"^batch: expected 1 or more pictures, found {batch}$"):
        sizes(batch, count)


def test_order_is_kept_though_pictures_take_different_times() -> None:
    sources = [noise(900 if number % 3 == 0 else 8, 900 if number % 3 == 0 else 8, number) for number in range(12)]
    sources[5] = b"no picture"  # type: ignore[call-overload]
    found = [item for group in prepared_batches(sources, description(), 3) for item in group]
    assert [item.source is source for item, source in zip(found, sources, strict=True)] == [True] * 12
    assert [type(item) for item in found] == [Failure if number == 5 else Prepared for number in range(12)]


@pytest.mark.parametrize("batch", [1, 4])
def test_it_does_not_read_far_ahead(batch: int) -> None:
    taken = 0

    def camera() -> Iterator[np.ndarray]:
        nonlocal taken
        while True:
            taken += 1
            yield PICTURE

    groups = prepared_batches(camera(), description(), batch)
    assert taken == 0
    for number in range(1, 6):
        next(groups)
        assert taken <= batch * (number + 1) + 1
    groups.close()


def threads() -> int:
    return threading.active_count()


def test_stopping_early_leaves_no_threads() -> None:
    before = threads()
    groups = prepared_batches(iter([PICTURE] * 1000), description(), 8)
    next(groups)
    assert threads() > before
    groups.close()
    assert threads() == before


def test_stopping_early_does_not_wait_for_what_is_still_to_be_read() -> None:
    read = []

    class Slow(bytes):
        def __bytes__(self) -> bytes:
            read.append(self)
            time.sleep(0.05)
            return b""

    groups = prepared_batches([Slow() for _ in range(200)], description(), 40)
    next(groups)
    groups.close()
    assert len(read) < 60


def test_an_error_of_the_sources_arrives_and_leaves_no_threads() -> None:
    def sources() -> Iterator[np.ndarray]:
        yield from [PICTURE] * 5
        raise KeyError("camera")

    before = threads()
    with pytest.raises(KeyError, match="camera"):
        list(prepared_batches(sources(), description(), 1))
    assert threads() == before


def test_a_failure_keeps_no_more_than_its_message() -> None:
    """A traceback would keep the bytes of every file that turned out to be no picture."""
    (group,) = prepared_batches([b"no picture"], description())
    (failure,) = group
    assert isinstance(failure, Failure)
    assert str(failure.error).startswith("picture of 10 bytes: not a picture")
    assert failure.error.__traceback__ is failure.error.__context__ is None


# ------------------------------------------------------------------------------------------------- whole and at once


def total(group: list[int]) -> int:
    return sum(group)


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (1, 3), (2, 3), (9, 2)])
def test_what_threads_make_of_groups_comes_in_order(batch: int, workers: int) -> None:
    def work(group: list[int]) -> list[int]:
        time.sleep(0.002 * (group[0] % 3))
        return group

    groups = list(map_batches(range(20), work, batch, workers))
    assert [number for group in groups for number in group] == list(range(20))
    assert {len(group) for group in groups[:-1]} <= {batch}
    assert list(map_batches([], work, batch, workers)) == []


def test_as_many_threads_work_as_are_asked_for() -> None:
    barrier = threading.Barrier(3, timeout=20)  # broken, and an error, if fewer than three are in there at once
    assert list(map_batches(range(6), lambda group: barrier.wait() < 3, 1, 3)) == [True] * 6


def test_groups_are_not_taken_far_ahead_either() -> None:
    taken = 0

    def camera() -> Iterator[int]:
        nonlocal taken
        while True:
            taken += 1
            yield taken

    before = threads()
    results = map_batches(camera(), total, 2, 3)
    for number in range(1, 6):
        next(results)
        assert taken <= 2 * (number + 3)
    results.close()
    assert threads() == before


def test_an_error_of_the_work_arrives_and_leaves_no_threads() -> None:
    def work(group: list[int]) -> int:
        raise BackendError("no memory")

    before = threads()
    with pytest.raises(BackendError, match="no memory"):
        list(map_batches(range(9), work, 1, 2))
    assert threads() == before
    with pytest.raises(BackendError, match="batch: expected 1 or more"):
        list(map_batches([1], total, 0, 1))


def test_a_single_group_is_worked_on_where_it_was_asked_for() -> None:
    """Each thread that enters a runtime leaves memory behind, so that a call for one picture makes none."""
    here = threading.get_ident()
    assert list(map_batches([1, 2], lambda group: (group, threading.get_ident()), 2, 4)) == [([1, 2], here)]
    assert list(map_batches([], lambda group: group, 2, 4)) == []
    there = list(map_batches([1, 2, 3], lambda group: (group, threading.get_ident()), 2, 4))
    assert [group for group, _ in there] == [[1, 2], [3]] and here not in [thread for _, thread in there]


# --------------------------------------------------------------------------------------------------- frames of sources


def test_a_frame_is_fitted_as_its_pixels() -> None:
    frame = Frame(lambda: PICTURE[..., ::-1], "clip.mp4")
    np.testing.assert_array_equal(prepare(frame, description()).pixels, prepare(PICTURE, description()).pixels)
