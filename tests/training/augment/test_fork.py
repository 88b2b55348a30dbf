"""The fork's training pictures: where boxes and pixels go, and the shares and means of what chance decides."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from darknet_compat.datasets.base import Labels
from darknet_compat.training.augment.boxes import PictureTruths
from darknet_compat.training.augment.draws import Colours, Draws
from darknet_compat.training.augment.fork import Borders, ForkRecipe

Bytes = NDArray[np.uint8]
SIZE = 96, 64
PLAIN = Colours(0.0, 1.0, 1.0)


def made(recipe: ForkRecipe, picture: Bytes, labels: Labels, seed: int) -> tuple[NDArray[np.float32], PictureTruths]:
    out = np.zeros((3, SIZE[1], SIZE[0]), np.float32)
    return out, recipe(picture, labels, out, Draws(3, seed), lambda: (picture, labels))


def recipe(**options: object) -> ForkRecipe:
    given: dict[str, object] = {"jitter": 0.0, "resize": 1.0, "colours": PLAIN, "flip": False, "max_boxes": 90}
    return ForkRecipe(**(given | options))  # type: ignore[arg-type]


def scene(seed: int, objects: int = 3) -> tuple[Bytes, Labels]:
    """Grey with white rectangles on whole pixels that do not touch, each class one of them."""
    random = np.random.default_rng(seed)
    height, width = (int(side) for side in random.integers(120, 260, 2))
    picture = np.full((height, width, 3), 60, np.uint8)
    boxes = []
    for column in range(objects):
        left = column * width // objects + 6
        w, h = int(random.integers(12, width // objects - 12)), int(random.integers(14, height - 30))
        top = int(random.integers(4, height - h - 4))
        picture[top : top + h, left : left + w] = 250
        boxes.append([(left + w / 2) / width, (top + h / 2) / height, w / width, h / height])
    return picture, Labels.drawn(boxes, list(range(objects)))


def brightness_inside(out: NDArray[np.float32], truths: PictureTruths) -> list[float]:
    """The mean of what each box that is more than a few pixels large shows."""
    means = []
    for x, y, w, h in truths.boxes * [SIZE[0], SIZE[1], SIZE[0], SIZE[1]]:
        part = out[:, round(y - h / 2) + 1 : round(y + h / 2) - 1, round(x - w / 2) + 1 : round(x + w / 2) - 1]
        if part.size > 60:
            means.append(float(part.mean()))
    return means


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"jitter": 0.3},
        {"jitter": 0.2, "resize": 1.5, "flip": True},
        {"jitter": 0.2, "resize": 0.7},
        {"jitter": 0.3, "letter_box": True, "flip": True},
        {"jitter": 0.3, "resize": 1.4, "flip": True, "mosaic": True, "bound": True},
    ],
)
def test_boxes_show_their_objects(options: dict[str, object]) -> None:
    """Whatever is done to a picture, its white objects are inside of their boxes."""
    seen = 0
    for seed in range(60):
        out, truths = made(recipe(**options), *scene(seed), seed)
        means = brightness_inside(out, truths)
        seen += len(means)
        # An object's own edge blurs by a pixel or two where it is shrunk.
        assert all(mean > 0.78 for mean in means), (seed, means)
        assert ((truths.boxes[:, :2] >= 0) & (truths.boxes[:, :2] <= 1)).all()
        assert (truths.boxes[:, 2:] * SIZE >= 1 - 1e-3).all()
    assert seen > 80


def test_without_any_option_the_picture_is_stretched() -> None:
    picture, labels = scene(1)
    _, truths = made(recipe(), picture, labels, 0)
    by_class = truths.boxes[np.argsort(truths.classes)]
    np.testing.assert_allclose(by_class, labels.boxes, atol=1e-6)


def test_a_letterboxed_picture_keeps_its_proportions() -> None:
    """100 x 100 on 96 x 64: 64 pixels wide in the middle, beside it the picture's mean."""
    picture = np.full((100, 100, 3), 200, np.uint8)
    picture[40:60, 40:60] = 0
    out, truths = made(recipe(letter_box=True), picture, Labels.drawn([[0.5, 0.5, 0.2, 0.2]], [0]), 0)
    np.testing.assert_allclose(truths.boxes[0], [0.5, 0.5, 0.2 * 64 / 96, 0.2], atol=1e-6)
    assert out[0, 32, 5] == pytest.approx(192 / 255, abs=1e-6)
    assert out[0, 32, 30] == pytest.approx(200 / 255, abs=1e-6)


def test_borders_have_the_distribution_that_jitter_and_resize_say() -> None:
    """Each side uniform within ±jitter, plus from (1 - r)/2 to (1 - 1/r)/2 with resize r."""
    jitter, resize, side = 0.2, 1.5, 10_000
    drawn = np.array([recipe(jitter=jitter, resize=resize)._borders(side, side, Draws(1, n)) for n in range(4000)])
    low, high = (1 - resize) / 2, (1 - 1 / resize) / 2
    mean, deviation = (low + high) / 2, np.sqrt(jitter**2 / 3 + (high - low) ** 2 / 12)
    np.testing.assert_allclose(drawn.mean(0) / side, mean, atol=4 * deviation / np.sqrt(4000))
    np.testing.assert_allclose(drawn.std(0) / side, deviation, rtol=0.05)
    # Left and top share the number that resizes them, their jitter is their own: correlated by that share.
    shared = (high - low) ** 2 / 12 / deviation**2
    assert np.corrcoef(drawn[:, 0], drawn[:, 2])[0, 1] == pytest.approx(shared, abs=0.06)
    assert np.corrcoef(drawn[:, 0], drawn[:, 1])[0, 1] == pytest.approx(0, abs=0.06)


def test_below_1_resize_only_enlarges() -> None:
    drawn = np.array([recipe(resize=0.5)._borders(1000, 1000, Draws(1, n)) for n in range(500)])
    assert drawn.max() <= 0 and drawn.min() >= -500
    assert drawn.mean() == pytest.approx(-250, abs=30)


def share_of(happens: Callable[[int], bool], count: int = 600) -> float:
    return sum(happens(n) for n in range(count)) / count


def test_one_time_of_two_four_pictures_meet_between_20_and_80_percent() -> None:
    """Four pictures of one colour each: where the colours change is the point."""
    cuts: list[tuple[int, int]] = []
    mosaics = recipe(mosaic=True)
    for seed in range(600):
        colours = iter((80, 120, 160))
        out = np.zeros((3, SIZE[1], SIZE[0]), np.float32)
        nothing = Labels.drawn([], [])

        def another() -> tuple[Bytes, Labels]:
            return np.full((50, 50, 3), next(colours), np.uint8), nothing  # noqa: B023

        mosaics(np.full((50, 50, 3), 40, np.uint8), nothing, out, Draws(5, seed), another)
        values = np.rint(out[0] * 255)
        if (values == 40).all():
            continue
        x, y = int((values[0] == 40).sum()), int((values[:, 0] == 40).sum())
        assert (values[:y, x:] == 80).all() and (values[y:, :x] == 120).all() and (values[y:, x:] == 160).all()
        cuts.append((x, y))
    assert len(cuts) / 600 == pytest.approx(0.5, abs=0.08)
    found = np.array(cuts) / SIZE
    assert found.min() >= 12 / 64 and found.max() <= 0.81
    np.testing.assert_allclose(found.mean(0), 0.5, atol=0.04)
    np.testing.assert_allclose(found.std(0), 0.6 / np.sqrt(12), rtol=0.12)


def test_flip_mixup_and_blur_have_their_shares() -> None:
    picture, labels = scene(2)
    plain, _ = made(recipe(), picture, labels, 0)

    def differs(options: dict[str, object], n: int) -> bool:
        return not np.array_equal(made(recipe(**options), picture, labels, n)[0], plain)

    assert share_of(lambda n: differs({"flip": True}, n)) == pytest.approx(0.5, abs=0.08)
    assert share_of(lambda n: differs({"blur": 1}, n)) == pytest.approx(1 / 3, abs=0.08)
    assert share_of(lambda n: differs({"noise": 20}, n)) == pytest.approx(1 / 2, abs=0.08)
    doubled = share_of(lambda n: len(made(recipe(mixup=True), picture, labels, n)[1].classes) == 6)
    assert doubled == pytest.approx(0.5, abs=0.08)


def test_colours_follow_opencvs_eight_bits() -> None:
    """Brightness times 1/1.5 to 1.5, as often below 1 as above."""
    picture = np.full((40, 40, 3), 100, np.uint8)
    values = np.array(
        [made(recipe(colours=Colours(0.0, 1.0, 1.5)), picture, Labels.drawn([], []), n)[0][0, 5, 5] for n in range(400)]
    )
    assert values.min() >= 66 / 255 and values.max() <= 151 / 255
    assert (values < 100 / 255).mean() == pytest.approx(0.5, abs=0.1)


def test_noise_has_its_deviation() -> None:
    picture = np.full((60, 60, 3), 128, np.uint8)
    noisy = [made(recipe(noise=10), picture, Labels.drawn([], []), n)[0] * 255 - 128 for n in range(8)]
    deviations = [float(one.std()) for one in noisy if one.any()]
    np.testing.assert_allclose(deviations, 10, rtol=0.05)


def test_at_most_max_boxes_are_kept() -> None:
    _, truths = made(recipe(max_boxes=2), *scene(4), 0)
    assert len(truths.classes) == 2


def test_a_mosaics_picture_moves_away_from_what_was_added() -> None:
    added = Borders(-10, -20, -6, -8)
    assert added.towards(0) == Borders(-30, 0, -14, 0)  # top left shows its lower right part
    assert added.towards(3) == Borders(0, -30, 0, -14)
