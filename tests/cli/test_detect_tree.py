"""`detect` with a WordTree: where the way down ends, and how that is shown."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.support import Command, Toy, paint, write_toy

CFG = """[net]
width=32
height=32
channels=3
[maxpool]
size=32
stride=32
padding=0
[convolutional]
filters=11
size=1
activation=linear
[region]
anchors=1,1
classes=6
num=1
softmax=1
tree=toy.tree
"""


@pytest.fixture
def tree_detector(tmp_path: Path) -> Toy:
    """One box of score 0.982; animal 0.9526, in it dog 0.8808 (absolute 0.8390), in it terrier 0.7311 (0.6134)."""
    (tmp_path / "toy.tree").write_text("animal -1\nthing -1\ncat 0\ndog 0\nhound 3\nterrier 3\n")
    toy = write_toy(tmp_path, "toy", CFG, [0, 0, 0, 0, 4, 3, 0, 0, 2, 0, 1])
    toy.cfg.with_suffix(".names").write_text("animal\nthing\ncat\ndog\nhound\nterrier\n")
    return toy


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    return paint(tmp_path / "grey.png", 32, 32)


@pytest.mark.parametrize(
    ("options", "name"),
    [
        # 0.9526 · 0.8390 · 0.6134 = 0.490: the original, multiplying twice, stops one short of the paper
        ((), "dog"),
        (("--hierarchy", "paper"), "terrier"),
        (("--hier-thresh", "0.48"), "terrier"),
        (("--hier-thresh", "0.62", "--hierarchy", "paper"), "dog"),
        (("--hier-thresh", "0.99"), "animal"),
        (("--level", "1", "--hierarchy", "paper"), "dog"),
        (("--level", "0"), "animal"),
    ],
)
def test_names_the_node_where_confidence_ends(
    dc: Command, tree_detector: Toy, picture: Path, options: tuple[str, ...], name: str
) -> None:
    document = json.loads(dc("detect", tree_detector.cfg, picture, *options, "--json").out)
    (found,) = document["images"][0]["detections"]
    assert (found["class"], found["score"]) == (name, pytest.approx(0.982, abs=1e-3))
    assert found["path"][-1]["name"] == name


def test_shows_the_path_and_how_sure_each_step_is(dc: Command, tree_detector: Toy, picture: Path) -> None:
    done = dc("detect", tree_detector.cfg, picture, "--hierarchy", "paper")
    assert "animal 95 % > dog 84 % > terrier 61 %" in " ".join(done.out.split())


def test_a_map_scores_its_own_nodes(dc: Command, tree_detector: Toy, picture: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "two.map"
    chosen.write_text("2\n5\n")  # cat, terrier
    document = json.loads(dc("detect", tree_detector.cfg, picture, "--map", chosen, "--thresh", "0.05", "--json").out)
    found = {one["class"]: one for one in document["images"][0]["detections"]}
    assert found["terrier"]["score"] == pytest.approx(0.982 * 0.6134, abs=1e-3)
    assert found["cat"]["score"] == pytest.approx(0.982 * 0.9526 * 0.1192, abs=1e-3)
    assert (found["cat"]["class_id"], found["terrier"]["class_id"]) == (0, 1)


def test_a_map_without_a_tree_or_beyond_it_is_one_line(
    dc: Command, detector: Toy, tree_detector: Toy, picture: Path, tmp_path: Path
) -> None:
    done = dc("detect", detector.cfg, picture, "--map", "coco")
    assert (done.code, done.err.count("\n")) == (1, 1)
    far = tmp_path / "far.map"
    far.write_text("1\n6\n")
    done = dc("detect", tree_detector.cfg, picture, "--map", far)
    assert (done.code, done.err.count("\n")) == (1, 1)
    assert f"{far}:2:" in done.err
