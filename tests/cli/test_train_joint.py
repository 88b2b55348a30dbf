"""`train --joint`: boxes and labels of whole pictures on one WordTree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.network.load import load_network
from tests.cli.support import Command, paint
from tests.training.test_trainer import CFG

COMMON = ("--workers", 0, "--device", "cpu")


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    """A small detector of the 15 nodes of the digits' tree."""
    path = tmp_path / "small.cfg"
    text = CFG.format(batches=3, subdivisions=1).replace("filters=30", "filters=40").replace("classes=10", "classes=15")
    path.write_text(f"{text}\ntree=data/digits.tree\n")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "digits.tree").write_bytes((cfg_dir() / "data" / "digits.tree").read_bytes())
    return path


def test_boxes_of_some_digits_and_labels_of_the_others(dc: Command, cfg: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    joint = ("--joint", "digit-pictures:56789", "--ratio", 2, "--objectness", "paper")
    done = dc("train", cfg, "digits:01234", *joint, "--out", out, *COMMON, "--json")
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert report["batches"] == 3
    assert report["pictures"] == [12_000, 12_000]
    assert report["coverage"] == {"boxes": 5, "only images": 5, "only descendants": 5, "nothing": 0}
    assert (out / "small.names").read_text().split()[:3] == ["symbol", "digit", "round"]
    assert load_network(out / "small.cfg", out / "small_final.weights").spec.tree is not None


def test_the_report_for_people_and_the_ratio(dc: Command, cfg: Path, tmp_path: Path) -> None:
    common = ("train", cfg, "digits:0", "--out", tmp_path / "run", *COMMON, "--max-batches", 1)
    done = dc(*common, "--joint", "digit-pictures", "--ratio", 3)
    assert done.code == 0, done.err
    text = " ".join(done.out.split())
    assert "digits:0 (train) + digit-pictures (train): 48,000 pictures;" in text
    assert "15 nodes: 1 with boxes, 9 with images only, 5 with neither but above such nodes, 0 with nothing" in text


def test_a_tree_takes_boxes_alone_too(dc: Command, cfg: Path, tmp_path: Path) -> None:
    done = dc("train", cfg, "digits", "--out", tmp_path / "run", *COMMON, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["coverage"]["boxes"] == 10


def test_maps_carry_classes_of_other_names(dc: Command, cfg: Path, tmp_path: Path) -> None:
    for number in range(2):
        paint(tmp_path / f"{number}.png")
        (tmp_path / f"{number}.txt").write_text(f"{number} 0.5 0.5 0.5 0.5\n")
        paint(tmp_path / "folders" / "zero" / f"{number}.png")
        paint(tmp_path / "folders" / "round" / f"{number}.png")
    (tmp_path / "all.txt").write_text("".join(f"{tmp_path / f'{number}.png'}\n" for number in range(2)))
    (tmp_path / "of.names").write_text("ring\nstick\n")
    (tmp_path / "of.map").write_text("5\n9\n")
    (tmp_path / "folders.map").write_text("2\n5\n")  # round, zero: in the order of the alphabet
    data = (tmp_path / "all.txt", "--names", tmp_path / "of.names")
    common = ("train", cfg, *data, "--joint", tmp_path / "folders", "--out", tmp_path / "run", *COMMON, "--json")
    refused = dc(*common)
    assert refused.code == 1
    assert "no nodes of" in refused.err and "are called ring, stick; give a map" in refused.err
    done = dc(*common, "--map", tmp_path / "of.map", "--joint-map", tmp_path / "folders.map")
    assert done.code == 0, done.err
    assert json.loads(done.out)["coverage"] == {"boxes": 2, "only images": 1, "only descendants": 3, "nothing": 9}


def test_map_on_a_tree_is_measured(dc: Command, cfg: Path, tmp_path: Path) -> None:
    paint(tmp_path / "0.png")
    (tmp_path / "0.txt").write_text("5 0.5 0.5 0.5 0.5\n")
    (tmp_path / "all.txt").write_text(f"{tmp_path / '0.png'}\n")
    done = dc(
        "train", cfg, "digits", "--valid", tmp_path / "all.txt", "--out", tmp_path / "run", *COMMON, "--json"
    )  # fmt: skip
    assert done.code == 0, done.err
    assert 0 <= json.loads(done.out)["mAP"] <= 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (
            ("digits", "--joint", "digit-pictures:x"),
            1,
            "expected which digits, such as digit-pictures:01234, found 'x'",
        ),
        (("digits", "--joint", "nowhere"), 1, "nowhere: no such file or folder"),
        (("digits", "--joint", "digit-pictures", "--ratio", "0"), 1, "expected a ratio above 0"),
        (("digits", "--ratio", "2"), 2, "goes with --joint"),
        (("digits", "--joint-map", "x.map"), 2, "goes with --joint"),
        (("digits", "--map", "x.map"), 1, "x.map"),
        (("digits", "--joint", "digit-pictures", "--objectness", "best"), 2, "'best'"),
    ],
)
def test_wrong_input(
    arguments: tuple[str, ...], code: int, message: str, dc: Command, cfg: Path, tmp_path: Path
) -> None:
    done = dc("train", cfg, *arguments, "--out", tmp_path / "run", *COMMON)
    assert done.code == code
    assert message in " ".join(done.err.split())
    assert "Traceback" not in done.err


def test_a_network_without_a_tree(dc: Command, tmp_path: Path) -> None:
    path = tmp_path / "flat.cfg"
    path.write_text(CFG.format(batches=3, subdivisions=1))
    for option, value in (("--joint", "digit-pictures"), ("--map", "x.map")):
        done = dc("train", path, "digits", option, value, "--out", tmp_path / "run", *COMMON)
        assert done.code == 1
        assert f"flat.cfg: has no WordTree (tree= in its head), which {option} needs" in done.err
