"""The built-in data set: the same bytes everywhere, boxes that fit, writers kept apart."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.datasets.base import Dataset
from darknet_compat.datasets.open import open_dataset
from darknet_compat.datasets.readers import digits
from darknet_compat.datasets.readers.digits import SIZE, DigitCrops, DigitGroups, DigitPictures, DigitScenes
from darknet_compat.errors import DatasetError
from darknet_compat.formats.metadata import read_names
from darknet_compat.formats.packaged import cfg_dir
from darknet_compat.formats.wordtree import read_tree


def digest(dataset: Dataset) -> str:
    content = hashlib.sha256()
    for sample in dataset:
        assert isinstance(sample.image, np.ndarray)
        for part in (sample.image, sample.labels.boxes, sample.labels.classes):
            content.update(part.tobytes())
    return content.hexdigest()[:16]


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        (DigitScenes("train", 20, seed=7), "d1018beae3c1fd72"),
        (DigitScenes("test", 20, seed=7), "e4b9e5fed618c881"),
        (DigitPictures("train", 20, seed=7), "460d92757cee9b9c"),
        (DigitPictures("test", 20, seed=7), "b52e2c08af3af451"),
        (DigitGroups("train", 20, seed=7), "675a6c614643d60c"),
    ],
)
def test_the_same_bytes_on_every_machine(dataset: Dataset, expected: str) -> None:
    """The figures were the same with numpy 1.26 and 2.4."""
    assert digest(dataset) == expected


def test_warped_digits_are_others_of_the_same_kind() -> None:
    plain, warped = DigitScenes(count=60), open_dataset("warped-digits:38")
    assert isinstance(warped, DigitScenes) and warped.title == "warped-digits:38 (train)"
    assert {number for sample in warped[:60] for number in sample.labels.classes.tolist()} == {3, 8}
    assert np.array_equal(warped[0].image, warped[0].image)
    moved = DigitScenes(count=60, warped=True)
    assert not any(np.array_equal(a.image, b.image) for a, b in zip(plain, moved, strict=True))
    assert digest(DigitScenes(count=60, warped=False)) == digest(plain)


def test_a_warped_digit_stays_what_it_was() -> None:
    """Each warped digit is nearer to its own than to the mean of the others, by and large: eight of ten."""
    samples = digits._samples("train", tuple(range(10)))
    means = np.stack([np.mean([image for image, number in samples if number == of], 0) for of in range(10)])
    at = np.arange(8) / 8 + 1 / 16 - 0.5
    random, right = np.random.RandomState(0), 0
    for image, number in samples[:300]:
        warped = digits._warped(np.pad(image, 2), at[:, None], at[None, :], random)
        assert warped.shape == (8, 8) and warped.max() >= digits._INK[1] - 1e-12
        right += int(np.argmin(np.square(means - warped).sum((1, 2)))) == number
    assert right >= 240


@pytest.mark.parametrize("still", ["_PULL", "_THICKER"])
def test_a_warped_digit_is_pulled_and_thickened(still: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each by itself: thicker or thinner, its brightness is another everywhere by as much; pulled, it is not."""
    monkeypatch.setattr(digits, still, 0)
    at = np.arange(8) / 8 + 1 / 16 - 0.5
    padded = np.pad(digits._samples("train", (0,))[0][0], 2)
    plain = digits._bilinear(padded, at[:, None] * 8 + 5.5, at[None, :] * 8 + 5.5)
    seeds = range(20)
    moved = [digits._warped(padded, at[:, None], at[None, :], np.random.RandomState(seed)) - plain for seed in seeds]
    assert all(np.abs(one).max() > 1e-3 for one in moved)
    assert all((np.ptp(one) < 1e-12) == (still == "_PULL") for one in moved)


def test_a_scene_depends_on_nothing_but_its_number() -> None:
    few, many = DigitScenes(count=3), DigitScenes(count=50)
    assert np.array_equal(few[2].image, many[2].image)
    assert not np.array_equal(many[2].image, many[3].image)
    assert not np.array_equal(many[2].image, DigitScenes(seed=1)[2].image)
    assert not np.array_equal(many[2].image, DigitScenes("test")[2].image)


def test_scenes_are_labelled_with_boxes_inside() -> None:
    sides, classes, counts = [], set(), set()
    for sample in DigitScenes(count=200):
        assert sample.image.shape == (SIZE, SIZE, 3)
        assert sample.image.dtype == np.uint8
        corners = sample.labels.corners(SIZE, SIZE)
        assert corners.min() >= 0
        assert corners.max() <= SIZE
        sides += (corners[:, 3] - corners[:, 1]).tolist()
        classes |= set(sample.labels.classes.tolist())
        counts.add(len(sample.labels))
    assert classes == set(range(10))
    assert counts == set(range(1, 8))
    assert min(sides) < 15
    assert max(sides) > 85


def test_boxes_are_tight(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ink of pure red on black without clutter or noise fills its box to every side."""
    monkeypatch.setattr(digits, "_background", lambda random, size: np.zeros((size, size, 3)))
    monkeypatch.setattr(digits, "_noisy", lambda scene, random: np.clip(np.rint(scene), 0, 255).astype(np.uint8))
    monkeypatch.setattr(digits, "_MOST_OVERLAP", -1)  # one a scene
    for sample in DigitScenes(count=40):
        (x1, y1, x2, y2), *others = sample.labels.corners(SIZE, SIZE).astype(int)
        assert not others
        ink = sample.image.astype(int).sum(2)
        half = ink > ink.max() / 2
        rows, columns = np.flatnonzero(half.any(1)), np.flatnonzero(half.any(0))
        assert (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1) == pytest.approx((x1, y1, x2, y2), abs=1)


def test_only_the_digits_asked_for() -> None:
    for dataset in (DigitScenes(count=30, digits=(3, 7)), DigitPictures(count=30, digits=(3, 7))):
        assert {number for sample in dataset for number in sample.labels.classes.tolist()} == {3, 7}


def test_pictures_have_a_label_and_no_box() -> None:
    for sample in DigitPictures(count=30):
        assert len(sample.labels) == 1
        assert not sample.labels.is_drawn.any()
        assert 96 <= sample.image.shape[0] == sample.image.shape[1] <= 192
    for sample in DigitGroups(count=30):
        assert len(sample.labels) == 1
        assert not sample.labels.is_drawn.any()
        assert sample.image.shape == (192, 192, 3)
    for sample in DigitCrops(count=30):
        assert not sample.labels.is_drawn.any()
        assert 24 <= sample.image.shape[0] == sample.image.shape[1] <= 200


def test_a_group_is_of_one_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    painted: list[list[int]] = []
    compose = DigitGroups._scene

    def composed(*given: Any) -> Any:
        made = compose(*given)
        painted.append(made[2])
        return made

    monkeypatch.setattr(DigitGroups, "_scene", composed)
    labels = [sample.labels.classes.tolist() for sample in DigitGroups(count=30)]
    assert [sorted(set(digits)) for digits in painted] == labels
    assert max(map(len, painted)) > 4


def test_no_writer_is_on_both_sides() -> None:
    """A block begins with the digits in order, three times over, and every split with a block."""
    sides = [[number for _, number in digits._samples(split, tuple(range(10)))] for split in ("train", "test")]
    assert sum(map(len, sides)) == 1797
    for side in sides:
        assert side[:30] == list(range(10)) * 3 or side[:20] == list(range(10)) * 2


def test_what_is_no_such_data_set() -> None:
    with pytest.raises(DatasetError, match="expected the split train or test, found 'valid'"):
        DigitScenes("valid")  # type: ignore[arg-type]
    with pytest.raises(DatasetError, match=r"expected some of 0 to 9, found \[12\]"):
        DigitScenes(digits=[12])


@pytest.mark.parametrize(
    ("source", "kind", "held", "title"),
    [
        ("digits", DigitScenes, set(range(10)), "digits (train)"),
        ("digits:42", DigitScenes, {2, 4}, "digits:24 (train)"),
        ("digit-pictures", DigitPictures, set(range(10)), "digit-pictures (train)"),
        ("digit-crops:38", DigitCrops, {3, 8}, "digit-crops:38 (train)"),
        ("digit-groups:56", DigitGroups, {5, 6}, "digit-groups:56 (train)"),
        ("digit-pictures:7", DigitPictures, {7}, "digit-pictures:7 (train)"),
        ("warped-digit-crops:38", DigitCrops, {3, 8}, "warped-digit-crops:38 (train)"),
    ],
)
def test_all_or_some_by_name(source: str, kind: type[Dataset], held: set[int], title: str) -> None:
    dataset = open_dataset(source)
    assert isinstance(dataset, kind) and digits.is_digits(source)
    assert dataset.names == digits.NAMES and dataset.title == title
    assert {int(number) for sample in dataset[:60] for number in sample.labels.classes} == held
    assert open_dataset(source, split="valid").title == title.replace("train", "test")


@pytest.mark.parametrize("wanted", ["", "a", "1,2", "-1", "\x1b[31m"])
def test_digits_that_are_none(wanted: str) -> None:
    with pytest.raises(DatasetError, match="digits: expected which digits, such as digits:01234") as error:
        open_dataset(f"digits:{wanted}")
    assert "\x1b" not in str(error.value)


def test_a_file_of_that_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert not digits.is_digits("digits")
    assert not digits.is_digits("digits.txt")


def test_without_scikit_learn_it_says_what_to_install() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = sys.modules['sklearn.datasets'] = None\n"
        "from darknet_compat.datasets.readers.digits import DigitScenes\n"
        "DigitScenes()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert "DatasetError: digits: scikit-learn is not installed: pip install 'darknet-compat[digits]'" in done.stderr


def test_the_tree_holds_the_digits() -> None:
    tree, names = read_tree(cfg_dir() / "data" / "digits.tree"), read_names(cfg_dir() / "data" / "digits.names")
    assert names == digits.NAMES
    assert set(names) < set(tree.names)
    assert np.bincount(tree.groups).tolist() == [1, 1, 3, 4, 3, 3]
