"""An engine and its JSON: both there, or neither."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from darknet_compat.errors import BackendError, ExportError
from darknet_compat.formats.exported.artefact import Artefact
from darknet_compat.formats.exported.enginefile import EngineRecord, Profile, read_plan, read_record, write_engine

RECORD = EngineRecord(
    artefact=Artefact(
        name="m", task="detect", width=96, height=64, channels=3, classes=2, outputs="boxes", names=("a", "b")
    ),
    precision="fp16",
    profiles=(Profile((1, 64, 96), (1, 64, 96), (1, 64, 96)),),
    onnx="m.onnx",
    onnx_sha256="0" * 64,
    tensorrt="11.4.0",
    gpu="GPU",
    capability=(9, 0),
    version_compatible=False,
    hardware_compatible=False,
    settings={},
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written = write_engine(tmp_path / "m.engine", b"plan", RECORD)
    assert read_record(tmp_path / "m.engine") == written
    assert read_plan(tmp_path / "m.engine", written) == b"plan"


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc here, to tell files by their numbers")
@pytest.mark.parametrize("full", [".engine.json.", ".engine."])
@pytest.mark.parametrize("before", [False, True])
def test_where_there_is_no_room_for_one_there_is_neither(
    before: bool, full: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "m.engine"
    if before:
        old = write_engine(path, b"old plan", RECORD)
    fsync = os.fsync

    def no_room(number: int) -> None:
        name = Path(os.readlink(f"/proc/self/fd/{number}")).name
        if full in name and (full != ".engine." or "json" not in name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(ExportError, match="cannot be written: No space left on device"):
        write_engine(path, b"new plan", RECORD)
    if before:
        assert read_plan(path, read_record(path)) == b"old plan" and read_record(path) == old
    else:
        assert not list(tmp_path.iterdir())


OTHERS: tuple[Any, ...] = (
    None, 0, -1, 1.5, 1e400, "x", "\x1b[31m", "9" * 5000, [], [[]], {}, {"a": 1}, True, [1, 2, 3],
)  # fmt: skip


@pytest.mark.parametrize("field", ["format", *EngineRecord.__dataclass_fields__])
def test_a_field_of_any_other_kind_is_one_line(field: str, tmp_path: Path) -> None:
    """Read and used, or one line: whatever stands there."""
    path = tmp_path / "m.engine"
    write_engine(path, b"plan", RECORD)
    beside = tmp_path / "m.engine.json"
    document = json.loads(beside.read_text())
    refused = 0
    for other in OTHERS:
        beside.write_text(json.dumps(document | {field: other}))
        try:
            record = read_record(path)
            record.mismatch("11.4.0", "GPU", (9, 0))
            read_plan(path, record)
        except BackendError as error:
            assert str(error).isprintable() and len(str(error)) < 1000, error
            refused += 1
    assert refused >= len(OTHERS) - 3
    del document[field]
    beside.write_text(json.dumps(document))
    if field in ("target", "capabilities"):  # not in what the first versions wrote
        assert (read_record(path).target, read_record(path).capabilities) == ("tensorrt", ())
        return
    with pytest.raises(BackendError, match="lacks or misstates"):
        read_record(path)


@pytest.mark.parametrize("name", ["engine-nested.engine.json", "engine-tensorrt-number.engine.json", "engine-551942"])
def test_ones_that_ended_in_a_traceback_once(name: str, tmp_path: Path, shared_data: Path) -> None:
    (tmp_path / "m.engine").write_bytes(b"")
    (tmp_path / "m.engine.json").write_bytes((shared_data / "cases" / "trust" / name).read_bytes())
    with pytest.raises(BackendError, match=r"m\.engine\.json: "):
        read_record(tmp_path / "m.engine")
