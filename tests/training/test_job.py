"""Training from Python: one options value, one function, one progress callable."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import darknet_compat as dc
from darknet_compat.errors import DarknetCompatError, OptionError
from darknet_compat.training import job
from tests.training.test_trainer import CFG


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "small.cfg"
    path.write_text(CFG.format(batches=3, subdivisions=1))
    return path


def given(cfg: Path, out: Path, **more: Any) -> dict[str, Any]:
    return {"model": str(cfg), "data": "digits", "out": out, "workers": 0, "device": "cpu"} | more


def losses(folder: Path) -> list[str]:
    with (folder / "log.csv").open() as file:
        return [row["loss"] for row in csv.DictReader(file)]


def test_training_by_keywords_and_by_a_value(cfg: Path, tmp_path: Path) -> None:
    seen: list[job.TrainingEvent] = []
    trained = dc.train(**given(cfg, tmp_path / "a"), progress=seen.append)
    assert (trained.batches, trained.images) == (3, 12)
    assert trained.weights == tmp_path / "a" / "small_final.weights"
    assert trained.weights.is_file()
    assert [type(event) for event in seen] == [job.Began, *[job.Stepped] * 3]
    again = dc.train(dc.TrainOptions(**given(cfg, tmp_path / "b")))
    assert again.to_dict()["loss"] == trained.loss


def test_one_seed_gives_one_run_from_the_first_batch_on(cfg: Path, tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        dc.train(**given(cfg, tmp_path / name, seed=seed))
    weights = [(tmp_path / name / "small_final.weights").read_bytes() for name in "abc"]
    assert losses(tmp_path / "a") == losses(tmp_path / "b")
    assert weights[0] == weights[1]
    assert losses(tmp_path / "c")[0] != losses(tmp_path / "a")[0]
    assert weights[2] != weights[0]


def test_a_listener_can_end_it(cfg: Path, tmp_path: Path) -> None:
    def listen(event: job.TrainingEvent) -> None:
        if isinstance(event, job.Began):
            event.trainer.stop()

    trained = dc.train(**given(cfg, tmp_path / "a"), progress=listen)
    assert trained.batches == 1
    assert trained.weights.name == "small.backup"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"batch": 0}, "batch: expected a whole number from 1 on, found 0"),
        ({"ratio": 2.0}, "ratio: goes with --joint"),
        ({"learning": 2.0}, "learning: no such option"),
    ],
)
def test_wrong_options(more: dict[str, Any], message: str, cfg: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match=message):
        dc.train(**given(cfg, tmp_path / "a", **more))


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(DarknetCompatError, match=r"none\.cfg: expected a \.cfg"):
        dc.train(model="none.cfg", data="digits", out=tmp_path)


def shown(folder: Path) -> str:
    """A list of one labelled picture."""
    cv2.imwrite(str(folder / "a.png"), np.full((64, 64, 3), 90, np.uint8))
    (folder / "a.txt").write_text("3 0.5 0.5 0.4 0.4\n")
    (folder / "list.txt").write_text(f"{folder / 'a.png'}\n")
    return str(folder / "list.txt")


def test_going_on_remembers_which_weights_were_best(cfg: Path, tmp_path: Path) -> None:
    def stop(event: job.TrainingEvent) -> None:
        if isinstance(event, job.Began):
            event.trainer.stop()

    out = tmp_path / "a"
    measured = {"valid": shown(tmp_path), "valid_every": 1, "metric": "map"}
    first = dc.train(**given(cfg, out, **measured), progress=stop)
    assert first.best is not None and first.best == (first.mAP, 1)
    text = (out / "log.csv").read_text().splitlines()
    column = text[0].split(",").index("mAP")
    values = text[1].split(",")
    values[column] = "0.9"  # as if these weights had been good
    (out / "log.csv").write_text("\n".join([text[0], ",".join(values)]) + "\n")
    best = (out / "small_best.weights").read_bytes()
    trained = dc.train(**given(cfg, out, resume=True, **measured))
    assert trained.batches == 3 and trained.best == (0.9, 1)
    assert trained.mAP is not None and trained.mAP < 0.9
    assert (out / "small_best.weights").read_bytes() == best
