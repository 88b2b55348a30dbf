"""Definitions as people have them (`../shared/data/wild`): read, or refused in one line that says why."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import DarknetCompatError

FORKS_OWN = 103
"""The first of them are the fork's."""

REFUSED_THERE_TOO = {
    "106-SAM.cfg": "reads a layer that is still to come",
    "109-v4.cfg": "joins layers of two sizes: 608 is no multiple of all its strides",
    "111-yolovov-fine.cfg": "reads a layer that is still to come",
    "116-yolov4-scaled-P5.cfg": "joins layers of two sizes: 876 is no multiple of its strides",
    "143-yolov5l_v4.cfg": "has layer= for layers= in a [route]",
    "150-yolov7-d6.cfg": "joins layers of two sizes: 416 is no multiple of its strides",
    "196-yolov3-asff.cfg": "has three filters more than its [yolo] reads",
    "202-yolov3-spp-matrix.cfg": "shares the weights of a layer of another shape",
    "257-csresnet50-elastic-panet-spp.cfg": "joins layers of two sizes: 416 is no multiple of its strides",
    "259-csresnext50-elastic-panet-spp.cfg": "joins layers of two sizes: 416 is no multiple of its strides",
    "350-minin_det.cfg": "detects no classes",
}
"""Definitions in Darknet's language that describe no network, to the fork's own program either."""


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
    others = {name for name, why in read.items() if "which seems to be" in why}
    refused = {name for name, why in read.items() if why} - others
    assert len(others) == 38
    assert refused == set(REFUSED_THERE_TOO)
    assert (len(read) - len(others) - len(refused)) == 372
