"""Videos: every frame, in order, at its time, upright; and one line for each that is not one."""

from __future__ import annotations

import io
import os
import random
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from darknet_compat.errors import ImageError, SourceError
from darknet_compat.sources.base import Frame, GivenFrames
from darknet_compat.sources.kind import expanded, hidden, kind_of
from darknet_compat.sources.open import _standard_input, open_source
from darknet_compat.sources.span import Span
from darknet_compat.sources.video import Video, open_container
from darknet_compat.vision.header import limited_pixels
from darknet_compat.vision.image import decode
from darknet_compat.vision.signature import begins_like_picture, begins_like_video
from tests.cli.support import paint
from tests.sources.making import number_of, numbered, write_clip, write_sound


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twenty frames, ten a second."""
    return write_clip(tmp_path / "clip.mp4", numbered(20))


def numbers(path: object, **span: float) -> list[int]:
    return [number_of(frame.pixels()) for frame in open_source(path, Span(**span))]  # type: ignore[arg-type]


# ----------------------------------------------------------------------------------------------------------- frames


@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.avi", "mpeg4")])
def test_every_frame_in_order_with_its_time(tmp_path: Path, name: str, codec: str) -> None:
    path = write_clip(tmp_path / name, numbered(20), codec=codec)
    source = open_source(path)
    assert (source.rate, source.live, source.name) == (10, False, str(path))
    assert source.count == 20
    frames = list(source)
    assert [number_of(frame.pixels()) for frame in frames] == list(range(20))
    assert [frame.index for frame in frames] == list(range(20))
    assert [frame.time for frame in frames] == pytest.approx([number / 10 for number in range(20)], abs=0.002)
    assert frames[3].name == f"{path}[3]"


def test_a_video_may_be_called_anything(tmp_path: Path, clip: Path) -> None:
    os.rename(clip, tmp_path / "upload.tmp")
    assert numbers(tmp_path / "upload.tmp", most=2) == [0, 1]


def test_frames_come_at_the_times_of_a_variable_rate(tmp_path: Path) -> None:
    times = [0, 0.1, 0.5, 0.55, 2.0]
    path = write_clip(tmp_path / "vfr.mp4", numbered(5), times=times)
    assert [frame.time for frame in open_source(path)] == pytest.approx(times, abs=0.001)


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_a_turned_video_is_upright_as_opencv_shows_it(tmp_path: Path, rotation: int) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:16, :16], picture[:16, 48:] = (255, 0, 0), (0, 255, 0)
    path = write_clip(tmp_path / "turned.mp4", [picture] * 3, rotation=rotation)
    (pixels, *_) = (frame.pixels() for frame in open_source(path))
    expected = cv2.VideoCapture(str(path)).read()[1][..., ::-1]
    assert pixels.shape == ((48, 64, 3) if rotation == 180 else (64, 48, 3))
    np.testing.assert_allclose(pixels.astype(int), expected.astype(int), atol=12)


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no video in this file, sound only"):
        open_source(write_sound(tmp_path / "song.mp4"))


# ------------------------------------------------------------------------------------------------------------- spans


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ({"every": 7}, [0, 7, 14]),
        ({"start": 0.5, "stop": 0.8}, [5, 6, 7]),
        ({"start": 1.2, "every": 3}, [12, 15, 18]),
        ({"most": 2, "start": 1.0}, [10, 11]),
        ({"fps": 5}, list(range(0, 20, 2))),
        ({"fps": 3, "most": 4}, [0, 4, 7, 10]),
        ({"fps": 1000}, list(range(20))),
        ({"start": 5.0}, []),
    ],
)
def test_what_is_asked_for_is_what_comes(clip: Path, span: dict[str, float], expected: list[int]) -> None:
    assert numbers(clip, **span) == expected


@pytest.mark.parametrize(
    ("span", "rate", "count"),
    [({"every": 2}, 5, 10), ({"fps": 4}, 4, 8), ({"stop": 1.0}, 10, 10), ({"most": 3}, 10, 3), ({"start": 1.5}, 10, 5)],
)
def test_how_many_are_to_be_expected(clip: Path, span: dict[str, float], rate: float, count: int) -> None:
    source = open_source(clip, Span(**span))  # type: ignore[arg-type]
    assert (source.rate, source.count) == (rate, count)
    source.close()


@pytest.mark.parametrize("span", [{"every": 0}, {"most": 0}, {"start": -1}, {"start": 2, "stop": 2}, {"fps": 0}])
def test_spans_that_leave_nothing_are_refused(span: dict[str, float]) -> None:
    with pytest.raises(SourceError, match="expected"):
        Span(**span)  # type: ignore[arg-type]


def test_the_frame_that_is_asked_for_is_found_between_key_frames(tmp_path: Path) -> None:
    """A second decoder that started at the key frame would show it and those after it."""
    path = write_clip(tmp_path / "long.mp4", numbered(28), rate=2)
    assert numbers(path, start=6.5, most=3) == [13, 14, 15]


# -------------------------------------------------------------------------------------------------- what is no video


def test_each_that_is_none_is_one_line(tmp_path: Path, clip: Path) -> None:
    data = clip.read_bytes()
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "text.mp4").write_text("hello " * 99)
    expected = {"empty.mp4": "empty", "cut.mp4": "cut short", "text.mp4": "not a video", "absent.mp4": "no such file"}
    for name, words in expected.items():
        with pytest.raises(ImageError, match=words) as caught:
            open_source(tmp_path / name)
        assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)


def test_damage_in_the_middle_costs_its_frames_and_is_told_once(tmp_path: Path) -> None:
    pictures = [np.random.default_rng(n).integers(0, 255, (96, 128, 3)).astype(np.uint8) for n in range(30)]
    data = bytearray(write_clip(tmp_path / "noise.mp4", pictures).read_bytes())
    chance = random.Random(1)
    for place in range(data.find(b"mdat") + 20_000, data.find(b"mdat") + 120_000, 9):
        data[place] = chance.randrange(256)
    (tmp_path / "damaged.mp4").write_bytes(data)
    said: list[str] = []
    frames = list(open_source(tmp_path / "damaged.mp4", failed=lambda _, message: said.append(message)))
    assert 0 < len(frames) < 30 and len(said) == 1 and "damaged" in said[0]


def test_more_pixels_than_are_allowed_are_refused_by_the_header(tmp_path: Path) -> None:
    path = write_clip(tmp_path / "large.mp4", numbered(2, 640, 400))
    with limited_pixels(10_000), pytest.raises(ImageError, match="640 x 400 pixels are more than 10,000"):
        open_source(path)


def test_a_playlist_opens_nothing_else(tmp_path: Path) -> None:
    """Neither an address nor, by a wrong suffix, a file that is no video."""
    listing = "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/secret.ts\n#EXT-X-ENDLIST\n"
    (tmp_path / "list.mp4").write_text(listing)
    for name in (str(tmp_path / "list.mp4"), (tmp_path / "list.mp4").as_uri()):
        with pytest.raises(ImageError):
            list(open_source(name))


def test_stopping_early_closes_the_file(clip: Path) -> None:
    before = len(os.listdir("/proc/self/fd")), threading.active_count()
    for _ in range(5):
        for frame in open_source(clip, Span(most=3)):
            frame.pixels()
        with open_source(clip) as source:
            next(iter(source))
    assert (len(os.listdir("/proc/self/fd")), threading.active_count()) == before


# ------------------------------------------------------------------------------------------------------- other kinds


def test_what_names_stand_for(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.rename(paint(Path("photo.png")), "photo.mp4")
    Path("7").write_text("a file is a file")
    kinds = {
        "clip.mp4": "video",
        "photo.mp4": "pictures",
        "gone.mov": "video",
        "gone.jpg": "pictures",
        "*.mp4": "pictures",
        "7": "pictures",
        "0": "camera",
        "/dev/video0": "camera",
        "rtsp://127.0.0.1:1/a": "url",
        "http://127.0.0.1/clip.mp4": "url",
        "-": "input",
        ".": "pictures",
    }
    assert {name: kind_of(name) for name in kinds} == kinds


def test_globs_of_videos_mean_each_and_others_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.mp4", "a.mp4"):
        write_clip(Path(name), numbered(2))
    paint(Path("a.png"))
    assert expanded(["*.mp4", "a.mp4", "*.png", "0", "a*", "zz*"]) == ["a.mp4", "b.mp4", "*.png", "0", "a*", "zz*"]


def test_beginnings_tell_pictures_from_videos() -> None:
    assert begins_like_video(b"RIFF\0\0\0\0AVI LIST") and not begins_like_video(b"RIFF\0\0\0\0WEBPVP8 ")
    assert begins_like_picture(b"RIFF\0\0\0\0WEBPVP8 ") and not begins_like_picture(b"RIFF\0\0\0\0AVI LIST")
    assert not begins_like_video(b"\0\0\0\x1cftypavif") and begins_like_picture(b"\0\0\0\x1cftypavif")
    assert begins_like_video(b"G" + b"\0" * 187 + b"G") and not begins_like_video(b"GIF89a")


def test_a_video_in_a_pictures_place_is_called_one(tmp_path: Path, clip: Path) -> None:
    for path in (clip, write_clip(tmp_path / "a.avi", numbered(2), codec="mpeg4")):
        with pytest.raises(ImageError, match="a video, not a picture"):
            decode(path)


def test_a_shared_clip_of_an_older_kind(shared_data: Path) -> None:
    assert len(list(open_source(shared_data / "cases" / "data" / "clip.avi"))) == 10


def test_a_password_is_not_shown() -> None:
    assert hidden("rtsp://me:secret@127.0.0.1/a") == "rtsp://me:***@127.0.0.1/a"
    assert hidden("rtsp://127.0.0.1/a") == "rtsp://127.0.0.1/a"


def test_standard_input_is_a_video_a_picture_or_paths(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", numbered(3))
    assert [number_of(frame.pixels()) for frame in _standard_input(as_input(clip.read_bytes()))] == [0, 1, 2]
    (frame,) = _standard_input(as_input(paint(tmp_path / "a.png").read_bytes()))
    assert frame.pixels().shape == (32, 64, 3)
    frames = list(_standard_input(as_input(f"{tmp_path}/a.png\n\n none.jpg \n".encode())))
    assert [frame.name for frame in frames] == [f"{tmp_path}/a.png", "none.jpg"]
    with pytest.raises(ImageError, match="standard input: empty"):
        _standard_input(as_input(b""))


def as_input(data: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(data))


def test_a_frame_of_another_source_can_be_given_on(clip: Path) -> None:
    frames = [frame for frame in open_source(clip) if frame.index % 2]
    assert [number_of(frame.pixels()) for frame in GivenFrames(frames)] == list(range(1, 20, 2))
    assert isinstance(frames[0], Frame)


def test_hardware_that_is_not_there_is_said_and_done_without(tmp_path: Path) -> None:
    """The machines of the tests have none; what one line says is FFmpeg's own reason."""
    from av.codec.hwaccel import hwdevices_available

    clip = write_clip(tmp_path / "clip.mp4", numbered(5))
    frames = open_source(str(clip), Span(most=4), hardware="auto")
    if frames.remark is None:
        pytest.skip("there is hardware that decodes")
    assert [number_of(frame.pixels()) for frame in frames] == [0, 1, 2, 3]
    assert frames.remark.startswith(f"{clip}: decoded in software (") and "\n" not in frames.remark
    assert all(device in frames.remark for device in hwdevices_available())
    assert open_source(str(clip)).remark is None
    with pytest.raises(SourceError, match=r"hardware: expected auto, or what FFmpeg has here, .*; found abacus"):
        open_source(str(clip), hardware="abacus")


def test_what_hardware_leaves_to_software_is_said_of_files_and_of_addresses_alike(clip: Path) -> None:
    """Both are this Video, opened here as where the device does not know the format: by none."""
    container = open_container(str(clip), clip.name, {})
    with Video(container, clip.name, device=object(), remark=None) as video:
        assert video.remark == f"{clip.name}: decoded in software, which the hardware does not do for its format"
