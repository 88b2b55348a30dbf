"""What becomes of each detection and object of an example."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import cv2
import numpy as np

from darknet_compat.datasets.base import Labels
from darknet_compat.evaluation.material.columns import Found, Truths
from darknet_compat.evaluation.material.entries import Example
from darknet_compat.evaluation.report.examples import MISSED, RIGHT, WRONG, Verdicts, judged
from darknet_compat.vision.image import decode

BOX, FAR = [10, 10, 20, 20], [60, 60, 20, 20]


def test_right_wrong_and_missed() -> None:
    truths = Truths.of([0, 0, 0, 1], [0, 1, 1, 0], [BOX, FAR, [200, 0, 9, 9], BOX], difficult=[0, 0, 1, 0])
    found = Found.of([0, 0, 0, 0], [0, 0, 1, 1], [BOX, [11, 10, 20, 20], BOX, [200, 0, 9, 9]], [0.6, 0.9, 0.8, 0.7])
    verdicts = Verdicts.of(found, truths)
    told = zip(verdicts.found.classes.tolist(), verdicts.found.scores.tolist(), verdicts.true.tolist(), strict=True)
    # The better of two is right, the other a duplicate; what lies on a difficult object counts neither way.
    assert sorted(told) == [(0, 0.6, False), (0, 0.9, True), (1, 0.8, False)]
    assert list(zip(verdicts.missed.images.tolist(), verdicts.missed.classes.tolist(), strict=True)) == [(0, 1), (1, 0)]


def test_a_picture_shows_each_in_its_colour(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((100, 240, 3), 255, np.uint8))
    entry = Example("a", 0, 1, path, Labels.drawn([], []), None, None)
    truths = Truths.of([0, 0], [0, 0], [[10, 40, 40, 40], [90, 40, 40, 40]])
    found = Found.of([0, 0], [0, 0], [[10, 40, 40, 40], [170, 40, 40, 40]], [0.9, 0.8])
    html = judged(entry, 0, Verdicts.of(found, truths), ("cell",))
    assert "a: 1 right, 1 wrong, 1 missed" in html
    (data,) = re.findall(r"base64,([^\"]*)", html)
    shown = decode(base64.b64decode(data)).astype(int)
    assert shown.shape == (200, 480, 3), "enlarged by as whole a number as the page has room for"
    for x, colour in ((20, RIGHT), (180, MISSED), (340, WRONG)):
        edge = shown[100:140, x - 1 : x + 2].mean(0)
        darkest = edge[edge.sum(1).argmin()]  # of a thin line that JPEG has paled
        assert min((RIGHT, WRONG, MISSED), key=lambda one: np.abs(darkest - one).sum()) == colour
    path.write_bytes(b"no picture")
    assert "a.png" in judged(entry, 0, Verdicts.of(found, truths), ("cell",))
