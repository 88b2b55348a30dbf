"""Detections: the original's, whatever the model and the size, however pictures are handed over, in any thread."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

import darknet_compat as dc
from darknet_compat.errors import BackendError, ImageError
from darknet_compat.formats.words import Mode
from darknet_compat.inference.batch import Failure
from darknet_compat.inference.results import Detections
from darknet_compat.parity.reference import Original
from darknet_compat.sources.base import GivenFrames
from tests.inference.conftest import Load
from tests.inference.support import (
    Files,
    assert_same,
    assert_seeded_same,
    grouped,
    noise,
    percentages,
    region,
    seeded,
    write_model,
    yolov1,
)
from tests.parity.program import parse_detections, run_program

MODELS = ("yolo-lite-coco", "yolo-lite-voc3", "yolo-fastest-1.1")
TREE = "thing -1\nplace -1\nanimal 0\ncar 0\ncat 2\ndog 2\nbird 2\n"


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A small detector of four classes."""
    return write_model(tmp_path_factory.mktemp("toy"), region(4))


def png(picture: np.ndarray) -> bytes:
    return bytes(cv2.imencode(".png", picture)[1])


# -------------------------------------------------------------------------------------------- the original's answers


@pytest.mark.reference
@pytest.mark.parametrize("thresh", [0.25, 0.1])
@pytest.mark.parametrize("name", MODELS)
def test_real_models_find_what_the_original_finds(
    name: str, thresh: float, darknet: Original, load: Load, real: Callable[[str], Files], photos: list[Path]
) -> None:
    detector = load(name, thresh=thresh)
    compared = 0
    for photo in photos:
        expected = darknet.detections(*real(name), photo, thresh=thresh)
        assert_same(detector(photo), expected)
        compared += len(expected.scores)
    assert compared > 20


def check_program(name: str, thresh: float, load: Load, files: Files, photos: list[Path], data: Path) -> None:
    """Every percentage that `darknet detector test` prints is ours, rounded; ours may lie 0.005 beside it."""
    detector = load(name, thresh=thresh)
    data.with_suffix(".names").write_text("\n".join(detector.names))
    data.write_text(f"names={data.with_suffix('.names')}\n")
    for photo in photos:
        printed = run_program("detector", "test", data, *files, photo, "-thresh", thresh, "-out", "found").stdout
        assert "Predicted in" in printed
        ours, theirs = percentages(detector(photo)), grouped(parse_detections(printed))
        assert {n: len(values) for n, values in ours.items()} == {n: len(values) for n, values in theirs.items()}
        for n, values in theirs.items():
            np.testing.assert_allclose(ours[n], values, rtol=0, atol=0.5 + 0.5)


@pytest.mark.reference
@pytest.mark.parametrize("name", MODELS)
def test_the_program_prints_the_same(
    name: str, load: Load, real: Callable[[str], Files], photos: list[Path], tmp_path: Path
) -> None:
    check_program(name, 0.1, load, real(name), photos, tmp_path / "its.data")


@pytest.mark.slow
@pytest.mark.reference
@pytest.mark.parametrize("name", MODELS)
def test_the_program_prints_the_same_at_its_usual_threshold(
    name: str, load: Load, real: Callable[[str], Files], photos: list[Path], tmp_path: Path
) -> None:
    check_program(name, 0.25, load, real(name), photos, tmp_path / "its.data")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("yolo-lite-coco", {"dog": [62], "car": [26, 32, 33, 36], "bicycle": [77]}),
        ("yolo-lite-voc3", {"dog": [32], "car": [25, 60, 66], "bicycle": [79]}),
        ("yolo-fastest-1.1", {"dog": [61], "bicycle": [43, 60], "cat": [28], "car": [37, 54]}),
    ],
)
def test_the_dog_scores_as_published(name: str, expected: dict[str, list[int]], load: Load, photos: list[Path]) -> None:
    found = percentages(load(name, thresh=0.25)(photos[0]))
    assert {n: [round(value) for value in values] for n, values in found.items()} == expected


@pytest.mark.reference
@pytest.mark.parametrize("resize", ["letterbox", "stretch"])
@pytest.mark.parametrize(("name", "size"), [("yolo-lite-coco", (320, 192)), ("yolo-fastest-1.1", (256, 352))])
def test_another_size_and_stretched_pictures(
    name: str,
    size: tuple[int, int],
    resize: str,
    darknet: Original,
    load: Load,
    real: Callable[[str], Files],
    photos: list[Path],
) -> None:
    detector = load(name, thresh=0.2, size=size, resize=resize)
    compared = 0
    for photo in photos[:4]:
        expected = darknet.detections(*real(name), photo, thresh=0.2, size=size, letterbox=resize == "letterbox")
        assert_same(detector(photo), expected)
        compared += len(expected.scores)
    assert compared > 5


@pytest.mark.reference
@pytest.mark.parametrize("nms", [0.45, 1.0])
@pytest.mark.parametrize(
    ("text", "thresh", "gain"),
    [
        (region(4), 0.2, 0.6),
        (region(4, "softmax=0"), 0.3, 0.6),
        (region(3, "softmax=1\nbackground=1", num=2), 0.3, 0.6),
        (region(1, "softmax=0", num=1), 0.2, 0.6),
        (yolov1(), 0.1, 0.5),
        (yolov1(options="softmax=1\nsqrt=0"), 0.1, 0.5),
    ],
    ids=["softmax", "logistic", "background", "one class", "first head", "first head with softmax"],
)
def test_every_kind_of_head(
    text: str, thresh: float, gain: float, nms: float, darknet: Original, tmp_path: Path
) -> None:
    files = write_model(tmp_path, text, seed=2, gain=gain)
    detector = dc.Detector(*files, thresh=thresh, nms=nms)
    stretched = detector.runtime.description.resize == "stretch"
    assert stretched == ("[detection]" in text)
    compared = 0
    for seed in range(4):
        cv2.imwrite(str(tmp_path / "noise.png"), noise(90, 150, seed))
        found = detector(tmp_path / "noise.png")
        expected = darknet.detections(*files, tmp_path / "noise.png", thresh=thresh, nms=nms, letterbox=not stretched)
        assert_seeded_same(found, expected)
        compared += len(found)
    assert compared > 20


@pytest.mark.reference
def test_all_candidates_at_threshold_0(toy: Files, darknet: Original, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "noise.png"), noise(80, 100))
    found = dc.Detector(*toy, thresh=0, nms=1)(tmp_path / "noise.png")
    assert len(found) == 3 * (64 // 16) * (96 // 16) * 4
    assert_seeded_same(found, darknet.detections(*toy, tmp_path / "noise.png", thresh=0, nms=1))


@pytest.mark.reference
def test_yolov3_tiny(darknet: Original, tmp_path: Path, photos: list[Path]) -> None:
    """Two [yolo] heads; seeded, as no trained weights are at hand."""
    cfg = tmp_path / "yolov3-tiny.cfg"
    cfg.write_bytes((Path(__file__).parents[2] / "cfg" / "yolov3-tiny.cfg").read_bytes())
    files = seeded(cfg, gain=0.5)
    detector = dc.Detector(*files, thresh=0.65, size=(160, 128))
    expected = darknet.detections(*files, photos[0], thresh=0.65, size=(160, 128))
    assert_seeded_same(detector(photos[0]), expected)
    assert len(expected.scores) > 20


@pytest.mark.slow
@pytest.mark.reference
def test_yolov1_tiny(darknet: Original, tmp_path: Path, photos: list[Path]) -> None:
    cfg = tmp_path / "yolov1-tiny.cfg"
    cfg.write_bytes((Path(__file__).parents[2] / "cfg" / "yolov1-tiny.cfg").read_bytes())
    files = seeded(cfg, gain=0.2)
    expected = darknet.detections(*files, photos[0], thresh=0.1, letterbox=False)
    assert_seeded_same(dc.Detector(*files, thresh=0.1)(photos[0]), expected)
    assert len(expected.scores) > 20


def test_letterboxed_boxes_of_a_first_head_are_mapped_back(tmp_path: Path) -> None:
    """The original multiplies them by the picture's size, border and all."""
    files = write_model(tmp_path, yolov1(width=48, height=48), seed=2, gain=0.5)
    picture = noise(24, 48)
    framed = np.full((48, 48, 3), 128, np.uint8)
    framed[12:36] = picture
    inside = dc.Detector(*files, thresh=0.1, resize="letterbox")(picture)
    around = dc.Detector(*files, thresh=0.1)(framed)
    assert len(inside) > 2
    np.testing.assert_array_equal(inside.class_ids, around.class_ids)
    np.testing.assert_allclose(inside.scores, around.scores, atol=0.02)
    np.testing.assert_allclose(inside.boxes, around.boxes - [0, 12, 0, 12], atol=1)


# --------------------------------------------------------------------------------------------------------- thresholds


def test_nothing_exceeds_1(toy: Files) -> None:
    found = dc.Detector(*toy, thresh=1)(noise(64, 96))
    assert len(found) == 0 and found.boxes.shape == (0, 4) and found.names == ()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"thresh": -0.1}, "thresh: expected a number from 0 to 1, found -0.1"),
        ({"thresh": float("nan")}, "thresh: expected a number from 0 to 1, found nan"),
        ({"hier_thresh": 50}, "hier_thresh: expected a number from 0 to 1, found 50"),
        ({"nms": 1.5}, "nms: expected a number from 0 to 1, found 1.5"),
        ({"thresh": "0.5"}, "thresh: expected a number from 0 to 1, found '0.5'"),
        ({"hierarchy": "yolo"}, "hierarchy: expected one of darknet, paper, found 'yolo'"),
        ({"level": -1}, "level: expected a whole number from 0 on, found -1"),
    ],
)
def test_what_cannot_be_asked_for(toy: Files, arguments: dict[str, object], message: str) -> None:
    with pytest.raises(BackendError, match=f"^{re.escape(message)}$"):
        dc.Detector(*toy, **arguments)  # type: ignore[arg-type]


def test_suppression_keeps_the_best_and_1_keeps_all(toy: Files) -> None:
    picture = noise(64, 96)
    everything = dc.Detector(*toy, thresh=0.1, nms=1)(picture)
    few = dc.Detector(*toy, thresh=0.1, nms=0)(picture)
    assert 0 < len(few) < len(everything)
    assert set(few.scores.tolist()) < set(everything.scores.tolist())
    assert few.scores[0] == everything.scores[0]
    assert np.all(np.diff(everything.scores) <= 0)


# ----------------------------------------------------------------------------------------------------------- pictures


def assert_equal(found: Detections, expected: Detections, off: float = 0.0) -> None:
    """Equal, or with scores up to `off` apart and boxes as much of the picture."""
    np.testing.assert_array_equal(found.class_ids, expected.class_ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=off)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=off, atol=off * expected.width)
    assert found.names == expected.names
    assert (found.width, found.height) == (expected.width, expected.height)


def test_a_picture_is_the_same_however_it_is_handed_over(toy: Files, tmp_path: Path) -> None:
    picture = noise(70, 110)
    path = tmp_path / "nöise.png"
    path.write_bytes(png(picture))
    pil = Image.open(io.BytesIO(png(picture)))
    detector = dc.Detector(*toy, thresh=0.2)
    sources = [path, str(path), path.read_bytes(), bytearray(png(picture)), pil, picture, picture[:, :, :]]
    expected = detector(picture)
    assert len(expected) > 3
    assert (expected.width, expected.height) == (110, 70)
    for source in sources:
        assert_equal(detector(source), expected)
    for found in detector(sources):
        assert_equal(found, expected)
    assert detector([]) == []
    assert isinstance(detector([picture]), list)


def test_a_real_photo_from_a_file_and_from_opencv(load: Load, photos: list[Path]) -> None:
    detector = load("yolo-lite-coco", thresh=0.25)
    expected = detector(photos[0])
    assert_equal(detector(cv2.imread(str(photos[0]))), expected)
    assert_equal(detector(photos[0].read_bytes()), expected)
    assert_equal(detector(Image.open(photos[0])), expected, off=0.01)  # another JPEG decoder


@pytest.mark.parametrize("batch", [2, 3, 8])
def test_a_batch_gives_what_its_pictures_give_one_by_one(batch: int, toy: Files) -> None:
    pictures = [noise(40 + 10 * number, 90, number) for number in range(7)]
    detector = dc.Detector(*toy, thresh=0.2)
    found = list(detector.stream(pictures, batch))
    assert [source is picture for (source, _), picture in zip(found, pictures, strict=True)] == [True] * 7
    for picture, (_, result) in zip(pictures, found, strict=True):
        assert isinstance(result, Detections)
        assert_same(result, detector(picture), score=1e-4, box=0.1)


def test_a_stream_goes_on_after_what_it_cannot_read(toy: Files, tmp_path: Path) -> None:
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"\xff\xd8\xff broken")
    detector = dc.Detector(*toy)
    for batch in (1, 2, 5):
        results = dict(detector.stream([str(path), b"", str(tmp_path / "no.png"), png(noise(8, 8))], batch))
        kinds = [type(result) for result in results.values()]
        assert kinds == [Failure, Failure, Failure, Detections]
        assert "broken.jpg: this JPEG picture is damaged" in str(results[str(path)].error)  # type: ignore[union-attr]
    with pytest.raises(ImageError, match=r"no\.png: no such file"):
        detector([noise(8, 8), tmp_path / "no.png"])


def test_grey_networks_read_brightness(tmp_path: Path) -> None:
    """The original hands the red plane of the colour picture to a network of one channel."""
    files = write_model(tmp_path, region(4, channels=1))
    detector = dc.Detector(*files, thresh=0.1)
    coloured = noise(60, 90)
    grey = cv2.cvtColor(coloured, cv2.COLOR_BGR2GRAY)
    assert_equal(detector(grey), detector(cv2.cvtColor(grey, cv2.COLOR_GRAY2BGR)))
    assert_same(detector(coloured), detector(grey), score=0.02, box=2)
    assert len(detector(grey)) > 3


@pytest.mark.reference
def test_grey_networks_on_grey_pictures_are_the_originals(tmp_path: Path, darknet: Original) -> None:
    files = write_model(tmp_path, region(4, channels=1))
    cv2.imwrite(str(tmp_path / "grey.png"), noise(60, 90)[:, :, 0])
    red = darknet.load_image(tmp_path / "grey.png")[:1]
    found = dc.Detector(*files, thresh=0.1)(tmp_path / "grey.png")
    assert_seeded_same(found, darknet.detections(*files, red, thresh=0.1))
    assert len(found) > 3


@pytest.mark.reference
def test_the_original_gives_grey_networks_the_red_plane(tmp_path: Path, darknet: Original) -> None:
    """Of a coloured picture: hence the one place where its answers are not followed."""
    files = write_model(tmp_path, region(4, channels=1))
    cv2.imwrite(str(tmp_path / "colours.png"), noise(60, 90))
    red = darknet.load_image(tmp_path / "colours.png")[:1]
    (tmp_path / "its.names").write_text("a\nb\nc\nd\n")
    (tmp_path / "its.data").write_text(f"names={tmp_path / 'its.names'}\n")
    arguments = (tmp_path / "its.data", *files, tmp_path / "colours.png", "-thresh", 0.3, "-out", "found")
    printed = parse_detections(run_program("detector", "test", *arguments).stdout)
    expected = darknet.detections(*files, red, thresh=0.3)
    assert [name for name, _ in printed] == ["abcd"[number] for number in expected.class_ids] != []
    np.testing.assert_allclose([percent for _, percent in printed], 100 * expected.scores, atol=0.51)


# ------------------------------------------------------------------------------------------- precision, threads, memory


@pytest.mark.parametrize(("precision", "score"), [("fp16", 0.01), ("bf16", 0.05)])
def test_lower_precision_stays_near(precision: str, score: float, load: Load, photos: list[Path]) -> None:
    full = load("yolo-lite-coco", thresh=0.25)(photos[0])
    found = load("yolo-lite-coco", thresh=0.25 - score, precision=precision)(photos[0])
    for number, (certain, box) in enumerate(zip(full.scores, full.boxes, strict=True)):
        same = found.class_ids == full.class_ids[number]
        near = np.abs(found.boxes - box).max(1) < 20
        assert (same & near & (np.abs(found.scores - certain) < score)).any()


def test_threads_share_a_detector(toy: Files) -> None:
    detector = dc.Detector(*toy, thresh=0.2)
    pictures = [noise(48 + number, 80, number) for number in range(16)]
    expected = [detector(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for found, alone in zip(pool.map(detector, pictures), expected, strict=True):
                assert_equal(found, alone)


def test_memory_does_not_grow_with_the_number_of_pictures(toy: Files) -> None:
    detector = dc.Detector(*toy, thresh=0.2)
    picture = png(noise(240, 320))

    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096

    if not Path("/proc/self/statm").exists():
        pytest.skip("only Linux says how much memory is in use")
    for _ in detector.stream([picture] * 200, 4):
        pass
    before = resident()
    for _ in detector.stream((picture for _ in range(500)), 4):
        pass
    assert resident() - before < 8 << 20


# ---------------------------------------------------------------------------------------------------------- sources


def test_a_folder_or_a_list_streams_frames(toy: Files, tmp_path: Path) -> None:
    for name in ("b.png", "a.png"):
        (tmp_path / name).write_bytes(png(noise(8, 8)))
    detector = dc.Detector(*toy)
    found = [(frame.name, frame.index, len(answer)) for frame, answer in detector.stream(tmp_path)]
    assert [(Path(name).name, index) for name, index, _ in found] == [("a.png", 0), ("b.png", 1)]
    assert found[0][2] == len(detector(tmp_path / "a.png"))


@pytest.mark.parametrize("mode", ["latency", "throughput"])
def test_of_a_live_source_nothing_is_taken_ahead(toy: Files, mode: Mode) -> None:
    taken = []
    camera = GivenFrames((taken.append(number) or noise(8, 8) for number in range(5)), live=True)  # type: ignore[func-returns-value]
    detector = dc.Detector(*toy, mode=mode)
    for number, _ in enumerate(detector.stream(camera, 4), start=1):
        assert len(taken) == number
    assert taken == [0, 1, 2, 3, 4]
