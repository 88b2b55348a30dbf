"""The bench's own tests: its table is whole, its guards guard, and what it once found is still refused in one line."""

from __future__ import annotations

import ast
import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from darknet_compat.errors import CfgError
from tests.attack import fuzz
from tests.attack.formats import ELSEWHERE, FORMATS, Format
from tests.attack.fuzz import Tally, attempt, corpus_file

PACKAGE = Path(__file__).resolve().parents[2] / "darknet_compat"
READER = re.compile(r"read_\w+|parse_(cfg|tree|json|detections|classes)")


def readers() -> set[str]:
    """The functions of the package that are called as readers are."""
    found = set()
    for source in PACKAGE.rglob("*.py"):
        module = ".".join(source.relative_to(PACKAGE).with_suffix("").parts)
        for node in ast.parse(source.read_text("utf-8")).body:
            if isinstance(node, ast.FunctionDef) and READER.fullmatch(node.name):
                found.add(f"{module}.{node.name}")
    return found


def test_the_table_has_every_reader() -> None:
    listed = {reader for one in FORMATS.values() for reader in one.readers}
    assert listed | set(ELSEWHERE) == readers()
    assert not listed & set(ELSEWHERE)


@pytest.mark.parametrize("name", [name for name, one in FORMATS.items() if one.kind != "bit"])
def test_good_files_are_read(name: str, tmp_path: Path) -> None:
    one = FORMATS[name]
    one.around(tmp_path)
    for data in one.seeds():
        (tmp_path / one.file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / one.file).write_bytes(data)
        one.read(tmp_path)


@pytest.mark.parametrize("name", FORMATS)
def test_damage_that_was_kept_is_an_answer_or_one_line(name: str, tmp_path: Path) -> None:
    one, tally = FORMATS[name], Tally()
    one.around(tmp_path)
    (tmp_path / one.file).parent.mkdir(parents=True, exist_ok=True)
    kept = json.loads(corpus_file(name).read_text())
    assert kept
    for number, text in enumerate(kept):
        assert attempt(one, tmp_path, base64.b64decode(text), tally) is None, number
    assert tally.files == tally.read + sum(tally.refused.values())


@pytest.mark.parametrize("name", FORMATS)
def test_a_little_more_damage(name: str) -> None:
    tally = fuzz.fuzz(name, 0, count=32)
    assert (tally.files, tally.untyped, tally.slow) == (32, [], [])


# ------------------------------------------------------------------------------------- the guards, on harmless files


def reading(read: object) -> Format:
    return Format("f", "text", lambda: [b"x"], read, ())  # type: ignore[arg-type]


def test_an_untyped_error_is_a_fault(tmp_path: Path) -> None:
    tally = Tally()
    fault = attempt(reading(lambda folder: {}["x"]), tmp_path, b"", tally)
    assert fault is not None and fault.startswith("KeyError at outside")
    assert attempt(reading(lambda folder: 1), tmp_path, b"", tally) is None
    assert (tally.files, tally.read) == (2, 1)


def raising(message: str) -> object:
    def read(folder: Path) -> object:
        raise CfgError(message)

    return read


def test_a_message_of_two_lines_is_a_fault(tmp_path: Path) -> None:
    assert attempt(reading(raising("one line")), tmp_path, b"", Tally()) is None
    assert "no line" in str(attempt(reading(raising("two\nlines")), tmp_path, b"", Tally()))
    assert "no line" in str(attempt(reading(raising("\x1b[2J")), tmp_path, b"", Tally()))


def test_a_reader_without_end_is_a_fault(tmp_path: Path) -> None:
    """In a process of its own, as the bench is: the timer's signal ends one in which TensorRT's library has threads."""
    code = f"""
import itertools, pathlib
from tests.attack import fuzz, test_formats
fuzz.SECONDS = 0.05
endless = test_formats.reading(lambda folder: [None for _ in itertools.count() if False])
print(fuzz.attempt(endless, pathlib.Path({str(tmp_path)!r}), b"", fuzz.Tally()))"""
    done = subprocess.run([sys.executable, "-c", code], cwd=PACKAGE.parent, capture_output=True, text=True, timeout=300)
    assert done.stdout == "took more than 0.05 s\n", done.stderr


def test_a_reader_that_takes_much_memory_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "BYTES", 50 << 20)
    monkeypatch.setitem(FORMATS, "names", reading(lambda folder: len(b"x" * (200 << 20))))
    tally = fuzz.fuzz("names", 0, count=2)
    assert tally.slow and "MiB" in tally.slow[0]
