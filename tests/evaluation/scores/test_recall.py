"""Recall, average overlap and proposals are the original's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.evaluation.run import detections as run
from darknet_compat.evaluation.scores.recall import Recall, recalls
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import load_network
from darknet_compat.runtime.torch import TorchRuntime
from tests.parity.program import run_program

BOXES = {
    "dog": "16 0.29 0.66 0.25 0.56\n1 0.45 0.48 0.55 0.52\n2 0.75 0.22 0.28 0.16\n",
    "eagle": "14 0.5 0.5 0.7 0.8\n",
    "horses": "17 0.3 0.6 0.4 0.5\n17 0.01 0.01 0.01 0.01\n",
    "person": "0 0.36 0.56 0.14 0.7\n16 0.2 0.75 0.2 0.2\n17 0.77 0.6 0.35 0.5\n",
}


@pytest.mark.reference
@pytest.mark.parametrize("model", ["yolo-lite-coco", "yolo-lite-voc3"])
def test_the_originals_last_line(model: str, photos: list[Path], shared_data: Path, tmp_path: Path) -> None:
    base = shared_data / "models" / model / model
    (tmp_path / "data").mkdir()
    listed = tmp_path / "data" / "coco_val_5k.list"  # the only list that the original's `recall` reads
    for photo in photos:
        if photo.stem in BOXES:
            (tmp_path / photo.name).symlink_to(photo)
            text = BOXES[photo.stem].replace("17 ", "12 ") if "voc" in model else BOXES[photo.stem]
            (tmp_path / f"{photo.stem}.txt").write_text(text)
    listed.write_text("".join(f"{tmp_path}/{name}.jpg\n" for name in BOXES))
    done = run_program("detector", "recall", "x.data", f"{base}.cfg", f"{base}.weights", cwd=tmp_path)
    pattern = r"(\d+) +(\d+) +(\d+)\tRPs/Img: ([\d.]+)\tIOU: ([\d.]+)%\tRecall:([\d.]+)%"
    number, found, objects, proposals, overlap, recall = re.findall(pattern, done.stderr)[-1]
    assert int(number) == len(BOXES) - 1

    detector = Detector(f"{base}.cfg", f"{base}.weights")
    detector.runtime = TorchRuntime(load_network(f"{base}.cfg", f"{base}.weights", batchnorm="cpu"))
    (tmp_path / "list.txt").write_text(listed.read_text())
    entries = read_entries(run.open_for(tmp_path / "list.txt", detector.names))
    total = Recall()
    for one in recalls(detector, entries, batch=3):
        assert isinstance(one, Recall)
        total += one
    assert (total.pictures, total.found, total.objects) == (len(BOXES), int(found), int(objects))
    plain = total.to_dict()
    assert plain["proposals_per_picture"] == pytest.approx(float(proposals), abs=0.01)
    assert 100 * plain["average_iou"] == pytest.approx(float(overlap), abs=0.01)
    assert 100 * plain["recall"] == pytest.approx(float(recall), abs=0.01)
    assert 0 < total.found < total.objects


def test_nothing_to_find() -> None:
    assert Recall(1, 0, 0, 5).to_dict()["recall"] is None and Recall().to_dict()["proposals_per_picture"] is None
