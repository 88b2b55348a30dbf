"""What datumaro writes, a real tool's files in six formats, made here: recognised and read with the same boxes."""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.datasets.check import check_dataset
from darknet_compat.datasets.open import open_dataset, recognise

FORMATS = {
    "yolo": "darknet",
    "yolo_ultralytics": "yaml",
    "coco_instances": "coco",
    "voc_detection": "voc",
    "open_images": "open-images",
    "kitti_detection": "kitti",
}
SQUARE, DISC = (6.0, 4.0, 24.0, 24.5), (50.0, 30.0, 70.0, 50.0)


@pytest.mark.parametrize("name", FORMATS)
def test_read(name: str, tmp_path: Path) -> None:
    dm = pytest.importorskip("datumaro")
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        items = [
            dm.DatasetItem(
                id=f"{subset}_{number}",
                subset=subset,
                media=dm.Image.from_numpy(data=np.full((72, 96, 3), 60, np.uint8)),
                annotations=[
                    dm.Bbox(x1, y1, x2 - x1, y2 - y1, label=label)
                    for label, (x1, y1, x2, y2) in enumerate((SQUARE, DISC))
                ],
            )
            for subset in ("train", "val")
            for number in range(2)
        ]
        dataset = dm.Dataset.from_iterable(items, categories=["square", "disc"])
        dataset.export(str(tmp_path / "set"), name, save_media=True)
    assert recognise(tmp_path / "set").layout == FORMATS[name]
    for split in ("train", "valid"):
        read = open_dataset(tmp_path / "set", split=split)
        report = check_dataset(read, decode_pictures=True)
        assert (report.pictures, sum(report.objects), report.findings) == (2, 4, {})
        for sample in read:
            corners = sample.labels.corners(96, 72).tolist()
            found = {read.names[c]: box for c, box in zip(sample.labels.classes.tolist(), corners, strict=True)}
            # Its VOC files have xmin counted from 0, and end a box at its last coordinate.
            most = 1.0 if name == "voc_detection" else 0.01
            assert np.abs(np.array([found["square"], found["disc"]]) - [SQUARE, DISC]).max() <= most
