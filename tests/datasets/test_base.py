"""What a labelled picture is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from darknet_compat.datasets.base import Dataset, Labels, Sample


@given(st.integers(1, 5000), st.integers(1, 5000), st.data())
def test_integer_corners_come_back_exactly(width: int, height: int, data: st.DataObject) -> None:
    x1, x2 = sorted((data.draw(st.integers(0, width)), data.draw(st.integers(0, width))))
    y1, y2 = sorted((data.draw(st.integers(0, height)), data.draw(st.integers(0, height))))
    labels = Labels.from_corners([[x1, y1, x2, y2]], (width, height), [3])
    assert labels.corners(width, height).tolist() == [[x1, y1, x2, y2]]


def test_a_label_of_the_whole_picture_is_a_row_of_zeros() -> None:
    labels = Labels.whole_picture(7)
    assert labels.boxes.tolist() == [[0, 0, 0, 0]]
    assert labels.classes.tolist() == [7]
    assert not labels.is_drawn.any()
    assert Labels.drawn([[0.5, 0.5, 0.1, 0.1]], [7]).is_drawn.all()


def test_as_many_boxes_as_classes() -> None:
    with pytest.raises(ValueError, match=r"as classes \(1\), found 2 boxes"):
        Labels.drawn(np.zeros((2, 4)), [0])


class Two(Dataset):
    title, names = "two", ("dog",)

    def __len__(self) -> int:
        return 2

    def sample(self, index: int) -> Sample:
        return Sample(str(index), np.zeros((1, 1, 3), np.uint8), Labels.whole_picture(0))


def test_a_dataset_is_a_sequence() -> None:
    two = Two()
    assert [sample.id for sample in two] == ["0", "1"]
    assert two[-1].id == "1"
    assert [sample.id for sample in two[:5]] == ["0", "1"]
    with pytest.raises(IndexError, match="two has 2 pictures, number 2"):
        two[2]
