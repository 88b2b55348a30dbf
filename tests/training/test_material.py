"""What training learns from: where the dialect of what is trained has the labels."""

from __future__ import annotations

from pathlib import Path

import pytest

from darknet_compat.definition.dialects import DialectName
from darknet_compat.training.material import open_material
from darknet_compat.training.options import TrainOptions
from tests.cli.support import DETECTOR, paint


@pytest.mark.parametrize(("dialect", "label"), [(None, 1), ("original", 1), ("fork", 0)])
def test_labels_lie_where_the_dialect_has_them(dialect: DialectName | None, label: int, tmp_path: Path) -> None:
    """Of a picture with two files of labels the original takes the one in `labels`, the fork the one beside it."""
    cfg = tmp_path / "toy.cfg"
    cfg.write_text(DETECTOR)
    picture = paint(tmp_path / "images" / "a.png")
    picture.with_suffix(".txt").write_text("0 0.5 0.5 1 1\n")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("1 0.5 0.5 1 1\n")
    (tmp_path / "all.txt").write_text("images/a.png\n")
    material = open_material(cfg, TrainOptions(model=str(cfg), data=str(tmp_path / "all.txt"), dialect=dialect))
    assert material.dataset[0].labels.classes.tolist() == [label]
    (tmp_path / "labels" / "a.txt").unlink()  # and where there is but one, that one
    assert material.dataset[0].labels.classes.tolist() == [0]
