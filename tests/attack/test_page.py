"""The page of counts that the bench ends with."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.attack import __main__ as bench
from tests.attack.formats import FORMATS

REPOSITORY = Path(__file__).resolve().parents[2]


def fuzzed(name: str, files: int, **more: Any) -> bench.Line:
    line = {"part": name, "start": 0, "files": files, "read": files - 1, "refused": {"CfgError a.py:1": 1}}
    return line | {"untyped": [], "slow": [], "slowest": 0.25, "grown": 3 << 20} | more


ENDS = {
    "fork: the same as the original, OpenVINO": 3,
    "original: the same as OpenVINO; the original dies at [x]: " + "so it does " * 9: 4,
    "refused": 2,
}
NETWORKS = {"part": "networks", "start": 0, "networks": 9, "ends": ENDS, "faults": []}
KILLS = {"part": "kills", "start": 0, "kills": {"train": 4}, "places": {"train": {"full disk": "ok"}}, "faults": []}


def test_it_counts_what_all_runs_did_in_80_columns() -> None:
    record = [fuzzed(name, 1_000_000) for name in FORMATS] + [fuzzed("cfg", 5, slowest=1.5), NETWORKS, NETWORKS, KILLS]
    text, faults = bench.page(record)
    assert faults == 0 and text.endswith("faults: 0")
    assert max(map(len, text.splitlines())) <= 80
    assert f"{'cfg':22} 1,000,005 1,000,003         2   1.500 s     3 MiB\n" in text
    assert f"{'all':22} {len(FORMATS)},000,005\n" in text
    assert "random networks: 18\n     14 the same as OpenVINO\n      8 the original dies at [x]: so" in text
    assert "      6 the same as the original\n      4 refused\n" in text
    assert "kills -9: 4\n      4 train; full disk ok\n" in text


def test_faults_are_counted_and_told() -> None:
    spoilt = KILLS | {"places": {"train": {"full disk": "half"}}, "faults": ["train, full disk: half"]}
    record = [fuzzed("cfg", 5, untyped=["3: KeyError"]), spoilt, {"part": "names", "start": 0, "ended": "names ended"}]
    text, faults = bench.page(record)
    assert faults == 3
    assert "3 MiB 1\n" in text and "full disk FAULT" in text
    assert text.endswith("\nnames ended\ncfg 3: KeyError\ntrain, full disk: half")


def test_what_a_record_has_is_not_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def run(part: str, *arguments: object) -> bench.Line:
        asked.append((part, *arguments))
        return {"networks": 9, "ends": {}, "faults": []}

    monkeypatch.setattr(bench, "run", run)
    given = argparse.Namespace(kills=4, networks=300, files=0, start=50, keep=Path())
    lines = list(bench.by_number(given, [KILLS, NETWORKS]))
    assert asked == [("networks", "--count", 250, "--start", 9), ("networks", "--count", 41, "--start", 259)]
    assert [line["start"] for line in lines] == [9, 259]


def test_a_part_that_comes_to_no_end_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "false")
    assert "ended with 1" in bench.run("cfg", "--count", 1)["ended"]


def test_commands_that_are_killed_two_at_once_on_a_full_disk_in_a_closed_folder() -> None:
    """The two quick ones; `make attack` has all five."""
    line = [sys.executable, "-m", "tests.attack.kills", "--only", "fetch", "export", "--count", "2"]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["faults"] == []
    assert found["kills"].keys() == {"fetch", "export"}
    ok = dict.fromkeys(("two at once", "full disk", "read-only folder"), "ok")
    assert found["places"] == {"fetch": ok, "export": ok}
