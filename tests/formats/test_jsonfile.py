"""JSON from strangers."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.errors import DatasetError
from darknet_compat.formats.jsonfile import parse_json, read_json


def test_numbers_of_any_length() -> None:
    kept = [1, -2, (1 << 63) - 1, -(1 << 63), 1.5]
    assert parse_json(str(kept)) == kept
    assert type(parse_json(str(1 << 63))) is float
    assert parse_json("9" * 400) == parse_json("9" * 5000) == float("inf")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"{", ":1: expected a thing, found damaged JSON: Expecting property name enclosed in double quotes; again"),
        (b"[1,\n2", ":2: expected a thing, found damaged JSON: Expecting ',' delimiter; again"),
        (b"[" * 100_000, ": expected a thing, found JSON that is nested too deep; again"),
        (b'{"a":' * 100_000, ": expected a thing, found JSON that is nested too deep; again"),
        (b"a\0", ": expected a thing (text), found binary data; is another file meant?"),
    ],
    ids=["cut short", "second line", "lists", "objects", "binary"],
)
def test_what_is_none_is_one_line(content: bytes, found: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(content)
    with pytest.raises(DatasetError) as caught:
        read_json(path, DatasetError, "a thing", hint="; again")
    assert str(caught.value) == f"{path}{found}"
