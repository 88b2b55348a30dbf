"""docs/develop/add-a-layout.md, done: its reader is all that a layout needs."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from darknet_compat.datasets import open as door
from darknet_compat.datasets import readers
from darknet_compat.datasets.check import check_dataset
from darknet_compat.datasets.writers.layouts import write_dataset
from darknet_compat.errors import DatasetError
from tests.datasets.shapes import NAMES, PARTS, put, put_pictures
from tests.datasets.test_layouts import held_against_the_truth

PAGE = Path(__file__).resolve().parents[2] / "docs/develop/add-a-layout.md"


@pytest.fixture
def added(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's own code as a file among the readers."""
    code = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert code is not None
    (tmp_path / "readers").mkdir()
    (tmp_path / "readers/tabs.py").write_text(code[1])
    monkeypatch.setattr(readers, "__path__", [*readers.__path__, str(tmp_path / "readers")])
    monkeypatch.setattr(door, "LAYOUTS", door.found_layouts())
    monkeypatch.delitem(sys.modules, f"{readers.__name__}.tabs")


@pytest.mark.usefixtures("added")
def test_the_steps_of_the_page(tmp_path: Path) -> None:
    part = PARTS["train"]
    put_pictures(tmp_path / "set", part)
    rows = [f"{stem}.png\t{NAMES[box[0]]}\t" + "\t".join(map(str, box[1:])) for stem in part for box in part[stem]]
    source = put(tmp_path / "set/boxes.tabs", "\n".join(rows))
    assert door.recognise(source) == ("tabs", "a .tabs file")
    dataset = door.open_dataset(source)
    held_against_the_truth(dataset, "train")
    assert check_dataset(dataset, decode_pictures=True).findings == {}
    with pytest.raises(DatasetError, match="disc is not one of the classes"):
        list(door.open_dataset(source, names=["square"]))
    held_against_the_truth(door.open_dataset(write_dataset(tmp_path / "out", "coco", {"train": dataset})), "train")
