"""What names mean, and the frames that pictures are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from darknet_compat.errors import ImageError
from darknet_compat.sources.base import Frame, GivenFrames
from darknet_compat.sources.open import open_source
from darknet_compat.sources.pictures import Pictures, find_pictures
from tests.cli.support import paint

GREY = np.full((4, 6, 3), 128, np.uint8)


def names(source: object) -> list[str]:
    return [frame.name for frame in open_source(source)]


def test_a_picture_a_folder_a_glob_and_a_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("b.png", "folder/2.png", "folder/1.bmp", "other/c.png"):
        paint(Path(name))
    Path("other/list.txt").write_text("b.png\n\n c.png \nabsent.jpg\n")
    assert names("b.png") == ["b.png"]
    assert names("folder") == ["folder/1.bmp", "folder/2.png"]
    assert names("*/*.png") == ["folder/2.png", "other/c.png"]
    assert names("other/list.txt") == ["b.png", "other/c.png", "absent.jpg"]
    assert names(["b.png", Path("folder")]) == ["b.png", "folder/1.bmp", "folder/2.png"]
    assert [frame.index for frame in open_source("folder")] == [0, 1]


def test_what_means_nothing_is_one_line_each(tmp_path: Path) -> None:
    (tmp_path / "empty.txt").write_text("\n")
    (tmp_path / "binary.txt").write_bytes(b"\0\1")
    bad = ["", str(tmp_path), f"{tmp_path}/zz*.png", f"{tmp_path}/empty.txt", f"{tmp_path}/binary.txt"]
    said: dict[str, str] = {}
    assert find_pictures(bad, said.__setitem__) == []
    assert list(said) == bad and not any("\n" in message for message in said.values())
    with pytest.raises(ImageError, match="one picture a line"):
        open_source(tmp_path / "empty.txt")


def test_pixels_are_read_when_asked_for_and_a_decoders_are_kept(tmp_path: Path) -> None:
    (frame,) = Pictures([tmp_path / "later.png"])
    with pytest.raises(ImageError, match="no such file"):
        frame.pixels()
    paint(tmp_path / "later.png", 6, 4)
    np.testing.assert_array_equal(frame.pixels(), GREY)
    calls = []
    decoded = Frame(lambda: calls.append(1) or GREY, "clip.mp4")  # type: ignore[func-returns-value]
    assert decoded.pixels() is decoded.pixels() is GREY and calls == [1]


def test_what_python_has_is_a_source() -> None:
    bgr = np.zeros((2, 2, 3), np.uint8)
    bgr[..., 0] = 255
    (frame,) = open_source(bgr)
    assert frame.pixels()[0, 0].tolist() == [0, 0, 255]
    given = open_source(iter([bgr, frame]))
    first, second = given
    assert (first.name, first.index, first.time) == ("pictures[0]", 0, None) and second is frame
    assert open_source(given) is given and open_source([bgr, bgr]).count == 2


def test_pictures_can_be_played_at_a_rate() -> None:
    assert [frame.time for frame in Pictures([Path("a"), Path("b")], rate=25)] == [0, 0.04]
    assert isinstance(open_source([]), Pictures | GivenFrames)
