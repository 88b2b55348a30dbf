"""Frames through a detector: in order, at the same time as all else, and in the same memory however many they are."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import darknet_compat as dc
from darknet_compat.errors import OptionError
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.results import Detections
from darknet_compat.inference.video import Watch, Watched, annotated, label_texts
from darknet_compat.inference.video_options import VideoOptions, parse_seconds
from darknet_compat.options import parse_words
from darknet_compat.sources.base import Frame, GivenFrames
from darknet_compat.sources.live import Live
from darknet_compat.sources.open import open_source
from darknet_compat.vision.videofile import VideoWriter
from tests.cli.support import DETECTOR, write_toy

GREY = np.full((48, 64, 3), 128, np.uint8)


@pytest.fixture
def detector(tmp_path: Path) -> dc.Detector:
    """Finds a cat in every picture."""
    toy = write_toy(tmp_path, "toy", DETECTOR, [0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, -2, 0, 8])
    toy.cfg.with_suffix(".names").write_text("cat\ndog\n")
    return dc.Detector(*(toy.cfg, toy.weights))


def frames(count: int) -> GivenFrames:
    return GivenFrames(
        [Frame(lambda: GREY.copy(), f"a[{number}]", number, number / 10) for number in range(count)], "a"
    )


def test_every_frame_comes_once_in_order_with_its_picture(detector: dc.Detector) -> None:
    seen = list(Watch(detector, VideoOptions()).run(frames(30), 4))
    assert [one.frame.index for one in seen] == list(range(30))
    assert all(one.picture is not None and (one.picture != GREY).any() for one in seen)
    assert all((one.frame.pixels() == GREY).all() for one in seen)
    assert seen[7].to_dict()["time"] == 0.7 and seen[7].counts is None


def test_drawing_may_take_the_frames_own_pixels_and_need_not_be(detector: dc.Detector) -> None:
    (one,) = Watch(detector, VideoOptions(), keep=False).run(frames(1))
    assert one.picture is one.frame.pixels()
    (one,) = Watch(detector, VideoOptions(), drawing=False).run(frames(1))
    assert one.picture is None


def test_a_frame_that_cannot_be_read_is_a_failure_among_the_others(detector: dc.Detector) -> None:
    pictures = [Frame(GREY, "a", 0), Frame(b"no picture", "b", 1), Frame(GREY, "c", 2)]
    seen = list(Watch(detector, VideoOptions()).run(GivenFrames(pictures)))
    assert [type(one.found) for one in seen] == [Detections, Failure, Detections]
    assert "error" in seen[1].to_dict() and seen[1].picture is None


def test_stopping_early_leaves_no_threads_behind(detector: dc.Detector) -> None:
    before = threading.active_count()
    watched = Watch(detector, VideoOptions()).run(frames(1000))
    next(watched)
    assert threading.active_count() > before
    watched.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_stopping_a_live_source_does_not_wait_for_its_next_frame(detector: dc.Detector) -> None:
    """The camera gives one frame and then nothing."""
    hanging = threading.Event()

    def connect() -> Iterator[Frame]:
        yield Frame(GREY, "camera")
        hanging.wait(30)

    live = Live(connect, "camera")
    watched = Watch(detector, VideoOptions()).run(live)
    assert isinstance(next(watched), Watched)
    began = time.monotonic()
    watched.close()  # type: ignore[attr-defined]
    hanging.set()
    assert time.monotonic() - began < 25


def test_labels_name_tracks_and_blurred_classes_have_none() -> None:
    boxes = np.array([[4, 4, 30, 30], [34, 4, 60, 44]], np.float32)
    found = Detections(
        boxes, np.float32([0.9, 0.8]), np.array([0, 1]), ("cat", "dog"), 64, 48, track_ids=np.array([3, -1])
    )
    assert label_texts(found) == ["cat 3", "dog"]
    pixels = (np.indices((48, 64)).sum(0) % 2 * 255).astype(np.uint8)[..., None].repeat(3, 2)
    picture = annotated(pixels, found[1:], ["dog"])
    assert picture[10:40, 36:58].std() < 10 and (picture[:, :30] == pixels[:, :30]).all()


def test_what_cannot_be_asked_is_told_at_once(detector: dc.Detector) -> None:
    with pytest.raises(OptionError, match="no class 'cow'"):
        Watch(detector, VideoOptions(blur=("cow",)))
    with pytest.raises(OptionError, match="expected X,Y,X,Y"):
        Watch(detector, VideoOptions(count_line=("1,2",)))
    assert [parse_seconds(text) for text in ("90", "1:30", "0:01:30.5", 2.5, ".5")] == [90, 90, 90.5, 2.5, 0.5]
    for text in ("", "x", "1:2:3:4", "-1", "nan", "inf"):
        with pytest.raises(OptionError, match="expected seconds"):
            parse_seconds(text)
    assert parse_words("a, b") == ("a", "b")
    with pytest.raises(OptionError, match="expected words with commas between"):
        parse_words("a,,b")


def memory() -> int:
    """Bytes that this process has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_memory_is_flat_over_many_frames(detector: dc.Detector, tmp_path: Path) -> None:
    """Decoded, found, followed, drawn and encoded: after 20,000 frames as after 4,000, to one percent."""
    pytest.importorskip("trackers")
    with VideoWriter(tmp_path / "long.mp4", 30) as writer:
        for _ in range(20_000):
            writer.write(GREY)
    used = []
    with VideoWriter(tmp_path / "found.mp4", 30) as writer:
        watch = Watch(detector, VideoOptions(track=True))
        for number, (one, _) in enumerate(
            zip(watch.run(open_source(tmp_path / "long.mp4")), range(20_000), strict=True)
        ):
            assert one.picture is not None
            writer.write(one.picture, one.frame.time)
            if number % 2000 == 0:
                used.append(memory())
    assert len(used) == 10 and max(used[2:]) <= 1.01 * used[1], used
