"""The rows of docs/gpu/parsers.md, of small networks, against the real parser and builder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.export.support import seeded
from tests.export.tensorrt.verdicts import (
    BUILT,
    FORMS,
    NO_SUPPRESSION,
    NOT_EXPORTED,
    NOTHING,
    QUANTIZED,
    TAKEN,
    Row,
    of_layer,
    rows_of,
    together,
)
from tests.inference.support import region


def test_only_four_alike_are_one_row() -> None:
    same = [Row("m", f"{TAKEN}, {layers} layers", f"{BUILT}, 1.0 MB", NOTHING) for layers in (1, 2, 3, 4)]
    assert [row[1:] for row in together("m", same)] == [("takes all four", "builds all four", NOTHING)]
    warned = same[0]._replace(builder=f"{NO_SUPPRESSION}, warns")
    for rows in (same[:3], [*same[:3], warned], [*same[:3], same[0]._replace(rules="a rule")]):
        assert together("m", rows) == rows


@pytest.mark.tensorrt
def test_a_layer_is_one_row(tmp_path: Path) -> None:
    assert [row[1:] for row in of_layer("maxpool", tmp_path)] == [("takes all four", "builds all four", NOTHING)]


@pytest.mark.tensorrt
def test_each_form_has_its_row(tmp_path: Path) -> None:
    (tmp_path / "m.cfg").write_text(region(4))
    network = seeded(tmp_path / "m.cfg")
    rows = {row.file: row for row in rows_of("m", network, tmp_path, FORMS)}
    suppressing = rows.pop("m, detections, fp32")
    assert suppressing.parser.startswith(TAKEN) and suppressing.builder.startswith(NO_SUPPRESSION)
    assert len(rows) == 4 and {row.alike for row in rows.values()} == {(TAKEN, BUILT, NOTHING)}
    (row,) = rows_of("m", network, tmp_path, QUANTIZED)
    assert row[1:3] == ("no such file", "no such file")
    assert row.rules == f"{NOT_EXPORTED}has no convolution between its first and its last"
