"""Pictures that are no good, in every command that reads some: one line, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.cli.support import Command, Toy, as_process, paint
from tests.training.test_trainer import CFG

LARGE = "64 x 32 pixels are more than 2,047; larger ones with max_pixels (--max-pixels)"


@pytest.fixture
def labelled(picture: Path, tmp_path: Path) -> Path:
    """A data set of that picture alone."""
    picture.with_suffix(".txt").write_text("0 0.5 0.5 0.5 0.5\n")
    (tmp_path / "two.names").write_text("cat\ndog\n")
    (tmp_path / "all.txt").write_text(f"{picture}\n")
    data = tmp_path / "obj.data"
    data.write_text(f"classes=2\ntrain={tmp_path}/all.txt\nvalid={tmp_path}/all.txt\nnames={tmp_path}/two.names\n")
    return data


def test_too_many_pixels_for_detect_and_classify(dc: Command, detector: Toy, classifier: Toy, picture: Path) -> None:
    for verb, toy in (("detect", detector), ("classify", classifier)):
        done = dc(verb, toy.cfg, picture, "--max-pixels", 2047)
        assert done.code == 1
        assert f"{picture}: {LARGE}\n" in done.err
        assert dc(verb, toy.cfg, picture, "--max-pixels", 2048).code == 0
        assert dc(verb, toy.cfg, picture).code == 0


def test_too_many_pixels_for_the_others(
    dc: Command, detector: Toy, labelled: Path, picture: Path, tmp_path: Path
) -> None:
    small = tmp_path / "small.cfg"
    small.write_text(CFG.format(batches=1, subdivisions=1).replace("classes=10", "classes=2").replace("=30", "=14"))
    train = ("train", small, labelled, "--out", tmp_path / "run", "--workers", 0, "--device", "cpu", "--no-check")
    commands = {
        "train": train,
        "evaluate": ("evaluate", detector.cfg, labelled, "--backend", "torch"),
        "bench": ("bench", detector.cfg, "--image", picture, "--backends", "torch", "--runs", 1),
    }
    for name, command in commands.items():
        done = dc(*command, "--max-pixels", 2047)
        assert LARGE in done.out + done.err, (name, done)
        assert "Traceback" not in done.err
        again = dc(*command, "--max-pixels", 2048)
        assert (again.code, LARGE in again.out + again.err) == (0, False), (name, again)


@pytest.mark.reference
def test_too_many_pixels_for_parity(dc: Command, original: object, detector: Toy, picture: Path) -> None:
    for more in ([], ["--stages"]):
        done = dc("parity", detector.cfg, "--image", picture, "--max-pixels", 2047, *more)
        assert (done.code, done.err) == (1, f"darknet-compat: {picture}: {LARGE}\n")


def test_a_limit_that_is_none_is_bad_usage(dc: Command, detector: Toy, picture: Path) -> None:
    assert dc("detect", detector.cfg, picture, "--max-pixels", 0).code == 2


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tiff", ".webp"])
@pytest.mark.parametrize("damage", ["cut short", "changed"])
def test_libraries_say_nothing_beside_our_line(damage: str, suffix: str, detector: Toy, tmp_path: Path) -> None:
    path = tmp_path / f"noise{suffix}"
    cv2.imwrite(str(path), np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    data = path.read_bytes()
    middle = len(data) // 2
    path.write_bytes(data[:middle] if damage == "cut short" else data[:middle] + bytes(64) + data[middle + 64 :])
    done = as_process("detect", detector.cfg, path, paint(tmp_path / "good.png"), "--backend", "torch")
    lines = done.err.splitlines()
    assert all(line.startswith(f"darknet-compat: {path}: ") for line in lines), done.err
    assert len(lines) == done.code <= 1
    assert "good.png" in done.out
