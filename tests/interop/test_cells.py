"""What counts as agreement between a runtime of others and ours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.interop.cells import Cell, compared
from tests.interop.known import KNOWN, known
from tests.interop.runtimes import RUNTIMES

EXPECTED: dict[str, Any] = {"boxes": np.array([[0.5, 1.0]]), "objectness": np.array([0.25])}


def test_names_or_their_order_pair_the_outputs() -> None:
    assert compared(dict(reversed(EXPECTED.items())), EXPECTED, "v") == Cell(True, 0.0, "v")
    ordered = {"0": EXPECTED["boxes"], "1": EXPECTED["objectness"]}
    assert compared(ordered, EXPECTED, "v") == Cell(True, 0.0, "v", "names are its own")


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"boxes": EXPECTED["boxes"]}, "gives boxes of boxes, objectness"),
        ({**EXPECTED, "boxes": EXPECTED["boxes"].T}, "boxes has shape (2, 1) for (1, 2)"),
    ],
)
def test_less_or_another_shape_is_no_agreement(found: dict[str, Any], said: str) -> None:
    assert compared(found, EXPECTED, "v") == Cell(False, None, "v", said)


def test_a_difference_is_a_part_of_the_largest_value() -> None:
    near, far = (EXPECTED | {"objectness": np.array([0.25 * (1 + by)])} for by in (9e-4, 2e-3))
    assert compared(near, EXPECTED, "v").agrees
    assert not compared(far, EXPECTED, "v").agrees


def test_what_is_known_names_runtimes_and_says_what_helps() -> None:
    assert {row.runtime for row in KNOWN} <= {runtime.name for runtime in RUNTIMES}
    assert known("opencv", "default", "yolov3-tiny") and not known("opencv", "fixed", "yolov3-tiny")
