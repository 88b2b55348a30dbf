from __future__ import annotations

from itertools import combinations, islice

import numpy as np
import pytest

from darknet_compat.formats import colours
from darknet_compat.vision.opencv import opencv


def channels(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def contrast_to_white(colour: str) -> float:
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels(colour)]
    return 1.05 / (0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2] + 0.05)


def test_the_measure_is_wcags() -> None:
    assert contrast_to_white("#ffffff") == 1 and contrast_to_white("#000000") == 21
    assert contrast_to_white("#767676") == pytest.approx(4.54, abs=0.005)  # the lightest grey that passes 4.5


@pytest.mark.parametrize("colour", [*colours.SERIES, colours.PALE_BLUE, colours.GREY])
def test_each_is_seen_on_white(colour: str) -> None:
    assert contrast_to_white(colour) >= 3


def test_any_two_are_told_apart() -> None:
    pixels = np.array([[channels(colour) for colour in colours.SERIES]], np.float32)
    lab = opencv().cvtColor(pixels, opencv().COLOR_RGB2LAB)[0]
    assert min(float(np.linalg.norm(one - other)) for one, other in combinations(lab, 2)) > 20


def test_lines_never_run_out_and_forty_differ() -> None:
    assert len({*islice(colours.lines(), 40)}) == 40
    assert [colour for colour, _ in islice(colours.lines(), 10)] == list(colours.SERIES)
    assert len(list(islice(colours.lines(), 100))) == 100
