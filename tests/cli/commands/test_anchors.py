"""`anchors`: lines for a cfg, how well they fit, and the picture."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from darknet_compat.formats.cfg import parse_cfg
from tests.cli.support import Command

ROWS = [(0, 0, 10 * n, 10 * n + n % 3) for n in range(1, 11)] + [(0, 0, 400, 100 + n) for n in range(10)]


@pytest.fixture
def boxes(tmp_path: Path) -> Path:
    path = tmp_path / "boxes.csv"
    path.write_text("image,xmin,ymin,xmax,ymax,class\n" + "".join(f"a,{','.join(map(str, row))},x\n" for row in ROWS))
    return path


def test_lines_for_a_cfg(dc: Command, boxes: Path) -> None:
    done = dc("anchors", boxes, "--k", "2", "--size", "400", "--stride", "16", "--compare", "yolov2-voc")
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "boxes        20 in 1 picture"
    assert "network      400x400, cells of 16 pixels" in lines
    assert [line.split(" % ")[1] for line in lines if " % " in line] == [
        "by IoU",
        "by squared error",
        "yolov2-voc's 5",
    ]
    cells, pixels = lines[lines.index("[region]") + 1], lines[lines.index("[yolo]") + 1]
    (section,) = parse_cfg(f"[region]\n{cells}\n").sections
    values = [float(value) for value in (section.counting["anchors"].value or "").split(",")]
    assert [round(value * 16) for value in values] == pytest.approx(
        [float(value) for value in pixels.removeprefix("anchors = ").split(",")], abs=1
    )
    assert max(map(len, lines)) <= 80


def test_json(dc: Command, boxes: Path) -> None:
    done = dc("anchors", boxes, "--k", "2", "--size", "800x400", "--json", "--seed", "3")
    answer = json.loads(done.out)
    assert (answer["k"], len(answer["anchors"]), answer["boxes"], answer["seed"]) == (2, 2, 20, 3)
    assert 0 < answer["average_iou"] == answer["average_ious"]["by IoU"] <= 1
    assert answer["anchors_pixels"][0][0] == pytest.approx(32 * answer["anchors"][0][0], abs=1e-3)
    assert dc("anchors", boxes, "--k", "2", "--size", "800x400", "--json", "--seed", "3").out == done.out


def test_the_picture(dc: Command, boxes: Path, tmp_path: Path) -> None:
    out = tmp_path / "figure.png"
    done = dc("anchors", boxes, "--k", "3", "--out", out)
    assert (done.code, done.out.splitlines()[-1]) == (0, f"-> {out}")
    assert out.read_bytes().startswith(b"\x89PNG")


def test_bad_input_is_one_line(dc: Command, boxes: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("image,xmin,ymin,xmax,ymax\na,5,5,5,5\n")
    cases = {
        (tmp_path / "absent.csv",): "absent.csv: cannot be read as a table of boxes (CSV): No such file",
        (tmp_path / "absent",): "absent: no such file or folder; expected a list of pictures",
        (tmp_path / "empty.csv",): "empty.csv: there are no boxes in its 1 picture",
        (boxes, "--k", "30"): "20 different shapes of boxes are too few for 30 anchors",
        (boxes, "--compare", "tiny"): "tiny: it has no anchors",
        (boxes, "--compare", "absent"): "absent",
        (
            boxes,
            "--out",
            tmp_path / "empty.csv" / "x.png",
        ): "empty.csv: expected a folder for the results, found a file",
    }
    for arguments, reason in cases.items():
        done = dc("anchors", *arguments)
        assert (done.code, done.out) == (1, ""), arguments
        assert reason in done.err and done.err.count("\n") == 1
    for usage in (("--k", "0"), ("--by", "luck"), ("--size", "x"), ("--resize", "crop"), ("--out", "x.txt")):
        assert dc("anchors", boxes, *usage).code == 2


def test_table_1_and_a_voc_folder(dc: Command, shared_data: Path) -> None:
    answer = json.loads(dc("anchors", shared_data / "voc2007-trainval-boxes.csv", "--k", "5", "--json").out)
    assert 100 * answer["average_iou"] == pytest.approx(61.0, abs=0.3)
    assert answer["note"] == "sizes of pictures not given: 500 pixels a side taken"
    cells = json.loads(dc("anchors", shared_data / "bccd/BCCD", "--k", "3", "--split", "train", "--json").out)
    assert (cells["pictures"], cells["note"]) == (205, "")
