"""`train`: from pictures to weights in one command, stopped and resumed, and all that can be wrong."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.weights.file import read_header
from darknet_compat.network.load import load_network
from tests.cli.support import REPOSITORY, Command
from tests.formats.test_lock import holder
from tests.training.test_trainer import CFG


@pytest.fixture
def cfg(tmp_path: Path) -> Path:
    path = tmp_path / "small.cfg"
    path.write_text(CFG.format(batches=6, subdivisions=1))
    return path


def test_training_and_going_on(dc: Command, cfg: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    common = ("train", cfg, "digits", "--out", out, "--workers", 0, "--device", "cpu")
    done = dc(*common, "--json")
    assert (done.code, done.err) == (0, "")
    report = json.loads(done.out)
    assert (report["batches"], report["images"], report["skipped"]) == (6, 24, 0)
    assert report["weights"] == str(out / "small_final.weights")
    assert read_header(out / "small_final.weights").seen == 24
    assert (out / "small.names").read_text().split() == list("0123456789")
    with (out / "log.csv").open() as file:
        assert [int(row["batch"]) for row in csv.DictReader(file)] == [1, 2, 3, 4, 5, 6]
    assert (out / "chart.png").is_file()
    first_batch = (out / "first_batch.png").read_bytes()

    more = dc(*common, "--max-batches", 9, "--resume")
    assert (out / "first_batch.png").read_bytes() == first_batch
    assert more.code == 0, more.err
    assert "9 batches in" in more.out
    assert f"darknet-compat detect {out}" in more.out
    again = dc(*common, "--max-batches", 9, "--resume")
    assert "nothing to do: 9 batches are done" in again.out


def test_without_matplotlib_it_says_what_the_chart_needs(
    dc: Command, cfg: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # as Python has it where it is not installed
    done = dc("train", cfg, "digits", "--out", tmp_path / "run", "--workers", 0, "--device", "cpu")
    assert done.code == 0, done.err
    assert "chart    none, for want of matplotlib: pip install 'darknet-compat[train]'\n" in done.out
    assert not (tmp_path / "run" / "chart.png").exists() and (tmp_path / "run" / "log.csv").exists()


def test_sizes_in_turn(dc: Command, cfg: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    common = ("train", cfg, "digits", "--out", out, "--workers", 0, "--device", "cpu", "--json")
    done = dc(*common, "--max-batches", 230, "--sizes", "32,64", "--batch", 1)
    assert done.code == 0, done.err
    with (out / "log.csv").open() as file:
        widths = [int(row["width"]) for row in csv.DictReader(file)]
    assert set(widths) == {32, 64}
    assert all(len(set(widths[start : start + 10])) == 1 for start in range(0, 230, 10))
    assert set(widths[40:]) == {64}  # the last 200 batches and what is left of the ten before them


def test_map_is_measured_and_the_best_kept(dc: Command, cfg: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for number in range(3):
        write_picture(data / f"{number}.png")
        (data / f"{number}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    listed = tmp_path / "all.txt"
    listed.write_text("".join(f"{data / f'{number}.png'}\n" for number in range(3)))
    (tmp_path / "two.names").write_text("cat\ndog\n")
    arguments = (listed, "--names", tmp_path / "two.names", "--valid", listed, "--valid-every", 3)
    done = dc("train", cfg, *arguments, "--out", tmp_path / "run", "--workers", 0, "--device", "cpu", "--json")
    assert done.code == 0, done.err
    assert "the cfg has 10 classes, the data 2: its heads are made anew" in done.err
    report = json.loads(done.out)
    assert 0 <= report["mAP"] <= report["best"]["mAP"] <= 1
    assert report["best"]["batch"] in (3, 6)
    assert load_network(tmp_path / "run" / "small.cfg", tmp_path / "run" / "small_best.weights")
    assert not (tmp_path / "run" / "small_now.weights").exists()


def write_picture(path: Path) -> None:
    import cv2

    cv2.imwrite(str(path), np.random.default_rng(1).integers(0, 255, (40, 60, 3), np.uint8))


def test_a_picture_that_cannot_be_read_is_named_and_training_goes_on(dc: Command, cfg: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_picture(tmp_path / f"{name}.png")
        (tmp_path / f"{name}.txt").write_text("1 0.5 0.5 0.5 0.5\n")
    (tmp_path / "b.png").write_bytes(b"no picture")
    listed = tmp_path / "all.txt"
    listed.write_text(f"{tmp_path / 'a.png'}\r\n{tmp_path / 'b.png'}\r\n")
    done = dc("train", cfg, listed, "--out", tmp_path / "run", "--workers", 0, "--device", "cpu", "--json")
    assert done.code == 0, done.err
    assert f"{tmp_path / 'b.png'}: not a picture" in done.err
    assert json.loads(done.out)["skipped"] > 0


def test_the_seed_is_that_of_the_first_weights_too(dc: Command, cfg: Path, tmp_path: Path) -> None:
    finals = []
    for number, seed in enumerate((5, 5, 6)):
        out = tmp_path / f"run{number}"
        common = ("train", cfg, "digits", "--out", out, "--workers", 0, "--device", "cpu", "--max-batches", 2, "--json")
        done = dc(*common, "--seed", seed)
        assert done.code == 0, done.err
        finals.append((out / "small_final.weights").read_bytes())
    assert finals[0] == finals[1] != finals[2]


def test_two_into_one_folder(dc: Command, cfg: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with alone_in_another_process(out):
        done = dc("train", cfg, "digits", "--out", out, "--workers", 0, "--device", "cpu")
        assert done.code == 1
        assert done.err.endswith(f"{out}: another training is under way here; wait for it, or name another folder\n")
        assert [path.name for path in out.iterdir()] == [".lock"]
    done = dc("train", cfg, "digits", "--out", out, "--workers", 0, "--device", "cpu", "--max-batches", 1)
    assert done.code == 0
    assert not (out / ".lock").exists()


@contextmanager
def alone_in_another_process(folder: Path) -> Iterator[None]:
    with holder(folder) as process:
        yield
        process.communicate("")


def test_sigterm_ends_with_a_checkpoint(cfg: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    command = [sys.executable, "-m", "darknet_compat", "train", cfg, "digits", "--out", out, "--max-batches", "100000"]
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [*map(str, command), "--workers", "0", "--device", "cpu"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline().startswith("100: loss")
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    assert process.returncode == 0
    assert "stopping after this batch; --resume goes on from there" in errors
    assert "batches in" in output
    assert read_header(out / "small.backup").seen >= 400


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("none.cfg", "digits"), 1, "none.cfg: expected a .cfg"),
        (("CFG", "nowhere"), 1, "nowhere: no such file or folder; expected a list of pictures"),
        (("CFG", "digits", "--resume"), 1, "there is no checkpoint to go on from"),
        (("CFG", "digits", "--batch", "0"), 2, "Invalid value for '--batch'"),
        (("CFG", "digits", "--split", "wrong"), 1, "wrong"),
        (("CFG", "digits", "--sizes", "64,big"), 2, "expected pixels such as 320,352,384, found '64,big'"),
        (("CFG", "digits", "--weights", "CFG"), 1, "a .cfg, not .weights"),
        (("CFG", "digits", "--device", "tpu"), 1, "device: torch knows no 'tpu'"),
        (("CFG", "digits", "--valid", "nothing"), 1, "nothing"),
        (("CFG", "digits", "--paper"), 1, "is known for darknet19, darknet19_448, yolov2-voc, by these names"),
    ],
)
def test_wrong_input(
    arguments: tuple[str, ...], code: int, message: str, dc: Command, cfg: Path, tmp_path: Path
) -> None:
    done = dc("train", *(str(cfg) if part == "CFG" else part for part in arguments), "--out", tmp_path / "run")
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    if code == 1:
        assert done.err.count("\n") == 1
