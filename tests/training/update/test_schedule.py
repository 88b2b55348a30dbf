"""Rates: by hand, and every policy over 100,000 batches against the original's."""

from __future__ import annotations

import ctypes
import dataclasses
import json
import math
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.dialects import DialectName
from darknet_compat.definition.lower import lower
from darknet_compat.definition.spec import Net
from darknet_compat.errors import CfgError, TrainingError
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.parity.reference import Original
from darknet_compat.training.update.schedule import current_batch, learning_rate, random_rate

BATCHES = 100_000
POLICIES = {
    "constant": "policy=constant\nlearning_rate=0.1",
    "nobody knows it": "policy=cosine\nlearning_rate=0.1",
    "step": "policy=step\nstep=1000\nscale=0.93\nlearning_rate=0.01",
    "steps": "policy=steps\nsteps=100,25000,35000,99998\nscales=10,.1,.1,.3\nlearning_rate=0.0001",
    "exp": "policy=exp\ngamma=0.99991\nlearning_rate=0.05",
    "poly": "policy=poly\npower=4\nmax_batches=90000\nlearning_rate=0.1",
    "poly of an odd power": "policy=poly\npower=1.5\nmax_batches=100000\nlearning_rate=0.1",
    "sigmoid": "policy=sigmoid\ngamma=-0.0003\nstep=40000\nlearning_rate=0.1",
    "sigmoid, falling": "policy=sigmoid\ngamma=0.0003\nstep=40000\nlearning_rate=0.1",
    "burn-in": "policy=steps\nburn_in=1000\nsteps=400,50000\nscales=.1,.1\nlearning_rate=0.001",
    "burn-in of another power": "policy=poly\nburn_in=777\npower=2.5\nmax_batches=120000\nlearning_rate=0.001",
}


def net(options: str, dialect: DialectName | None = None) -> Net:
    text = f"[net]\nwidth=4\nheight=4\nchannels=3\n{options}\n[avgpool]"
    return lower(parse_cfg(text), dialect=dialect).net


@pytest.mark.reference
@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_over_100_000_batches_is_the_originals(name: str, tmp_path: Path, darknet: Original) -> None:
    cfg = tmp_path / "small.cfg"
    cfg.write_text(f"[net]\nwidth=4\nheight=4\nchannels=3\n{POLICIES[name]}\n[avgpool]\n")
    definition = net(POLICIES[name])
    found = np.array([learning_rate(definition, batch) for batch in range(BATCHES)], np.float32)
    np.testing.assert_array_equal(found, darknet.rates(cfg, BATCHES))


@pytest.mark.reference
def test_random_rates_are_the_originals_for_the_same_numbers(tmp_path: Path, darknet: Original) -> None:
    options = "policy=random\nlearning_rate=0.1\npower=3"
    cfg = tmp_path / "small.cfg"
    cfg.write_text(f"[net]\nwidth=4\nheight=4\nchannels=3\n{options}\n[avgpool]\n")
    libc = ctypes.CDLL(None)
    libc.srand(7)
    drawn = np.array([libc.rand() for _ in range(1000)]).astype(np.float32) / np.float32(2**31 - 1)
    expected = [random_rate(net(options), float(uniform)) for uniform in drawn]
    np.testing.assert_array_equal(np.float32(expected), darknet.rates(cfg, 1000, seed=7))


def test_random_rates_depend_on_seed_and_batch_alone() -> None:
    definition = net("policy=random\nlearning_rate=1\npower=1")
    rates = [learning_rate(definition, batch, seed=3) for batch in range(2000)]
    assert rates == [learning_rate(definition, batch, seed=3) for batch in range(2000)]
    assert rates != [learning_rate(definition, batch, seed=4) for batch in range(2000)]
    assert 0.48 < np.mean(rates) < 0.52
    assert 0 <= min(rates) < 0.01
    assert 0.99 < max(rates) < 1


@pytest.mark.parametrize(
    ("options", "batch", "rate"),
    [
        ("policy=steps\nsteps=10,20\nscales=.5,.1\nlearning_rate=2", 9, 2.0),
        ("policy=steps\nsteps=10,20\nscales=.5,.1\nlearning_rate=2", 10, 1.0),
        ("policy=steps\nsteps=10,20\nscales=.5,.1\nlearning_rate=2", 20, 0.1),
        ("policy=poly\npower=4\nmax_batches=100\nlearning_rate=1", 50, 1 / 16),
        ("burn_in=100\nlearning_rate=1", 50, 1 / 16),
        ("burn_in=100\nlearning_rate=1", 100, 1.0),
        ("policy=step\nstep=10\nscale=.5\nlearning_rate=1", 29, 0.25),
        ("policy=sigmoid\ngamma=.1\nstep=10\nlearning_rate=1", 10, 0.5),
        ("policy=sigmoid\ngamma=.1\nstep=10\nlearning_rate=1", 9, 0.0),
    ],
)
def test_by_hand(options: str, batch: int, rate: float) -> None:
    assert learning_rate(net(options), batch) == pytest.approx(rate, rel=1e-6)


def test_what_c_makes_of_odd_numbers() -> None:
    assert math.isnan(learning_rate(net("policy=poly\npower=1.5\nmax_batches=10\nlearning_rate=1"), 11))
    assert learning_rate(net("policy=exp\ngamma=3\nlearning_rate=1"), 10_000) == math.inf
    assert learning_rate(net("burn_in=-1\npower=1\nlearning_rate=1"), 5) == -5


def test_a_policy_that_has_no_end_to_fall_to() -> None:
    with pytest.raises(TrainingError, match=r"policy=poly falls to 0 at max_batches, and \[net\] has no max_batches="):
        learning_rate(net("policy=poly"), 1)


def test_a_step_of_nothing_is_refused() -> None:
    with pytest.raises(CfgError, match=r"<cfg>:6: \[net\].* policy=step needs a step above 0, found 0"):
        net("policy=step\nstep=0")


def test_batches_are_counted_as_the_original_counts_them() -> None:
    definition = net("batch=10\nsubdivisions=3\ntime_steps=2")  # 3 images of 2 steps each, three times
    assert (definition.rows, definition.step_rows) == (6, 18)
    assert [current_batch(definition, seen) for seen in (0, 17, 18, 35, 36)] == [0, 0, 1, 1, 2]
    assert current_batch(dataclasses.replace(definition, batch=1), 100) == 0


def test_the_forks_policies_over_1000_batches(shared_data: Path) -> None:
    """All fifteen, sgdr's cycles among them, to the last bit of float32."""
    sections = json.loads((shared_data / "fork" / "rates.json").read_text())
    expected = np.load(shared_data / "fork" / "rates.npz")
    assert len(sections) == 15
    for name, section in sections.items():
        definition = lower(parse_cfg(f"{section}\n[avgpool]\n"), dialect="fork").net
        found = np.array([learning_rate(definition, batch) for batch in range(1000)], np.float32)
        np.testing.assert_array_equal(found, expected[name], err_msg=name)


def test_sgdr_by_hand() -> None:
    """Cycles of 10, 20, 40 batches from 0.1 down to 0.02; the batch at which one ends has the least rate."""
    definition = net("policy=sgdr\nlearning_rate=0.1\nlearning_rate_min=0.02\nsgdr_cycle=10\nsgdr_mult=2\n")
    rates = [learning_rate(definition, batch) for batch in (0, 5, 10, 20, 30, 31, 50, 70)]
    halfway = 0.02 + 0.04 * (1 + math.cos(math.pi / 40))
    assert rates == pytest.approx([0.1, 0.06, 0.02, 0.06, 0.02, halfway, 0.06, 0.02], abs=1e-7)
    assert learning_rate(net("policy=sgdr\nmax_batches=100\nlearning_rate=0.1"), 50) == pytest.approx(0.050005)
    with pytest.raises(TrainingError, match="sgdr_cycle= or max_batches="):
        learning_rate(net("policy=sgdr"), 5)


def test_the_forks_sigmoid_has_a_sign_before_its_step() -> None:
    options = "policy=sigmoid\ngamma=0.01\nstep=400\nlearning_rate=0.1"
    assert learning_rate(net(options, "fork"), 0) == pytest.approx(0.1 / (1 + math.exp(-4)))
    assert learning_rate(net(options, "original"), 0) == 0
