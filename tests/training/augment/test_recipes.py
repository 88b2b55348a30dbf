"""Whole training pictures: the original's loaders with the same chances, and boxes that follow what they enclose."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darknet_compat.datasets.base import Labels
from darknet_compat.definition.lower import lower
from darknet_compat.definition.spec import NetworkSpec
from darknet_compat.errors import TrainingError
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.parity.reference import Original
from darknet_compat.training.augment.boxes import Move, fill_truth_detection, shuffled
from darknet_compat.training.augment.draws import Draws
from darknet_compat.training.augment.fork import ForkRecipe
from darknet_compat.training.augment.recipes import (
    ClassificationRecipe,
    Colours,
    CropRecipe,
    DetectionRecipe,
    Recipe,
    recipe,
)
from darknet_compat.vision.image import decode

TOLERANCE = 1e-5
NO_COLOURS = Colours(0, 1, 1)
COLOURS = Colours(0.1, 1.5, 1.5)
STILL = Move(np.float32(0), np.float32(0), np.float32(1), np.float32(1), False)


class Rand(Draws):
    """The chances that C's `rand` gives the original, in the same order."""

    def __init__(self, numbers: Iterator[int]) -> None:
        self.numbers = numbers

    def fraction(self) -> np.float32:
        return np.float32(next(self.numbers)) / np.float32(2147483647)

    def below(self, number: int) -> int:
        return int(next(self.numbers)) % number


@pytest.fixture(scope="module")
def theirs() -> Iterator[Original]:
    with Original() as original:
        yield original


def labelled(folder: Path, width: int, height: int, boxes: int, seed: int, whole: bool = True) -> tuple[Path, Labels]:
    """A picture and its label file, as the original wants them."""
    rng = np.random.default_rng(seed)
    for name in ("images", "labels"):
        (folder / name).mkdir(exist_ok=True)
    path = folder / "images" / f"{seed}.png"
    cv2.imwrite(str(path), rng.integers(0, 256, (height, width, 3), dtype=np.uint8))
    rows = rng.uniform(0.02, 0.98, (boxes, 4)).astype(np.float32)
    rows[:, 2:] **= 4  # some of them tiny
    if boxes > 3 and whole:
        rows[2] = 0  # a label of the whole picture
    classes = rng.integers(0, 20, boxes)
    lines = [f"{c} {' '.join(f'{v:.9g}' for v in row)}\n" for c, row in zip(classes, rows, strict=True)]
    (folder / "labels" / f"{seed}.txt").write_text("".join(lines))
    return path, Labels.drawn(rows, classes)


@pytest.mark.reference
@pytest.mark.parametrize("seed", range(12))
def test_the_detection_recipe_is_load_data_detection(theirs: Original, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(20, 300, 2))
    target = [(96, 96), (96, 96), (128, 64), (64, 128)][seed % 4]
    boxes = [0, 1, 5, 20][seed % 3]
    path, labels = labelled(tmp_path, width, height, boxes, seed)
    make = DetectionRecipe(jitter=[0.2, 0.3, 0.0][seed % 3], colours=COLOURS, flip=True, max_boxes=12)
    image, truth = theirs.load_detection(
        path, *target, boxes=make.max_boxes, jitter=make.jitter, colours=COLOURS, seed=seed
    )
    numbers = theirs.random_numbers(seed, 200)
    out = np.full((3, target[1], target[0]), np.nan, np.float32)
    found = make(decode(path), labels, out, Rand(iter(numbers[1:])))  # the first one chose the path
    assert np.abs(out - image).max() <= TOLERANCE
    truth = truth[truth.any(axis=1)]
    expected = np.where(truth[:, :1] == 999999, 0, truth[:, :4])
    assert found.boxes.shape == expected.shape
    assert np.abs(found.boxes - expected).max(initial=0) <= 1e-6
    assert found.classes.tolist() == truth[:, 4].astype(int).tolist()


@pytest.mark.reference
@pytest.mark.parametrize("seed", range(8))
def test_the_crop_recipe_is_load_data_region(theirs: Original, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(20, 300, 2))
    # Of a label of the whole picture the original makes a cell far outside of its truth, and dies.
    path, labels = labelled(tmp_path, width, height, [0, 3, 20][seed % 3], seed, whole=False)
    side, classes, jitter = 7, 20, [0.2, 0.0][seed % 2]
    image, truth = theirs.load_region(
        path, 96, 64, side=side, classes=classes, jitter=jitter, colours=COLOURS, seed=seed
    )
    out = np.full((3, 64, 96), np.nan, np.float32)
    make = CropRecipe(jitter, COLOURS, True)
    found = make(decode(path), labels, out, Rand(iter(theirs.random_numbers(seed, 200)[1:])))
    assert np.abs(out - image).max() <= TOLERANCE
    cells = np.zeros_like(truth)
    for (x, y, w, h), class_id in zip(found.boxes, found.classes, strict=True):
        column, row = int(x * side), int(y * side)
        if not cells[row, column, 0]:
            onehot = np.eye(classes)[class_id]
            cells[row, column] = 1, *onehot, x * side - column, y * side - row, w, h
    assert np.abs(cells - truth).max() <= 1e-5


@pytest.mark.reference
@pytest.mark.parametrize("center", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_the_classification_recipe_is_load_data_augment(
    theirs: Original, tmp_path: Path, seed: int, center: bool
) -> None:
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(20, 300, 2))
    path, _ = labelled(tmp_path, width, height, 0, seed)
    make = ClassificationRecipe(7.0, 0.75, 1.0, 1.7, center, COLOURS, True)
    image, truth = theirs.load_classification(
        path, ["nowhere", path.stem], low=64, high=int(1.7 * 64), size=64, angle=7.0, aspect=0.75, colours=COLOURS,
        center=center, seed=seed,
    )  # fmt: skip
    assert truth.tolist() == [0, 1]
    out = np.full((3, 64, 64), np.nan, np.float32)
    numbers = theirs.random_numbers(seed, 20)
    found = make(decode(path), Labels.whole_picture(1), out, Rand(iter(numbers[1:])))
    assert np.abs(out - image).max() <= TOLERANCE
    assert (found.boxes.tolist(), found.classes.tolist()) == ([[0, 0, 0, 0]], [1])


@settings(max_examples=60)
@given(
    st.integers(20, 200), st.integers(20, 200), st.sampled_from([(96, 96), (96, 160), (160, 96)]), st.integers(0, 9999)
)
def test_a_box_encloses_what_it_enclosed(width: int, height: int, target: tuple[int, int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    x1, x2 = sorted(rng.choice(width + 1, 2, replace=False))
    y1, y2 = sorted(rng.choice(height + 1, 2, replace=False))
    picture = np.zeros((height, width, 3), np.uint8)
    picture[y1:y2, x1:x2] = 255, 0, 0
    labels = Labels.from_corners([[x1, y1, x2, y2]], (width, height), [3])
    out = np.empty((3, target[1], target[0]), np.float32)
    found = DetectionRecipe(0.3, NO_COLOURS, True, 30)(picture, labels, out, Draws(seed))
    red = (out[0] > 0.5) & (out[1] < 0.25)
    if not len(found.classes):
        assert not red.any() or red.any(axis=0).sum() <= 1 or red.any(axis=1).sum() <= 1
        return
    x, y, w, h = found.boxes[0] * [*target, *target]
    rows, columns = (np.flatnonzero(red.any(axis=axis)) for axis in (1, 0))
    # The original keeps fractions of pixels in boxes and drops them in placing: a pixel on each side, and as much as
    # an enlarged pixel of the picture is spread over.
    grown = max(target[0] / width, target[1] / height) * 1.9 + 1.01
    if len(rows):
        assert abs(columns[0] - (x - w / 2)) <= grown and abs(columns[-1] + 1 - (x + w / 2)) <= grown
        assert abs(rows[0] - (y - h / 2)) <= grown and abs(rows[-1] + 1 - (y + h / 2)) <= grown
    else:
        assert min(w, h) <= grown


def test_nothing_changes_where_nothing_is_asked_for() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    labels = Labels.drawn([[0.5, 0.25, 0.5, 0.125]], [7])
    out = np.empty((3, 64, 64), np.float32)
    found = DetectionRecipe(0, NO_COLOURS, False, 30)(picture, labels, out, Draws(1))
    assert np.abs(out - picture.transpose(2, 0, 1) / 255).max() <= TOLERANCE
    assert (found.boxes.tolist(), found.classes.tolist()) == ([[0.5, 0.25, 0.5, 0.125]], [7])


def test_the_limit_counts_boxes_that_are_too_small() -> None:
    labels = Labels.drawn([[0.5, 0.5, 1e-4, 0.5]] * 3 + [[0.5, 0.5, 0.5, 0.5]] * 3, [0, 1, 2, 3, 4, 5])
    kept = [len(fill_truth_detection(labels, STILL, 3, Draws(n)).classes) for n in range(50)]
    assert set(kept) == {0, 1, 2, 3}
    assert len(fill_truth_detection(labels, STILL, 0, Draws(0)).classes) == 0
    assert sorted(shuffled(6, Draws(0))) == [0, 1, 2, 3, 4, 5]


def test_scale_draws_both_ways() -> None:
    draws = Draws(1, 2, 3)
    factors = [float(draws.scale(1.5)) for _ in range(400)]
    assert 0.66 < min(factors) < 0.7 and 1.45 < max(factors) < 1.51
    assert sum(factor > 1 for factor in factors) == pytest.approx(200, abs=50)
    assert [Draws(5, 1).fraction() for _ in range(2)] == [Draws(5, 1).fraction()] * 2


def spec(net: str, head: str) -> NetworkSpec:
    conv = "[convolutional]\nfilters=30\n"
    return lower(parse_cfg(f"[net]\nwidth=64\nheight=64\nchannels=3\n{net}\n{conv}{head}\n", "x.cfg"))


def test_a_recipe_is_what_the_cfg_says() -> None:
    region = "[region]\nclasses=1\nnum=5\njitter=.3\nmax=7"
    net = "hue=.1\nsaturation=1.5\nexposure=0"
    assert recipe(spec(net, region)) == DetectionRecipe(0.3, Colours(0.1, 1.5, 1), True, 7)
    assert recipe(spec("flip=0", region)).flip is False
    detection = "[connected]\noutput=30\n[detection]\nside=1\nnum=2\ncoords=4\nclasses=20\njitter=.1"
    assert recipe(spec(net, detection)) == CropRecipe(0.1, Colours(0.1, 1.5, 1), True)
    classifier = recipe(spec("angle=7\naspect=.75\nmin_crop=64\nmax_crop=128", "[avgpool]\n[softmax]"))
    assert classifier == ClassificationRecipe(7, 0.75, 1, 2, False, Colours(0, 1, 1), True)
    with pytest.raises(TrainingError, match=r"x.cfg:\d+: layer 1 \[yolo\] resize must be from 0.1 to 10, found 1e\+09"):
        recipe(spec("mosaic=1", "[yolo]\nclasses=5\nanchors=1,1,2,2,3,3\nnum=3\nmask=0,1,2\nresize=1e9"))
    with pytest.raises(TrainingError, match=r"x.cfg:\d+: layer 1 \[region\] jitter must be from 0 to below 1, found 1"):
        recipe(spec("", "[region]\nclasses=1\nnum=5\njitter=1"))


@pytest.mark.parametrize(
    ("net", "head"),
    [
        ("", "[region]\nclasses=1\nnum=5"),
        ("", "[yolo]\nclasses=5\nnum=3"),
        ("mosaic=1", "[yolo]\nclasses=5\nnum=3"),
        ("", "[connected]\noutput=30\n[detection]\nside=1\nnum=2\ncoords=4\nclasses=20"),
    ],
)
def test_no_box_counts(net: str, head: str) -> None:
    with pytest.raises(TrainingError, match=r"x.cfg:\d+: layer \d \[\w+\] max must be above 0, or no box counts"):
        recipe(spec(net, f"{head}\nmax=0"))


@pytest.mark.parametrize("colours", [NO_COLOURS, Colours(0.02, 1.2, 1.2)])
@pytest.mark.parametrize("kind", ["detection", "crop", "classification", "fork", "fork's mosaic", "fork's classifier"])
def test_red_stays_red(kind: str, colours: Colours) -> None:
    """The first channel of a picture in RGB is the first of what is learned from, whoever makes it."""
    classifier = ClassificationRecipe(0, 1, 1, 1, False, colours, True)
    makers: dict[str, Recipe] = {
        "detection": DetectionRecipe(0.0, colours, True, 9),
        "crop": CropRecipe(0.0, colours, True),
        "classification": classifier,
        "fork": ForkRecipe(0.0, 1.0, colours, True, 9),
        "fork's mosaic": ForkRecipe(0.2, 1.2, colours, True, 9, mosaic=True, mixup=True, blur=1),
        "fork's classifier": replace(classifier, mixing="mixup"),
    }
    red = np.empty((64, 64, 3), np.uint8)
    red[:] = 200, 60, 40
    labels = Labels.whole_picture(0)
    for seed in range(8):
        out = np.full((3, 64, 64), np.nan, np.float32)
        makers[kind](red, labels, out, Draws(5, seed), lambda: (red, labels))
        first, second, third = out.mean((1, 2)) * 255
        assert first > 1.5 * max(second, third)
        if colours == NO_COLOURS and kind != "detection":
            assert (first, second, third) == pytest.approx((200, 60, 40), abs=0.01)
