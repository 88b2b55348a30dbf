"""Pictures for reports: what was found in them, or what two models found, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darknet_compat.errors import ImageError
from darknet_compat.formats.page import Html, image, paragraph
from darknet_compat.inference.results import Detections
from darknet_compat.vision.draw import draw
from darknet_compat.vision.image import decode
from darknet_compat.vision.opencv import opencv

SHOWN = 0.25
"""The least score that is drawn."""
WIDEST = 460


def drawn(source: Any, found: Detections | None, shown: float = SHOWN) -> NDArray[np.uint8]:
    """A copy of the picture, made smaller, uint8 [H, W, 3] in RGB, with the detections above `shown`."""
    picture = decode(source)
    scale = min(1.0, WIDEST / picture.shape[1])
    if scale < 1:
        cv2 = opencv()
        size = (round(picture.shape[1] * scale), max(1, round(picture.shape[0] * scale)))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    if found is None or not len(found):
        return picture
    chosen = np.flatnonzero(found.scores > shown)
    names = [found.names[number] for number in chosen]
    return draw(picture, found.boxes[chosen] * scale, names, found.scores[chosen], found.class_ids[chosen])


def figure(picture: NDArray[np.uint8], caption: str) -> Html:
    """A picture, uint8 [H, W, 3] in RGB, as part of a page."""
    cv2 = opencv()
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 85])
    return image(data.tobytes(), caption, kind="jpeg", width=picture.shape[1])


def example(source: Any, caption: str, found: Sequence[Detections | None]) -> list[Html]:
    """The picture once for each of `found`; a line instead where it cannot be read."""
    try:
        return [figure(drawn(source, one), caption) for one in found]
    except ImageError as error:
        return [paragraph(error)]
