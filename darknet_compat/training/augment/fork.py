"""Training pictures as the fork's loaders make them with OpenCV (AlexeyAB/darknet 59596d78, `load_data_detection`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from darknet_compat.datasets.base import Labels
from darknet_compat.formats.arrays import Bools, Bytes, Floats
from darknet_compat.training.augment.boxes import PictureTruths, shuffled
from darknet_compat.training.augment.draws import Another, Colours, Draws
from darknet_compat.vision.opencv import opencv

_HUES = 179
_KERNEL = 17
"""The side of the Gaussian that `blur=1` blurs with."""


class Borders(NamedTuple):
    """What is cut off a picture's sides, in its pixels; below 0 what is added."""

    left: int
    right: int
    top: int
    bottom: int

    def letterboxed(self, width: int, height: int, aspect: float) -> Borders:
        """As much wider or higher as a picture of this size needs for the network's `aspect`, width / height."""
        if width / height > aspect:
            more = int((width / aspect - height) / 2)
            return self._replace(top=self.top - more, bottom=self.bottom - more)
        more = int((height * aspect - width) / 2)
        return self._replace(left=self.left - more, right=self.right - more)

    def towards(self, quadrant: int) -> Borders:
        """Moved so that nothing is added on the two sides that a quadrant of a mosaic (0 top left, 1 top right, 2
        bottom left, 3 bottom right) shows."""
        left, right, top, bottom = self
        if quadrant in (0, 2):
            left, right = (left + min(right, 0), max(right, 0))
        else:
            left, right = (max(left, 0), right + min(left, 0))
        if quadrant in (0, 1):
            top, bottom = (top + min(bottom, 0), max(bottom, 0))
        else:
            top, bottom = (max(top, 0), bottom + min(top, 0))
        return Borders(left, right, top, bottom)


class Shown(NamedTuple):
    """A picture on the network's input, uint8 [H, W, 3]; its boxes [N, 4], centre fractions, and classes; and how many
    pixels of the input were added on its left, right, top and bottom."""

    pixels: Bytes
    truths: PictureTruths
    added: Borders


@dataclass(frozen=True)
class ForkRecipe:
    """Pictures for detectors of the fork's dialect.

    Each side is cut or extended by up to `jitter` of the picture's, and with `resize` r all of it by 1/r to r (below 1
    it is only enlarged). What is added has the picture's mean colour. `mosaic`: one time of two four pictures meet at a
    point; `mixup`: one time of two another picture is laid over it. `blur` and `noise` are [net]'s blur and
    gaussian_noise; `bound` is mosaic_bound.
    """

    jitter: float
    resize: float
    colours: Colours
    flip: bool
    max_boxes: int
    letter_box: bool = False
    mosaic: bool = False
    bound: bool = False
    mixup: bool = False
    blur: int = 0
    noise: int = 0

    def __call__(self, picture: Bytes, labels: Labels, out: Floats, draws: Draws, another: Another) -> PictureTruths:
        """Fill `out`, float32 [3, H, W], with what comes of the picture, uint8 [H, W, 3], RGB both; tell what it
        shows then."""
        _, height, width = out.shape
        if self.mosaic and draws.coin():
            return self._mosaic([(picture, labels), another(), another(), another()], out, draws)
        shown = self._shown(picture, labels, width, height, draws)
        truths = shown.truths
        _planes(shown.pixels, out)
        if self.mixup and draws.coin():
            other = self._shown(*another(), width, height, draws)
            under = np.empty_like(out)
            _planes(other.pixels, under)
            out[:] = (out + under) / 2
            truths = _together([truths, other.truths])
        return PictureTruths(truths.boxes[: self.max_boxes], truths.classes[: self.max_boxes])

    def _mosaic(self, parts: list[tuple[Bytes, Labels]], out: Floats, draws: Draws) -> PictureTruths:
        """Four pictures that meet between 20 and 80 % of each side."""
        _, height, width = out.shape
        cut_x = draws.between(int(0.2 * width), int(0.8 * width))
        cut_y = draws.between(int(0.2 * height), int(0.8 * height))
        found = []
        for quadrant, (picture, labels) in enumerate(parts):
            shown = self._shown(picture, labels, width, height, draws, quadrant)
            x, to_x = _window(quadrant % 2 == 0, cut_x, width, shown.added.left, shown.added.right)
            y, to_y = _window(quadrant < 2, cut_y, height, shown.added.top, shown.added.bottom)
            part = shown.pixels[y.start - to_y : y.stop - to_y, x.start - to_x : x.stop - to_x]
            _planes(part, out[:, y, x])
            bounds = (x, y) if self.bound else (slice(0, width), slice(0, height))
            found.append(_moved(shown.truths, to_x, to_y, (width, height), bounds))
        truths = _together(found)
        return PictureTruths(truths.boxes[: self.max_boxes], truths.classes[: self.max_boxes])

    def _shown(
        self, picture: Bytes, labels: Labels, width: int, height: int, draws: Draws, quadrant: int | None = None
    ) -> Shown:
        """One picture, cut or extended, stretched to the input, with other colours, mirrored and blurred."""
        rows, columns = picture.shape[:2]
        borders = self._borders(columns, rows, draws)
        if self.letter_box:
            borders = borders.letterboxed(columns, rows, width / height)
        if quadrant is not None and draws.coin():
            borders = borders.towards(quadrant)
        flip = draws.coin() if self.flip else False
        pixels = _resized(picture, borders, width, height)
        truths = self._truths(labels, borders, columns, rows, width, height, flip, draws)
        if flip:
            pixels = np.ascontiguousarray(pixels[:, ::-1])
            borders = borders._replace(left=borders.right, right=borders.left)
        pixels = self._coloured(pixels, draws)
        pixels = self._blurred(pixels, truths, draws)
        if self.noise and draws.coin():
            pixels = _noisy(pixels, self.noise, draws)
        across, down = width / columns, height / rows
        added = Borders(
            *(max(int(-side * scale), 0) for side, scale in zip(borders, (across, across, down, down), strict=True))
        )
        return Shown(pixels, truths, added)

    def _borders(self, width: int, height: int, draws: Draws) -> Borders:
        """Each side by its own chance, `jitter` of the picture; left and right enlarged by one more, as top and bottom
        are by the same two numbers."""
        sides = [draws.uniform(-self.jitter, self.jitter) for _ in range(4)]
        most, least = min(self.resize, 1 / self.resize), max(self.resize, 1 / self.resize)
        low, high = (1 - 1 / most) / 2, (1 - 1 / least) / 2 if self.resize >= 1 else 0.0
        if self.resize != 1:
            first, second = draws.uniform(low, high), draws.uniform(low, high)
            sides = [sides[0] + first, sides[1] + second, sides[2] + first, sides[3] + second]
        lengths = (width, width, height, height)
        left, right, top, bottom = (int(side * length) for side, length in zip(sides, lengths, strict=True))
        # Something has to be left of the picture, whatever the options say.
        right, bottom = min(right, width - left - 1), min(bottom, height - top - 1)
        return Borders(left, right, top, bottom)

    def _truths(
        self,
        labels: Labels,
        borders: Borders,
        columns: int,
        rows: int,
        width: int,
        height: int,
        flip: bool,
        draws: Draws,
    ) -> PictureTruths:
        """Boxes that follow, in random order; those below a pixel of the input and those outside are dropped."""
        order = shuffled(len(labels), draws)
        x, y, w, h = labels.boxes[order].astype(np.float32).T.reshape(4, -1)
        new_w = columns - borders.left - borders.right
        new_h = rows - borders.top - borders.bottom
        x, w = (x * columns - borders.left) / new_w, w * columns / new_w
        y, h = (y * rows - borders.top) / new_h, h * rows / new_h
        if flip:
            x = 1 - x
        boxes, kept = _clipped(np.stack([x, y, w, h], 1), (0.0, 0.0, 1.0, 1.0), (1 / width, 1 / height))
        return PictureTruths(boxes[kept], labels.classes[order][kept])

    def _coloured(self, pixels: Bytes, draws: Draws) -> Bytes:
        """Saturation and brightness times a factor, hue moved, in OpenCV's 8-bit HSV."""
        hue, saturation, exposure = self.colours.draw(draws)
        if hue == 0 and saturation == 1 and exposure == 1:
            return pixels
        cv2 = opencv()
        h, s, v = cv2.split(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV))
        # Saturated at 0 and 255, not turned around: so the fork has it.
        h = cv2.add(h, _HUES * hue)
        s, v = cv2.multiply(s, saturation), cv2.multiply(v, exposure)
        coloured: Bytes = cv2.cvtColor(cv2.merge([h, s, v]), cv2.COLOR_HSV2RGB)
        return coloured

    def _blurred(self, pixels: Bytes, truths: PictureTruths, draws: Draws) -> Bytes:
        """One time of three not at all, one time all but the boxes, one time by the option's own size."""
        if not self.blur:
            return pixels
        way = draws.below(3)
        if way == 0 or (way == 2 and self.blur <= 1):
            return pixels
        side = _KERNEL if way == 1 or self.blur <= 1 else self.blur // 2 * 2 + 1
        cv2 = opencv()
        blurred: Bytes = cv2.GaussianBlur(pixels, (side, side), 0)
        if way == 1:
            height, width = pixels.shape[:2]
            for x, y, w, h in truths.boxes:
                rows = slice(max(int((y - h / 2) * height), 0), max(int((y + h / 2) * height), 0))
                columns = slice(max(int((x - w / 2) * width), 0), max(int((x + w / 2) * width), 0))
                blurred[rows, columns] = pixels[rows, columns]
        return blurred


def _window(before: bool, cut: int, side: int, added_before: int, added_after: int) -> tuple[slice, int]:
    """Where on an axis a quadrant lies, before or after the cut, and by how much its picture is moved there: so that
    the cut meets what is the picture, not what was added to it, as far as that goes."""
    if before:
        shift = min(side - cut, max(0, added_after))
        return slice(0, cut), -(side - cut - shift)
    shift = min(cut, max(0, added_before))
    return slice(cut, side), cut - shift


def _moved(
    truths: PictureTruths, dx: int, dy: int, size: tuple[int, int], bounds: tuple[slice, slice]
) -> PictureTruths:
    """Boxes moved by whole pixels of an input of `size` (width, height) and clipped at bounds in pixels."""
    width, height = size
    boxes = truths.boxes + np.array([dx / width, dy / height, 0, 0], np.float32)
    x, y = bounds
    limits = (x.start / width, y.start / height, x.stop / width, y.stop / height)
    boxes, kept = _clipped(boxes, limits, (1 / width, 1 / height))
    return PictureTruths(boxes[kept], truths.classes[kept])


def _clipped(
    boxes: Floats, limits: tuple[float, float, float, float], least: tuple[float, float]
) -> tuple[Floats, Bools]:
    """Boxes [N, 4] cut to `limits` left, top, right, bottom; and which are left, `least` wide and high."""
    x, y, w, h = boxes.T.reshape(4, -1)
    left, right = np.clip(x - w / 2, limits[0], limits[2]), np.clip(x + w / 2, limits[0], limits[2])
    top, bottom = np.clip(y - h / 2, limits[1], limits[3]), np.clip(y + h / 2, limits[1], limits[3])
    cut = np.stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], 1).astype(np.float32)
    # A little less than a pixel counts as one: sides are differences of fractions.
    kept = (cut[:, 2] >= least[0] * (1 - 1e-6)) & (cut[:, 3] >= least[1] * (1 - 1e-6))
    return cut, kept


def _together(parts: list[PictureTruths]) -> PictureTruths:
    return PictureTruths(
        np.concatenate([part.boxes for part in parts]), np.concatenate([part.classes for part in parts])
    )


def _resized(picture: Bytes, borders: Borders, width: int, height: int) -> Bytes:
    """The part within the borders, stretched to the input by OpenCV; what lies outside is the picture's mean."""
    cv2 = opencv()
    rows, columns = picture.shape[:2]
    left, top = borders.left, borders.top
    new_w, new_h = columns - left - borders.right, rows - top - borders.bottom
    inside = picture[max(top, 0) : max(top + new_h, 0), max(left, 0) : max(left + new_w, 0)]
    if inside.shape[:2] != (new_h, new_w):
        mean = cv2.mean(picture)[:3]
        x, y = max(-left, 0), max(-top, 0)
        below, beside = new_h - y - inside.shape[0], new_w - x - inside.shape[1]
        inside = cv2.copyMakeBorder(inside, y, below, x, beside, cv2.BORDER_CONSTANT, value=mean)
    resized: Bytes = cv2.resize(inside, (width, height), interpolation=cv2.INTER_LINEAR)
    return resized


def _noisy(pixels: Bytes, deviation: int, draws: Draws) -> Bytes:
    noise = draws.normal(pixels.shape, min(deviation, 127))
    noisy: Bytes = np.clip(pixels + noise, 0, 255).astype(np.uint8)
    return noisy


def _planes(pixels: Bytes, out: Floats) -> None:
    """uint8 [H, W, 3] → float32 [3, H, W], 0..1."""
    out[:] = pixels.transpose(2, 0, 1)
    out *= np.float32(1 / 255)
