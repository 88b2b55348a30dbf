"""Detections drawn into a picture, and pictures written to files."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from darknet_compat.errors import ImageError
from darknet_compat.formats.arrays import Bytes, Doubles
from darknet_compat.formats.atomic import atomic_write
from darknet_compat.vision.opencv import opencv

Colour = tuple[int, int, int]

BLACK: Colour = (0, 0, 0)
WHITE: Colour = (255, 255, 255)

CAPITAL = 21
"""Height of a capital letter of OpenCV's Hershey fonts at scale 1, in pixels."""
FINER = 4
"""Text is drawn this many times larger and reduced, which keeps small letters legible."""

_LETTERS = str.maketrans(
    {"ß": "ss", "æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D"}
    | {"ð": "d", "þ": "th", "ı": "i", "‘": "'", "’": "'", "“": '"', "”": '"', "–": "-", "—": "-", "…": "..."}
)


@dataclass(frozen=True)
class _Rectangle:
    """Whole pixels: left and top inside, right and bottom just outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def pixels(self) -> tuple[slice, slice]:
        """The part of a picture [H, W, C] that it covers."""
        return slice(self.top, self.bottom), slice(self.left, self.right)


def draw(
    image: Bytes,
    boxes: NDArray[np.floating],
    labels: Sequence[str],
    scores: Iterable[float] | None,
    class_ids: Iterable[int],
    *,
    colours: Iterable[Colour] | None = None,
    copy: bool = True,
) -> Bytes:
    """A copy of the picture (or without `copy` itself), uint8 [H, W, 3] in RGB, with boxes [N, 4], x1 y1 x2 y2 in its
    pixels, and their labels.

    Line and letters follow the picture's size, a class always has the same colour (or each box that of `colours`), and
    the best-scored is on top; without scores, as in what people have labelled, the smallest.
    Labels stay inside the picture and, where there is room, clear of each other; one that is too long ends in `...`
    before the score. OpenCV's fonts know ASCII only: see `ascii_name` for the others. Boxes that are not finite or
    lie outside the picture are left out (original: `draw_detections`). Raises ImageError for another kind of array.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ImageError(f"expected a picture, uint8 [height, width, 3], and found {image.dtype} {list(image.shape)}")
    canvas = np.array(image, order="C") if copy else np.ascontiguousarray(image)
    height, width = canvas.shape[:2]
    half = round(sqrt(width * height) / 380)  # lines are 2 * half + 1 pixels wide
    letter = max(6.5, sqrt(width * height) / 48)
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    rated = [-(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in boxes] if scores is None else list(scores)
    endings = [""] * len(boxes) if scores is None else [f" {score:.0%}" for score in rated]
    class_ids = list(class_ids)
    shades = [class_colour(class_id) for class_id in class_ids] if colours is None else list(colours)
    names = [ascii_name(name, class_id) for name, class_id in zip(labels, class_ids, strict=True)]
    found = sorted(zip(rated, boxes, names, endings, shades, strict=True), key=lambda item: -item[0])
    visible = []
    for _, box, name, ending, colour in found:
        rectangle = _inside(box, width, height, half)
        if rectangle:
            visible.append((rectangle, name, ending, colour))
    for rectangle, _, _, colour in reversed(visible):
        _frame(canvas, rectangle, half, colour)
    taken = np.zeros((height, width), np.uint16)  # how many labels lie on each pixel
    labelled = []
    for rectangle, name, ending, colour in visible:
        room = min(width, max(rectangle.right - rectangle.left, round(32 * letter)))
        text = _fitting(name, ending, letter, room)
        mask = _letters(text, letter)
        place = _free_place(rectangle, mask.shape[1], mask.shape[0], half, taken)
        taken[place.pixels] += 1
        labelled.append((mask, place, colour))
    for mask, place, colour in reversed(labelled):
        part = canvas[place.pixels]
        share = mask[: part.shape[0], : part.shape[1], None].astype(np.float32) / 255
        ink = np.array(_ink(colour), np.float32)
        part[:] = np.rint(np.array(colour, np.float32) * (1 - share) + ink * share)
    return canvas


@lru_cache(maxsize=256)
def class_colour(class_id: int) -> Colour:
    """A class's colour, RGB: always the same, and far from those of its neighbours."""
    # Steps found by search: in CIELAB the first 10 classes differ by 22 or more, the first 80 by 8, and of
    # YOLO9000's 9418 no two have the same colour.
    hue, saturation, value = ((class_id * step) % 1 for step in (0.68158468, 0.42067742, 0.14885216))
    cv2 = opencv()
    hsv = np.array([[[360 * hue, 0.5 + 0.5 * ((saturation + 0.5) % 1), 0.55 + 0.45 * ((value + 0.5) % 1)]]], np.float32)
    red, green, blue = np.rint(255 * cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0]).astype(int).tolist()
    return red, green, blue


def ascii_name(name: str, class_id: int) -> str:
    """The name in ASCII and on one line: `Spürhund` is Spurhund, `Ærø` AEro, and 狗, class 16, is `class 16`.

    Letters lose their accents; where some of a name's letters have no counterpart they become `?`, and where all of
    them, the class's number stands for the name.
    """
    spread = unicodedata.normalize("NFKD", " ".join(name.split()).translate(_LETTERS))
    text = "".join(c if " " <= c <= "~" else "?" for c in spread if not unicodedata.combining(c))
    return text if any(c.isalnum() for c in text) else f"class {class_id}"


def save(image: Bytes, path: str | Path) -> None:
    """Write a picture, uint8 [H, W, 3] in RGB, in the format that the path's suffix names; whole or not at all.

    Raises ImageError for a suffix that OpenCV does not write, and where the file cannot be written.
    """
    cv2 = opencv()
    suffix = Path(path).suffix
    if not suffix or not cv2.haveImageWriter(f"picture{suffix}"):
        raise ImageError(f"{path}: no picture format is called '{suffix}': use .jpg, .png, .bmp, .webp or .tif")
    written, data = cv2.imencode(suffix, cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2BGR))
    if not written:
        raise ImageError(f"{path}: OpenCV cannot write {image.shape[1]}x{image.shape[0]} pixels as {suffix}")
    with atomic_write(path, ImageError) as file:
        file.write(data.tobytes())


def _inside(box: Doubles, width: int, height: int, half: int) -> _Rectangle | None:
    """The box in whole pixels, moved in so far that its line is seen; None where there is nothing to see."""
    x1, y1, x2, y2 = box.tolist()
    if not (np.isfinite(box).all() and x1 < width and y1 < height and x2 >= 0 and y2 >= 0 and x1 <= x2 and y1 <= y2):
        return None
    xs = [min(max(round(x), half), max(width - 1 - half, 0)) for x in (x1, x2)]
    ys = [min(max(round(y), half), max(height - 1 - half, 0)) for y in (y1, y2)]
    return _Rectangle(xs[0], ys[0], xs[1], ys[1])


def _frame(canvas: Bytes, box: _Rectangle, half: int, colour: Colour) -> None:
    cv2 = opencv()
    corners = (box.left, box.top), (box.right, box.bottom)
    # OpenCV draws a line of even thickness one pixel wider, and one of 3 as one of 4.
    if half:  # an edge that stands out where the line's colour is the background's
        cv2.rectangle(canvas, *corners, _ink(colour), 2 * half + 2)
    cv2.rectangle(canvas, *corners, colour, max(1, 2 * half))


@lru_cache(maxsize=256)
def _ink(colour: Colour) -> Colour:
    """Black or white, whichever contrasts more with the colour (WCAG 2's relative luminance)."""
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in (c / 255 for c in colour)]
    return BLACK if np.dot(linear, (0.2126, 0.7152, 0.0722)) > 0.179 else WHITE


def _font(letter: float) -> tuple[int, float, int]:
    """OpenCV's font, scale and thickness for capitals `letter` pixels high, at the finer size."""
    return opencv().FONT_HERSHEY_SIMPLEX, letter * FINER / CAPITAL, max(1, round(letter * FINER / 7.5))


@lru_cache(maxsize=256)
def _letters(text: str, letter: float) -> Bytes:
    """How much of each pixel of the label is ink, uint8 [height, width]. Kept, since a video's labels come again."""
    cv2 = opencv()
    font, scale, thick = _font(letter)
    (width, _), below = cv2.getTextSize(text, font, scale, thick)
    pad = round(letter * 0.35)
    columns = -(-width // FINER) + 2 * pad
    rows = -(-round(letter * FINER + below * 0.8) // FINER) + 2 * pad
    mask = np.zeros((rows * FINER, columns * FINER), np.uint8)
    origin = (pad * FINER, pad * FINER + round(letter * FINER))
    cv2.putText(mask, text, origin, font, scale, 255, thick, cv2.LINE_AA)
    small: Bytes = cv2.resize(mask, (columns, rows), interpolation=cv2.INTER_AREA)
    small.flags.writeable = False
    return small


def _fitting(name: str, ending: str, letter: float, width: int) -> str:
    """Name and ending, the name shortened until a label of this width holds both."""
    cv2 = opencv()
    font, scale, thick = _font(letter)
    room = (width - 2 * round(letter * 0.35)) * FINER

    def fits(text: str) -> bool:
        return bool(cv2.getTextSize(text, font, scale, thick)[0][0] <= room)

    if fits(name + ending):
        return name + ending
    for length in range(len(name) - 1, 0, -1):
        text = name[:length].rstrip() + "..." + ending
        if fits(text):
            return text
    return ending.strip()


def _free_place(box: _Rectangle, wide: int, high: int, half: int, taken: NDArray[np.uint16]) -> _Rectangle:
    """Where a label goes: above its box if nothing is there, else inside it, below it, or further along its side; below
    first where it would hide more than a third of what is in the box.

    `taken` [H, W] counts the labels on each pixel of the picture: looking there costs the same however many there are.
    """
    height, width = taken.shape
    outer = half + (half > 0)  # the frame reaches this far out
    left, right = box.left - outer, box.right + outer + 1 - wide
    above, below = box.top - outer - high, box.bottom + outer + 1
    inside = [(left, box.top), (left, box.bottom - high + 1)]
    places = [(left, above), inside[0], (left, below), inside[1]]
    if 3 * high > box.bottom - box.top:
        places = [(left, above), (left, below), *inside]
    places += [(right, y) for _, y in places]
    for step in range(1, 9):
        places += [(left, box.top + step * high), (left, above - step * high)]
    best, least = _Rectangle(0, 0, wide, high), None
    for x, y in places:
        if y + high > height or y < 0:
            continue
        x = min(max(x, 0), max(width - wide, 0))
        place = _Rectangle(x, y, x + wide, y + high)
        covered = int(taken[place.pixels].sum())
        if least is None or covered < least:
            best, least = place, covered
        if not covered:
            break
    return best
