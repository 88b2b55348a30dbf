"""Photographs that EXIF turns: boxes lie where the annotation's maker saw them."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darknet_compat.datasets.check import check_dataset
from darknet_compat.datasets.open import open_dataset
from darknet_compat.vision.image import decode
from darknet_compat.vision.orientation import read_stored

WIDTH, HEIGHT = 96, 72
SQUARE = (10, 6, 34, 30)
"""Of the picture as it lies in the file: x1 y1 x2 y2."""


def photograph(orientation: int, kind: str = "JPEG") -> bytes:
    """A black picture with a white square, and a note to turn it."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    x1, y1, x2, y2 = SQUARE
    pixels[y1:y2, x1:x2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))
    return file.getvalue()


def white(path: Path) -> tuple[float, ...]:
    """Where the square is in the picture as it is seen, as fractions x1 y1 x2 y2."""
    bright = decode(path)[..., 0] > 127
    rows, columns = np.flatnonzero(bright.any(1)), np.flatnonzero(bright.any(0))
    height, width = bright.shape
    return columns[0] / width, rows[0] / height, (columns[-1] + 1) / width, (rows[-1] + 1) / height


def voc(folder: Path, orientation: int, size: tuple[int, int], corners: tuple[int, ...]) -> Path:
    for name, content in (
        ("JPEGImages/a.jpg", photograph(orientation)),
        (
            "Annotations/a.xml",
            f"<annotation><size><width>{size[0]}</width><height>{size[1]}</height></size><object><name>x</name><bndbox>"
            f"<xmin>{corners[0] + 1}</xmin><ymin>{corners[1] + 1}</ymin><xmax>{corners[2]}</xmax><ymax>{corners[3]}"
            "</ymax></bndbox></object></annotation>",
        ),
    ):
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_size_and_orientation_of_a_file(orientation: int, kind: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(photograph(orientation, kind))
    stored = read_stored(tmp_path / "a")
    assert stored == (WIDTH, HEIGHT, orientation)
    assert stored is not None and stored.seen == decode(tmp_path / "a").shape[1::-1]


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\xff\xd8\xff\xe1\xff\xff" + b"\0" * 99]
)
def test_files_without_a_size(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    assert read_stored(tmp_path / "a") is None
    assert read_stored(tmp_path / "none") is None


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
def test_labelled_as_it_lies_in_the_file(orientation: int, tmp_path: Path) -> None:
    dataset = open_dataset(voc(tmp_path, orientation, (WIDTH, HEIGHT), SQUARE))
    sample = dataset[0]
    assert sample.repairs == (("turned", 1),)
    assert dataset.size(0) == (HEIGHT, WIDTH)
    found = sample.labels.corners(1, 1)[0]
    assert np.abs(found - white(tmp_path / "JPEGImages/a.jpg")).max() < 0.02
    report = check_dataset(dataset, decode_pictures=True)
    assert {kind: one.count for kind, one in report.findings.items()} == {"turned": 1}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_labelled_as_it_is_seen(orientation: int, tmp_path: Path) -> None:
    (tmp_path / "seen.jpg").write_bytes(photograph(orientation))
    height, width, _ = decode(tmp_path / "seen.jpg").shape
    corners = tuple(
        np.round(np.array(white(tmp_path / "seen.jpg")) * [width, height, width, height]).astype(int).tolist()
    )
    sample = open_dataset(voc(tmp_path / "set", orientation, (width, height), corners))[0]
    assert sample.repairs == ()
    assert np.abs(sample.labels.corners(1, 1)[0] - white(tmp_path / "seen.jpg")).max() < 0.02


def test_coco_too(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(photograph(6))
    x1, y1, x2, y2 = SQUARE
    box = {"id": 1, "image_id": 1, "category_id": 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": 1}
    image = {"id": 1, "file_name": "a.jpg", "width": WIDTH, "height": HEIGHT}
    document = {"images": [image], "annotations": [box], "categories": [{"id": 1, "name": "x"}]}
    (tmp_path / "x.json").write_text(json.dumps(document))
    sample = open_dataset(tmp_path)[0]
    assert np.abs(sample.labels.corners(1, 1)[0] - white(tmp_path / "a.jpg")).max() < 0.02
