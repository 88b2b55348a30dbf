"""`darknet-compat evaluate` with YOLO9000's WordTree: ImageNet DET through the map, and scores at a level."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import read_tree
from darknet_compat.inference.detector import Detector
from tests.cli.support import Command, Toy, paint, write_toy

HORSE = "n02374451"
NETWORK = """[net]
width=32
height=32
channels=3
[maxpool]
size=32
stride=32
padding=0
[convolutional]
filters=9423
size=1
activation=linear
[region]
anchors=1,1
classes=9418
num=1
softmax=1
tree=data/9k.tree
"""


@pytest.fixture
def horse(tmp_path: Path) -> Toy:
    """Finds one horse that fills the network's input, sure of every step down the tree."""
    tree = read_tree(cfg_dir() / "data/9k.tree")
    biases = np.zeros(9423)
    biases[4] = 3
    biases[5 + np.array(tree.path(tree.names.index(HORSE)))] = 20
    return write_toy(tmp_path, "nine", NETWORK, biases.tolist())


def annotate(folder: Path, annotations: str, lists: str, pictures: str, name: str) -> Path:
    """Two pictures with one object that fills them, in the test list."""
    for number in range(2):
        paint(folder / pictures / f"{number}.png", 64, 64)
        box = "<xmin>1</xmin><ymin>1</ymin><xmax>64</xmax><ymax>64</ymax>"
        text = f"<annotation><object><name>{name}</name><bndbox>{box}</bndbox></object></annotation>"
        (folder / annotations).mkdir(parents=True, exist_ok=True)
        (folder / annotations / f"{number}.xml").write_text(text)
    (folder / lists).mkdir(parents=True)
    (folder / lists / "val.txt").write_text("0\n1\n")
    return folder


def test_imagenet_det(dc: Command, horse: Toy, tmp_path: Path) -> None:
    data = annotate(tmp_path / "DET", "Annotations/DET", "ImageSets/DET", "Data/DET", HORSE)
    out = tmp_path / "out"
    done = dc("evaluate", horse.cfg, data, "--map", "imagenet-det", "--out", out, "--json")
    assert done.code == 0, done.err
    found: dict[str, Any] = json.loads(done.out)
    assert found["metric"] == "det" and found["figures"]["mAP"] == 1
    assert found["figures"]["mAP, boxes in COCO"] == 1 and found["figures"]["mAP, no boxes in COCO"] is None
    lines = (out / "imagenet-detection.txt").read_text().splitlines()
    names = [one["name"] for one in found["scores"]["classes"]]
    assert [line.split()[:2] for line in lines] == [[str(n), str(1 + names.index("horse"))] for n in (1, 2)]
    again = dc("evaluate", horse.cfg, data, "--map", "imagenet-det", "--results-from", out, "--json")
    assert json.loads(again.out)["figures"] == found["figures"]


@pytest.mark.parametrize("level", [4, 9])
def test_scored_at_a_level(level: int, dc: Command, horse: Toy, tmp_path: Path) -> None:
    data = annotate(tmp_path / "VOC", "Annotations", "ImageSets/Main", "JPEGImages", "horse")
    done = dc("evaluate", horse.cfg, data, "--level", level, "--json")
    assert done.code == 0, done.err
    tree, names = read_tree(cfg_dir() / "data/9k.tree"), read_names(cfg_dir() / "data/9k.names")
    classes = json.loads(done.out)["scores"]["classes"]
    scored = [row for row in classes if row["objects"]]
    assert [(row["name"], row["ap"]) for row in scored] == [(names[tree.path(tree.names.index(HORSE))[level]], 1)]


def test_no_more_candidates_than_the_head_has_room_for_get_classes(horse: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the 867 cells and anchors of a 17 x 17 grid at most 256, or 86 of each anchor, have a row of probabilities."""
    cfg = horse.cfg.with_name("grid.cfg")
    text = NETWORK.replace("=32", "=544").replace("size=544\nstride=544", "size=32\nstride=32")
    cfg.write_text(text.replace("num=1", "num=3").replace("1,1", "1,1, 2,2, 3,3").replace("9423", "28269"))
    from darknet_compat.definition.lower import load_spec
    from darknet_compat.definition.weights.file import Header, slots, write_weights

    spec = load_spec(cfg)
    zeros = ((slot, np.zeros(slot.shape, np.float32)) for slot in slots(spec))
    write_weights(cfg.with_suffix(".weights"), Header(), zeros)
    detector = Detector(cfg, thresh=0.005)
    rows: list[int] = []
    infer = detector.runtime.infer

    def counted(images: Any, thresh: float = 0.0) -> Any:
        outputs = infer(images, thresh)
        rows.append(outputs["classes"].shape[1])
        return outputs

    monkeypatch.setattr(detector.runtime, "infer", counted)
    found = detector(np.zeros((544, 544, 3), np.uint8))
    assert rows == [258] and found.dropped == 867 - 258
