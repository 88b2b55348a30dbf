"""`detect`: pictures in every shape of argument, answers as text, JSON and drawings, and all that can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.support import CLASSIFIER, DETECTOR, REPOSITORY, Command, Toy, paint, write_toy
from tests.formats.users import unprivileged


def images(dc: Command, *arguments: object, code: int = 0) -> list[dict[str, Any]]:
    """The entries of a `--json` run."""
    done = dc("detect", *arguments, "--json")
    assert done.code == code, done.err
    entries: list[dict[str, Any]] = json.loads(done.out)["images"]
    return entries


# --------------------------------------------------------------------------------------------------------- answers


def test_a_table_a_person_can_read(dc: Command, detector: Toy, picture: Path) -> None:
    done = dc("detect", detector.cfg, picture)
    head, titles, row = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert head.startswith(f"{picture}: 64 x 32, 1 object, ") and head.endswith(" s")
    assert titles.split() == ["class", "score", "left", "top", "right", "bottom"]
    # The box fills the network's square input, of which the picture is the middle half.
    assert row.split() == ["cat", "94", "%", "0", "-16", "64", "48"]


def test_json_is_one_document_and_nothing_else(dc: Command, detector: Toy, picture: Path) -> None:
    (entry,) = images(dc, detector.cfg, picture, "--weights", detector.weights)
    assert entry.pop("seconds") > 0
    found = {"class": "cat", "class_id": 0, "score": pytest.approx(0.93544, abs=1e-5), "box": [0, -16, 64, 48]}
    assert entry == {"file": str(picture), "width": 64, "height": 32, "detections": [found]}


def test_thresholds_size_names_and_resize_reach_the_detector(
    dc: Command, detector: Toy, picture: Path, tmp_path: Path
) -> None:
    (lower,) = images(dc, detector.cfg, picture, "--thresh", "0.1")
    assert [found["class"] for found in lower["detections"]] == ["cat", "dog"]
    (stretched,) = images(dc, detector.cfg, picture, "--resize", "stretch")
    assert stretched["detections"][0]["box"] == [0, 0, 64, 32]
    (larger,) = images(dc, detector.cfg, picture, "--size", "64x32", "--nms", "1")
    assert len(larger["detections"]) == 2
    (tmp_path / "other.names").write_text("Katze\nHund\n")
    (named,) = images(dc, detector.cfg, picture, "--names", tmp_path / "other.names")
    assert named["detections"][0]["class"] == "Katze"


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_other_precisions(dc: Command, detector: Toy, picture: Path, precision: str) -> None:
    (entry,) = images(dc, detector.cfg, picture, "--precision", precision, "--backend", "torch")
    assert entry["detections"][0]["score"] == pytest.approx(0.935, abs=0.01)


def test_nothing_found_is_success_and_comes_with_a_hint(dc: Command, detector: Toy, picture: Path) -> None:
    done = dc("detect", detector.cfg, picture, "--thresh", "0.96")
    assert done.code == 0
    assert "no objects" in done.out
    assert "the best is cat with 0.94, which --thresh 0.9 shows" in done.out
    assert dc("detect", detector.cfg, picture, "--thresh", "0.9").out.count("cat") == 1
    other = paint(picture.with_name("other.png"))
    assert dc("detect", detector.cfg, picture, other, "--thresh", "0.96").out.count("--thresh 0.48 shows") == 2


def test_nothing_found_at_all_doubts_the_weights(dc: Command, tmp_path: Path, picture: Path) -> None:
    silent = write_toy(tmp_path, "silent", DETECTOR, [0, 0, 0, 0, -9, 0, 0] * 2)
    done = dc("detect", silent.cfg, picture)
    assert done.code == 0
    assert "nor above 0.05: are these the weights" in done.out


def test_boxes_that_are_not_finite_are_an_error_not_json_that_nobody_reads(
    dc: Command, tmp_path: Path, picture: Path
) -> None:
    wild = write_toy(tmp_path, "wild", DETECTOR, [0, 0, 200, 0, 4, 3, 0] * 2)
    (entry,) = images(dc, wild.cfg, picture, code=1)
    assert "not finite" in entry["error"]


# -------------------------------------------------------------------------------------------------------- pictures


def test_files_folders_and_globs_each_picture_once_in_order(
    dc: Command, detector: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "folder/2.PNG", "folder/1.bmp", "deep/x/3.png", "deep/4.png", "odd[1].png"):
        paint(Path(name).with_suffix(Path(name).suffix.lower()))
    os.rename("folder/2.png", "folder/2.PNG")
    Path("folder/notes.txt").write_text("no picture")
    found = images(dc, "toy.cfg", "b.png", "folder", "deep/**/*.png", "./b.png", "folder/1.bmp", "odd[1].png")
    names = ["b.png", "folder/1.bmp", "folder/2.PNG", "deep/4.png", "deep/x/3.png", "odd[1].png"]
    assert [entry["file"] for entry in found] == names


def test_batches_change_nothing(dc: Command, detector: Toy, tmp_path: Path) -> None:
    for number in range(5):
        paint(tmp_path / "many" / f"{number}.png", 20 + number, 30)
    one, three = (images(dc, detector.cfg, tmp_path / "many", "--batch", number) for number in (1, 3))
    for entry in (*one, *three):
        assert entry.pop("seconds") > 0
    assert one == three and len(one) == 5


def test_a_bad_picture_among_good_ones_is_named_and_the_rest_go_on(
    dc: Command, detector: Toy, picture: Path, tmp_path: Path
) -> None:
    last = paint(tmp_path / "last.png")
    (tmp_path / "text.jpg").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(picture.read_bytes()[:60])
    (tmp_path / "none").mkdir()
    bad = ["text.jpg", "cut.png", "absent.jpg", "none", "zz*.jpg", "x" * 300]
    done = dc("detect", detector.cfg, picture, *(tmp_path / name for name in bad), last)
    assert done.code == 1
    assert done.out.count("1 object") == 2
    assert done.err.count("\n") == len(bad)
    assert all(str(tmp_path / name) in done.err for name in bad)
    entries = images(dc, detector.cfg, picture, *(tmp_path / name for name in bad), last, code=1)
    errors = {Path(entry["file"]).name for entry in entries if "error" in entry}
    assert errors == set(bad) and len(entries) == 8


def test_an_empty_name_is_not_the_folder_we_are_in(dc: Command, picture: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(picture.parent)
    assert dc("detect", "absent.cfg", "").err == "darknet-compat: an empty name is no picture\n"


def test_a_folder_without_pictures_says_where_they_may_be(dc: Command, detector: Toy, tmp_path: Path) -> None:
    paint(tmp_path / "photos" / "2026" / "a.jpg")
    done = dc("detect", detector.cfg, tmp_path / "photos")
    assert (done.code, done.out) == (1, "")
    assert f"'{tmp_path}/photos/**/*.jpg'" in done.err
    assert dc("detect", detector.cfg, f"{tmp_path}/photos/**/*.jpg").code == 0


def test_names_that_would_command_the_terminal_are_shown_escaped(dc: Command, detector: Toy, tmp_path: Path) -> None:
    detector.cfg.with_suffix(".names").write_text("ca\x1b[31mt\ndog\n")
    evil = paint(tmp_path / "a\nb\x1b[2J[bold].png")
    done = dc("detect", detector.cfg, evil)
    assert done.code == 0 and "\x1b" not in done.out
    assert "a\\nb\\x1b[2J[bold].png" in done.out and "ca\\x1b[31mt" in done.out


# -------------------------------------------------------------------------------------------------------- drawings


def test_out_draws_into_copies_under_the_same_names(dc: Command, detector: Toy, picture: Path, tmp_path: Path) -> None:
    import cv2

    before = picture.read_bytes()
    done = dc("detect", detector.cfg, picture, "--out", tmp_path / "new" / "found")
    place = tmp_path / "new" / "found" / "grey.png"
    assert done.code == 0 and f"-> {place}" in done.out
    drawn, given = cv2.imread(str(place)), cv2.imread(str(picture))
    assert drawn.shape == given.shape and (drawn != given).any()
    assert picture.read_bytes() == before
    assert [path.name for path in place.parent.iterdir()] == ["grey.png"]


def test_namesakes_get_numbers_and_inputs_are_never_overwritten(
    dc: Command, detector: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a/dog.png", "b/dog.png", "c/DOG.png", "out/dog-2.png"):
        paint(Path(name))
    shutil.copy("a/dog.png", "nosuffix")
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    found = images(dc, "toy.cfg", "a", "b", "c", "out/dog-2.png", "nosuffix", "--out", "out")
    assert [entry["picture"] for entry in found] == [
        "out/dog.png",
        "out/dog-3.png",
        "out/DOG-4.png",
        "out/dog-2-2.png",
        "out/nosuffix.jpg",
    ]
    assert all(path.read_bytes() == data for path, data in before.items())
    assert all(Path(entry["picture"]).is_file() for entry in found)
    assert images(dc, "toy.cfg", "a/dog.png", "--out", "a")[0]["picture"] == "a/dog-2.png"


def test_a_thousand_namesakes_are_no_trouble(dc: Command, tmp_path: Path) -> None:
    from darknet_compat.cli.terminal.picture_report import output_paths

    pictures = [tmp_path / str(number) / "frame.jpg" for number in range(2000)]
    places = output_paths(pictures, tmp_path / "out")
    assert len(set(places.values())) == 2000
    assert places[pictures[-1]].name == "frame-2000.jpg"


def test_an_out_that_cannot_be_is_told_before_anything_is_loaded(dc: Command, detector: Toy, picture: Path) -> None:
    for out in (picture, picture / "below", "/proc/nowhere"):
        done = dc("detect", "absent.cfg", picture, "--out", out)
        assert (done.code, done.out) == (1, "")
        what = "expected a folder for the results, found a file" if out == picture else "cannot be written into: "
        assert done.err.startswith(f"darknet-compat: {out}: {what}") and done.err.count("\n") == 1


def test_an_out_without_permission_is_told(dc: Command, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0o500)
    with unprivileged():
        done = dc("detect", "absent.cfg", "/absent.jpg", "--out", tmp_path / "closed")
    assert (done.code, done.out) == (1, "")
    assert done.err == f"darknet-compat: {tmp_path / 'closed'}: cannot be written into: Permission denied\n"


# ------------------------------------------------------------------------------------------------------- bad input


def test_weights_that_do_not_belong_are_one_line(
    dc: Command, detector: Toy, classifier: Toy, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "page.weights").write_text("<html>not found</html>")
    reasons = {
        classifier.weights: "toy.cfg needs 244",
        tmp_path / "page.weights": "a web page",
        detector.cfg: "are the two swapped?",
        tmp_path / "absent.weights": "",
        tmp_path: "",
    }
    for weights, reason in reasons.items():
        done = dc("detect", detector.cfg, picture, "--weights", weights)
        assert (done.code, done.out) == (1, "")
        assert reason in done.err and str(weights) in done.err and done.err.count("\n") == 1


def test_a_cfg_without_weights_says_what_was_looked_for(dc: Command, detector: Toy, picture: Path) -> None:
    detector.weights.unlink()
    done = dc("detect", detector.cfg, picture)
    assert done.code == 1 and "no toy.weights beside it" in done.err


def test_names_of_another_length_and_the_wrong_verb(
    dc: Command, detector: Toy, classifier: Toy, picture: Path, tmp_path: Path
) -> None:
    (tmp_path / "three.names").write_text("a\nb\nc\n")
    done = dc("detect", detector.cfg, picture, "--names", tmp_path / "three.names")
    assert done.code == 1 and "has 3 names, but the network has 2 classes" in done.err
    assert "`detect`" in dc("classify", detector.cfg, picture).err
    assert "`classify`" in dc("detect", classifier.cfg, picture).err


@pytest.mark.skipif(sys.platform != "linux", reason="needs Linux's limit of a process's memory")
def test_a_size_that_memory_does_not_hold_is_one_line(picture: Path, tmp_path: Path) -> None:
    wide = write_toy(tmp_path, "wide", CLASSIFIER.replace("filters=3", "filters=30"), [0.0] * 30)
    program = f'"{sys.executable}" -m darknet_compat classify "{wide.cfg}" "{picture}" --size 8192'
    command = ["sh", "-c", f"ulimit -v 6000000; {program}"]  # of 8 GB for the convolution's output alone
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "not enough memory" in done.stderr and done.stderr.count("\n") == 1


# ---------------------------------------------------------------------------------------------------- a real model


@pytest.mark.reference
def test_a_real_detector_finds_the_dog(dc: Command, shared_data: Path, photos: list[Path]) -> None:
    model = shared_data / "models" / "yolo-lite-coco" / "yolo-lite-coco.cfg"
    (entry,) = images(dc, model, photos[0], "--thresh", "0.25")
    found = [(one["class"], round(100 * one["score"])) for one in entry["detections"]]
    # What Debian's original prints for dog.jpg at this threshold.
    assert sorted(found) == sorted([("dog", 62), ("car", 36), ("car", 33), ("car", 32), ("car", 26), ("bicycle", 77)])
    boxes = np.array([one["box"] for one in entry["detections"]])
    assert (boxes[:, :2] < boxes[:, 2:]).all()


def test_many_pictures_are_worked_on_several_at_a_time(dc: Command, detector: Toy, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    for number in range(33):
        paint(folder / f"{number:02}.png")
    few = json.loads(dc("detect", detector.cfg, folder / "00.png", "--thresh", "0.1", "--json").out)
    done = dc("detect", detector.cfg, folder, "--thresh", "0.1", "--json", "--verbose", "--threads", 2)
    assert done.code == 0
    assert done.err.startswith("darknet-compat: onnxruntime: it starts in ") or "GPU" in done.err
    images = json.loads(done.out)["images"]
    assert [Path(image["file"]).stem for image in images] == [f"{number:02}" for number in range(33)]
    for image in images:
        assert [one["class"] for one in image["detections"]] == [one["class"] for one in few["images"][0]["detections"]]
    torch = dc("detect", detector.cfg, folder, "--backend", "torch", "--json", "--verbose")
    assert torch.err == "darknet-compat: torch: as asked for\n"
    assert dc("detect", detector.cfg, folder, "--threads", 0).code == 2
