from __future__ import annotations

import numpy as np
import torch

from darknet_compat.training.batches.batch import Batch
from darknet_compat.training.batches.contact_sheet import contact_sheet
from darknet_compat.training.batches.truth import Truth
from darknet_compat.vision.draw import class_colour

SKY = (0.25, 0.5, 0.75)


def batch(count: int, channels: int, height: int, width: int) -> Batch:
    images = torch.tensor(SKY[:channels]).reshape(1, channels, 1, 1).repeat(count, 1, height, width)
    boxes = torch.zeros(count, 2, 4)
    classes = torch.full((count, 2), -1)
    boxes[0, 0], classes[0, 0] = torch.tensor([0.5, 0.5, 0.5, 0.5]), 1
    classes[1, 0] = 7  # of the whole picture
    return Batch(images, Truth(boxes, classes), 0, ())


def test_pictures_stand_side_by_side_with_their_boxes() -> None:
    made = batch(5, 3, 60, 100)
    sheet = contact_sheet(made, ["a", "b"], most=4)
    assert (sheet.shape, sheet.dtype) == ((2 * 66 + 6, 2 * 106 + 6, 3), np.uint8)
    sky = [64, 128, 191]
    assert sheet[6 + 50, 6 + 2].tolist() == sky and sheet[6 + 30, 6 + 50].tolist() == sky
    assert sheet[6 + 45, 6 + 50].tolist() == list(class_colour(1))  # the box's lower edge
    assert sheet[0, 0].tolist() == [255, 255, 255]
    assert (sheet[6:66, 112:212] == class_colour(7)).all(axis=-1).any()  # whatever class has no name
    assert (sheet[72:132, 6:106] == sky).all()
    assert made.truth.boxes[1].sum() == 0  # the batch is as it was


def test_large_and_grey_pictures() -> None:
    assert contact_sheet(batch(2, 3, 640, 480), ["a", "b"]).shape == (332, 2 * 246 + 6, 3)
    sheet = contact_sheet(batch(2, 1, 20, 20), ["a", "b"])
    assert sheet[24, 7].tolist() == [64, 64, 64]
