"""The detectors that come with the package: the command that made them, and what they find."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from statistics import fmean

import numpy as np
import pytest

from darknet_compat.catalogue.catalog import MODELS
from darknet_compat.datasets.readers.digits import DigitScenes
from darknet_compat.evaluation.material.entries import read_entries
from darknet_compat.evaluation.run.detections import THRESH, collect
from darknet_compat.evaluation.scores.metrics import METRICS
from darknet_compat.formats.packaged import weights_dir
from darknet_compat.inference.detector import Detector
from tests.cli.support import REPOSITORY


def test_the_shipped_weights_are_small_and_in_the_manifest() -> None:
    listed = json.loads((weights_dir() / "manifest.json").read_text("utf-8"))["files"]
    assert set(listed) == {MODELS[name].weights.file for name in ("yolov2-digits", "yolo9000-digits")}
    for name, entry in listed.items():
        assert entry["size"] <= 1_500_000
        assert entry["size"] == MODELS[Path(name).stem].weights.size


@pytest.mark.parametrize("model", ["yolov2-digits", "yolo9000-digits"])
def test_the_catalogue_has_the_figure_that_their_page_has(model: str) -> None:
    (figure,) = MODELS[model].figures
    page = (weights_dir() / "README.md").read_text("utf-8")
    section = page.partition(f"\n## {model}\n")[2].partition("\n## ")[0]
    assert f"{figure.value} %" in section


@pytest.mark.parametrize(
    ("model", "digits", "least"), [("yolov2-digits", "0123456789", 0.93), ("yolo9000-digits", "56789", 0.68)]
)
def test_digits_are_found_in_scenes_by_others_hands(model: str, digits: str, least: float) -> None:
    """The mean over these digits in a few of the scenes; weights/README.md has that of all. The second model never saw
    a box of one of them."""
    detector = Detector(model, thresh=THRESH, backend="torch", map="digits" if model == "yolo9000-digits" else None)
    entries = read_entries(DigitScenes("test", 200))
    results = collect(entries, [answer for _, answer in detector.stream(entries.images(), 8)])
    score = METRICS["voc"].score(METRICS["voc"].as_scored(results.found, results.sizes), results.truths, entries.names)
    assert fmean(row["ap"] for row in score.document["classes"] if row["name"] in digits) > least
    assert np.isfinite(results.found.scores).all()


@pytest.mark.slow
def test_anyone_can_train_them(tmp_path: Path) -> None:
    command = [sys.executable, REPOSITORY / "tools" / "train_digits.py", "--out", tmp_path, "--max-batches", "2"]
    done = subprocess.run([*map(str, command)], capture_output=True, text=True, cwd=REPOSITORY, check=True)
    models = json.loads(done.stdout)["models"]
    assert [model["model"] for model in models] == ["yolov2-digits", "yolo9000-digits"]
    assert all(0 <= model["mAP"] <= 1 and model["seconds"] > 0 for model in models)
    assert "$ darknet-compat train yolov2-digits warped-digits " in done.stderr
    assert "$ darknet-compat train yolo9000-digits warped-digits:01234 --joint warped-digit-groups:56789" in done.stderr


@pytest.mark.slow
def test_the_claim_can_be_tried_by_anyone(tmp_path: Path) -> None:
    command = [sys.executable, REPOSITORY / "tools" / "joint_claim.py", "--out", tmp_path, "--max-batches", "2"]
    done = subprocess.run([*map(str, command), "--seeds", "0"], capture_output=True, text=True, check=True)
    results = json.loads((tmp_path / "joint.json").read_text())["recipes"]
    assert list(results) == ["boxes of five", "joint", "boxes of all"]
    for row, (recipe, (seed,)) in zip(done.stdout.splitlines()[2:], results.items(), strict=True):
        assert row.startswith(f"| {recipe} | ")
        assert list(seed["AP"]) == list("0123456789") and len(seed["mAP"]) == 4
    assert (tmp_path / "joint.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["train_digits.py", "yolov3"], "expected some of yolov2-digits, yolo9000-digits, found yolov3"),
        (["joint_claim.py", "--recipes", "all"], "expected some of boxes of five, joint, boxes of all, found all"),
    ],
)
def test_what_the_scripts_do_not_know(arguments: list[str], expected: str) -> None:
    command = [sys.executable, str(REPOSITORY / "tools" / arguments[0]), *arguments[1:]]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert expected in done.stderr
