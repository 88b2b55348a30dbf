"""`detect` of videos: what is written, said and counted, and what happens where it cannot be."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import darknet_compat as dc_package
from darknet_compat.formats.textfile import count
from darknet_compat.sources.live import Live
from darknet_compat.sources.open import open_source
from tests.cli.support import REPOSITORY, Command, Toy, paint
from tests.sources.digits import Moving, film
from tests.sources.http_camera import Camera, camera
from tests.sources.making import numbered, write_clip, write_sound


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Twenty frames of 64 x 48, ten a second; the toy finds its cat in each of them."""
    return write_clip(tmp_path / "clip.mp4", numbered(20))


@pytest.fixture
def mjpeg() -> Iterator[Camera]:
    """A camera that speaks mjpeg over HTTP."""
    with camera() as serving:
        yield serving


def lines(dc: Command, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
    done = dc("detect", *arguments, "--format", "jsonl")
    assert done.code == code, done.err
    return [json.loads(line) for line in done.out.splitlines()]


# ---------------------------------------------------------------------------------------------------------- what comes


def test_an_annotated_video_of_the_same_rate(dc: Command, detector: Toy, clip: Path, tmp_path: Path) -> None:
    done = dc("detect", detector.cfg, clip, "--out", tmp_path / "found.mp4")
    assert (done.code, done.err) == (0, "")
    assert f"{clip}: 64 x 48, 20 frames" in done.out and f"-> {tmp_path}/found.mp4" in done.out
    assert done.out.splitlines()[2].split() == ["cat", "20", "1", "94", "%"]
    written, read = list(open_source(tmp_path / "found.mp4")), list(open_source(clip))
    assert [frame.time for frame in written] == [frame.time for frame in read]
    changed = np.abs(written[0].pixels().astype(int) - read[0].pixels()).max(2) > 60
    assert changed.any() and not changed[20:28, 24:40].any()  # a frame around, nothing in the middle


def test_a_line_of_json_for_each_frame(dc: Command, detector: Toy, clip: Path) -> None:
    found = lines(dc, detector.cfg, clip)
    assert [one["frame"] for one in found] == list(range(20))
    assert found[3]["time"] == 0.3 and found[3]["file"] == str(clip)
    (cat,) = found[3]["detections"]
    assert (cat["class"], cat["score"]) == ("cat", pytest.approx(0.93544, abs=1e-4))


def test_lines_can_go_into_a_file(dc: Command, detector: Toy, clip: Path, tmp_path: Path) -> None:
    done = dc("detect", detector.cfg, clip, "--out", tmp_path / "found.jsonl")
    assert done.code == 0 and len((tmp_path / "found.jsonl").read_text().splitlines()) == 20


def test_one_document_with_json(dc: Command, detector: Toy, clip: Path, tmp_path: Path) -> None:
    done = dc("detect", detector.cfg, clip, tmp_path / "gone.mp4", "--json", "--max-frames", 2)
    first, second = json.loads(done.out)["videos"]
    assert (done.code, first["rate"], len(first["frames"])) == (1, 10, 2)
    assert second == {"file": f"{tmp_path}/gone.mp4", "error": f"{tmp_path}/gone.mp4: no such file"}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--every", 6), [0, 6, 12, 18]),
        (("--from", "0:01.5", "--to", 1.8), [15, 16, 17]),
        (("--from", 1.9, "--max-frames", 5), [19]),
        (("--fps", 2), [0, 5, 10, 15]),
    ],
)
def test_which_frames_are_looked_at(
    dc: Command, detector: Toy, clip: Path, options: tuple[object, ...], expected: list[int]
) -> None:
    assert [one["frame"] for one in lines(dc, detector.cfg, clip, *options)] == expected


def test_sound_and_times_of_the_part_that_is_taken(dc: Command, detector: Toy, tmp_path: Path) -> None:
    write_clip(tmp_path / "beep.mp4", numbered(20), sound="aac")
    assert dc("detect", detector.cfg, tmp_path / "beep.mp4", "--from", 1, "--out", tmp_path / "found.mkv").code == 0
    with av.open(str(tmp_path / "found.mkv")) as container:
        samples = sum(frame.samples for frame in container.decode(container.streams.audio[0]))
    assert samples / 8000 == pytest.approx(1, abs=0.3)
    assert [frame.time for frame in open_source(tmp_path / "found.mkv")] == pytest.approx([n / 10 for n in range(10)])


def test_pictures_become_a_video(dc: Command, detector: Toy, tmp_path: Path) -> None:
    for number in range(4):
        paint(tmp_path / "frames" / f"{number}.png")
    (tmp_path / "frames" / "2.png").write_bytes(b"broken")
    done = dc("detect", detector.cfg, tmp_path / "frames", "--out", tmp_path / "found.mp4", "--fps", 4)
    assert done.code == 1 and done.err.count("\n") == 1 and "2.png" in done.err
    assert [frame.time for frame in open_source(tmp_path / "found.mp4")] == pytest.approx([0, 0.25, 0.75])


def test_several_videos_go_into_a_folder(dc: Command, detector: Toy, clip: Path, tmp_path: Path) -> None:
    other = write_clip(tmp_path / "deep.avi", numbered(3), codec="mpeg4")
    done = dc("detect", detector.cfg, clip, other, clip, "--out", tmp_path / "found")
    assert done.code == 0
    assert sorted(path.name for path in (tmp_path / "found").iterdir()) == ["clip.mp4", "deep.avi"]
    done = dc("detect", detector.cfg, clip, other, "--out", tmp_path / "one.mp4")
    assert done.code == 2 and "folder for 2 videos" in " ".join(done.err.split())


def test_frames_crops_and_blurred_classes(dc: Command, detector: Toy, clip: Path, tmp_path: Path) -> None:
    folders = ("--save-frames", tmp_path / "frames", "--crop", tmp_path / "cut")
    assert dc("detect", detector.cfg, clip, "--every", 10, "--blur", "cat", *folders).code == 0
    assert sorted(path.name for path in (tmp_path / "frames").iterdir()) == ["clip-000000.jpg", "clip-000010.jpg"]
    assert sorted(path.name for path in (tmp_path / "cut" / "cat").iterdir()) == [
        "clip-000000-1.jpg",
        "clip-000010-1.jpg",
    ]
    done = dc("detect", detector.cfg, clip, "--blur", "horse")
    assert done.code == 2 and "no class 'horse'; the first ones are 'cat', 'dog'" in " ".join(done.err.split())


def test_a_picture_can_be_blurred_too(dc: Command, detector: Toy, tmp_path: Path) -> None:
    import cv2

    squares = (np.indices((32, 64)).sum(0) // 2 % 2 * 255).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "squares.png"), np.repeat(squares[..., None], 3, 2))
    assert dc("detect", detector.cfg, tmp_path / "squares.png", "--blur", "cat", "--out", tmp_path / "out").code == 0
    written = cv2.imread(str(tmp_path / "out" / "squares.png"))
    assert written.std() < 30 < squares.std()


def test_standard_input_is_a_video(detector: Toy, clip: Path) -> None:
    done = run(detector, "-", "--format", "jsonl", input=clip.read_bytes())
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 20


def test_standard_input_is_a_list_of_pictures(detector: Toy, tmp_path: Path) -> None:
    first, second = (paint(tmp_path / name) for name in ("a.png", "b.png"))
    done = run(detector, "-", "--json", input=f"{first}\n\n{second}\n".encode())
    assert [one["file"] for one in json.loads(done.stdout)["images"]] == [str(first), str(second)]
    done = run(detector, "-", input=b"")
    assert done.returncode == 1 and b"standard input: empty" in done.stderr and done.stderr.count(b"\n") == 1


# ----------------------------------------------------------------------------------------------------------- tracking


def test_ids_lines_and_zones(dc: Command, detector: Toy, clip: Path) -> None:
    pytest.importorskip("trackers")
    options = ("--track", "--count-line", "gate=0,.5,1,.5", "--zone", "0,0,64,0,64,48,0,48")
    found = lines(dc, detector.cfg, clip, *options)
    assert [one["detections"][0]["track_id"] for one in found] == [None] + [1] * 19
    assert found[-1]["counts"] == {
        "tracks": {"cat": 1},
        "lines": [{"name": "gate", "forward": {}, "back": {}}],
        "zones": [{"name": "zone 1", "now": {"cat": 1}, "ever": {"cat": 1}}],
    }
    done = dc("detect", detector.cfg, clip, *options)
    assert ["cat", "1", "20", "1", "94", "%"] in [line.split() for line in done.out.splitlines()]
    assert ["zone", "1", "cat", "1", "1"] in [line.split() for line in done.out.splitlines()]
    done = dc("detect", detector.cfg, clip, "--zone", "1,2,3,4")
    assert done.code == 2 and "X,Y,X,Y,X,Y" in done.err


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[list[list[float]]]]:
    """A three and a seven that pass one another, and where they are."""
    pytest.importorskip("sklearn")
    moving = [Moving(3, (20, 60), (6, 0)), Moving(7, (250, 130), (-5, 0))]
    pictures, truth = film(moving, 30)
    return write_clip(tmp_path_factory.mktemp("film") / "digits.mp4", pictures, rate=15), truth


def test_the_shipped_model_follows_digits(digits: tuple[Path, list[list[list[float]]]]) -> None:
    pytest.importorskip("trackers")
    clip, truth = digits
    detector = dc_package.Detector(REPOSITORY / "cfg/yolov2-digits.cfg", REPOSITORY / "weights/yolov2-digits.weights")
    ids: dict[str, set[int]] = {"3": set(), "7": set()}
    right = 0
    for frame, found in detector.stream(clip, track=True):
        for name, box in zip(("3", "7"), truth[frame.index], strict=True):
            for one in found:  # type: ignore[union-attr]
                if one.class_id == int(name) and np.abs(np.array(one.box) - box).max() < 12:
                    right += 1
                    if one.track_id is not None:
                        ids[name].add(one.track_id)
    assert right >= 54 and {name: len(own) for name, own in ids.items()} == {"3": 1, "7": 1}
    assert ids["3"] != ids["7"]


# -------------------------------------------------------------------------------------------------------- what is wrong


def test_each_that_is_no_video_is_one_line_and_the_others_go_on(
    dc: Command, detector: Toy, clip: Path, tmp_path: Path
) -> None:
    data = clip.read_bytes()
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    write_sound(tmp_path / "song.mp4")
    bad = [tmp_path / name for name in ("empty.mp4", "cut.mp4", "song.mp4", "absent.mp4")]
    done = dc("detect", detector.cfg, *bad, clip, "0", "rtsp://127.0.0.1:9/a", "--out", tmp_path / "out")
    assert (done.code, done.err.count("\n")) == (1, 6)
    assert all(f"{path}: " in done.err for path in bad) and "rtsp://127.0.0.1:9/a: " in done.err
    assert done.out.count("20 frames") == 1
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip.mp4"]


def test_the_clip_that_was_taken_for_webp(dc: Command, detector: Toy, shared_data: Path) -> None:
    assert "10 frames" in dc("detect", detector.cfg, shared_data / "cases" / "data" / "clip.avi").out


def test_a_video_is_not_written_over_itself(dc: Command, detector: Toy, clip: Path, tmp_path: Path) -> None:
    before = clip.read_bytes()
    for out in (clip, tmp_path):
        done = dc("detect", detector.cfg, clip, "--out", out)
        assert done.code == 2 and "is the video that is read" in " ".join(done.err.split())
    assert clip.read_bytes() == before


def test_wrong_options_are_told_before_anything_is_loaded(dc: Command, clip: Path) -> None:
    for options in (("--from", "x"), ("--to", 0), ("--every", 0), ("--fps", 0), ("--format", "coco")):
        done = dc("detect", "absent.cfg", clip, *options)
        assert done.code in (1, 2) and "absent.cfg" not in done.err


def test_a_format_that_is_not_written_makes_no_folder(dc: Command, detector: Toy, clip: Path, tmp_path: Path) -> None:
    done = dc("detect", detector.cfg, clip, "--out", tmp_path / "found.gif")
    assert done.code == 2 and ".gif is not written" in " ".join(done.err.split())
    assert not (tmp_path / "found.gif").exists()


def test_a_window_where_there_is_none(dc: Command, detector: Toy, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    done = dc("detect", detector.cfg, clip, "--show", "--max-frames", 2)
    assert done.code == 0 and done.err.count("\n") == 1 and "there is no display" in done.err


# ------------------------------------------------------------------------------------------------------------- signals


def run(toy: Toy, *arguments: object, **settings: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "darknet_compat", "detect", str(toy.cfg), *map(str, arguments)]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(command, env=environment, capture_output=True, timeout=120, **settings)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_stream_and_what_was_written_plays(
    detector: Toy,
    mjpeg: Camera,
    tmp_path: Path,
    number: int,
    code: int,
) -> None:
    mjpeg.rate = 50
    place = tmp_path / "found.mp4"
    command = [sys.executable, "-m", "darknet_compat", "detect", str(detector.cfg), f"{mjpeg.address}/stream"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    process = subprocess.Popen(
        [*command, "--out", str(place), "--format", "jsonl"],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    seen = [json.loads(process.stdout.readline()) for _ in range(8)]
    process.send_signal(number)
    rest, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert b"interrupted after" in errors and errors.count(b"\n") == 1
    frames = list(open_source(place))
    assert len(frames) == 8 + len(rest.splitlines())
    assert all(one["latency"] >= 0 for one in seen) and [path.name for path in tmp_path.glob("*.part")] == []
    times = [frame.time or 0 for frame in frames]
    assert times == sorted(times)


@pytest.mark.parametrize(("hangs", "words"), [(False, "cannot be read on"), (True, "nothing more came in time")])
def test_a_stream_that_is_lost_for_good_leaves_what_was_written(
    dc: Command, detector: Toy, mjpeg: Camera, tmp_path: Path, hangs: bool, words: str
) -> None:
    mjpeg.frames, mjpeg.hangs = 12, hangs
    options = ("--out", tmp_path / "found.mp4", "--reconnect", 0, "--timeout", 1.5 if hangs else 60)
    done = dc("detect", detector.cfg, f"{mjpeg.address}/stream", *options)
    assert (done.code, done.err.count("\n")) == (1, 1) and words in done.err
    written = len(list(open_source(tmp_path / "found.mp4")))  # a slow machine drops what is stale
    assert written >= 1 and f", {count(written, 'frame')}, " in done.out


def test_a_live_source_is_never_far_behind(dc: Command, detector: Toy, mjpeg: Camera) -> None:
    """The camera gives a hundred a second; what is slow here is whoever reads the frames: it lets twenty pass."""
    mjpeg.rate = 100
    model = dc_package.Detector(detector.cfg)
    source = open_source(f"{mjpeg.address}/stream")
    assert isinstance(source, Live)
    indices, newest = [], -1
    for frame, _ in model.stream(source):
        assert frame.index is not None and frame.index > newest
        indices.append(frame.index)
        if len(indices) == 4:
            break
        passed, deadline = source.dropped + 20, time.monotonic() + 60
        while source.dropped < passed:
            assert time.monotonic() < deadline, "frames wait that should have been dropped"
            time.sleep(0.01)
        newest = frame.index + 20
    assert len(indices) == 4
