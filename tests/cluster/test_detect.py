"""`detect --engine ray`: the answers of `detect`, each picture once, whatever is killed meanwhile."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import COUNT, MODEL, POISONED, Run, as_json, files_of, plainly, rows

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Start = Callable[..., Run]
ASKED = ("--thresh", "0.2", "--engine", "ray", "--workers", "2", "--json", "--out")


def each_once(out: Path, pictures: Path) -> None:
    assert Counter(row["file"] for row in rows(out)) == Counter(str(path) for path in pictures.iterdir())


def test_the_answers_are_those_of_detect(pictures: Path, tmp_path: Path, start: Start) -> None:
    listed = sorted(pictures.iterdir())[POISONED - 60 : POISONED + 60]
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in listed))
    out = tmp_path / "out"
    code, text, err = start("detect", MODEL, tmp_path / "list.txt", *ASKED, out).finish()
    plain = {one["file"]: one for one in plainly(MODEL, tmp_path / "list.txt", "--thresh", "0.2")}
    assert {row["file"]: as_json(row) for row in rows(out)} == plain
    done = json.loads(text)
    wrong = plain[str(listed[60])]
    assert code == 1 and err.splitlines() == [f"darknet-compat: {wrong['error']}"]
    objects = sum(len(one.get("detections", ())) for one in plain.values())
    assert objects > 100
    assert (done["pictures"], done["objects"], done["before"], done["images"]) == (120, objects, 0, [wrong])

    more = [*listed, pictures / "00000.png"]
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in more))
    kept = {path: path.stat().st_mtime_ns for path in files_of(out)}
    _, text, _ = start("detect", MODEL, tmp_path / "list.txt", *ASKED, out).finish()
    assert json.loads(text)["before"] == 120 and json.loads(text)["pictures"] == 121
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in files_of(out)}.items()
    code, _, err = start("detect", MODEL, tmp_path / "list.txt", *ASKED[2:], out).finish()
    assert code == 2 and "was begun with other thresh" in err


def test_a_worker_that_is_killed_twice(pictures: Path, tmp_path: Path, start: Start) -> None:
    out = tmp_path / "out"
    run = start("detect", MODEL, pictures, *ASKED, out)
    run.until(lambda: len(files_of(out)) >= 2)
    first = run.until(run.workers)
    os.kill(first[0], signal.SIGKILL)
    run.until(lambda: set(run.workers()) - set(first) and len(files_of(out)) >= 6)  # another one has taken its place
    os.kill((set(run.workers()) - set(first)).pop(), signal.SIGKILL)
    code, text, err = run.finish()
    assert code == 1 and err.splitlines()[-1].startswith("darknet-compat: "), err  # the picture that is none
    assert json.loads(text)["pictures"] == COUNT
    each_once(out, pictures)
    assert [row["file"] for row in rows(out) if row["error"]] == [str(pictures / f"{POISONED:05d}.png")]
    run.until_gone()


def test_a_driver_that_is_killed_goes_on_where_it_was(pictures: Path, tmp_path: Path, start: Start) -> None:
    out = tmp_path / "out"
    run = start("detect", MODEL, pictures, *ASKED, out)
    run.until(lambda: len(files_of(out)) >= 4 and run.workers())
    run.process.kill()
    run.until_gone()
    kept = {path: path.stat().st_mtime_ns for path in files_of(out)}
    one = next(iter(kept))
    (out / "cut.parquet").write_bytes(one.read_bytes()[:-100])  # as a writer that is killed may leave it
    code, text, err = start("detect", MODEL, pictures, *ASKED, out).finish()
    done: dict[str, Any] = json.loads(text)
    assert code == 1 and "removed 1 unfinished" in err.splitlines()[0]
    assert done["before"] == sum(1 for path in kept for _ in rows(path)) > 0
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in files_of(out)}.items()
    each_once(out, pictures)


def test_addresses(pictures: Path, tmp_path: Path, start: Start) -> None:
    """As of a store elsewhere: a folder, a list with addresses, one that is not there, and the output."""
    folder = tmp_path / "folder"
    folder.mkdir()
    for number in range(5):
        shutil.copy(pictures / f"{number:05d}.png", folder)
    (tmp_path / "list.txt").write_text(f"{pictures.as_uri()}/00007.png\nfile:///nowhere/a.png\n")
    run = start(
        "detect", MODEL, folder.as_uri(), tmp_path / "list.txt", "file:///gone/", *ASKED, f"{tmp_path.as_uri()}/out"
    )
    code, text, err = run.finish()
    found = {row["file"]: row for row in rows(tmp_path / "out")}
    plain = plainly(MODEL, folder, "--thresh", "0.2")
    assert [as_json(found[f"file://{one['file']}"]) | {"file": one["file"]} for one in plain] == plain
    assert code == 1 and len(found) == 7 and found[f"{pictures.as_uri()}/00007.png"]["error"] is None
    assert [line.partition(": ")[2] for line in err.splitlines()] == [
        "file:///gone/: no such file or folder",
        "file:///nowhere/a.png: cannot be read: No such file or directory",
    ]
    assert json.loads(text)["out"] == f"{tmp_path.as_uri()}/out"
