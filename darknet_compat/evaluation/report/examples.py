"""Pictures for reports: what was found in them, or what two models found, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from darknet_compat.errors import ImageError
from darknet_compat.evaluation.material.columns import Found, Truths, to_corners
from darknet_compat.evaluation.material.entries import Example
from darknet_compat.evaluation.scores.matching import outcome_best, rank
from darknet_compat.formats.arrays import Bools, Bytes
from darknet_compat.formats.page import Html, image, paragraph
from darknet_compat.inference.results import Detections
from darknet_compat.vision.draw import draw
from darknet_compat.vision.image import decode
from darknet_compat.vision.opencv import opencv

SHOWN = 0.25
"""The least score that is drawn."""
WIDEST = 560
"""Most pixels of a picture on the page; a small one is enlarged by a whole number, which leaves its labels room."""
RIGHT, WRONG, MISSED = (45, 138, 90), (192, 52, 52), (230, 140, 20)
"""Colours of detections that found an object, of others, and of objects that none found."""


@dataclass(frozen=True, eq=False)
class Verdicts:
    """Detections of all pictures, each right at IoU 0.5 or not, and the objects that none of them found; what counts
    neither way is in neither."""

    found: Found
    true: Bools
    missed: Truths

    @classmethod
    def of(cls, found: Found, truths: Truths) -> Verdicts:
        """Matched to the truth by VOC's rule."""
        neither = truths.difficult | truths.crowd
        ranked = rank(found)
        outcome = outcome_best(ranked, truths, 0.5, neither)
        missed = ~neither
        missed[outcome.truth[outcome.true]] = False
        return cls(ranked.found.rows(~outcome.ignored), outcome.true[~outcome.ignored], truths.rows(missed))


def judged(entry: Example, number: int, verdicts: Verdicts, names: Sequence[str]) -> Html:
    """The picture of entry `number` with its verdicts; a line instead where it cannot be read."""
    here, gone = verdicts.found.images == number, verdicts.missed.images == number
    found, true, missed = verdicts.found.rows(here), verdicts.true[here], verdicts.missed.rows(gone)
    caption = f"{entry.id}: {int(true.sum())} right, {int((~true).sum())} wrong, {len(missed)} missed"
    try:
        picture, scale = _fitted(entry.image)
    except ImageError as error:
        return paragraph(error)
    for table, scores, colours in (
        (missed, None, [MISSED] * len(missed)),
        (found, found.scores, [RIGHT if one else WRONG for one in true]),
    ):
        called = [names[number] for number in table.classes]
        corners = to_corners(table.boxes) * scale
        picture = draw(picture, corners, called, scores, table.classes.tolist(), colours=colours)
    return figure(picture, caption)


def drawn(source: Any, found: Detections | None, shown: float = SHOWN) -> Bytes:
    """A copy of the picture in the page's size, uint8 [H, W, 3] in RGB, with the detections above `shown`."""
    picture, scale = _fitted(source)
    if found is None or not len(found):
        return picture
    chosen = np.flatnonzero(found.scores > shown)
    names = [found.names[number] for number in chosen]
    return draw(picture, found.boxes[chosen] * scale, names, found.scores[chosen], found.class_ids[chosen])


def _fitted(source: Any) -> tuple[Bytes, float]:
    """A picture at most WIDEST pixels wide, a small one enlarged, and how many times as large as it was it is."""
    picture = decode(source)
    height, width = picture.shape[:2]
    scale = WIDEST / width if width > WIDEST else float(max(1, WIDEST // max(height, width)))
    if scale != 1:
        cv2 = opencv()
        size = (round(width * scale), max(1, round(height * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_NEAREST)
    return picture, scale


def figure(picture: Bytes, caption: str) -> Html:
    """A picture, uint8 [H, W, 3] in RGB, as part of a page."""
    cv2 = opencv()
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return image(data.tobytes(), caption, kind="jpeg", width=picture.shape[1])


def example(source: Any, found: Sequence[tuple[str, Detections | None]]) -> list[Html]:
    """The picture once for each of `found`, (caption, detections); a line instead where it cannot be read."""
    try:
        return [figure(drawn(source, one), caption) for caption, one in found]
    except ImageError as error:
        return [paragraph(error)]
