"""Damaged annotations of every kind: reading ends with an answer or one typed line. Mutation N is always the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from random import Random

import numpy as np
import pytest

from darknet_compat.datasets.anchors.shapes import read_csv
from darknet_compat.datasets.check import check_dataset
from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.options import LabelRule, Reading
from darknet_compat.errors import DarknetCompatError
from tests.datasets.layouts import MADE, made
from tests.datasets.readers.test_coco import document
from tests.datasets.readers.test_voc import OBJECT, annotation, make

PIECES = [
    b"0",
    b"-1",
    b"1e400",
    b"nan",
    b"9" * 50,
    b"../../etc/passwd",
    b"\0",
    b"\xff\xfe",
    b"<",
    b"&x;",
    b'"',
    b"[",
    b"{",
]
PIECES += [
    b"]",
    b"}",
    b"null",
    b"true",
    b"\r\n",
    b" ",
    b",",
    b"=",
    b"<!DOCTYPE a [",
    b"\x1b[31m",
    b"images",
    b"[" * 500,
]

SEEDS = {
    "labels/a.txt": b"0 0.5 0.5 0.25 0.125\r\n1 0.1 0.2 0.3 0.4\n",
    "list.txt": b"images/a.jpg\r\nimages/b.jpg\n",
    "x.data": b"classes = 2\ntrain = list.txt\nnames = x.names\nlabels = x.names\n",
    "voc/Annotations/a.xml": annotation(OBJECT.format("dog", "<difficult>1</difficult>", 1, 2, 30, 40)).encode(),
    "voc/ImageSets/Main/train.txt": b"a\n",
    "x.json": json.dumps(document()).encode(),
    "x.csv": b"image,xmin,ymin,xmax,ymax,class\na,1,2,3,4,dog\nb,5,6,70,80,cat\n",
}
READERS: dict[str, Callable[[Path], object]] = {
    "x.csv": lambda folder: read_csv(folder / "x.csv", (416, 416)),
    "x.json": lambda folder: list(open_dataset(folder / "x.json")),
    "voc/Annotations/a.xml": lambda folder: list(open_dataset(folder / "voc")),
    "voc/ImageSets/Main/train.txt": lambda folder: list(open_dataset(folder / "voc")),
}


def mutated(data: bytes, random: Random) -> bytes:
    for _ in range(random.randint(1, 4)):
        start = random.randrange(len(data) + 1)
        end = start + random.choice([0, 0, 1, 3, 20])
        data = data[:start] + random.choice([b"", *PIECES]) + data[end:]
    return data


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "voc", {})
    for name in ("images/a.jpg", "images/b.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    for name, data in SEEDS.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "labels/b.txt").write_bytes(b"")
    (tmp_path / "x.names").write_text("cat\ndog\n")
    return tmp_path


@pytest.mark.parametrize("name", SEEDS)
def test_any_damage_is_one_typed_line(name: str, folder: Path) -> None:
    read = READERS.get(name, lambda folder: list(open_dataset(folder / "x.data", task="detect")))
    read(folder)
    answers = set()
    for number in range(250):
        data = mutated(SEEDS[name], Random(f"{name} {number}"))
        (folder / name).write_bytes(data)
        try:
            with np.errstate(all="raise"):
                read(folder)
            answers.add("read")
        except DarknetCompatError as error:
            # A file's name may have bytes that are no UTF-8; whoever prints the message escapes them.
            message = str(error).encode("utf-8", "surrogateescape").decode("latin-1")
            assert min(message) >= " " and len(message) < 1000, (number, data)
            answers.add("refused")
        except Exception as error:
            raise AssertionError(f"mutation {number} of {name}: {data!r}") from error
    assert answers == {"read", "refused"}


@pytest.mark.parametrize("kind", MADE)
def test_damage_in_any_layout_is_one_typed_line(kind: str, tmp_path: Path) -> None:
    """Of any file but the pictures; labels that are read by a rule, by every rule in turn."""
    source = made(kind, tmp_path / "set")
    files = sorted(path for path in source.rglob("*") if path.is_file() and path.suffix != ".png") or [source]
    by_rule = MADE[kind].layout in ("darknet", "yaml", "yolo", "coco")
    rules: tuple[LabelRule, ...] = ("clip", "skip", "strict") if by_rule else ("clip",)
    for number in range(90):
        random = Random(f"{kind} {number}")
        path = random.choice(files)
        data = path.read_bytes()
        path.write_bytes(mutated(data, random))
        try:
            dataset = open_dataset(source, reading=Reading(labels=rules[number % len(rules)]))
            report = check_dataset(dataset)
            assert report.pictures == len(dataset)
        except DarknetCompatError as error:
            assert "\n" not in str(error)
        except Exception as error:
            raise AssertionError(f"mutation {number} of {path}: {path.read_bytes()!r}") from error
        path.write_bytes(data)


def test_yaml_that_repeats_itself_without_end(tmp_path: Path) -> None:
    source = made("ultralytics", tmp_path / "set")
    names = "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghijklmnopqrstuvwxyz"))
    (source / "data.yaml").write_text(f"train: images/train\n{names}names: *z\n")
    with pytest.raises(DarknetCompatError, match="names: expected a list of names"):
        open_dataset(source)
