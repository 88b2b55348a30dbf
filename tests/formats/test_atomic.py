from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.weights.file import Header, Slot, read_weights, write_weights
from darknet_compat.formats.atomic import atomic_write, remove_left_over
from tests.formats.making import DETECTOR, NEEDED, NEW, bytes_for, file_with, refused, spec_of
from tests.formats.users import unprivileged

# --------------------------------------------------------------------------------------- writing whole or not


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_written_files_have_ordinary_permissions(tmp_path: Path) -> None:
    old = os.umask(0o027)
    try:
        write_weights(tmp_path / "m.weights", NEW, [])
        assert os.umask(0o027) == 0o027
    finally:
        os.umask(old)
    assert (tmp_path / "m.weights").stat().st_mode & 0o777 == 0o640
    assert entries(tmp_path) == ["m.weights"]


def test_a_failure_in_the_middle_keeps_the_old_file(tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.weights", b"old")

    def arrays() -> Iterator[tuple[Slot, np.ndarray]]:
        yield Slot(0, "biases", (3,)), np.zeros(3, np.float32)
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_weights(path, NEW, arrays())
    assert path.read_bytes() == b"old" and entries(tmp_path) == ["m.weights"]


def test_an_array_of_the_wrong_size_is_refused(tmp_path: Path) -> None:
    for count in (2, 4):
        assert (
            refused(
                lambda count=count: write_weights(
                    tmp_path / "m.weights", NEW, [(Slot(7, "biases", (3,)), np.zeros(count, np.float32))]
                )
            )
            == f"{tmp_path}/m.weights: layer 7 (biases): expected an array of shape (3,), found ({count},)"
        )
    assert entries(tmp_path) == []


def test_a_header_that_has_no_room(tmp_path: Path) -> None:
    path = tmp_path / "m.weights"
    assert refused(lambda: write_weights(path, Header(0, 1, 0, 2**31), [])) == (
        "a header of version 0.1 has no room for seen=2147483648"
    )
    assert entries(tmp_path) == []
    write_weights(path, Header(0, 2, 0, 2**31), [])


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """As on a full disk: beyond `size` bytes the system refuses to write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_keeps_the_old_file(tmp_path: Path) -> None:
    path = file_with(tmp_path / "m.weights", b"old")
    array = np.zeros(100_000, np.float32)
    with files_of_at_most(65536):
        message = refused(lambda: write_weights(path, NEW, [(Slot(0, "biases", array.shape), array)]))
    assert message == f"{path}: cannot be written: File too large"
    assert path.read_bytes() == b"old" and entries(tmp_path) == ["m.weights"]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    missing = tmp_path / "none" / "m.weights"
    assert (
        refused(lambda: write_weights(missing, NEW, [])) == f"{missing}: cannot be written: No such file or directory"
    )
    assert refused(lambda: write_weights(tmp_path, NEW, [])) == f"{tmp_path}: cannot be written: it is a folder"
    assert "cannot be written: " in refused(lambda: write_weights("m\0.weights", NEW, []))
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refused(lambda: write_weights(pipe, NEW, [])) == f"{pipe}: cannot be written: it is a device or pipe"
    assert pipe.is_fifo() and entries(tmp_path) == ["pipe"]


def test_no_permission_to_write(tmp_path: Path) -> None:
    with unprivileged():
        assert refused(lambda: write_weights(tmp_path / "m.weights", NEW, [])).endswith("Permission denied")
    assert entries(tmp_path) == []


def test_a_link_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    file_with(tmp_path / "real" / "m.weights", b"old")
    (tmp_path / "m.weights").symlink_to("real/m.weights")
    write_weights(tmp_path / "m.weights", NEW, [])
    assert (tmp_path / "m.weights").is_symlink()
    assert (tmp_path / "real" / "m.weights").read_bytes() == NEW.to_bytes()
    assert entries(tmp_path / "real") == ["m.weights"]


def test_a_file_can_be_written_over_itself(tmp_path: Path) -> None:
    spec = spec_of(DETECTOR)
    path = file_with(tmp_path / "m.weights", bytes_for(spec))
    weights = read_weights(path, spec)
    write_weights(path, weights.header, weights.arrays)
    assert path.read_bytes() == bytes_for(spec)
    assert weights.arrays[-1][1].ravel()[-1] == (NEEDED - 20) / 4 - 1


def test_an_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), atomic_write(tmp_path / "m.weights") as file:
        file.write(b"half")
        raise KeyboardInterrupt
    assert entries(tmp_path) == []


# ------------------------------------------------------------------------------------------ what killed ones leave


def test_unfinished_files_of_killed_processes_go_and_those_in_use_stay(tmp_path: Path) -> None:
    left = [".m.weights.0123abcd.part", ".other.png.ffffffff.part", ".two words.weights.00000000.part"]
    kept = ["m.weights.part", ".m.weights.part", ".m.weights.0123abcg.part", "yolov2.weights.part.json"]
    for name in left + kept:
        file_with(tmp_path / name, b"")
    (tmp_path / ".folder.0123abcd.part").mkdir()
    with atomic_write(tmp_path / "m.weights") as file:
        file.write(b"new")
        (in_use,) = (path for path in tmp_path.glob(".m.weights.*.part") if path.name not in kept)
        remove_left_over(tmp_path)  # as another process would
        assert in_use.exists()
    assert entries(tmp_path) == sorted([*kept, ".folder.0123abcd.part", "m.weights"])
    assert (tmp_path / "m.weights").read_bytes() == b"new"


def test_a_process_that_is_killed_while_it_writes(tmp_path: Path) -> None:
    code = f"""
import os, signal
from darknet_compat.formats.atomic import atomic_write, remove_left_over
with atomic_write({str(tmp_path / "m.bin")!r}) as file:
    file.write(b"half")
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -signal.SIGKILL
    assert len(entries(tmp_path)) == 1
    with atomic_write(tmp_path / "m.bin") as file:
        file.write(b"whole")
    assert entries(tmp_path) == ["m.bin"]


def test_the_file_before_can_be_kept(tmp_path: Path) -> None:
    for content in (b"1", b"2", b"3"):
        with atomic_write(tmp_path / "m", previous=tmp_path / "m1") as file:
            file.write(content)
    assert [(tmp_path / name).read_bytes() for name in entries(tmp_path)] == [b"3", b"2"]
    with pytest.raises(ValueError), atomic_write(tmp_path / "m", previous=tmp_path / "m1"):
        raise ValueError
    assert [(tmp_path / name).read_bytes() for name in entries(tmp_path)] == [b"3", b"2"]
