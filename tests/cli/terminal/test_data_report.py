"""`info` of a data set: what is in it and what is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.support import Command


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Three classes of which one never occurs; a picture listed twice, one without objects, a box without area."""
    for name in ("images", "labels"):
        (tmp_path / name).mkdir()
    for name, labels in {"a": "0 .5 .5 .1 .1\n1 .5 .5 0 .1\n", "b": ""}.items():
        (tmp_path / f"images/{name}.jpg").write_bytes(b"")
        (tmp_path / f"labels/{name}.txt").write_text(labels)
    (tmp_path / "list.txt").write_text("images/a.jpg\nimages/b.jpg\nimages/a.jpg\n")
    (tmp_path / "x.names").write_text("cat\ndog\ncow\n")
    (tmp_path / "x.data").write_text("classes=3\ntrain=list.txt\nnames=x.names\n")
    return tmp_path / "x.data"


def test_for_people(dc: Command, data: Path) -> None:
    done = dc("info", data)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "x (train): 3 pictures, 4 objects, 3 classes"
    assert lines[2].split() == ["cat", "2", "50.0", "%", "2"]
    labels = [line.split("  ")[0] for line in lines[4:] if line[0] != " "]
    assert labels == ["1 repeated", "1 empty", "2 no area", "1 never seen"]
    assert lines[-1].endswith("classes that do not occur: cow")
    assert max(len(line) for line in lines if "/" not in line) <= 80


def test_json(dc: Command, data: Path) -> None:
    answer = json.loads(dc("info", data, "--json").out)
    assert (answer["pictures"], answer["objects"], answer["never_seen"]) == (3, 4, ["cow"])
    assert answer["findings"]["empty"] == {"count": 1, "examples": ["b"]}


def test_nothing_labelled_at_all(dc: Command, data: Path) -> None:
    (data.parent / "labels/a.txt").write_text("")
    done = dc("info", data)
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("x (train): 3 pictures, 0 objects, 3 classes\n")
    answer = json.loads(dc("info", data, "--json").out)
    assert (answer["objects"], answer["without_box"], len(answer["classes"])) == (0, 0, 3)


def test_a_folder_says_its_layout_and_why(dc: Command, data: Path) -> None:
    done = dc("info", data.parent)
    assert done.out.splitlines()[-1].startswith("layout  darknet, a .data of Darknet's")
    assert done.out.splitlines()[-1].endswith("there is x.data")
    answer = json.loads(dc("info", data.parent, "--json").out)
    assert (answer["layout"], answer["layout_why"], answer["splits"]) == ("darknet", "there is x.data", ["train"])
    assert (answer["objects"], answer["without_box"]) == (4, 0)
    assert dc("info", data.parent, "--layout", "nonsense").code == 2


@pytest.mark.parametrize("form", ["darknet", "voc", "coco", "yolo"])
def test_written_as(dc: Command, data: Path, form: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("written") / "set"
    for name in "ab":
        cv2.imwrite(str(data.parent / f"images/{name}.jpg"), np.zeros((40, 60, 3), np.uint8))
    (data.parent / "list.txt").write_text("images/a.jpg\nimages/b.jpg\n")
    (data.parent / "labels/a.txt").write_text("0 .5 .5 .1 .1\n2 .25 .5 .3 .3\n")
    done = dc("info", data, "--out", out, "--as", form)
    assert (done.code, done.out.splitlines()[-1].split("/")[-1]) in [(0, "set.data"), (0, "set"), (0, "data.yaml")]
    answer = json.loads(dc("info", out, "--json").out)
    assert [(row["class"], row["objects"]) for row in answer["classes"]] == [("cat", 1), ("dog", 0), ("cow", 1)]
    assert answer["pictures"] == 2


def test_nothing_is_written_into_a_data_set(dc: Command, data: Path) -> None:
    """Its pictures would be there twice when it is read again."""
    before = sorted(data.parent.rglob("*"))
    done = dc("info", data.parent, "--out", data.parent / "converted/voc", "--as", "voc")
    assert (done.code, len(done.err.splitlines())) == (1, 1) and "choose another folder" in done.err
    assert sorted(data.parent.rglob("*")) == before


def test_what_cannot_be_used_is_an_error(dc: Command, data: Path) -> None:
    done = dc("info", data, "--decode")
    assert done.code == 1
    assert "3 unreadable" in done.out
    assert done.err == f"darknet-compat: {data}: 3 pictures of 3 cannot be used\n"
    (data.parent / "labels/b.txt").write_text("0 .5 .5 7 .1\n")
    done = dc("info", data, "--labels", "strict")
    assert done.code == 1 and "b.txt:1: expected w as a fraction" in " ".join(done.out.split())


def test_written_for_the_original(dc: Command, data: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    out = tmp_path_factory.mktemp("written") / "set"
    done = dc("info", data, "--out", out)
    assert (done.code, done.out.splitlines()[-1]) == (0, f"-> {out}/set.data")
    again = json.loads(dc("info", out / "set.data", "--json").out)
    assert [row["objects"] for row in again["classes"]] == [2, 0, 0]  # without the boxes that have no area
    assert "valid" not in (out / "set.data").read_text()
    (data.parent / "train.txt").write_text("images/a.jpg\n")
    for train, held_out in (("list.txt", False), ("train.txt", True)):  # the first has the second's pictures
        data.write_text(f"names=x.names\ntrain={train}\nvalid=valid.txt\n")
        (data.parent / "valid.txt").write_text("images/b.jpg\n")
        dc("info", data, "--out", out)
        assert ("valid = " in (out / "set.data").read_text()) == held_out
    assert json.loads(dc("info", out, "--split", "valid", "--json").out)["pictures"] == 1


def test_bad_input_is_one_line(dc: Command, data: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    cases = {
        (tmp_path / "absent.data",): "no such file or folder; expected a list of pictures",
        (tmp_path / "nothing",): "none of them is in this folder",
        (data, "--split", "valid"): "there is no split 'valid'; there are 'train'",
    }
    for arguments, reason in cases.items():
        done = dc("info", *arguments)
        assert (done.code, done.out) == (1, "")
        assert reason in done.err and done.err.count("\n") == 1
