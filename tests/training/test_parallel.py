"""Several processes train as one does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from darknet_compat.errors import TrainingError
from darknet_compat.network.load import load_network
from darknet_compat.training.parallel import World, joined_world, synchronize_normalization, total
from tests.training.test_trainer import CFG

ONE_OF_SEVERAL = """
import sys
from pathlib import Path
import torch
from darknet_compat.datasets.readers.digits import DigitScenes
from darknet_compat.training.batches.loader import Loader
from darknet_compat.training.parallel import joined_world
from darknet_compat.training.start import start_training
from darknet_compat.training.trainer import Trainer, TrainerSettings

folder = Path(sys.argv[1])
torch.set_num_threads(1)
torch.manual_seed(3)
with joined_world("cpu") as world:
    start = start_training(folder / "small.cfg", out=folder / f"out{world.rank}")
    def batches(number):
        return Loader(DigitScenes(count=20), start.network.spec, batch=16, workers=0, start=number, part=world.part)
    settings = TrainerSettings(device="cpu", synchronize=world.size > 1)
    trainer = Trainer(start.network, batches, folder / f"out{world.rank}", name="small", settings=settings, world=world)
    for step in trainer.run():
        print(world.rank, step.number, step.seen, f"{step.loss:.6f}", flush=True)
    torch.save(list(trainer.network.state_dict().values()), folder / f"weights{world.rank}-{world.size}.pt")
"""


def train_with(processes: int, folder: Path) -> list[str]:
    """What they print, having trained 4 batches of 16."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    running = []
    for rank in range(processes):
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        if processes > 1:  # what torchrun sets
            environment |= {"RANK": str(rank), "WORLD_SIZE": str(processes), "LOCAL_RANK": str(rank)}
            environment |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        command = [sys.executable, "-c", ONE_OF_SEVERAL, str(folder)]
        running.append(
            subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        )
    lines = []
    for process in running:
        output, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors[-2000:]
        lines += output.splitlines()
    return lines


def test_two_processes_of_8_equal_one_of_16(tmp_path: Path) -> None:
    """With normalization over both; dropout, whose random numbers are each process's own, is left out."""
    text = CFG.format(batches=4, subdivisions=1).replace("batch=4", "batch=16")
    (tmp_path / "small.cfg").write_text(text.replace("[dropout]\nprobability=.2\n\n", ""))
    (alone,) = [train_with(1, tmp_path)]
    together = train_with(2, tmp_path)
    losses = [float(line.split()[3]) for line in alone]
    assert len(losses) == 4
    for rank in range(2):
        own = [line.split() for line in together if line.startswith(f"{rank} ")]
        assert [int(line[2]) for line in own] == [16, 32, 48, 64]
        assert [float(line[3]) for line in own] == pytest.approx(losses, rel=1e-5)
    expected = torch.load(tmp_path / "weights0-1.pt")
    for rank in range(2):
        for ours, single in zip(torch.load(tmp_path / f"weights{rank}-2.pt"), expected, strict=True):
            assert (ours - single).abs().max() <= 1e-5 * single.abs().max()
    assert (tmp_path / "out0" / "small_final.weights").is_file()
    assert not (tmp_path / "out1" / "small_final.weights").is_file()


def test_alone_there_is_nobody_to_meet() -> None:
    with joined_world() as world:
        assert world == World(0, 1)
    assert total([1.5], World(), torch.device("cpu")) == [1.5]


def test_the_cpu_builds_form_is_not_synchronized(tmp_path: Path) -> None:
    (tmp_path / "small.cfg").write_text(CFG.format(batches=4, subdivisions=1))
    with pytest.raises(TrainingError, match="in the CUDA build's form only"):
        synchronize_normalization(load_network(tmp_path / "small.cfg", batchnorm="cpu"))
