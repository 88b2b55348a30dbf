"""Truth: objects, labels of whole pictures, and padding."""

from __future__ import annotations

import numpy as np
import torch

from darknet_compat.training.augment.boxes import PictureTruths
from darknet_compat.training.batches.truth import Truth, stack


def test_images_are_padded_to_the_fullest() -> None:
    box = np.array([[0.5, 0.5, 0.2, 0.1]], np.float32)
    truth = stack(
        [
            PictureTruths(np.repeat(box, 3, 0), np.array([4, 5, 6])),
            PictureTruths(box[:0], np.array([], np.int64)),
            PictureTruths(box, np.array([7])),
        ]
    )
    assert truth.boxes.shape == (3, 3, 4)
    assert truth.boxes.dtype == torch.float32
    assert truth.classes.tolist() == [[4, 5, 6], [-1, -1, -1], [7, -1, -1]]
    assert truth.objects.tolist() == [[True] * 3, [False] * 3, [True, False, False]]


def test_a_limit_keeps_the_first() -> None:
    boxes = np.random.default_rng(0).random((5, 4), np.float32)
    truth = stack([PictureTruths(boxes, np.arange(5))], 2)
    assert truth.classes.tolist() == [[0, 1]]
    np.testing.assert_array_equal(truth.boxes[0], boxes[:2])
    assert truth.first(1).classes.tolist() == [[0]]


def test_without_any_object_there_is_room_for_one() -> None:
    assert stack([PictureTruths(np.empty((0, 4), np.float32), np.empty(0, np.int64))]).boxes.shape == (1, 1, 4)
    assert stack([]).boxes.shape == (0, 1, 4)


def test_a_box_of_zeros_is_a_label_of_the_picture_and_one_without_area_nothing() -> None:
    truth = Truth(torch.tensor([[[0, 0, 0, 0], [0.5, 0.5, 0, 0.1], [0, 0, 0, 0.0]]]), torch.tensor([[3, 3, -1]]))
    assert truth.labels.tolist() == [[True, False, False]]
    assert not truth.objects.any()


def test_shares_of_labels_are_1_where_none_are_said_and_follow_everywhere() -> None:
    nothing = np.zeros((2, 4), np.float32)
    whole, mixed = (
        PictureTruths(nothing[:1], np.array([4])),
        PictureTruths(nothing, np.array([1, 2]), np.float32([0.25, 0.75])),
    )
    assert stack([whole]).shares is None
    truth = stack([mixed, whole, mixed])
    assert truth.shares is not None and truth.shares.tolist() == [[0.25, 0.75], [1, 1], [0.25, 0.75]]
    first, second = truth.parts(2)
    assert first.classes.tolist() == [[1, 2], [4, -1]] and second.shares is not None
    assert second.shares.tolist() == [[0.25, 0.75]]
    assert truth.to(torch.device("cpu")).first(1).shares.tolist() == [[0.25], [1], [0.25]]  # type: ignore[union-attr]
    assert [part.shares for part in stack([whole] * 3).parts(3)] == [None] * 3
