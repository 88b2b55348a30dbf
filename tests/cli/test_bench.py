"""`bench`: what it measures and says; how fast that is, is nobody's promise here."""

from __future__ import annotations

import json

import pytest

from tests.cli.support import Command, Toy


@pytest.mark.reference
def test_load_is_measured_against_numpy_and_the_original(dc: Command, detector: Toy) -> None:
    document = json.loads(dc("bench", detector.cfg, "--load", "--runs", "2", "--json").out)
    rows = {row["what"]: row for row in document["rows"]}
    assert rows["load_network"]["against"] == "numpy.fromfile"
    assert rows["letterbox 768x576 to 416x416"]["against"] == "the original"
    for row in rows.values():
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["max_ms"] and row["runs"] >= 2
        assert (row["ratio"] is None) == (row["against"] == "")
    assert document["weights_bytes"] == detector.weights.stat().st_size
    assert document["machine"]


def test_without_something_to_measure_it_is_bad_usage(dc: Command, detector: Toy) -> None:
    done = dc("bench", detector.cfg)
    assert done.code == 2
    assert "--load" in done.err
