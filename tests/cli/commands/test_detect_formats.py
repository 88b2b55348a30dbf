"""`detect --format`, `--out FILE`, `--classes`, `--crop`, `--clip`, and the last line."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from darknet_compat.datasets.open import open_dataset
from tests.cli.support import Command, Toy, paint


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    return [paint(tmp_path / "in" / f"{name}.png") for name in ("a", "b")]


def test_a_csv_by_its_name(dc: Command, detector: Toy, pictures: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "found.csv"
    done = dc("detect", detector.cfg, *pictures, "--out", out)
    assert done.code == 0, done.err
    with out.open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["file"], row["class"]) for row in rows] == [(str(path), "cat") for path in pictures]
    lines = done.out.splitlines()
    assert lines[-2] == f"-> {out}"
    assert lines[-1].startswith("2 pictures, 2 objects, ") and lines[-1].endswith(" images/s")


def test_lines_and_documents_on_standard_output(dc: Command, detector: Toy, pictures: list[Path]) -> None:
    missing = pictures[0].with_name("none.png")
    done = dc("detect", detector.cfg, pictures[0], missing, "--format", "jsonl")
    first, second = map(json.loads, done.out.splitlines())
    assert done.code == 1
    assert first["detections"][0]["class"] == "cat"
    assert second == {"file": str(missing), "error": f"{missing}: no such file"}
    coco = json.loads(dc("detect", detector.cfg, *pictures, "--format", "coco").out)
    assert [one["file_name"] for one in coco["images"]] == list(map(str, pictures))
    assert [one["category_id"] for one in coco["annotations"]] == [1, 1]
    assert [one["name"] for one in coco["categories"]] == ["cat", "dog"]
    assert dc("detect", detector.cfg, *pictures, "--format", "csv").out.count("cat") == 2


def test_a_file_a_picture(dc: Command, detector: Toy, pictures: list[Path], tmp_path: Path) -> None:
    done = dc("detect", detector.cfg, *pictures, "--format", "yolo", "--out", tmp_path / "in", "--clip")
    assert done.code == 0, done.err
    assert (tmp_path / "in" / "classes.txt").read_text() == "cat\ndog\n"
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in pictures))
    data = open_dataset(str(tmp_path / "list.txt"), names=("cat", "dog"))
    assert [data.sample(number).labels.classes.tolist() for number in range(2)] == [[0], [0]]
    dc("detect", detector.cfg, *pictures, "--format", "labelme", "--out", tmp_path / "labels")
    document = json.loads((tmp_path / "labels" / "a.json").read_text())
    assert (tmp_path / "labels" / document["imagePath"]).resolve() == pictures[0].resolve()


def test_a_picture_by_its_name_and_parts_of_it(
    dc: Command, detector: Toy, pictures: list[Path], tmp_path: Path
) -> None:
    done = dc("detect", detector.cfg, pictures[0], "--out", tmp_path / "x.jpg", "--crop", tmp_path / "crops")
    assert done.code == 0, done.err
    assert (tmp_path / "x.jpg").is_file()
    assert [path.relative_to(tmp_path) for path in tmp_path.glob("crops/*/*")] == [Path("crops/cat/a-1.png")]


def test_classes_and_clip(dc: Command, detector: Toy, picture: Path) -> None:
    def found(*more: Any) -> list[Any]:
        document = json.loads(dc("detect", detector.cfg, picture, "--thresh", 0.1, "--json", *more).out)
        entries: list[Any] = document["images"][0]["detections"]
        return entries

    assert {one["class"] for one in found()} == {"cat", "dog"}
    assert {one["class"] for one in found("--classes", "dog")} == {"dog"}
    assert {one["class"] for one in found("--classes", "0,dog")} == {"cat", "dog"}
    assert all(0 <= side <= 64 for one in found("--clip") for side in one["box"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--format", "yolo"), 2, "yolo writes a file a picture; --out names their folder"),
        (("--format", "csv", "--out", "IN"), 2, "csv writes one file"),
        (("--format", "csv", "--json"), 2, "goes to standard output, as --json does"),
        (("--out", "x.png"), 2, "x.png is one picture, and there are 2; name a folder"),
        (("--classes", "dig"), 1, "classes: 'dig' is not one of the 2 classes; did you mean 'dog'?"),
        (("--classes", "7"), 1, "classes: '7' is not one of the 2 classes"),
        (("--classes", ","), 2, "expected words with commas between"),
    ],
)
def test_wrong_input(
    arguments: tuple[str, ...], code: int, message: str, dc: Command, detector: Toy, pictures: list[Path]
) -> None:
    done = dc(
        "detect", detector.cfg, *pictures, *(str(pictures[0].parent) if one == "IN" else one for one in arguments)
    )
    assert done.code == code
    assert message in " ".join(done.err.split())
    assert "Traceback" not in done.err
