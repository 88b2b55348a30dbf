"""What a look at a data set finds, each finding from a case made for it."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.datasets.check import KINDS, Report, check_dataset
from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.readers.darknet import PictureList
from tests.datasets.readers.test_voc import OBJECT, annotation, make

ENCODED = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8))[1].tobytes()


def checked(folder: Path, labels: dict[str, str | None], decode: bool = False, **pictures: bytes) -> Report:
    """A list of pictures a, b, … with these labels (None: no file)."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for name, text in labels.items():
        (folder / f"images/{name}.jpg").write_bytes(pictures.get(name, ENCODED))
        if text is not None:
            (folder / f"labels/{name}.txt").write_text(text)
    (folder / "list.txt").write_text("".join(f"images/{name}.jpg\n" for name in labels))
    return check_dataset(PictureList(folder / "list.txt", ["cat", "dog", "cow"]), decode_pictures=decode)


def test_nothing_wrong(tmp_path: Path) -> None:
    report = checked(tmp_path, {"a": "0 .5 .5 .1 .1\n0 .5 .5 .2 .2\n", "b": "1 .5 .5 .1 .1\n2 0 0 0 0"}, decode=True)
    assert (report.pictures, report.objects, report.pictures_with) == (2, (2, 1, 1), (1, 1, 1))
    assert (report.whole_pictures, report.findings, report.wrong, report.never_seen) == (1, {}, 0, ())


@pytest.mark.parametrize(
    ("kind", "count", "labels"),
    [
        ("bad labels", 1, "3 .5 .5 .1 .1"),
        ("empty", 1, ""),
        ("no area", 2, "0 .5 .5 0 .1\n0 .5 .5 .1 0"),
        ("too small", 1, "0 .5 .5 .0009 .1"),
        ("outside", 2, "0 .95 .5 .2 .1\n1 .5 .02 .1 .1"),
        ("twice", 2, "0 .5 .5 .1 .1\n" * 3),
    ],
)
def test_labels(kind: str, count: int, labels: str | None, tmp_path: Path) -> None:
    report = checked(tmp_path, {"a": labels, "b": "1 .5 .5 .1 .1\n0 .5 .5 .1 .1"})
    assert {name: finding.count for name, finding in report.findings.items()} == {kind: count}
    assert "a" in report.findings[kind].examples[0]  # type: ignore[index]
    assert report.wrong == (1 if kind == "bad labels" else 0)
    assert report.never_seen == ("cow",)


def test_pictures(tmp_path: Path) -> None:
    good = dict.fromkeys("abc", "0 .5 .5 .1 .1")
    report = checked(tmp_path, good, decode=True, b=ENCODED[:500], c=b"<html>")
    assert report.findings["unreadable"].count == report.wrong == 2
    assert "this JPEG picture is damaged" in report.findings["unreadable"].examples[0]
    (tmp_path / "list.txt").write_text("images/a.jpg\nimages/a.jpg\n")
    assert check_dataset(PictureList(tmp_path / "list.txt")).findings["repeated"].count == 1


def test_missing_pictures_and_sizes_that_are_not_the_pictures(tmp_path: Path) -> None:
    box = OBJECT.format("dog", "<difficult>1</difficult>", 1, 1, 20, 20)
    folder = make(tmp_path, {"a": annotation(box), "b": annotation(box), "c": annotation(box, size="")})
    (folder / "JPEGImages/a.jpg").write_bytes(ENCODED)
    (folder / "JPEGImages/b.jpg").unlink()
    report = check_dataset(open_dataset(folder), decode_pictures=True)
    assert {kind: finding.count for kind, finding in report.findings.items()} == {
        "missing": 1,
        "unreadable": 1,
        "other size": 1,
    }
    assert report.findings["other size"].examples == ("a: 200x100 said, 64x48 found",)
    assert report.difficult == 2


class Composed(Dataset):
    title, names = "composed", ()

    def __len__(self) -> int:
        return 3

    def sample(self, index: int) -> Sample:
        return Sample(
            str(index), np.zeros((4, 4, 3), np.uint8), Labels.drawn([[0.5, 0.5, 1, 1]], [index], crowd=[True])
        )


def test_composed_pictures_progress_and_json() -> None:
    seen: list[tuple[int, int]] = []
    report = check_dataset(Composed(), decode_pictures=True, progress=lambda *both: seen.append(both))
    assert seen == [(1, 3), (2, 3), (3, 3)]
    document = json.loads(json.dumps(report.to_dict()))
    assert document["classes"][2] == {"class": "2", "objects": 1, "pictures": 1}
    assert (document["crowd"], document["findings"], set(report.findings) <= set(KINDS)) == (3, {}, True)


def test_bccd(shared_data: Path) -> None:
    report = check_dataset(open_dataset(shared_data / "bccd", split="trainval"))
    assert (report.pictures, sum(report.objects), report.wrong) == (292, 3943, 0)
