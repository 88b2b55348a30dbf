"""Checkpoints: whole, of this run, and never code."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch

from darknet_compat.errors import TrainingError
from darknet_compat.training.checkpoint import read_checkpoint, write_checkpoint

MADE_WITH = {"batch": 64}


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    state = {"weights": {"a": torch.arange(3.0)}, "seen": 1 << 40, "average_loss": None}
    write_checkpoint(tmp_path / "c.pt", state, MADE_WITH)
    found = read_checkpoint(tmp_path / "c.pt", MADE_WITH)
    assert torch.equal(found["weights"].pop("a"), state["weights"].pop("a"))
    assert found == state


def test_a_failed_write_leaves_the_one_before(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", {"seen": 1}, MADE_WITH)
    with pytest.raises(AttributeError):
        write_checkpoint(tmp_path / "c.pt", {"seen": lambda: 0}, MADE_WITH)
    assert read_checkpoint(tmp_path / "c.pt", MADE_WITH) == {"seen": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_of_another_run(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", {"seen": 1}, MADE_WITH)
    with pytest.raises(TrainingError, match=r"c\.pt: was made with batch 64, this run has 32; nothing is resumed"):
        read_checkpoint(tmp_path / "c.pt", {"batch": 32})


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('code of a file was run')",)


@pytest.mark.parametrize("content", [b"", b"hello", bytes(100), pickle.dumps(Evil()), pickle.dumps({"format": 9})])
def test_what_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=r"c\.pt: expected a checkpoint of this program"):
        read_checkpoint(tmp_path / "c.pt", MADE_WITH)


def test_a_checkpoint_cut_short(tmp_path: Path) -> None:
    write_checkpoint(tmp_path / "c.pt", {"w": torch.zeros(1000)}, MADE_WITH)
    data = (tmp_path / "c.pt").read_bytes()
    for length in (10, len(data) // 2, len(data) - 10):
        (tmp_path / "c.pt").write_bytes(data[:length])
        with pytest.raises(TrainingError, match="another or a damaged file"):
            read_checkpoint(tmp_path / "c.pt", MADE_WITH)


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"c\.pt: there is no checkpoint to go on from"):
        read_checkpoint(tmp_path / "c.pt", MADE_WITH)
