"""How wide a header is: by its version, by the fork's rule, and where a user knows better."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from darknet_compat.definition.dialects import DialectName
from darknet_compat.definition.lower import lower
from darknet_compat.definition.weights.file import cut_weights, read_weights
from darknet_compat.errors import WeightsError
from darknet_compat.formats.cfg import parse_cfg

BODY = struct.pack("<4f", 1, 2, 3, 4)  # of [conv] filters=2 on one channel: two biases, two weights


def seen(data: bytes, folder: Path, dialect: DialectName | None = None, seen_bytes: int | None = None) -> int:
    spec = lower(parse_cfg("[net]\nwidth=2\nheight=2\nchannels=1\n[conv]\nfilters=2", "m.cfg"), dialect=dialect)
    (folder / "m.weights").write_bytes(data + BODY)
    weights = read_weights(folder / "m.weights", spec, seen_bytes=seen_bytes)  # type: ignore[arg-type]
    assert weights.arrays[0][1].tolist() == [1, 2]
    cut_weights(folder / "m.weights", spec, folder / "cut.weights", 1, seen_bytes=seen_bytes)  # type: ignore[arg-type]
    assert (folder / "cut.weights").read_bytes() == struct.pack("<iiiQ", 0, 2, 0, 0) + BODY
    return weights.header.seen


@pytest.mark.parametrize("version", [(0, 2), (1, 0), (2, 0), (0, 1001)])
def test_eight_bytes_in_the_fork(version: tuple[int, int], tmp_path: Path) -> None:
    assert seen(struct.pack("<iiiQ", *version, 5, 2**40), tmp_path, "fork") == 2**40


@pytest.mark.parametrize("version", [(0, 0), (0, 1)])
def test_four_bytes_in_both(version: tuple[int, int], tmp_path: Path) -> None:
    for dialect in ("original", "fork"):
        assert seen(struct.pack("<iiii", *version, 0, 77), tmp_path, dialect) == 77  # type: ignore[arg-type]


def test_above_1000_four_bytes_in_the_original(tmp_path: Path) -> None:
    assert seen(struct.pack("<iiii", 0, 1001, 0, 77), tmp_path, "original") == 77


def test_eight_bytes_of_a_version_0_0_are_an_option_that_the_error_names(tmp_path: Path) -> None:
    data = struct.pack("<iiiQ", 0, 0, 0, 77)
    with pytest.raises(WeightsError, match=r"version 0\.0 has 16; seen_bytes=8 reads it so$"):
        seen(data, tmp_path)
    assert seen(data, tmp_path, seen_bytes=8) == 77
