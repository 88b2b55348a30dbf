"""`digits`: scenes composed on the fly from real handwritten digits, for which nothing has to be downloaded.

The 1797 digits of 8 x 8 pixels that scikit-learn carries (Alpaydin and Kaynak, Optical Recognition of Handwritten
Digits, UCI, 1998, test part; CC BY 4.0) come in blocks, one a writer, each of which begins with three times 0 to 9.
Scenes for training show the first eleven blocks' digits, scenes for testing the other three's.

The same seed gives the same bytes everywhere: random numbers are numpy's frozen `RandomState`, and pixels come from
additions, multiplications and divisions only, which IEEE 754 fixes; no resize of a library's own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np

from darknet_compat.datasets.base import Dataset, Labels, Sample
from darknet_compat.datasets.files import pick_split
from darknet_compat.errors import DatasetError
from darknet_compat.formats.arrays import Array, Bytes, Doubles
from darknet_compat.formats.textfile import shown

Split = Literal["train", "test"]

NAMES = tuple("0123456789")
_FIRST_OF_TEST = 1415
"""Where the twelfth block begins: 0 1 2 … 9 three times over."""
_SPLITS = {"train": 0, "test": 1}

COUNTS = {"train": 12_000, "test": 4_000}
"""How many pictures each split has, unless asked for."""
SIZE = 192
"""Pixels of a scene's sides."""
SMALLEST, LARGEST = 12, 100
"""Pixels of a digit's height before it is slanted."""
_MOST_DIGITS = 7
_MOST_OVERLAP = 0.25
"""The part of a digit's box that an earlier one may share."""
_INK = (0.40, 0.65)
"""The brightness in the small picture where ink begins to show and where it covers: strokes get edges by it."""
_LEAST_CONTRAST = 60
"""Grey levels between ink and what lies under it."""
WARPED = "warped-"
"""Before a kind's name: digits as other hands might have written them, for training."""
_PULL, _THICKER = 0.7, 0.12
"""How far a warped digit's parts move at most, in pixels of the small picture; by how much of the brightness ink begins
to show earlier or later, which makes strokes thicker or thinner."""


class _Composed(Dataset):
    """`count` pictures composed of `digits`, `warped` or as they were written; number `index` depends on these, `seed`,
    `split` and `index` alone."""

    kind: str
    names = NAMES
    is_composed = True

    def __init__(
        self,
        split: Split = "train",
        count: int | None = None,
        *,
        seed: int = 0,
        digits: Sequence[int] = range(10),
        warped: bool = False,
    ) -> None:
        self.title = _title(f"{WARPED if warped else ''}{self.kind}", split, digits)
        self.warped = warped
        self._samples = _samples(split, tuple(digits))
        self.split, self.scenes, self.seed = split, COUNTS[split] if count is None else count, seed

    def __len__(self) -> int:
        return self.scenes


class DigitScenes(_Composed):
    """`count` scenes of SIZE x SIZE pixels with up to seven digits, overlapping and slanted, amid clutter and noise.

    `digits` are those that occur; the others are in no picture. Number `index` depends on `seed`, `split` and `index`
    alone. Classes are the digits, "0" to "9". Raises DatasetError without scikit-learn.
    """

    kind = "digits"

    def sample(self, index: int) -> Sample:
        """Scene number `index`: uint8 [SIZE, SIZE, 3], BGR."""
        random = _random(self.seed, self.split, index, 0)
        scene, corners, classes = self._scene(self._samples, random)
        labels = Labels.from_corners(corners, (SIZE, SIZE), classes)
        return Sample(f"{self.split}-{self.seed}-{index:05d}", _noisy(scene, random), labels)

    def _scene(
        self, samples: Sequence[tuple[Doubles, int]], random: np.random.RandomState
    ) -> tuple[Doubles, list[tuple[int, int, int, int]], list[int]]:
        """A scene [SIZE, SIZE, 3], 0..255, with some of `samples`; their boxes, left, top, right and bottom in pixels;
        and which digits they are."""
        scene = _background(random, SIZE)
        corners: list[tuple[int, int, int, int]] = []
        classes: list[int] = []
        for _ in range(random.randint(1, _MOST_DIGITS + 1)):
            image, digit = samples[random.randint(len(samples))]
            ink = _slanted(image, _height(random), random, self.warped)
            place = _free_place(ink.shape, corners, random)
            if place is not None:
                corners.append(_paint(scene, ink, place, random))
                classes.append(digit)
        return scene, corners, classes


class DigitGroups(DigitScenes):
    """`count` scenes in which every digit is the same one, as others wrote it, with a label of the whole picture and no
    box. Otherwise as `DigitScenes`: digits are as crowded, which those of `DigitPictures` never are."""

    kind = "digit-groups"

    def sample(self, index: int) -> Sample:
        """Scene number `index`: uint8 [SIZE, SIZE, 3], BGR."""
        random = _random(self.seed, self.split, index, 2)
        digit = self._samples[random.randint(len(self._samples))][1]
        scene, _, _ = self._scene(_samples(self.split, (digit,)), random)
        return Sample(f"{self.split}-group-{self.seed}-{index:05d}", _noisy(scene, random), Labels.whole_picture(digit))


class DigitPictures(_Composed):
    """`count` pictures of one digit each, somewhere amid clutter, with a label of the whole picture and no box.

    They are of 96 to 192 pixels a side, their digits as large as those of scenes. Otherwise as `DigitScenes`.
    """

    kind = "digit-pictures"

    def sample(self, index: int) -> Sample:
        """Picture number `index`: uint8 [S, S, 3], BGR."""
        random = _random(self.seed, self.split, index, 1)
        height = _height(random)
        size = self._size(height, random)
        scene = _background(random, size)
        image, digit = self._samples[random.randint(len(self._samples))]
        ink = _slanted(image, min(height, size * 9 // 10), random, self.warped)[:size, :size]
        top, left = (random.randint(0, size - side + 1) for side in ink.shape)
        _paint(scene, ink, (top, left), random)
        return Sample(
            f"{self.split}-picture-{self.seed}-{index:05d}", _noisy(scene, random), Labels.whole_picture(digit)
        )

    def _size(self, height: int, random: np.random.RandomState) -> int:
        """Pixels of the sides of a picture with a digit of this height."""
        return random.randint(SIZE // 2, SIZE + 1)


class DigitCrops(DigitPictures):
    """Pictures that their digit fills to half or more: what a classifier starts with. Otherwise as `DigitPictures`."""

    kind = "digit-crops"

    def _size(self, height: int, random: np.random.RandomState) -> int:
        return max(height * random.randint(11, 21) // 10, 24)


_KINDS: dict[str, type[DigitScenes | DigitPictures]] = {
    made.kind: made for made in (DigitScenes, DigitGroups, DigitPictures, DigitCrops)
}


def is_digits(source: str | Path) -> bool:
    """Whether this names one of the data sets made here, and no file."""
    return str(source).partition(":")[0].removeprefix(WARPED) in _KINDS and not os.path.lexists(source)


def open_digits(source: str, split: str | None = None) -> DigitScenes | DigitPictures:
    """`digits` (scenes with boxes), `digit-groups`, `digit-pictures` or `digit-crops` (labels of the whole picture);
    `digits:01234` has these only; `warped-digits` and its like have more shapes than were written.

    Raises DatasetError.
    """
    kind, colon, wanted = source.partition(":")
    if colon and not re.fullmatch("[0-9]+", wanted):
        raise DatasetError(f"{kind}: expected which digits, such as {kind}:01234, found {shown(wanted)}")
    held_out = "test" if split in ("valid", "val", "validation") else split
    chosen: Split = "test" if pick_split(held_out, ("train", "test"), ("train",), kind) == "test" else "train"
    made = _KINDS[kind.removeprefix(WARPED)]
    some = sorted({int(digit) for digit in wanted}) if wanted else range(10)
    return made(chosen, digits=some, warped=kind.startswith(WARPED))


def _title(kind: str, split: str, digits: Sequence[int]) -> str:
    """The title, spelled as `open_digits` takes it."""
    wanted = "" if set(digits) == set(range(10)) else ":" + "".join(map(str, digits))
    return f"{kind}{wanted} ({split})"


# ------------------------------------------------------------------------------------------------------ ink


@cache
def _samples(split: str, digits: tuple[int, ...]) -> tuple[tuple[Doubles, int], ...]:
    """The handwritten digits of a split, brightness 0..1 [8, 8], and which they are."""
    if split not in _SPLITS:
        raise DatasetError(f"digits: expected the split train or test, found '{split}'")
    try:
        from sklearn.datasets import load_digits  # type: ignore[import-untyped]
    except ModuleNotFoundError:
        raise DatasetError("digits: scikit-learn is not installed: pip install 'darknet-compat[digits]'") from None
    data = load_digits()
    part = slice(None, _FIRST_OF_TEST) if split == "train" else slice(_FIRST_OF_TEST, None)
    found = tuple(
        (image / 16, int(digit))
        for image, digit in zip(data.images[part], data.target[part], strict=True)
        if digit in digits
    )
    if not found:
        raise DatasetError(f"digits: expected some of 0 to 9, found {list(digits)}")
    return found


def _random(seed: int, split: str, index: int, kind: int) -> np.random.RandomState:
    """Random numbers that belong to one picture."""
    return np.random.RandomState([seed, _SPLITS[split], index, kind])


def _height(random: np.random.RandomState) -> int:
    """Small ones are more frequent: the side is spread evenly over its reciprocal."""
    return round(1 / (1 / LARGEST + random.random_sample() * (1 / SMALLEST - 1 / LARGEST)))


def _slanted(image: Doubles, height: int, random: np.random.RandomState, warped: bool) -> Doubles:
    """How far ink covers each pixel, 0..1, tight around it; `height` pixels high before slanting and trimming."""
    aspect, shear, tilt = random.random_sample(3) * [0.5, 0.6, 0.3] + [0.75, -0.3, -0.15]
    width = max(int(height * aspect), 6)
    high, wide = height + int(abs(tilt) * width) + 2, width + int(abs(shear) * height) + 2
    y = (np.arange(high)[:, None] + 0.5 - high / 2) / height
    x = (np.arange(wide)[None, :] + 0.5 - wide / 2) / width
    x, y = x + shear * y * height / width, y + tilt * x * width / height
    padded, (low, full) = np.pad(image, 2), _INK
    value = _warped(padded, y, x, random) if warped else _bilinear(padded, y * 8 + 5.5, x * 8 + 5.5)
    cover = np.clip((value - low) / (full - low), 0, 1)
    inked = cover > 0.5
    rows, columns = np.flatnonzero(inked.any(1)), np.flatnonzero(inked.any(0))
    return cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _warped(image: Doubles, y: Doubles, x: Doubles, random: np.random.RandomState) -> Doubles:
    """Brightness at places given in parts of the digit from its middle, each pulled aside a little; thicker or thinner,
    though never so thin that nothing is left."""
    pull = (2 * random.random_sample((2, 4, 4)) - 1) * _PULL
    thicker = (2 * random.random_sample() - 1) * _THICKER
    down, right = (_bilinear(of, y * 3 + 1.5, x * 3 + 1.5) for of in pull)
    value = _bilinear(image, y * 8 + 5.5 + down, x * 8 + 5.5 + right)
    return value + max(thicker, _INK[1] - float(value.max()))


def _bilinear(image: Doubles, y: Array, x: Array) -> Doubles:
    """Brightness at places given in pixels, centres at integers; 0 outside."""
    y, x = np.clip(y, 0, image.shape[0] - 1.001), np.clip(x, 0, image.shape[1] - 1.001)
    top, left = y.astype(np.int64), x.astype(np.int64)
    down, right = y - top, x - left
    above = image[top, left] * (1 - right) + image[top, left + 1] * right
    below = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    return above * (1 - down) + below * down


def _free_place(
    shape: tuple[int, ...], others: list[tuple[int, int, int, int]], random: np.random.RandomState
) -> tuple[int, int] | None:
    """Where a digit of `shape` hides little of the others and is little hidden; top and left, or None."""
    high, wide = shape
    if high > SIZE or wide > SIZE:
        return None
    for _ in range(10):
        top, left = random.randint(0, SIZE - high + 1), random.randint(0, SIZE - wide + 1)
        if all(_shared((left, top, left + wide, top + high), other) <= _MOST_OVERLAP for other in others):
            return top, left
    return None


def _shared(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> float:
    """The part of the smaller box that lies in the other."""
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    smaller = min((box[2] - box[0]) * (box[3] - box[1]) for box in (a, b))
    return max(width, 0) * max(height, 0) / smaller


# ---------------------------------------------------------------------------------------------------- scenes


def _background(random: np.random.RandomState, size: int) -> Doubles:
    """Soft colours with clutter on them, [size, size, 3], 0..255."""
    coarse = random.random_sample((4, 4, 3)) * random.randint(20, 120) + random.random_sample(3) * 135
    at = np.arange(size) * (3 / size)
    first = at.astype(np.int64)
    rest = (at - first)[:, None]
    across = coarse[:, first] * (1 - rest) + coarse[:, first + 1] * rest  # a grid: one direction after the other
    rest = rest[:, None]
    scene: Doubles = across[first] * (1 - rest) + across[first + 1] * rest
    for _ in range(random.randint(0, 6)):
        _CLUTTER[random.randint(len(_CLUTTER))](scene, random)
    return scene


def _bar(scene: Doubles, random: np.random.RandomState) -> None:
    """A stripe right across, level or upright, which no digit is."""
    size, thick = len(scene), random.randint(1, 6)
    at, colour, blend = random.randint(size), random.random_sample(3) * 255, 0.3 + 0.6 * random.random_sample()
    part = scene[at : at + thick] if random.randint(2) else scene[:, at : at + thick]
    part += blend * (colour - part)


def _patch(scene: Doubles, random: np.random.RandomState) -> None:
    """A filled rectangle."""
    size = len(scene)
    top, left = random.randint(0, size, 2)
    high, wide = random.randint(4, size // 3, 2)
    colour, blend = random.random_sample(3) * 255, 0.2 + 0.6 * random.random_sample()
    part = scene[top : top + high, left : left + wide]
    part += blend * (colour - part)


def _disc(scene: Doubles, random: np.random.RandomState) -> None:
    """A filled circle."""
    size = len(scene)
    y, x, radius = *random.randint(0, size, 2), random.randint(2, size // 8)
    top, left = max(y - radius, 0), max(x - radius, 0)
    part = scene[top : y + radius + 1, left : x + radius + 1]
    rows = (np.arange(top, top + part.shape[0]) - y)[:, None]
    columns = (np.arange(left, left + part.shape[1]) - x)[None, :]
    inside = (rows * rows + columns * columns <= radius * radius)[..., None]
    colour, blend = random.random_sample(3) * 255, 0.3 + 0.6 * random.random_sample()
    part += inside * blend * (colour - part)


_CLUTTER: tuple[Any, ...] = (_bar, _patch, _disc)


def _paint(
    scene: Doubles, ink: Doubles, place: tuple[int, int], random: np.random.RandomState
) -> tuple[int, int, int, int]:
    """Put ink on the scene, in a colour that stands out from what lies under it; the box it fills, x1 y1 x2 y2."""
    top, left = place
    high, wide = ink.shape
    part = scene[top : top + high, left : left + wide]
    under = part.reshape(-1, 3).sum(0) / (high * wide)
    colour = random.random_sample(3) * 255
    while abs((colour - under).sum()) < 3 * _LEAST_CONTRAST:
        colour = random.random_sample(3) * 255
    part += ink[..., None] * (colour - part)
    return left, top, left + wide, top + high


def _noisy(scene: Doubles, random: np.random.RandomState) -> Bytes:
    """The scene as bytes, with noise of up to 20 grey levels."""
    levels = random.random_sample() * 20 / 128 * (np.arange(256) - 127.5)
    scene += levels[np.frombuffer(random.bytes(scene.size), np.uint8).reshape(scene.shape)]
    return np.clip(np.rint(scene, out=scene), 0, 255, out=scene).astype(np.uint8)
