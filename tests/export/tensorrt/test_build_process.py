"""The real builder in a process of its own: the same bytes each time, and its reasons, or how it ended, in a line."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from darknet_compat.errors import ExportError
from darknet_compat.export.onnx.export import export_onnx
from darknet_compat.export.tensorrt import build_process
from darknet_compat.export.tensorrt.build import EngineBuild
from darknet_compat.export.tensorrt.build_process import build_in_own_process
from darknet_compat.export.tensorrt.engine import build_engine, planned, prepared
from darknet_compat.export.tensorrt.settings import Settings
from darknet_compat.runtime.exported import read_artefact
from tests.export.support import seeded
from tests.inference.support import region

pytestmark = [
    pytest.mark.tensorrt,
    pytest.mark.skipif(sys.platform != "linux", reason="on other systems it is built in this process"),
]
SETTINGS = Settings(target="rtx", precision="fp16", capabilities=((8, 9),))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "m.cfg").write_text(region(4))
    export_onnx(seeded(tmp_path / "m.cfg"), tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def built(model: Path, **settings: Any) -> str:
    return build_engine(model, settings=dataclasses.replace(SETTINGS, **settings)).engine_sha256


def assert_agree(one: Callable[[], str], other: Callable[[], str]) -> None:
    """Both give the same: at most one build in a few is another on a busy machine, so that each may build again."""
    ones: set[str] = set()
    others: set[str] = set()
    for _ in range(6):
        ones.add(one())
        others.add(other())
        if ones & others:
            return
    pytest.fail(f"no plan of {sorted(ones)} is among {sorted(others)}")


def children() -> list[int]:
    """The processes that this one has begun."""
    return [
        int(pid)
        for thread in Path("/proc/self/task").iterdir()
        for pid in (thread / "children").read_text().split()
    ]  # fmt: skip


@pytest.mark.slow
def test_an_engine_is_the_same_in_another_process(model: Path) -> None:
    """Its profile of 2 to 8 pictures comes out anew in each process that builds it by itself. One build in ten or so is
    another where the system does not let addresses be fixed, or gives the processor away: so each may build again."""
    code = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path; from tests.export.tensorrt.test_apart import built
print(built(Path({str(model)!r})))"""
    environment = os.environ | {"PYTHONHASHSEED": "7", "MALLOC_ARENA_MAX": "1", "ELSE": "x" * 4000}

    def there() -> str:
        run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd="/")
        assert run.returncode == 0, run.stderr
        return run.stdout.strip()

    assert_agree(there, lambda: built(model))


@pytest.mark.slow
def test_files_beside_the_packages_do_not_matter(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Python lists the folders in which it looks for modules, and so allocates by what is there."""
    packages, place = build_process._packages(), tmp_path / "place"
    place.mkdir()
    for name, file in packages.items():
        if name != "numpy":  # which has libraries beside it
            (place / name).symlink_to(Path(file).parent)
            packages[name] = str(place / name / Path(file).name)
    monkeypatch.setattr(build_process, "_packages", lambda: packages)

    def among(count: int) -> str:
        files = [place / f"a file of another program {number}" for number in range(count)]
        for file in files:
            file.touch()
        found = built(model)
        for file in files:
            file.unlink()
        return found

    assert_agree(lambda: among(0), lambda: among(150))
    assert_agree(lambda: among(0), lambda: among(600))


def test_a_profile_with_a_range_comes_first_and_one_of_any_size_last(model: Path) -> None:
    record = build_engine(model, settings=dataclasses.replace(SETTINGS, batches=(1, 4), any_size=True))
    assert [(profile.least[0], profile.most[0]) for profile in record.profiles] == [(2, 4), (1, 1), (1, 4)]
    assert record.profiles[-1].least[1:] != record.profiles[-1].most[1:]


def test_the_builders_reason_comes_back(model: Path) -> None:
    artefact = read_artefact(model)
    profiles = planned(artefact, SETTINGS, "m")
    for graph, said in ((b"no graph", "parser refuses it: "), (prepared(model, SETTINGS, profiles, typed=True), "")):
        wrong = dataclasses.replace(profiles[0], most=(9, 9, 9))
        with pytest.raises(ExportError, match=said or "refuses the profile") as caught:
            build_in_own_process(EngineBuild(artefact, SETTINGS, [wrong]), graph)
        assert "\n" not in str(caught.value) and not children()


def test_an_end_without_a_reason_is_told(model: Path) -> None:
    def kill(*_: object) -> None:
        for pid in children():
            os.kill(pid, signal.SIGKILL)

    with pytest.raises(ExportError, match=r"builder was ended by SIGKILL, as happens for want of memory$"):
        build_engine(model, settings=SETTINGS, progress=kill)
    assert not model.with_suffix(".engine").exists() and not children()


def test_what_stops_this_process_stops_that_one(model: Path) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(model, settings=SETTINGS, progress=stop)
    assert not children() and not model.with_suffix(".engine").exists()


def test_its_progress_is_told(model: Path) -> None:
    steps: list[tuple[str, int, int]] = []
    build_engine(model, settings=SETTINGS, progress=lambda *step: steps.append(step))
    assert steps and all(0 <= done <= count for _, done, count in steps)
