"""Darknet's verbs that are the fork's, against what its own program printed (golden data beside the repository)."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from tests.cli.darknet.conftest import Darknet, Real

pytestmark = pytest.mark.reference

LINE = re.compile(r"(.+): (\d+)%\t\(left_x: +(-?\d+)   top_y: +(-?\d+)   width: +(\d+)   height: +(\d+)\)")


def copies(photos: list[Path], here: Path) -> list[Path]:
    return [Path(shutil.copy(photo, here / photo.name)) for photo in photos]


@pytest.mark.parametrize(
    ("name", "points"),
    [
        ("yolo-fastest-1.1", 1),
        pytest.param("yoloface-500k-v2", 1, marks=pytest.mark.slow),
        pytest.param("mobilenetv2-yolov3-nano-coco", 2, marks=pytest.mark.slow),
    ],
)
def test_ext_output_and_the_files(
    name: str, points: int, dn: Darknet, real: Real, shared_data: Path, photos: list[Path], here: Path
) -> None:
    """`-ext_output`, `-out result.json` and `-save_labels`, in one go: a point or two of score and two pixels apart at
    most, for the fork decodes JPEG otherwise."""
    told = json.loads((shared_data / "fork" / "real.json").read_text())[name]["photos"]
    assert set(told) == {photo.stem for photo in photos}
    copied = copies(photos, here)
    names = "coco.names" if "face" not in name else "face.names"
    (here / "face.names").write_text("face\n")
    shutil.copy(shared_data / "models" / "coco.names", here / "coco.names")
    (here / "its.data").write_text(f"classes={1 if 'face' in name else 80}\nnames={names}\n")
    words = ("detector", "test", "its.data", *real(name), "-thresh", "0.2", "-ext_output", "-save_labels")
    done = dn(*words, "-out", "result.json", "-dont_show", stdin="".join(f"{path}\n" for path in copied))
    assert done.code == 0, done.err
    printed = done.out.split("Enter Image Path: ")[1:-1]
    frames = json.loads((here / "result.json").read_text())
    assert [frame["frame_id"] for frame in frames] == list(range(1, 8))
    for path, text, frame in zip(copied, printed, frames, strict=True):
        found = [
            (match[1], *map(int, match.groups()[1:])) for match in map(LINE.fullmatch, text.splitlines()[1:]) if match
        ]
        assert len(found) == len(text.splitlines()) - 1
        assert [one[2] for one in found] == sorted(one[2] for one in found)
        if name == "yolo-fastest-1.1":
            assert [one[0] for one in found] == [
                one[0] for one in told[path.stem]
            ]  # of a box the likeliest class first
        left = list(found)
        for label, score, *box in told[path.stem]:
            near = [one for one in left if one[0] == label and abs(one[1] - score) <= points and close(one[2:], box)]
            assert near, (path.stem, label, score, box, left)
            left.remove(near[0])
        assert left == []
        assert frame["filename"] == str(path)
        assert sorted(one["name"] for one in frame["objects"]) == sorted(one[0] for one in found)
        assert bool(found) <= len(path.with_suffix(".txt").read_text().splitlines()) <= len(found)


def close(ours: tuple[int, ...], theirs: list[float]) -> bool:
    return all(abs(a - b) <= 2 for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("which", [0, *(pytest.param(number, marks=pytest.mark.slow) for number in range(1, 7))])
def test_the_page_of_map(
    which: int, dn: Darknet, real: Real, shared_data: Path, photos: list[Path], here: Path
) -> None:
    """Counts are the same, percentages to half a point; of a person's boxes two are 0.00002 beyond the overlap at which
    one goes there, and here both stay."""
    told = json.loads((shared_data / "fork" / "map" / "map.json").read_text())
    for path in copies(photos, here):
        path.with_suffix(".txt").write_text("\n".join(told["labels"][path.stem]) + "\n")
    (here / "all.txt").write_text("".join(f"{photo.name}\n" for photo in photos))
    shutil.copy(shared_data / "models" / "coco.names", here / "coco.names")
    (here / "its.data").write_text("classes=80\nnames=coco.names\nvalid=all.txt\n")
    run = told["runs"][which]
    done = dn("detector", "map", "its.data", *real("yolo-fastest-1.1"), *run["options"])
    assert done.code == 0, done.err
    classes = {
        match[1]: (float(match[2]), int(match[3]), int(match[4]))
        for match in re.finditer(
            r"class_id = \d+, name = (.+), ap = ([\d.]+)%   \t \(TP = (\d+), FP = (\d+)\) \n", done.out
        )
    }
    assert len(classes) == run["classes_total"]
    for name, precision, right, wrong in run["classes"]:
        ours = classes.pop(name)
        assert ours[1:] == (right, wrong), name
        assert ours[0] == pytest.approx(precision, abs=1 if name == "person" else 0.5), name
    assert {values for values in classes.values()} == {(0.0, 0, 0)}
    (counted,) = re.findall(r"detections_count = (\d+), unique_truth_count = (\d+)", done.out)
    assert counted[1] == run["detections_count"][0][1]
    assert int(counted[0]) == pytest.approx(int(run["detections_count"][0][0]), abs=10)
    number = r"([\d.]+)"
    summary = rf"conf_thresh = {number}, precision = {number}, recall = {number}, F1-score = {number} "
    assert re.findall(summary, done.out) == [tuple(run["summary"][0])]
    counts = re.findall(rf"TP = (\d+), FP = (\d+), FN = (\d+), average IoU = {number} %", done.out)
    assert [one[:3] for one in counts] == [tuple(run["counts"][0][:3])]
    assert float(counts[0][3]) == pytest.approx(float(run["counts"][0][3]), abs=0.5)
    (score,) = re.findall(rf"mean average precision \(mAP@{number}\) = {number}, or {number} %", done.out)
    assert score[0] == run["map"][0][0]
    assert float(score[1]) == pytest.approx(float(run["map"][0][1]), abs=0.005)
