from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import Header, covered_layers, cut_weights, read_weights
from tests.conftest import Original
from tests.formats.making import (
    DETECTOR,
    NEW,
    OLD,
    TRANSPOSED,
    bytes_for,
    file_with,
    refused,
    spec_of,
)

# --------------------------------------------------------------------------------------------------- cutting


def test_cutting(tmp_path: Path) -> None:
    spec = spec_of(DETECTOR)
    data = bytes_for(spec, OLD)
    path = file_with(tmp_path / "m.weights", data)
    cut_weights(path, spec, tmp_path / "cut", 2)
    assert (tmp_path / "cut").read_bytes() == Header().to_bytes() + data[16:368]
    for cutoff in (0, -1, 5):
        assert refused(lambda cutoff=cutoff: cut_weights(path, spec, tmp_path / "no", cutoff)) == (
            f"m.cfg: expected 1 to 4 layers to keep, found {cutoff}"
        )
    assert not (tmp_path / "no").exists()


def test_a_cut_flipped_layer_stays_flipped_as_its_cfg_says(tmp_path: Path) -> None:
    spec = spec_of("[conv]\nfilters=3\nflipped=1\n[conv]\n")
    path = file_with(tmp_path / "m.weights", bytes_for(spec))
    cut_weights(path, spec, tmp_path / "cut", 1)
    assert np.array_equal(read_weights(tmp_path / "cut", spec, 1).arrays[1][1], read_weights(path, spec).arrays[1][1])


@pytest.mark.parametrize("option", ["dontload=1", "numload=2", "batch_normalize=1\ndontloadscales=1"])
def test_what_is_not_loaded_cannot_be_cut(option: str, tmp_path: Path) -> None:
    spec = spec_of(f"[conv]\nfilters=3\n[conv]\nfilters=3\n{option}\n[conv]\n")
    path = file_with(tmp_path / "m.weights", bytes_for(spec))
    cut_weights(path, spec, tmp_path / "cut", 1)
    assert refused(lambda: cut_weights(path, spec, tmp_path / "no", 2)) == (
        f"{path}: layer 1 [conv] is not loaded from it as a whole ({option.split(chr(10))[-1].partition('=')[0]}), "
        "so it cannot be kept; remove that option"
    )
    assert not (tmp_path / "no").exists()


EVERYTHING = """
[conv]\nfilters=3\nsize=2\nbatch_normalize=1
[conv]\nfilters=6\ngroups=3\nnumload=2
[conv]\nfilters=4\nflipped=1\nsize=2
[conv]\nfilters=4\nbatch_normalize=1\ndontloadscales=1
[batchnorm]\ndontloadscales=1
[conv]\nfilters=2\ndontload=1
[local]\nfilters=2\nsize=2
[crnn]\nhidden_filters=2\noutput_filters=3\nbatch_normalize=1
[conn]\noutput=5\nbatch_normalize=1\nnumload=1
[rnn]\noutput=4\nbatch_normalize=1\ndontloadscales=1
[gru]\noutput=3
[lstm]\noutput=2\nbatch_normalize=1
[conn]\noutput=3
"""


def partial(original: Original, cfg: Path, weights: Path, out: Path, cutoff: int) -> bytes:
    """What `darknet partial` writes."""
    command = [original.program, "partial", cfg, weights, out, str(cutoff)]
    done = subprocess.run(command, capture_output=True, cwd=out.parent, timeout=120)
    assert done.returncode == 0, done.stderr[-500:]
    return out.read_bytes()


@pytest.mark.reference
@pytest.mark.parametrize("header", [NEW, OLD, TRANSPOSED], ids=["new", "old", "transposed"])
def test_cutting_is_darknet_partial(header: Header, original: Original, tmp_path: Path) -> None:
    body = EVERYTHING.replace("numload=", "#").replace("dontload", "#").replace("flipped=1\n", "")
    body = body.replace("[batchnorm]", "[batchnorm]\ndontsave=1")
    cfg = file_with(tmp_path / "m.cfg", ("[net]\nwidth=9\nheight=7\nchannels=2\n" + body).encode())
    spec = load_spec(cfg)
    path = file_with(tmp_path / "m.weights", bytes_for(spec, header))
    for cutoff in (1, 4, 6, 9, 13):
        cut_weights(path, spec, tmp_path / "ours", cutoff)
        assert (tmp_path / "ours").read_bytes() == partial(original, cfg, path, tmp_path / "theirs", cutoff), cutoff


@pytest.mark.reference
def test_cutting_a_real_file_is_darknet_partial(original: Original, shared_data: Path, tmp_path: Path) -> None:
    folder = shared_data / "models" / "tiny-darknet"
    cfg, weights = folder / "tiny.cfg", folder / "tiny.weights"
    spec = load_spec(cfg)
    cut_weights(weights, spec, tmp_path / "ours", 10)
    assert (tmp_path / "ours").read_bytes() == partial(original, cfg, weights, tmp_path / "theirs", 10)
    cut = read_weights(tmp_path / "ours", spec, cutoff=10)
    whole = read_weights(weights, spec)
    assert cut.header == Header()
    for (slot, array), (_, expected) in zip(cut.arrays, whole.arrays[: len(cut.arrays)], strict=True):
        assert np.array_equal(array, expected), slot


def test_how_many_layers_a_file_covers(tmp_path: Path) -> None:
    spec = spec_of(DETECTOR)
    data = bytes_for(spec, OLD)
    path = file_with(tmp_path / "m.weights", data)
    assert covered_layers(path, spec) == len(spec.layers)
    cut_weights(path, spec, tmp_path / "cut", 2)
    assert covered_layers(tmp_path / "cut", spec) == 2
    assert covered_layers(file_with(tmp_path / "long", data + bytes(4)), spec) == 0
    assert covered_layers(file_with(tmp_path / "short", data[:-4]), spec) == 0
