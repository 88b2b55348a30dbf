"""A video that CVAT has annotated, frame by frame: the same as its frames as pictures."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.options import Reading
from darknet_compat.errors import DatasetError
from darknet_compat.sources.video import open_video
from darknet_compat.vision.draw import save
from tests.cli.support import in_process
from tests.sources.digits import Moving, film
from tests.sources.making import number_of, numbered, write_clip

MOVING = [Moving(3, (20, 30), (2, 1)), Moving(7, (250, 180), (-2, -1))]
NAMES = [str(digit) for digit in range(10)]
FRAMES = 24
EVERY_SECOND = "<size>4</size><start_frame>2</start_frame><stop_frame>8</stop_frame><frame_filter>step=2</frame_filter>"


def xml(
    boxes: list[list[list[float]]],
    labels: list[str],
    meta: str = "",
    *,
    names: list[str] = NAMES,
    source: str = "clip.mp4",
) -> str:
    """A track for each column of boxes; one that is None is outside."""
    known = "".join(f"<label><name>{name}</name></label>" for name in names)
    tracks = ""
    for number, label in enumerate(labels):
        rows = "".join(
            f'<box frame="{frame}" keyframe="1" outside="0" occluded="0" xtl="{row[number][0]}" ytl="{row[number][1]}"'
            f' xbr="{row[number][2]}" ybr="{row[number][3]}" z_order="0"></box>'
            for frame, row in enumerate(boxes)
        )
        gone = f'<box frame="{len(boxes)}" outside="1" xtl="0" ytl="0" xbr="9" ybr="9"></box>'
        tracks += f'<track id="{number}" label="{label}" source="manual">{rows}{gone}</track>'
    task = f"<task><name>t</name>{meta}<labels>{known}</labels><source>{source}</source></task>"
    return f"<?xml version='1.0'?>\n<annotations><version>1.1</version><meta>{task}</meta>{tracks}</annotations>"


def grey(folder: Path, meta: str, count: int = 10) -> Path:
    """Numbered frames, with a box in the first three."""
    write_clip(folder / "clip.mp4", numbered(count))
    (folder / "annotations.xml").write_text(xml([[[8, 6, 40, 30]]] * 3, ["a"], meta, names=["a", "b"]))
    return folder / "annotations.xml"


def test_frames_and_what_is_in_them(tmp_path: Path) -> None:
    meta = "<size>9</size><original_size><width>64</width><height>48</height></original_size>"
    dataset = open_dataset(grey(tmp_path, meta))
    assert (dataset.title, dataset.names, len(dataset), dataset.size(0)) == ("clip.mp4", ("a", "b"), 9, (64, 48))
    assert [len(dataset[number].labels) for number in range(9)] == [1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert dataset[1].labels.corners(64, 48).tolist() == [[8, 6, 40, 30]]
    assert dataset[5].id == "clip-000005"
    for number in (8, 2, 3, 3, 0):  # in whatever order
        assert number_of(np.asarray(dataset[number].image)) == number
    again = pickle.loads(pickle.dumps(dataset))
    assert number_of(again[4].image) == 4


@pytest.mark.parametrize(
    ("meta", "frames"),
    [
        (EVERY_SECOND, [2, 4, 6, 8]),
        ("<size>3</size><start_frame>5</start_frame>", [5, 6, 7]),
        ("", [0, 1, 2]),
    ],
)
def test_the_frames_that_were_looked_at(meta: str, frames: list[int], tmp_path: Path) -> None:
    dataset = open_dataset(grey(tmp_path, meta))
    assert [number_of(np.asarray(sample.image)) for sample in dataset] == frames
    assert [len(sample.labels) for sample in dataset] == [int(frame < 3) for frame in frames]


def test_the_video_is_beside_it_or_where_one_says(tmp_path: Path) -> None:
    path = grey(tmp_path, "<size>3</size>")
    (tmp_path / "videos").mkdir()
    shutil.move(tmp_path / "clip.mp4", tmp_path / "videos")
    assert len(open_dataset(tmp_path)) == 3
    shutil.move(tmp_path / "videos" / "clip.mp4", tmp_path / "other.bin")
    with pytest.raises(DatasetError, match=r"found no 'clip.mp4' beside it; --pictures names the video, or its folder"):
        open_dataset(path)
    assert len(open_dataset(path, reading=Reading(pictures=tmp_path / "other.bin"))) == 3


@pytest.mark.parametrize(
    ("meta", "message"),
    [
        ("<size>12</size>", r"has 10 frames, and frame 10 is annotated; is it another video\?"),
        ("<size>x</size>", "<size>: expected a whole number, found 'x'"),
        ("<original_size><width>32</width><height>48</height></original_size>", "64 x 48, annotated as 32 x 48"),
    ],
)
def test_another_video(meta: str, message: str, tmp_path: Path) -> None:
    path = grey(tmp_path, meta)
    with pytest.raises(DatasetError, match=message):
        [sample.id for sample in open_dataset(path)]


@pytest.mark.parametrize(
    ("tracks", "message"),
    [
        ('<track id="4"><box frame="0"/></track>', "track '4': it has no label"),
        ('<track label="a"><box frame="-1"/></track>', "track 'a': expected a frame's number, found '-1'"),
        ('<track label="a"><box frame="1" xtl="1"/></track>', "frame 1: box: ytl: expected pixels"),
        (
            '<track label="c"><box frame="1" xtl="1" ytl="1" xbr="2" ybr="2"/></track>',
            "'c' is not one of the 2 classes",
        ),
    ],
)
def test_files_that_are_none(tracks: str, message: str, tmp_path: Path) -> None:
    path = grey(tmp_path, "")
    head, _, _ = path.read_text().partition("<track")
    path.write_text(f"{head}{tracks}</annotations>")
    with pytest.raises(DatasetError, match=message) as error:
        open_dataset(path)
    assert "\n" not in str(error.value)


def test_a_score_of_a_video_is_that_of_its_frames(tmp_path: Path) -> None:
    pictures, truth = film(MOVING, FRAMES)
    video, frames = tmp_path / "video", tmp_path / "frames"
    video.mkdir()
    frames.mkdir()
    write_clip(video / "clip.mp4", pictures)
    (video / "annotations.xml").write_text(xml(truth, ["3", "7"], f"<size>{FRAMES}</size>"))
    listed = ""
    for frame, boxes in zip(open_video(str(video / "clip.mp4")), truth, strict=True):
        place = frames / f"{frame.index:03d}.png"
        save(frame.pixels(), place)
        lines = [
            f"{one.digit} {(x1 + x2) / 640} {(y1 + y2) / 480} {(x2 - x1) / 320} {(y2 - y1) / 240}\n"
            for one, (x1, y1, x2, y2) in zip(MOVING, boxes, strict=True)
        ]
        place.with_suffix(".txt").write_text("".join(lines))
        listed += f"{place}\n"
    (tmp_path / "list.txt").write_text(listed)
    scored = in_process("evaluate", "yolov2-digits", video / "annotations.xml", "--json")
    expected = in_process("evaluate", "yolov2-digits", tmp_path / "list.txt", "--json")
    assert scored.code == 0, scored.err
    found, wanted = json.loads(scored.out), json.loads(expected.out)
    assert found["pictures"] == FRAMES and found["figures"] == wanted["figures"] and found["figures"]["mAP"] > 0.9
    assert found["scores"] == wanted["scores"]

    write_clip(video / "clip.mp4", pictures[::-1])  # another video under the name is another evaluation
    again = json.loads(in_process("evaluate", "yolov2-digits", video / "annotations.xml", "--json").out)
    assert again["figures"]["mAP"] < found["figures"]["mAP"]
