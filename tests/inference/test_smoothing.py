"""Smoothing is the original demo's: its heads' values averaged over three frames, the first ones with zeros."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import darknet_compat as dc
from darknet_compat.definition.lower import load_spec
from darknet_compat.errors import BackendError
from darknet_compat.formats.arrays import Floats
from darknet_compat.inference.smoothing import Smoothed
from darknet_compat.parity.reference import Original
from darknet_compat.runtime.base import Description
from tests.inference.conftest import Load
from tests.inference.support import Files, noise, region, write_model


class Fixed:
    """A runtime that answers with these, one after the other."""

    streams = 4

    def __init__(self, *answers: Mapping[str, Floats], suppressed: bool = False) -> None:
        self.description = Description("toy", "detect", 32, 32, 3, 2, suppressed=suppressed)
        self.answers = list(answers)
        self.thresholds: list[float] = []

    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        self.thresholds.append(thresh)
        given = [self.answers.pop(0) for _ in images]
        return {name: np.stack([one[name] for one in given]) for name in given[0]}


def answer(x: float, side: float, objectness: float, classes: tuple[float, float] = (1, 0)) -> dict[str, Floats]:
    values = {"boxes": [[x, 0.5, side, side]], "objectness": [objectness], "classes": [classes]}
    return {name: np.array(value, np.float32) for name, value in values.items()} | {"dropped": np.float32(0)}  # type: ignore[dict-item]


IMAGE = np.zeros((1, 3, 32, 32), np.float32)


def test_three_frames_are_averaged_and_those_before_the_first_are_zeros() -> None:
    answers = [answer(0.1, 0.1, 0.9), answer(0.3, 0.4, 0.6, (0, 1)), answer(0.5, 0.2, 0.3), answer(0.7, 0.2, 0.9)]
    smoothed = Smoothed(Fixed(*answers))
    found = [smoothed.infer(IMAGE, 0.5) for _ in range(4)]
    assert [float(one["objectness"][0, 0]) for one in found] == pytest.approx([0.3, 0.5, 0.6, 0.6])
    assert [one["classes"][0, 0].tolist() for one in found[1:]] == [
        pytest.approx(v) for v in ([1 / 3, 1 / 3], [2 / 3, 1 / 3], [2 / 3, 1 / 3])
    ]
    assert found[2]["boxes"][0, 0].tolist() == pytest.approx([0.3, 0.5, 0.2, 0.2])  # the cube root of 0.1 · 0.4 · 0.2
    assert found[3]["boxes"][0, 0, 0] == pytest.approx(0.5)
    assert smoothed.inner.thresholds == [0.0] * 4 and smoothed.streams == 1  # type: ignore[attr-defined]


def test_a_batch_is_frames_in_order() -> None:
    answers = [answer(0.1 * number, 0.2, 0.3 * number) for number in range(1, 4)]
    together = Smoothed(Fixed(*answers)).infer(np.concatenate([IMAGE] * 3))
    one_by_one = Smoothed(Fixed(*answers))
    for row in range(3):
        for name, values in one_by_one.infer(IMAGE).items():
            np.testing.assert_array_equal(values[0], together[name][row])


def test_what_cannot_be_smoothed_is_refused() -> None:
    with pytest.raises(BackendError, match="suppression inside"):
        Smoothed(Fixed(suppressed=True))
    dropping = Smoothed(Fixed({**answer(0, 1, 1), "dropped": np.float32(3)}))  # type: ignore[dict-item]
    with pytest.raises(BackendError, match="so many classes"):
        dropping.infer(IMAGE)


def test_a_still_scene_is_found_as_ever_from_the_third_frame_on(load: Load, photos: list[Path]) -> None:
    detector = load("yolo-lite-coco", thresh=0.25)
    expected = detector(photos[0])
    found = [answer for _, answer in detector.stream([photos[0]] * 4, smooth=True)]
    for one in found[2:]:
        assert one.names == expected.names  # type: ignore[union-attr]
        np.testing.assert_allclose(one.boxes, expected.boxes, atol=0.05)  # type: ignore[union-attr]
    assert len(found[0]) == 0  # type: ignore[arg-type]


@pytest.mark.reference
def test_the_original_heads_averaged(darknet: Original, tmp_path: Path) -> None:
    """The mean of the values in the original's own last layer (`avg_predictions`), decoded as by `get_region_boxes`."""
    files: Files = write_model(tmp_path, region(classes=3, num=2))
    detector = dc.Detector(*files, backend="torch")
    pictures = [noise(64, 96, number) for number in range(3)]
    smoothed = Smoothed(detector.runtime)
    inputs = [np.ascontiguousarray(picture[..., ::-1].transpose(2, 0, 1), np.float32) / 255 for picture in pictures]
    for image in inputs:
        found = smoothed.infer(image[None])
    outputs = [
        darknet.layer_outputs(files.cfg, files.weights, image[None])[-1].output.reshape(2, 8, 4, 6) for image in inputs
    ]
    boxes, objectness, classes = decoded(np.mean(outputs, 0), files.cfg)
    np.testing.assert_allclose(found["boxes"][0], boxes, atol=1e-5)
    np.testing.assert_allclose(found["objectness"][0], objectness, atol=1e-6)
    np.testing.assert_allclose(found["classes"][0], classes, atol=1e-6)


def decoded(values: NDArray[np.float32], cfg: Path) -> tuple[NDArray[np.float64], ...]:
    """Of a region layer's values [anchors, 5 + classes, H, W]: boxes, objectness and classes by candidate."""
    head = load_spec(cfg).heads[-1]
    anchors = np.array(head.anchors, np.float64).reshape(-1, 2)  # type: ignore[union-attr]
    height, width = values.shape[-2:]
    planes = values.reshape(len(anchors), -1, height, width).astype(np.float64)
    x = (planes[:, 0] + np.arange(width)) / width
    y = (planes[:, 1] + np.arange(height)[:, None]) / height
    w = np.exp(planes[:, 2]) * anchors[:, 0, None, None] / width
    h = np.exp(planes[:, 3]) * anchors[:, 1, None, None] / height
    boxes = np.stack([x, y, w, h], -1).reshape(-1, 4)
    return boxes, planes[:, 4].reshape(-1), planes[:, 5:].transpose(0, 2, 3, 1).reshape(len(boxes), -1)
