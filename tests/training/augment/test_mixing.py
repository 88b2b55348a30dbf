"""Pictures made of several: where they meet, what share each label has, how often."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from darknet_compat.datasets.base import Labels
from darknet_compat.definition.dialects import DialectName
from darknet_compat.definition.lower import lower
from darknet_compat.errors import TrainingError
from darknet_compat.formats.arrays import Bytes
from darknet_compat.formats.cfg import parse_cfg
from darknet_compat.training.augment.boxes import PictureTruths
from darknet_compat.training.augment.draws import Draws
from darknet_compat.training.augment.mixing import Mixing
from darknet_compat.training.augment.recipes import ClassificationRecipe, recipe

NET = "width=20\nheight=20\nchannels=3\nmin_crop=20\nmax_crop=20\nflip=0\nhue=0"


def made(options: str, dialect: DialectName | None = None) -> ClassificationRecipe:
    text = f"[net]\n{NET}\n{options}\n[convolutional]\nfilters=4\n[avgpool]\n[softmax]\n"
    found = recipe(lower(parse_cfg(text, "m.cfg"), dialect=dialect))
    assert isinstance(found, ClassificationRecipe)
    return found


def pictures(make: ClassificationRecipe, number: int) -> tuple[np.ndarray, PictureTruths]:
    """What comes of pictures of one grey each: the first has 40 and class 0, further ones 80 and 1, 120 and 2, …"""
    numbers = count()

    def another() -> tuple[Bytes, Labels]:
        which = next(numbers)
        return np.full((20, 20, 3), 40 * (which + 1), np.uint8), Labels.whole_picture(which)

    out = np.full((3, 20, 20), np.nan, np.float32)
    return out, make(*another(), out, Draws(7, number), another)


def shares(image: np.ndarray, truths: PictureTruths) -> dict[int, float]:
    """Of each class, what part of the picture has its grey."""
    greys = np.round(image[0] * 255 / 40).astype(int) - 1
    return {int(which): float((greys == which).mean()) for which in truths.classes}


def many(options: str) -> list[tuple[np.ndarray, PictureTruths]]:
    make = made(options)
    return [pictures(make, number) for number in range(400)]


@pytest.mark.parametrize(
    ("options", "mixing"),
    [
        ("", "none"),
        ("mixup=1", "mixup"),
        ("cutmix=1", "cutmix"),
        ("mosaic=1", "mosaic"),
        ("mosaic=1\ncutmix=1", "cutmix or mosaic"),
        ("mixup=1\ncutmix=1", "cutmix"),
    ],
)
def test_what_the_cfg_asks_for(options: str, mixing: Mixing) -> None:
    assert made(options).mixing == made(options, "original").mixing == mixing


def test_half_of_the_pictures_are_mixed() -> None:
    mixed = [truths.shares is not None for _, truths in many("mixup=1")]
    assert np.mean(mixed) == pytest.approx(0.5, abs=0.08)  # three deviations


def test_mixup_is_the_mean_of_two() -> None:
    for image, truths in many("mixup=1"):
        if truths.shares is None:
            assert truths.classes.tolist() == [0] and np.allclose(image * 255, 40)
        else:
            assert np.allclose(image * 255, 60)
            assert (truths.classes.tolist(), truths.shares.tolist()) == ([0, 1], [0.5, 0.5])


@pytest.mark.parametrize(("options", "parts"), [("cutmix=1", 2), ("mosaic=1", 4)])
def test_shares_are_areas(options: str, parts: int) -> None:
    for image, truths in many(options):
        if truths.shares is not None:
            assert truths.classes.tolist() == list(range(parts))
            found = shares(image, truths)
            assert truths.shares == pytest.approx([found[which] for which in range(parts)], abs=1e-6)
            assert truths.shares.sum() == pytest.approx(1, abs=1e-6)


def test_a_window_is_30_to_80_percent_of_each_side_and_a_meeting_point_20_to_80() -> None:
    windows = [image[0] * 255 > 60 for image, truths in many("cutmix=1") if truths.shares is not None]
    sides = [(int(w.any(1).sum()), int(w.any(0).sum())) for w in windows]
    assert {side for pair in sides for side in pair} == set(range(6, 17))
    assert np.mean(sides) == pytest.approx(11, abs=0.5)
    firsts = [np.round(image[0] * 255) == 40 for image, truths in many("mosaic=1") if truths.shares is not None]
    points = [(int(f.any(1).sum()), int(f.any(0).sum())) for f in firsts]
    assert {side for pair in points for side in pair} == set(range(4, 17))
    assert np.mean(points) == pytest.approx(10, abs=0.5)


def test_both_are_as_frequent() -> None:
    kinds = [len(truths.classes) for _, truths in many("mosaic=1\ncutmix=1") if truths.shares is not None]
    assert set(kinds) == {2, 4}
    assert np.mean([kind == 2 for kind in kinds]) == pytest.approx(0.5, abs=0.12)


def test_a_tree_is_refused() -> None:
    text = f"[net]\n{NET}\nmixup=1\n[convolutional]\nfilters=9418\n[avgpool]\n[softmax]\ntree=data/9k.tree\n"
    with pytest.raises(TrainingError, match=r"m\.cfg: mixup of \[net\] does not go with a tree"):
        recipe(lower(parse_cfg(text, "m.cfg")))
