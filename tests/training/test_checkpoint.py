"""Checkpoints: whole, of this run, and never code."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from random import Random

import pytest
import torch

from darknet_compat.errors import TrainingError
from darknet_compat.training.checkpoint import Checkpoints
from tests.conftest import SHARED_DATA
from tests.formats.test_atomic import files_of_at_most

MADE_WITH = {"batch": 64}
REFUSED = r"c\.pt: expected a checkpoint of this version, found another or a damaged file"


def at(folder: Path) -> Checkpoints:
    return Checkpoints(folder / "c.pt", MADE_WITH)


def test_what_was_written_comes_back(tmp_path: Path) -> None:
    state = {"weights": {"a": torch.arange(3.0)}, "seen": 1 << 40, "average_loss": None}
    at(tmp_path).write(state)
    found, note = at(tmp_path).read()
    assert note is None
    assert torch.equal(found["weights"].pop("a"), state["weights"].pop("a"))
    assert found == state


def test_a_failed_write_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints = at(tmp_path)
    checkpoints.write({"seen": 1})
    with pytest.raises(AttributeError):
        checkpoints.write({"seen": lambda: 0})
    assert at(tmp_path).read() == ({"seen": 1}, None)
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_a_full_disk_is_one_line_and_leaves_the_one_before(tmp_path: Path) -> None:
    checkpoints = at(tmp_path)
    checkpoints.write({"seen": 1})
    with files_of_at_most(65536), pytest.raises(TrainingError, match=r"c\.pt: cannot be written: File too large$"):
        checkpoints.write({"seen": 2, "weights": torch.zeros(100_000)})
    assert at(tmp_path).read() == ({"seen": 1}, None)
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_the_last_two_are_kept_and_torch_reads_them(tmp_path: Path) -> None:
    checkpoints = at(tmp_path)
    for seen in (1, 2, 3):
        checkpoints.write({"seen": seen})
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.pt", "c_previous.pt"]
    assert torch.load(tmp_path / "c.pt", weights_only=True)["state"] == {"seen": 3}
    assert torch.load(tmp_path / "c_previous.pt", weights_only=True)["state"] == {"seen": 2}


def test_from_a_damaged_one_back_to_the_one_before(tmp_path: Path) -> None:
    first = at(tmp_path)
    first.write({"seen": 1})
    first.write({"seen": 2})
    spoil(tmp_path / "c.pt", 100)
    second = at(tmp_path)
    state, note = second.read()
    assert state == {"seen": 1}
    assert note is not None and note.endswith("a damaged file; going on from the one before, c_previous.pt")
    second.write({"seen": 3})  # over the damaged one: the good one is not given up for it
    assert torch.load(tmp_path / "c_previous.pt", weights_only=True)["state"] == {"seen": 1}
    second.write({"seen": 4})
    assert torch.load(tmp_path / "c_previous.pt", weights_only=True)["state"] == {"seen": 3}


def test_ended_between_two_renames(tmp_path: Path) -> None:
    checkpoints = at(tmp_path)
    checkpoints.write({"seen": 1})
    checkpoints.path.rename(checkpoints.previous)
    state, note = at(tmp_path).read()
    assert state == {"seen": 1}
    assert note is not None and "there is no checkpoint to go on from; going on from the one before" in note


def test_a_new_training_does_not_go_on_from_an_old_ones(tmp_path: Path) -> None:
    old = at(tmp_path)
    old.write({"seen": 1})
    old.write({"seen": 2})
    at(tmp_path).write({"seen": 0})
    assert [path.name for path in tmp_path.iterdir()] == ["c.pt"]


def test_of_another_run(tmp_path: Path) -> None:
    at(tmp_path).write({"seen": 1})
    with pytest.raises(TrainingError, match=r"c\.pt: was made with batch 64, this run has 32; nothing is resumed"):
        Checkpoints(tmp_path / "c.pt", {"batch": 32}).read()


class Evil:
    def __reduce__(self) -> tuple[object, ...]:
        return exec, ("raise SystemExit('code of a file was run')",)


def sealed(data: bytes) -> bytes:
    """As a forger would do it, who knows the format."""
    return data + b"dcckpt02" + hashlib.sha256(data).digest()


def saved(value: object) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return sealed(file.getvalue())


CONTENTS = [
    b"", b"hello", bytes(100), pickle.dumps(Evil()), pickle.dumps({"format": 2}), sealed(b""), sealed(b"hello"),
    sealed(pickle.dumps(Evil())), saved(Evil()), saved([1]), saved({"format": 2}), saved({"format": 1}),
    saved({"format": 2, "made_with": 3, "state": {}}), saved({"format": 2, "made_with": {}, "state": 3}),
]  # fmt: skip


@pytest.mark.parametrize("content", CONTENTS)
def test_what_is_no_checkpoint(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "c.pt").write_bytes(content)
    with pytest.raises(TrainingError, match=REFUSED):
        at(tmp_path).read()


@pytest.mark.parametrize(
    "name", ["checkpoint-one-bit.pt", "checkpoint-made_with-int.pt", "checkpoint-optimizer-float.pt"]
)
def test_ones_that_were_accepted_once(name: str, tmp_path: Path, shared_data: Path) -> None:
    (tmp_path / "c.pt").write_bytes((SHARED_DATA / "cases" / "trust" / name).read_bytes())
    with pytest.raises(TrainingError, match=REFUSED):
        at(tmp_path).read()


def test_a_checkpoint_cut_short(tmp_path: Path) -> None:
    at(tmp_path).write({"w": torch.zeros(1000)})
    data = (tmp_path / "c.pt").read_bytes()
    for length in (10, len(data) // 2, len(data) - 10):
        (tmp_path / "c.pt").write_bytes(data[:length])
        with pytest.raises(TrainingError, match=REFUSED):
            at(tmp_path).read()


def spoil(path: Path, bit: int) -> None:
    data = bytearray(path.read_bytes())
    data[bit // 8] ^= 1 << bit % 8
    path.write_bytes(data)


def test_no_flipped_bit_is_ever_resumed(tmp_path: Path) -> None:
    at(tmp_path).write({"w": torch.arange(300.0), "seen": 7})
    path, random = tmp_path / "c.pt", Random(0)
    bits = 8 * path.stat().st_size
    for bit in random.sample(range(bits), 1000):
        spoil(path, bit)
        with pytest.raises(TrainingError, match=REFUSED):
            at(tmp_path).read()
        spoil(path, bit)
    assert at(tmp_path).read()[0]["seen"] == 7


def test_no_checkpoint_at_all(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"c\.pt: there is no checkpoint to go on from"):
        at(tmp_path).read()
