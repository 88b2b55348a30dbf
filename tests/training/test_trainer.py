"""The loop: what it writes, and that going on from there is as if nothing had happened."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from darknet_compat.datasets.readers.digits import DigitScenes
from darknet_compat.definition.weights.file import read_header
from darknet_compat.errors import TrainingError
from darknet_compat.network.load import load_network
from darknet_compat.training.batches.loader import Batch, Loader
from darknet_compat.training.start import start_training
from darknet_compat.training.trainer import CHECKPOINT, Step, Trainer, TrainerSettings

CFG = """[net]
batch=4
subdivisions={subdivisions}
width=64
height=64
channels=3
learning_rate=0.001
momentum=0.9
decay=0.0005
burn_in=3
max_batches={batches}

[convolutional]
batch_normalize=1
filters=8
size=3
stride=4
pad=1
activation=leaky

[dropout]
probability=.2

[convolutional]
batch_normalize=1
filters=8
size=3
stride=4
pad=1
activation=leaky

[convolutional]
filters=30
size=1
activation=linear

[region]
anchors=1,1,2,2
num=2
classes=10
coords=4
softmax=1
jitter=.2
absolute=1
rescore=1
thresh=.6
"""


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def trainer_in(folder: Path, *, batches: int = 12, subdivisions: int = 1, every: int = 4, **more: object) -> Trainer:
    """A trainer of a small detector of digits, its weights always the same at the start."""
    folder.mkdir(exist_ok=True)
    text = CFG.format(batches=batches, subdivisions=subdivisions)
    (folder.parent / "small.cfg").write_text(text.replace("burn_in=3", f"burn_in=3\n{more.pop('net', '')}"))
    torch.manual_seed(3)
    start = start_training(folder.parent / "small.cfg", out=folder)
    dataset = DigitScenes(count=20)

    def loader(number: int) -> Iterator[Batch]:
        return iter(Loader(dataset, start.network.spec, batch=4, workers=0, start=number))

    settings = TrainerSettings(checkpoint_every=every, device="cpu", ema=more.pop("ema", None))  # type: ignore[arg-type]
    return Trainer(start.network, loader, folder, name="small", settings=settings, **more)  # type: ignore[arg-type]


def losses(steps: list[Step]) -> list[float]:
    return [step.loss for step in steps]


@pytest.mark.parametrize("alpha", ["-0.1", "2"])
def test_an_average_that_cannot_be(alpha: str, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"small.cfg: \[net\] ema_alpha must be from 0 to 1, found"):
        trainer_in(tmp_path / "run", net=f"ema_alpha={alpha}")


def test_a_run_from_start_to_end(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path / "run", ema=0.9)
    steps = list(trainer.run())
    assert [step.number for step in steps] == list(range(1, 13))
    assert [step.seen for step in steps] == [4 * n for n in range(1, 13)]
    assert [step.rate for step in steps][:4] == pytest.approx([0.001 / 81, 0.016 / 81, 0.001, 0.001])
    assert all(math.isfinite(step.loss) for step in steps)
    assert {"avg_iou", "obj", "no_obj", "recall"} <= set(steps[0].figures)
    assert set(steps[0].row()) >= {"batch", "loss", "average_loss", "rate", "seconds", "avg_iou"}
    names = {path.name for path in (tmp_path / "run").iterdir()}
    checkpoints = {CHECKPOINT, "checkpoint_previous.pt"}
    assert names == {"small.cfg", "small.backup", "small_final.weights", "small_ema.weights"} | checkpoints
    assert read_header(tmp_path / "run" / "small_final.weights").seen == 48
    trained = load_network(tmp_path / "run" / "small.cfg", tmp_path / "run" / "small_final.weights")
    assert all(torch.equal(a, b) for a, b in zip(trained.parameters(), trainer.network.parameters(), strict=True))


def test_going_on_is_bit_for_bit_the_run_that_was_not_stopped(tmp_path: Path) -> None:
    """Through a dropout, momentum, burn-in, and a stop that is no multiple of the checkpoints' distance."""
    whole = trainer_in(tmp_path / "whole", ema=0.9)
    expected = losses(list(whole.run()))
    first = trainer_in(tmp_path / "parts", ema=0.9)
    found = []
    for step in first.run():
        found.append(step.loss)
        if step.number == 6:
            first.stop()
    torch.manual_seed(99)
    second = trainer_in(tmp_path / "parts", resume=True, ema=0.9)
    assert second.number == second.started == 6
    found += losses(list(second.run()))
    assert found == expected
    for file in ("small_final.weights", "small_ema.weights"):
        assert (tmp_path / "parts" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()


def test_the_cfgs_average_begins_at_half_of_all_batches_and_becomes_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("darknet_compat.training.trainer._LAST_AVERAGED", 4)
    trainer = trainer_in(tmp_path / "run", net="ema_alpha=0.75", every=100)
    weights = trainer.network.layers[0].weights
    average, before = torch.zeros_like(weights), weights.detach().clone()
    for step in trainer.run():
        # What the update of this batch made, before the average took its place.
        if step.number == 6:
            assert trainer.detecting is not trainer.network
            average = weights.detach().clone()
        elif step.number == 7:
            average = 0.75 * average + 0.25 * weights.detach()
            before = weights.detach().clone()
        elif step.number == 8:
            averaged = trainer.detecting.layers[0].weights
            torch.testing.assert_close(weights, averaged, rtol=0, atol=0)
            assert not torch.equal(weights, before)
            # 0.75 of the average so far, 0.25 of what this batch made of the weights.
            made = (averaged - 0.75 * average) / 0.25
            assert float((made - before).detach().abs().max()) < 0.1 * float(before.abs().max())
        elif step.number < 6:
            assert trainer.detecting is trainer.network
    assert (tmp_path / "run" / "small_ema.weights").is_file()


def test_weights_go_on_where_their_header_says(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path / "run")
    trainer.network.header = replace(trainer.network.header, seen=40)
    again = Trainer(trainer.network, trainer.batches, tmp_path / "run", name="small", settings=trainer.settings)
    assert [step.number for step in again.run()] == [11, 12]


def test_subdivisions_sum_to_the_whole_batch(tmp_path: Path) -> None:
    """Without batch normalization and dropout, which see a part at a time, there is no difference."""
    results = []
    for subdivisions in (1, 2, 4):
        trainer = trainer_in(tmp_path / str(subdivisions), subdivisions=subdivisions, batches=3)
        trainer.network.layers[1].eval()
        for index in (0, 2):
            trainer.network.layers[index].eval()
        results.append(losses(list(trainer.run())))
    assert results[1] == pytest.approx(results[0], rel=1e-5)
    assert results[2] == pytest.approx(results[0], rel=1e-5)


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path / "run")
    steps = []
    with pytest.raises(
        TrainingError,
        match=r"batch 7: the loss is nan \(.*cfg:\d+: layer 4 \[region\]\); .*checkpoint\.pt; a lower learning_rate",
    ) as caught:
        for step in trainer.run():
            steps.append(step)
            if step.number == 6:
                with torch.no_grad():
                    trainer.network.layers[3].weights.fill_(math.nan)
    assert "\n" not in str(caught.value)
    assert steps[-1].number == 6
    assert trainer_in(tmp_path / "run", resume=True).number == 4


def test_a_loss_that_is_no_number_from_the_start(tmp_path: Path) -> None:
    """No rate is to blame for it."""
    trainer = trainer_in(tmp_path / "run")
    with torch.no_grad():
        trainer.network.layers[3].weights.fill_(math.nan)
    with pytest.raises(
        TrainingError,
        match=r"^batch 1: the loss is nan \(.*layer 4 \[region\]\), before anything was learned",
    ):
        next(trainer.run())
    assert not (tmp_path / "run" / CHECKPOINT).exists()


def test_memory_that_does_not_suffice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch says it on the CPU: one allocation of more than any machine has."""
    trainer = trainer_in(tmp_path / "run", subdivisions=2)
    monkeypatch.setattr(trainer, "forward", lambda images: torch.empty(1 << 50))
    with pytest.raises(
        TrainingError, match=r"small\.cfg: not enough memory to train with 2 x 64x64 pixels at once; more subdivisions"
    ):
        next(trainer.run())


def test_weights_that_are_no_numbers_are_never_written(tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path / "run")
    list(trainer.run())
    before = (tmp_path / "run" / CHECKPOINT).read_bytes()
    with torch.no_grad():
        trainer.network.layers[0].scales[2] = math.inf
    with pytest.raises(TrainingError, match="weights are no longer finite"):
        trainer.save()
    assert (tmp_path / "run" / CHECKPOINT).read_bytes() == before


def test_another_data_set_or_network_is_not_resumed(tmp_path: Path) -> None:
    list(trainer_in(tmp_path / "run", made_with={"pictures": 20}).run())
    with pytest.raises(TrainingError, match="was made with pictures 20, this run has 21"):
        trainer_in(tmp_path / "run", made_with={"pictures": 21}, resume=True)
    with pytest.raises(TrainingError, match="there is no checkpoint to go on from"):
        trainer_in(tmp_path / "new", resume=True)


KILLED = """
import sys
from pathlib import Path
from tests.training.test_trainer import trainer_in
for step in trainer_in(Path(sys.argv[1]), batches=100000, every=2, resume=len(sys.argv) > 2).run():
    print(step.number, flush=True)
"""


def test_kill_9_at_any_moment_loses_no_more_than_since_the_checkpoint(tmp_path: Path) -> None:
    """Again and again, at moments that fall into batches and into writing alike."""
    done = 0
    for attempt in range(5):
        command = [sys.executable, "-c", KILLED, str(tmp_path / "run"), *(["resume"] if attempt else [])]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        printed = []
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
            assert process.stdout is not None
            for line in process.stdout:
                printed.append(int(line))
                if len(printed) == 5:
                    time.sleep(0.004 * attempt)
                    process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        assert printed[0] > done - 2
        done = printed[-1]
    assert trainer_in(tmp_path / "run", batches=100000, every=2, resume=True).number >= done - 2


OTHER_STATES = {
    "a seen that is text": lambda state: state.update(seen="7"),
    "a seen that is a fraction": lambda state: state.update(seen=1.5),
    "an average that is text": lambda state: state.update(average_loss="low"),
    "no network": lambda state: state.pop("network"),
    "a network of another kind": lambda state: state.update(network=3),
    "no optimizer": lambda state: state.update(optimizer=None),
    "momentum that is a number": lambda state: state["optimizer"]["state"][0].update(momentum_buffer=1.0),
    "momentum of another shape": lambda state: state["optimizer"]["state"][0].update(momentum_buffer=torch.zeros(5)),
    "momentum of an unknown parameter": lambda state: state["optimizer"]["state"].update({99: {"x": torch.ones(1)}}),
    "options of another kind": lambda state: state["optimizer"]["param_groups"][0].update(momentum="much"),
    "a state of random numbers that is malformed": lambda state: state.update(random=torch.zeros(3)),
}


@pytest.mark.parametrize("what", OTHER_STATES)
def test_a_checkpoint_that_is_whole_but_of_something_else(what: str, tmp_path: Path) -> None:
    trainer = trainer_in(tmp_path / "run", batches=1)
    list(trainer.run())
    state, _ = trainer.checkpoints.read()
    OTHER_STATES[what](state)
    trainer.checkpoints.write(state)
    with pytest.raises(TrainingError, match=r"checkpoint\.pt: is of another network or other settings: .") as caught:
        trainer_in(tmp_path / "run", resume=True)
    assert "\n" not in str(caught.value)


def test_a_damaged_checkpoint_is_resumed_from_the_one_before(tmp_path: Path) -> None:
    whole = trainer_in(tmp_path / "whole")
    expected = losses(list(whole.run()))
    list(trainer_in(tmp_path / "run", batches=8).run())  # checkpoints after 4 and 8
    path = tmp_path / "run" / CHECKPOINT
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    trainer = trainer_in(tmp_path / "run", resume=True)
    assert [note.rpartition("; ")[2] for note in trainer.notes] == [
        "going on from the one before, checkpoint_previous.pt"
    ]
    assert losses(list(trainer.run())) == expected[4:]
    finals = [tmp_path / folder / "small_final.weights" for folder in ("whole", "run")]
    assert finals[0].read_bytes() == finals[1].read_bytes()
