"""What layers cost: against the paper, against the original's own count, against the files themselves."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.catalogue.catalog import MODELS
from darknet_compat.definition.complexity import costs
from darknet_compat.definition.lower import load_spec, lower
from darknet_compat.definition.weights.file import Header, slots, write_weights
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.formats.packaged import cfg_dir

EVERY_KIND = """
[net]
height=8
width=8
channels=4
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
groups=2
activation=leaky
[maxpool]
size=2
stride=2
[deconvolutional]
filters=3
size=2
stride=2
activation=linear
[local]
filters=2
size=3
stride=1
pad=1
activation=linear
[crnn]
hidden_filters=5
output_filters=6
activation=linear
batch_normalize=1
[connected]
output=7
activation=linear
[rnn]
output=9
activation=linear
[gru]
output=4
[lstm]
output=3
batch_normalize=1
[softmax]
"""


def test_darknet19_at_224_has_the_papers_5_58_billion_operations() -> None:
    spec = load_spec(cfg_dir() / "darknet19.cfg", (224, 224))
    assert f"{sum(cost.operations for cost in costs(spec)) / 1e9:.2f}" == "5.58"


def test_every_kind_of_layer_by_hand() -> None:
    found = costs(lower(parse_cfg(EVERY_KIND)))
    weights_at_positions = {
        0: (8 * 2 * 9, 4 * 4),  # 4 of 8 filters see 2 of 4 channels each
        2: (8 * 3 * 4, 2 * 2),  # at each of its input's cells
        3: (4 * 4 * 2 * 3 * 9, 1),  # each location has its own
        4: (9 * (2 * 5 + 5 * 5 + 5 * 6), 4 * 4),
        5: (6 * 4 * 4 * 7, 1),
        6: (7 * 9 + 9 * 9 + 9 * 9, 1),
        7: (3 * (9 * 4 + 4 * 4), 1),
        8: (4 * (4 * 3 + 3 * 3), 1),
    }
    expected = {layer: 2 * weights * positions for layer, (weights, positions) in weights_at_positions.items()}
    assert {layer: cost.operations for layer, cost in enumerate(found) if cost.operations} == expected
    assert [found[1].parameters, found[9].parameters] == [0, 0]
    assert found[0].parameters == 8 * 2 * 9 + 4 * 8


@pytest.mark.parametrize("header", [Header(minor=1), Header()], ids=["16 bytes", "20 bytes"])
def test_offsets_are_where_the_file_holds_each_layers_first_number(tmp_path: Path, header: Header) -> None:
    spec = lower(parse_cfg(EVERY_KIND))
    path = tmp_path / "numbered.weights"
    write_weights(path, header, ((slot, np.full(slot.shape, slot.layer, np.float32)) for slot in slots(spec)))
    data = path.read_bytes()
    seen = 0
    for layer, cost in enumerate(costs(spec, header)):
        if cost.offset is None:
            assert cost.parameters == 0
            continue
        numbers = np.frombuffer(data, "<f4", cost.parameters, cost.offset)
        assert (numbers == layer).all()
        seen += 4 * cost.parameters
    assert header.layout.size + seen == len(data)


def test_a_layer_that_is_not_loaded_costs_but_has_no_place_in_the_file() -> None:
    text = EVERY_KIND.replace("groups=2", "groups=2\ndontload=1\ndontsave=1")
    without, with_it = costs(lower(parse_cfg(text)))[0], costs(lower(parse_cfg(EVERY_KIND)))[0]
    assert without.offset is None
    assert with_it.offset == 20
    assert (without.parameters, without.operations) == (with_it.parameters, with_it.operations)


@pytest.mark.parametrize("name", MODELS)
def test_parameters_are_the_floats_of_the_catalogue(name: str) -> None:
    spec = load_spec(cfg_dir() / MODELS[name].cfg)
    assert sum(cost.parameters for cost in costs(spec)) == MODELS[name].weights.floats


def operations_of_the_original(cfg: Path) -> int:
    done = subprocess.run(["darknet", "ops", str(cfg)], capture_output=True, text=True, timeout=60, check=True)
    match = re.search(r"Operations: (\d+)\n", done.stdout)
    assert match, done.stdout + done.stderr
    return int(match[1])


@pytest.mark.reference
@pytest.mark.parametrize("name", ["alexnet", "resnext50", "rnn", "gru", "strided", "yolov2-tiny-voc", "yolov3-tiny"])
def test_the_original_counts_the_same(original: Any, name: str) -> None:
    spec = load_spec(original.cfg / f"{name}.cfg")
    assert sum(cost.operations for cost in costs(spec)) == operations_of_the_original(original.cfg / f"{name}.cfg")


@pytest.mark.reference
def test_the_original_counts_lstm_the_same(original: Any, tmp_path: Path) -> None:
    path = tmp_path / "lstm.cfg"
    path.write_text("[net]\ninputs=11\ntime_steps=2\nbatch=2\n[lstm]\noutput=6\nbatch_normalize=1\n[softmax]\n")
    assert sum(cost.operations for cost in costs(load_spec(path))) == operations_of_the_original(path) == 4 * 2 * 6 * 17
