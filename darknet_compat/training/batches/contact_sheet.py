"""What the network gets to see, for people: one picture of a batch's."""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil, sqrt

import numpy as np

from darknet_compat.formats.arrays import Bytes
from darknet_compat.training.batches.batch import Batch
from darknet_compat.vision.draw import draw
from darknet_compat.vision.opencv import opencv

_GAP = 6
_LARGEST = 320


def contact_sheet(batch: Batch, names: Sequence[str], most: int = 16) -> Bytes:
    """The batch's first `most` pictures side by side with their boxes, uint8 [H, W, 3], RGB.

    They are as the network gets them, but at most 320 pixels wide and high. A label of the whole picture has a box
    around all of it. Classes without a name go by their number.
    """
    count = min(len(batch.images), most)
    tiles = [_tile(batch, row, names) for row in range(count)]
    height, width = (side + _GAP for side in tiles[0].shape[:2])
    columns = ceil(sqrt(count))
    sheet = np.full((ceil(count / columns) * height + _GAP, columns * width + _GAP, 3), 255, np.uint8)
    for n, tile in enumerate(tiles):
        top, left = (place * step + _GAP for place, step in zip(divmod(n, columns), (height, width), strict=True))
        sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
    return sheet


def _tile(batch: Batch, row: int, names: Sequence[str]) -> Bytes:
    pixels = batch.images[row].float().cpu().numpy().transpose(1, 2, 0)
    pixels = np.rint(255 * pixels.clip(0, 1)).astype(np.uint8)
    pixels = np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)))
    height, width = pixels.shape[:2]
    shrunk = min(1.0, _LARGEST / max(height, width))
    if shrunk < 1:
        size = max(round(width * shrunk), 1), max(round(height * shrunk), 1)
        pixels = opencv().resize(pixels, size, interpolation=opencv().INTER_AREA)
        height, width = pixels.shape[:2]
    boxes, classes = batch.truth.boxes[row].cpu().numpy(), batch.truth.classes[row].cpu().numpy()
    there = classes >= 0
    boxes, classes = boxes[there], classes[there]
    boxes[~boxes.any(axis=1)] = 0.5, 0.5, 1, 1
    x, y, w, h = (boxes * [width, height, width, height]).T
    corners = np.stack([x - w / 2, y - h / 2, x + w / 2, y + h / 2], axis=1)
    shown = [names[class_id] if class_id < len(names) else str(class_id) for class_id in classes]
    if batch.truth.shares is not None:
        shares = batch.truth.shares[row].cpu().numpy()[there]
        shown = [", ".join(f"{name} {share:.0%}" for name, share in zip(shown, shares, strict=True))]
        corners, classes = corners[:1], classes[:1]
    return draw(pixels, corners, shown, None, classes.tolist())
