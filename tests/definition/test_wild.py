"""Definitions as people have them (`../shared/data/wild`): read, or refused in one line that says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import DarknetCompatError
from darknet_compat.runtime.described import describe

FORKS_OWN = 103
"""The first of them are the fork's."""

REFUSED_THERE_TOO = {
    "106-SAM.cfg": "reads a layer that is still to come",
    "109-v4.cfg": "joins layers of 19 x 19 and 38 x 38",
    "111-yolovov-fine.cfg": "reads a layer that is still to come",
    "143-yolov5l_v4.cfg": "has layer= for layers= in a [route]",
    "202-yolov3-spp-matrix.cfg": "shares the weights of a layer of another shape",
}
"""Definitions in Darknet's language that describe no network, to the fork's own program either."""

AT_ANOTHER_SIZE = {
    "116-yolov4-scaled-P5.cfg": 896,
    "150-yolov7-d6.cfg": 448,
    "257-csresnet50-elastic-panet-spp.cfg": 448,
    "259-csresnext50-elastic-panet-spp.cfg": 448,
}
"""Definitions that join layers of two sizes, since their width is no multiple of all strides: refused by the fork's
program as well, whose [route] has no shape then. At the size that the refusal names they are read."""


@pytest.fixture(scope="module")
def read(shared_data: Path) -> dict[str, str]:
    """Each file's refusal; empty for those that are read."""
    found = {}
    for path in sorted((shared_data / "wild").glob("*.cfg")):
        try:
            load_spec(path)
        except DarknetCompatError as error:
            assert re.match(re.escape(str(path)) + r":\d+: ", str(error)) and "\n" not in str(error)
            found[path.name] = str(error)
        else:
            found[path.name] = ""
    return found


def test_none_ends_in_a_traceback(read: dict[str, str]) -> None:
    assert len(read) == 421


def test_the_forks_own_are_all_read(read: dict[str, str]) -> None:
    own = {name: why for name, why in read.items() if int(name[:3]) <= FORKS_OWN}
    assert len(own) == FORKS_OWN and not any(own.values())


def test_darknets_language_is_read(read: dict[str, str]) -> None:
    others = {name for name, why in read.items() if "seems to be" in why}
    refused = {name for name, why in read.items() if why} - others
    assert len(others) == 39
    assert refused == {*REFUSED_THERE_TOO, *AT_ANOTHER_SIZE}
    assert (len(read) - len(others) - len(refused)) == 373


@pytest.mark.parametrize("name, side", AT_ANOTHER_SIZE.items())
def test_the_size_that_a_refusal_names_is_one(name: str, side: int, read: dict[str, str], shared_data: Path) -> None:
    assert f"such as {side} x {side}" in read[name]
    assert load_spec(shared_data / "wild" / name, (side, side)).heads


def test_what_has_no_box_is_read_and_computed(shared_data: Path) -> None:
    """350: its boxes have three numbers and no class; the original and the fork run it and report nothing."""
    spec = load_spec(shared_data / "wild" / "350-minin_det.cfg")
    with pytest.raises(DarknetCompatError, match=r"layer 11 \[detection\] has boxes of 3 numbers"):
        describe(spec)
