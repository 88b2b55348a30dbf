"""The files of `detector valid` and ours, on the same pictures with the same trained models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.evaluation.material import coco_files
from darknet_compat.evaluation.material.columns import Found, to_corners
from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.evaluation.run import detections as run
from darknet_compat.evaluation.scores.metrics import METRICS
from darknet_compat.inference.detector import Detector
from darknet_compat.network.load import load_network
from darknet_compat.runtime.torch import TorchRuntime
from tests.parity.program import run_program

pytestmark = pytest.mark.reference

SCORE, PIXELS = 0.002, 0.5
NEAR_THRESH = run.THRESH + 1e-5


def write_data(folder: Path, pictures: Sequence[Path], names: Path, kind: str) -> Path:
    """A `.data` file over pictures that have no labels, with the original's place for results."""
    folder.mkdir(parents=True)
    (folder / "results").mkdir()
    (folder / "list.txt").write_text("".join(f"{picture}\n" for picture in pictures))
    data = folder / "x.data"
    data.write_text(f"classes=80\nvalid={folder}/list.txt\nnames={names}\nresults={folder}/results\neval={kind}\n")
    return data


def compare(ours: Found, theirs: Found) -> tuple[int, float, float]:
    """How many lines were compared, the largest difference of a score, and of a side in pixels.

    Each line of one is given the nearest of the other of the same picture and class. A line may be missing only where
    its score is the threshold's but for the last digits.
    """
    worst_score = worst_side = 0.0
    compared = 0
    keys = {*zip(ours.images.tolist(), ours.classes.tolist(), strict=True)}
    keys |= {*zip(theirs.images.tolist(), theirs.classes.tolist(), strict=True)}
    for image, kind in keys:
        a = ours.rows((ours.images == image) & (ours.classes == kind))
        b = theirs.rows((theirs.images == image) & (theirs.classes == kind))
        taken: set[int] = set()
        for box, score in zip(to_corners(a.boxes), a.scores, strict=True):
            distance = np.abs(to_corners(b.boxes) - box).max(axis=1) + 100 * np.abs(b.scores - score)
            order = [i for i in np.argsort(distance).tolist() if i not in taken]
            near = order[0] if order else None
            if near is None or distance[near] > PIXELS + 100 * SCORE:
                assert score < NEAR_THRESH, f"only ours: picture {image}, class {kind}, {score} {box}"
                continue
            taken.add(near)
            compared += 1
            worst_score = max(worst_score, abs(float(b.scores[near] - score)))
            worst_side = max(worst_side, float(np.abs(to_corners(b.boxes)[near] - box).max()))
        for row in set(range(len(b))) - taken:
            assert b.scores[row] < NEAR_THRESH, f"only theirs: picture {image}, class {kind}, {b.scores[row]}"
    return compared, worst_score, worst_side


MODELS = {
    "yolo-lite-voc3": ("voc", "voc.names"),
    "yolo-lite-coco": ("coco", "coco.names"),
    "yolo-fastest-1.1": ("coco", "coco.names"),
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("pictures", ["photos", "cells"])
def test_result_files(model: str, pictures: str, photos: list[Path], shared_data: Path, tmp_path: Path) -> None:
    kind, names = MODELS[model]
    base = shared_data / "models" / model / model
    cells = sorted((shared_data / "bccd/BCCD/JPEGImages").glob("*.jpg"))[:5]
    chosen = photos if pictures == "photos" else cells
    data = write_data(tmp_path / "valid", chosen, shared_data / "models" / names, kind)
    run_program("detector", "valid", data, f"{base}.cfg", f"{base}.weights", cwd=tmp_path)
    folder = tmp_path / "labelled"
    folder.mkdir()
    for picture in chosen:
        (folder / picture.name).symlink_to(picture)
        (folder / picture.name).with_suffix(".txt").write_text("")
    (folder / "list.txt").write_text("".join(f"{folder / picture.name}\n" for picture in chosen))
    detector = Detector(
        f"{base}.cfg", f"{base}.weights", names=shared_data / "models" / names, thresh=run.THRESH, dialect="original"
    )
    # The program is the CPU build, which divides by another deviation.
    network = load_network(f"{base}.cfg", f"{base}.weights", batchnorm="cpu", dialect="original")
    detector.runtime = TorchRuntime(network)
    entries = read_entries(run.open_for(folder / "list.txt", detector.names))
    results = run.collect(entries, [found for _, found in detector.stream(entries.images(), 4)])
    metric = METRICS[kind]
    (tmp_path / "ours").mkdir()
    metric.write(tmp_path / "ours", results.found, entries, results.sizes)
    if kind == "voc":
        ours, theirs = (metric.read(tmp_path / place, entries) for place in ("ours", "valid/results"))
    else:
        numbers = [row.image_id for row in entries.rows]
        ours = coco_files.read_results(tmp_path / "ours" / coco_files.RESULTS, numbers)
        # The original takes them from the pictures' names; those of the photographs have none, and are all 0.
        theirs = coco_files.read_results(
            tmp_path / "valid/results" / coco_files.RESULTS, [0] if pictures == "photos" else numbers
        )
        if pictures == "photos":
            ours = replace(ours, images=ours.images * 0)
    compared, score, side = compare(ours, theirs)
    print(f"{model}, {pictures}: {compared} lines, score {score:.6f}, side {side:.4f} px")
    assert compared >= (20 if pictures == "photos" else 1)
    assert score <= SCORE and side <= PIXELS
