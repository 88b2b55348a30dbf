"""The table and the chart of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.errors import TrainingError
from darknet_compat.training.log import Log


def row(number: int, **more: float) -> dict[str, float]:
    return {"batch": number, "loss": 100 / number, "average_loss": 120 / number, **more}


def test_one_row_a_batch_and_a_picture(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for number in range(1, 301):
        log.add(row(number))
        if number % 100 == 0:
            log.add({"batch": number, "mAP": number / 400})
    log.write()
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert lines[:2] == ["batch,loss,average_loss,mAP", "1,100,120,"]
    assert lines[100] == "100,1,1.2,0.25"
    assert len(lines) == 301
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_going_on_drops_what_came_after_the_checkpoint(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for number in range(1, 8):
        log.add(row(number))
    log.write()
    again = Log(tmp_path, start=5)
    again.add(row(6, mAP=0.5))
    again.write()
    lines = (tmp_path / "log.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == ["batch", "1", "2", "3", "4", "5", "6"]
    assert Log(tmp_path).rows == []


def test_a_log_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("what,is\nthis,?\n")
    with pytest.raises(TrainingError, match=r"log\.csv: is no log of training"):
        Log(tmp_path, start=5)
