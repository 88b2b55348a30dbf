"""`info`: the layer table, what it costs, and whether weights belong to it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from darknet_compat.catalogue.catalog import MODELS
from darknet_compat.formats.packaged import cfg_dir
from tests.cli.support import Command, Toy

TABLE_6 = """
Convolutional 32 3x3 224x224 | Maxpool 2x2/2 112x112
Convolutional 64 3x3 112x112 | Maxpool 2x2/2 56x56
Convolutional 128 3x3 56x56 | Convolutional 64 1x1 56x56 | Convolutional 128 3x3 56x56 | Maxpool 2x2/2 28x28
Convolutional 256 3x3 28x28 | Convolutional 128 1x1 28x28 | Convolutional 256 3x3 28x28 | Maxpool 2x2/2 14x14
Convolutional 512 3x3 14x14 | Convolutional 256 1x1 14x14 | Convolutional 512 3x3 14x14
Convolutional 256 1x1 14x14 | Convolutional 512 3x3 14x14 | Maxpool 2x2/2 7x7
Convolutional 1024 3x3 7x7 | Convolutional 512 1x1 7x7 | Convolutional 1024 3x3 7x7
Convolutional 512 1x1 7x7 | Convolutional 1024 3x3 7x7
Convolutional 1000 1x1 7x7 | Avgpool Global 1000 | Softmax
"""
"""The YOLO9000 paper's Table 6, Darknet-19: type, filters, size/stride, output."""


def as_in_the_paper(row: str) -> str:
    """A line of `info` in Table 6's words."""
    _, kind, *cells = row.split()
    name = {"conv": "Convolutional", "max": "Maxpool", "avg": "Avgpool", "softmax": "Softmax"}[kind]
    shapes = [cell for cell in cells if re.fullmatch(r"\d+x\d+x\d+", cell)]
    if name == "Convolutional":
        filters, size = cells[:2]
        assert size.endswith("/1")
        return f"{name} {filters} {size[:-2]} {shapes[1].rsplit('x', 1)[0]}"
    if name == "Maxpool":
        return f"{name} {cells[0]} {shapes[1].rsplit('x', 1)[0]}"
    return f"{name} {cells[0].title()} {shapes[1].rsplit('x', 1)[1]}" if name == "Avgpool" else name


def test_darknet19_is_the_papers_table_6_row_for_row(dc: Command) -> None:
    done = dc("info", "darknet19", "--size", "224")
    assert done.code == 0
    rows = done.out.split("\n\n")[0].splitlines()[1:]
    expected = [row.strip() for row in TABLE_6.strip().replace("\n", " | ").split(" | ")]
    assert [as_in_the_paper(row) for row in rows] == expected
    assert "operations  5.58 billion" in done.out
    assert "top-1 72.9 on ImageNet validation at 224" in done.out


@pytest.mark.parametrize("name", MODELS)
def test_every_model_fits_80_columns(dc: Command, name: str) -> None:
    done = dc("info", name)
    assert done.code == 0
    too_long = [line for line in done.out.splitlines() if len(line) > 80 and "https://" not in line]
    assert not too_long
    assert "\x1b" not in done.out


def test_a_pipe_gets_exact_numbers_uncut(dc: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS")
    lines = dc("info", "yolov2-voc").out.splitlines()
    assert lines[0].split() == [
        "#",
        "layer",
        "filters",
        "size",
        "input",
        "output",
        "parameters",
        "offset",
        "operations",
    ]
    assert lines[1].split() == ["0", "conv", "32", "3x3/1", "416x416x3", "416x416x32", "992", "16", "299,040,768"]
    assert any(line.startswith("classes") and "aeroplane, bicycle" in line and "tvmonitor" in line for line in lines)


def test_all_that_is_known_of_a_network(dc: Command, detector: Toy) -> None:
    text = detector.cfg.read_text().replace("activation=linear", "activation=linear\ncolour=blue\ndot=1")
    detector.cfg.write_text(text)
    done = dc("info", detector.cfg)
    text = " ".join(done.out.split())
    assert done.code == 0
    assert f"exactly this network's {detector.weights.stat().st_size:,} bytes" in text
    assert "version 0.2.0, 6,400 images seen" in text
    assert "softmax over 2 classes, 2 anchors in cells: 1x1, 0.5x0.5" in text
    assert "2: cat, dog" in text
    assert f"{detector.cfg.name}:13: layer 1 [convolutional] unused option colour=blue" in text
    assert "train leaves [convolutional] dot" in text


def test_json_says_the_same(dc: Command, detector: Toy) -> None:
    done = dc("info", detector.cfg, "--json")
    document = json.loads(done.out)
    convolution = document["layers"][1]
    assert convolution["type"] == "convolutional" and convolution["filters"] == 14
    assert (convolution["input"], convolution["output"]) == ([3, 1, 1], [14, 1, 1])
    assert (convolution["parameters"], convolution["offset"], convolution["operations"]) == (56, 20, 84)
    assert document["weights"]["seen"] == 6400
    assert document["weights"]["bytes"] == detector.weights.stat().st_size
    assert document["classes"] == ["cat", "dog"]
    assert document["heads"][0]["anchors"] == [[1, 1], [0.5, 0.5]]
    assert (document["notes"], document["unfollowed"]) == ([], [])


def test_a_tree_and_the_files_a_cfg_leads_to(dc: Command) -> None:
    document = json.loads(dc("info", "yolo9000", "--json").out)
    assert document["tree"]["nodes"] == 9418
    assert Path(document["files"]["data/9k.tree"]) == cfg_dir() / "data" / "9k.tree"


def test_an_exported_file_says_what_it_is(dc: Command, detector: Toy, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "toy.onnx"
    assert dc("export", detector.cfg, "--out", path, "--thresh", "0.3", "--outputs", "detections").code == 0
    done = dc("info", path)
    assert done.code == 0 and done.err == ""
    assert "32 x 32 x 3, planes of 0..1, any batch" in done.out and "detections" in done.out
    assert "thresh 0.3, nms 0.45, in force inside" in done.out
    told = json.loads(dc("info", path, "--json").out)
    assert (told["thresh"], told["classes"], told["outputs"], told["tree_nodes"]) == (0.3, 2, "detections", None)


@pytest.mark.parametrize("dialect", ["original", "fork"])
def test_an_exported_file_names_the_dialect_it_was_read_in(
    dc: Command, detector: Toy, tmp_path: Path, dialect: str
) -> None:
    pytest.importorskip("onnx")
    path = tmp_path / "toy.onnx"
    assert dc("export", detector.cfg, "--out", path, "--dialect", dialect).code == 0
    assert ["dialect", dialect] in [line.split() for line in dc("info", path).out.splitlines()]
    assert json.loads(dc("info", path, "--json").out)["dialect"] == dialect


def test_the_catalogue(dc: Command) -> None:
    done = dc("info")
    assert [line.split()[0] for line in done.out.splitlines() if line[0] != " "] == ["name", *MODELS]
    assert all(len(line) <= 80 for line in done.out.splitlines())
    listed = json.loads(dc("info", "--json").out)["models"]
    assert [model["name"] for model in listed] == list(MODELS)
    assert listed[0]["path"] is None and listed[0]["floats"] == MODELS["darknet19"].weights.floats


# ------------------------------------------------------------------------------------------------------ bad input


def test_weights_of_another_network_are_told_after_the_table(dc: Command, detector: Toy, classifier: Toy) -> None:
    done = dc("info", detector.cfg, "--weights", classifier.weights)
    assert done.code == 1
    assert done.out.startswith("#  layer") and "not read, see below" in done.out
    assert done.err.count("\n") == 1 and "layer 1 [convolutional]" in done.err
    assert dc("info", detector.cfg, "--weights", classifier.weights, "--json").out == ""


def test_names_that_do_not_fit_are_told(dc: Command, detector: Toy) -> None:
    detector.cfg.with_suffix(".names").write_text("cat\ndog\ncow\n")
    done = dc("info", detector.cfg)
    assert done.code == 1
    assert "toy.names: has 3 names, but the network has 2 classes" in done.err


def bad_models(folder: Path) -> dict[str, str]:
    (folder / "page.cfg").write_text("<!DOCTYPE html><html>")
    (folder / "empty.cfg").touch()
    (folder / "binary.cfg").write_bytes(bytes(100))
    return {
        "page.cfg": "web page",
        "empty.cfg": "no sections",
        "binary.cfg": "binary data",
        "absent.cfg": "no such file",
        "yolov2.cfg": "`yolov2` alone is in the catalogue",
        ".": "a folder",
        "yolov2-vox": "did you mean yolov2-voc?",
    }


@pytest.mark.parametrize("name", ["page.cfg", "empty.cfg", "binary.cfg", "absent.cfg", "yolov2.cfg", ".", "yolov2-vox"])
def test_what_is_no_model_is_one_line(dc: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    reason = bad_models(tmp_path)[name]
    for verb in (["info", name], ["detect", name, "x.jpg"], ["classify", name, "x.jpg"], ["partial", name, "out", "1"]):
        done = dc(*verb)
        assert (done.code, done.out) == (1, "")
        assert done.err.startswith("darknet-compat: ") and done.err.count("\n") == 1
        if verb[0] == "info" or name not in ("page.cfg", "empty.cfg", "binary.cfg"):
            assert reason in done.err


def test_a_size_that_does_not_fit_comes_with_one_that_does(dc: Command) -> None:
    done = dc("info", "yolov2", "--size", "417x610")
    assert done.code == 1
    assert "stride=2 does not divide" in done.err and "such as 416x608" in done.err
    assert dc("info", "yolov2", "--size", "416x608").code == 0


def test_a_wrong_list_of_names_does_not_hide_whether_weights_fit(dc: Command, detector: Toy, tmp_path: Path) -> None:
    names = detector.cfg.with_suffix(".names")
    right = names.read_text()
    names.write_text("cat\ndog\ncow\n")
    done = dc("info", detector.cfg, "--weights", detector.weights)
    assert done.code == 1 and "exactly this network's" in done.out
    assert done.err.endswith("has 3 names, but the network has 2 classes; --names names another list\n")
    (tmp_path / "right.txt").write_text(right)
    done = dc("info", detector.cfg, "--weights", detector.weights, "--names", tmp_path / "right.txt")
    assert (done.code, done.err) == (0, "") and "2: cat, dog" in done.out
