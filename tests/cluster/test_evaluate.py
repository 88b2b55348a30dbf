"""`evaluate --engine ray`: the same answers in the same order, kept as they come."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster.conftest import MODEL, Run

pytestmark = [pytest.mark.ray, pytest.mark.slow]

Start = Callable[..., Run]


def journal(cache: Path) -> bytes:
    (path,) = cache.rglob("*.found")
    return path.read_bytes()


@pytest.fixture
def labelled(pictures: Path, tmp_path: Path) -> Path:
    """A list of 600 pictures, the damaged one among them, with an object each."""
    names = sorted(pictures.iterdir())[200:800]
    folder = tmp_path / "data"
    folder.mkdir()
    for name in names:
        (folder / name.name).symlink_to(name)
        (folder / name.with_suffix(".txt").name).write_text("3 0.5 0.5 0.4 0.4\n")
    (tmp_path / "test.txt").write_text("".join(f"{folder / name.name}\n" for name in names))
    return tmp_path / "test.txt"


def test_the_scores_and_the_journal_are_those_without(labelled: Path, tmp_path: Path, start: Start) -> None:
    asked = ("evaluate", MODEL, labelled, "--json", "--thresh", "0.05", "--backend", "onnxruntime")
    code, plain, _ = start(*asked, DARKNET_COMPAT_CACHE=str(tmp_path / "plain")).finish()
    assert code == 1 and '"unreadable"' in plain
    on_ray = (*asked, "--engine", "ray", "--workers", "2")
    cache = tmp_path / "ray"
    run = start(*on_ray, DARKNET_COMPAT_CACHE=str(cache))
    run.until(lambda: any(path.stat().st_size > 20_000 for path in cache.rglob("*.found")))
    run.process.kill()
    run.until_gone()
    before = journal(cache)
    assert journal(tmp_path / "plain").startswith(before[: len(before) // 2])
    code, text, err = start(*on_ray, DARKNET_COMPAT_CACHE=str(cache)).finish()
    assert code == 1, err
    assert json.loads(text) == json.loads(plain)
    assert journal(cache) == journal(tmp_path / "plain")


def test_what_a_data_set_composes(tmp_path: Path, start: Start) -> None:
    asked = ("evaluate", MODEL, "digits", "--json", "--thresh", "0.3", "--backend", "onnxruntime")
    _, plain, err = start(*asked, DARKNET_COMPAT_CACHE=str(tmp_path / "plain")).finish()
    _, text, _ = start(*asked, "--engine", "ray", DARKNET_COMPAT_CACHE=str(tmp_path / "ray")).finish()
    assert json.loads(text) == json.loads(plain), err
