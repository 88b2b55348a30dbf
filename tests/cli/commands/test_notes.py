"""What a definition says to no effect is told by every command that computes, in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.support import Command, Toy

COMMANDS = ("detect", "export", "parity", "bench", "evaluate", "train", "partial")


@pytest.fixture
def misspelt(detector: Toy) -> Toy:
    """The toy, which detects with other boxes than meant."""
    text = detector.cfg.read_text().replace("[region]", "[region]\nthrseh=.5\nanchros=1,1\nangel=7")
    detector.cfg.write_text(text)
    return detector


@pytest.mark.reference
@pytest.mark.parametrize("verb", COMMANDS)
def test_every_command_that_computes_says_it_once(
    verb: str, dc: Command, misspelt: Toy, picture: Path, tmp_path: Path
) -> None:
    arguments: dict[str, list[object]] = {
        "detect": [picture],
        "export": ["--out", tmp_path / "m.onnx"],
        "parity": [],
        "bench": ["--image", picture, "--runs", "1", "--warmup", "1", "--backends", "torch"],
        "evaluate": [tmp_path / "all.txt", "--metric", "map"],
        "train": [tmp_path / "all.txt", "--out", tmp_path / "run", "--max-batches", "1"],
        "partial": [tmp_path / "cut.weights", "1"],
    }
    picture.with_suffix(".txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "all.txt").write_text(f"{picture}\n")
    done = dc(verb, misspelt.cfg, *arguments[verb])
    lines = [line for line in done.err.splitlines() if "unused option" in line]
    assert len(lines) == 1, done.err
    assert "[region] unused option thrseh=.5; did you mean thresh?; line " in lines[0]
    assert "unused option anchros=1,1; did you mean anchors?" in lines[0]


def test_info_lists_it_and_does_not_repeat_it(dc: Command, misspelt: Toy) -> None:
    done = dc("info", misspelt.cfg)
    assert (done.code, done.err) == (0, "")
    assert sum("unused option" in line for line in done.out.splitlines()) == 3
