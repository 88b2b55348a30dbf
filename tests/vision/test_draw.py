"""Drawing: what is covered, what stays, which colours; and saving, whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from darknet_compat.errors import ImageError
from darknet_compat.vision import draw as module
from darknet_compat.vision.draw import ascii_name, class_colour, draw, save
from darknet_compat.vision.image import decode

Bytes = NDArray[np.uint8]


def plain(width: int, height: int, value: int = 128) -> Bytes:
    return np.full((height, width, 3), value, np.uint8)


def places(
    monkeypatch: pytest.MonkeyPatch, image: Bytes, boxes: list[list[float]], names: list[str]
) -> list[module._Rectangle]:
    """Where the labels went, in the order of the boxes."""
    seen: list[module._Rectangle] = []
    real = module._free_place

    def watched(*arguments: object) -> module._Rectangle:
        seen.append(real(*arguments))  # type: ignore[arg-type]
        return seen[-1]

    monkeypatch.setattr(module, "_free_place", watched)
    draw(image, np.array(boxes), names, np.linspace(0.9, 0.5, len(boxes)), range(len(boxes)))
    return seen


@pytest.mark.parametrize("width, height, line", [(100, 75, 1), (768, 576, 5), (4000, 3000, 19)])
def test_the_frame_has_the_classs_colour_and_a_width_by_the_pictures(width: int, height: int, line: int) -> None:
    image = plain(width, height)
    x1, y1, x2, y2 = width // 4, height // 2, width // 2, height - height // 8
    drawn = draw(image, np.array([[x1, y1, x2, y2]]), ["dog"], [0.5], [16])
    assert (image == 128).all(), "the given picture was drawn into"
    row = drawn[(y1 + y2) // 2]
    coloured = (row == class_colour(16)).all(axis=1)
    assert coloured[x1] and coloured[x2]
    assert coloured[: (x1 + x2) // 2].sum() == line
    assert (drawn[(y1 + y2) // 2, (x1 + x2) // 2] == 128).all()


def test_a_label_is_readable_on_every_colour() -> None:
    def luminance(colour: tuple[int, int, int]) -> float:
        c = np.array(colour) / 255
        return float(np.dot(np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4), (0.2126, 0.7152, 0.0722)))

    for class_id in range(9418):
        light, dark = sorted((luminance(class_colour(class_id)), luminance(module._ink(class_colour(class_id)))))[::-1]
        assert (light + 0.05) / (dark + 0.05) > 4.5, class_id  # WCAG's contrast for text


def test_colours_are_stable_and_all_different() -> None:
    assert class_colour(0) == class_colour(0) == (198, 49, 49)
    assert len({class_colour(n) for n in range(9418)}) == 9418
    nearest = min(
        float(np.abs(np.subtract(class_colour(a), class_colour(b))).max()) for a in range(20) for b in range(a)
    )
    assert nearest >= 32


@pytest.mark.parametrize("width, height", [(100, 75), (768, 576)])
def test_labels_stay_inside_the_picture(monkeypatch: pytest.MonkeyPatch, width: int, height: int) -> None:
    corners = [[-20, -20, 20, 20], [width - 10, -5, width + 9, 10], [-9, height - 9, 9, height + 9]]
    corners += [[width - 9, height - 9, width + 9, height + 9], [0, 0, width, height]]
    for place in places(monkeypatch, plain(width, height), corners, ["bicycle"] * 5):
        assert 0 <= place.left < place.right <= width and 0 <= place.top < place.bottom <= height


def test_a_label_hides_no_small_thing_at_the_upper_edge(monkeypatch: pytest.MonkeyPatch) -> None:
    small, large = places(monkeypatch, plain(192, 192), [[70, 8, 88, 35], [100, 3, 180, 150]], ["9", "7"])
    assert small.top > 35, "below it, as there is no room above"
    assert large.top == 3, "in a large one it hides little"


def test_labels_of_crowded_boxes_stay_clear_of_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [[200 + 3.0 * n, 200 + 2.0 * n, 400, 400] for n in range(8)]
    found = places(monkeypatch, plain(768, 576), boxes, [f"class {n}" for n in range(8)])
    labels = np.zeros((576, 768), int)
    for place in found:
        labels[place.pixels] += 1
    assert labels.max() == 1


def test_a_long_name_is_cut_before_the_score(monkeypatch: pytest.MonkeyPatch) -> None:
    texts: list[str] = []
    real = module._letters
    monkeypatch.setattr(module, "_letters", lambda text, letter: (texts.append(text), real(text, letter))[1])
    name = "soft-coated wheaten terrier, bred in Ireland for four purposes"
    (place,) = places(monkeypatch, plain(320, 240), [[10, 50, 60, 90]], [name])
    assert texts[0].startswith("soft-coated") and texts[0].endswith("... 90%")
    assert place.right - place.left <= 320
    draw(plain(30, 30), np.array([[1, 1, 20, 20]]), [name], [0.5], [0])
    assert texts[1].endswith("50%")


@pytest.mark.parametrize("size", [(1, 1), (3, 2), (12, 400)])
def test_tiny_pictures(size: tuple[int, int]) -> None:
    drawn = draw(plain(*size), np.array([[0, 0, 2, 2]]), ["dog"], [0.5], [0])
    assert drawn.shape == (size[1], size[0], 3)


def test_boxes_that_cannot_be_seen_are_left_out() -> None:
    image = plain(50, 50)
    unseen = [[np.nan, 0, 1, 1], [0, 0, np.inf, 1], [60, 0, 70, 10], [-9, -9, -1, -1], [30, 30, 20, 20]]
    drawn = draw(image, np.array(unseen), ["x"] * 5, [0.5] * 5, [0] * 5)
    np.testing.assert_array_equal(drawn, image)
    np.testing.assert_array_equal(draw(image, np.empty((0, 4)), [], [], []), image)


def test_the_best_scored_label_is_on_top() -> None:
    image, box = plain(60, 20), [0, 0, 59, 19]
    drawn = draw(image, np.array([box] * 9), ["label"] * 9, np.linspace(0.1, 0.9, 9), range(9))
    assert (drawn == class_colour(8)).all(axis=2).sum() > 100
    swapped = draw(image, np.array([box] * 9), ["label"] * 9, np.linspace(0.9, 0.1, 9), range(9))
    assert (swapped == class_colour(0)).all(axis=2).sum() > 100


def test_what_is_no_picture_is_one_clear_line() -> None:
    for image in (np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)):
        with pytest.raises(ImageError, match=r"expected a picture, uint8 \[height, width, 3\]"):
            draw(image, np.empty((0, 4)), [], [], [])


@pytest.mark.parametrize(
    "name, shown",
    [
        ("dog", "dog"),
        ("Spürhund", "Spurhund"),
        ("Ærø’s łódź", "AEro's lodz"),
        ("two\nlines\tand  more", "two lines and more"),
        ("half 半", "half ?"),
        ("犬", "class 7"),
        ("собака", "class 7"),
        ("", "class 7"),
    ],
)
def test_names_that_the_font_lacks(name: str, shown: str) -> None:
    assert ascii_name(name, 7) == shown


# ------------------------------------------------------------------------------------------------------ saving


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".PNG", ".tif"])
def test_a_saved_picture_is_read_back_the_same(tmp_path: Path, suffix: str) -> None:
    image = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    path = tmp_path / f"犬{suffix}"
    save(image, path)
    np.testing.assert_array_equal(decode(path), image)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_jpeg_and_webp_are_written_too(tmp_path: Path) -> None:
    for suffix in (".jpg", ".jpeg", ".webp"):
        save(plain(20, 10, 90), tmp_path / f"a{suffix}")
        assert np.abs(decode(tmp_path / f"a{suffix}").astype(int) - 90).max() < 4


@pytest.mark.parametrize("name", ["picture.xyz", "picture", "picture.jpg.txt"])
def test_an_unknown_suffix_is_one_clear_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(ImageError, match=r"no picture format is called .*: use \.jpg"):
        save(plain(4, 4), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_failed_save_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    path.write_bytes(b"old")
    with pytest.raises(ImageError):
        save(plain(70_000, 1), path)  # JPEG ends at 65,500
    assert path.read_bytes() == b"old"
    with pytest.raises(ImageError, match="cannot be written: No such file"):
        save(plain(4, 4), tmp_path / "missing" / "a.png")
    assert [entry.name for entry in tmp_path.iterdir()] == ["large.jpg"]
