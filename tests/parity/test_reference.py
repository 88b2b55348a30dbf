"""The original behind its binding: right numbers, right sizes, and deaths that arrive as errors."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import read_weights
from darknet_compat.errors import OriginalError
from darknet_compat.formats.arrays import Floats
from darknet_compat.parity import reference
from darknet_compat.parity._original import build
from darknet_compat.parity._original.networks import Setup
from darknet_compat.parity.reference import Original, find_original, require_original
from tests.parity.program import parse_classes, parse_detections, run_program

pytestmark = [pytest.mark.reference, pytest.mark.usefixtures("original")]

CFG = Path("/usr/share/darknet/cfg")
DATA = Path("/usr/share/darknet/data")

# The quick ones of the 45, with a layer of nearly every type among them; the slow test runs the rest.
QUICK = {"cifar", "darknet", "go.test", "gru", "resnet18", "rnn", "rnn.train", "t1.test", "tiny", "writing"}
SMALL = """
[net]
width=8
height=6
channels=3
batch=64
subdivisions=8

[convolutional]
filters=2
size=3
stride=1
pad=1
activation=leaky

[maxpool]
size=2
stride=2
"""


@pytest.fixture(scope="module")
def darknet() -> Iterator[Original]:
    with Original() as darknet:
        yield darknet


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.cfg"
    path.write_text(SMALL)
    return path


def noise(*shape: int, seed: int = 0) -> Floats:
    return np.random.default_rng(seed).random(shape, np.float32)


# ------------------------------------------------------------------------------------------------ all definitions


def check_definition(darknet: Original, name: str) -> None:
    cfg = CFG / f"{name}.cfg"
    shapes = darknet.layer_shapes(cfg)
    # rnn.train's own 576 steps would be 576 rows; two are as good a test of the sizes.
    steps = 2 if name == "rnn.train" else None
    rows = noise(steps or 1, inputs_of(cfg))
    outputs = darknet.layer_outputs(cfg, None, rows, time_steps=steps)
    assert len(outputs) == len(shapes) > 1
    for found, expected in zip(outputs, shapes, strict=True):
        assert (found.type, found.shape) == (expected.type, expected.shape)
        assert found.output.shape == (len(rows), expected.outputs)
        assert np.prod(found.shape) == expected.outputs > 0
    assert any(found.output.any() for found in outputs)


def inputs_of(cfg: Path) -> int:
    """A definition's input size, read by the simplest means."""
    options = dict(line.replace(" ", "").split("=", 1) for line in cfg.read_text().splitlines() if "=" in line)
    return int(options.get("inputs", 0)) or int(options["width"]) * int(options["height"]) * int(options["channels"])


def definitions() -> list[str]:
    return sorted(path.stem for path in CFG.glob("*.cfg"))


@pytest.mark.parametrize("name", sorted(QUICK))
def test_a_definition_runs(darknet: Original, name: str) -> None:
    check_definition(darknet, name)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in definitions() if name not in QUICK])
def test_a_slow_definition_runs(darknet: Original, name: str) -> None:
    check_definition(darknet, name)


def test_these_are_all_the_definitions() -> None:
    assert len(definitions()) == 45
    assert set(definitions()) > QUICK


# ------------------------------------------------------------------------------------------------ layer outputs


def test_a_convolution_is_computed_from_the_weights_given(darknet: Original, small: Path, tmp_path: Path) -> None:
    weights, images = tmp_path / "small.weights", noise(2, 3, 6, 8)
    bias, kernels = np.float32([0.25, -0.5]), noise(2, 3, 3, 3, seed=1) - np.float32(0.5)
    weights.write_bytes(np.int32([0, 2, 0, 0, 0]).tobytes() + bias.tobytes() + kernels.tobytes())
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    expected = np.einsum("nchwyx,fcyx->nfhw", windows, kernels) + bias[:, None, None]
    expected = np.where(expected > 0, expected, 0.1 * expected)
    convolutional, maxpool = darknet.layer_outputs(small, weights, images)
    assert (convolutional.type, convolutional.shape) == ("convolutional", (2, 6, 8))
    np.testing.assert_allclose(convolutional.output.reshape(2, 2, 6, 8), expected, atol=1e-6)
    assert (maxpool.type, maxpool.shape) == ("maxpool", (2, 3, 4))


def test_the_number_of_images_is_the_callers(darknet: Original) -> None:
    cfg, images = CFG / "cifar.cfg", noise(3, 3, 28, 28)
    together = darknet.layer_outputs(cfg, None, images)
    for i in range(3):
        alone = darknet.layer_outputs(cfg, None, images[i : i + 1])
        for one, all_ in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one.output[0], all_.output[i])


def test_another_size_reaches_every_layer_and_the_head(darknet: Original) -> None:
    cfg = CFG / "yolov2-tiny-voc.cfg"
    outputs = darknet.layer_outputs(cfg, None, noise(1, 3, 96, 160), size=(160, 96))
    assert (outputs[0].shape, outputs[-1].type, outputs[-1].shape) == ((16, 96, 160), "region", (125, 3, 5))
    assert darknet.layer_shapes(cfg, size=(160, 96))[-1].shape == (125, 3, 5)
    assert darknet.layer_shapes(cfg)[-1].shape == (125, 13, 13)


def test_a_network_of_one_size_says_so(darknet: Original) -> None:
    expected = r"alexnet.cfg: cannot be resized to 64x32: layer 8 \[connected\] fits 227x227 only"
    with pytest.raises(OriginalError, match=expected):
        darknet.layer_shapes(CFG / "alexnet.cfg", size=(64, 32))
    assert darknet.layer_shapes(CFG / "alexnet.cfg", size=(227, 227))[-1].outputs == 1000


@pytest.mark.parametrize("name", ["rnn", "gru"])
def test_a_recurrent_network_starts_from_zero_each_time(darknet: Original, name: str) -> None:
    cfg, rows = CFG / f"{name}.cfg", noise(2, 256)
    two_steps = darknet.layer_outputs(cfg, None, rows, time_steps=2)[-1].output
    np.testing.assert_array_equal(darknet.layer_outputs(cfg, None, rows, time_steps=2)[-1].output, two_steps)
    two_sequences = darknet.layer_outputs(cfg, None, rows)[-1].output
    np.testing.assert_array_equal(two_steps[0], two_sequences[0])
    assert not np.array_equal(two_steps[1], two_sequences[1])  # it remembers the first step


def test_rows_of_a_recurrent_network_come_in_whole_sequences(darknet: Original) -> None:
    with pytest.raises(OriginalError, match=r"rnn.train.cfg: with time_steps=576 .* multiple of 576 .*, found 4"):
        darknet.layer_outputs(CFG / "rnn.train.cfg", None, noise(4, 256))


def test_an_array_of_another_size_is_refused(darknet: Original, small: Path) -> None:
    with pytest.raises(OriginalError, match=r"small.cfg: the network takes 1 x 144 values \(3x6x8, .* found 192"):
        darknet.layer_outputs(small, None, noise(1, 3, 8, 8))


def test_a_changed_file_is_loaded_again(darknet: Original, small: Path) -> None:
    assert len(darknet.layer_outputs(small, None, noise(1, 3, 6, 8))) == 2
    small.write_text(SMALL.replace("[maxpool]\nsize=2\nstride=2\n", "[route]\nlayers=-1\n\n[avgpool]\n"))
    assert [layer.type for layer in darknet.layer_outputs(small, None, noise(1, 3, 6, 8))][1:] == ["route", "avgpool"]


def test_a_tree_is_found_beside_the_cfg(darknet: Original, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "two.tree").write_text("a -1\nb -1\n")
    cfg = tmp_path / "tree.cfg"
    cfg.write_text("[net]\ninputs=2\n\n[softmax]\ntree=data/two.tree\n")
    output = darknet.layer_outputs(cfg, None, np.log(np.float32([[1, 3]])))[0].output
    np.testing.assert_allclose(output, [[0.25, 0.75]], rtol=1e-6)


def test_loading_twenty_networks_keeps_no_memory(darknet: Original) -> None:
    def load(seed: int) -> int:
        setup = Setup(str(CFG / "rnn.cfg"), seed=seed)  # 76 MB, in parts that `free_network` does not free
        darknet._worker.ask("layer_shapes", "rnn", setup)
        process = darknet._worker._process
        assert process is not None
        return int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")

    sizes = [load(seed) for seed in range(21)]
    assert sizes[20] - sizes[5] < 76e6


# ------------------------------------------------------------------------------------------------ weights


def test_weights_saved_by_the_original_come_back_the_same(darknet: Original, shared_data: Path, tmp_path: Path) -> None:
    model = shared_data / "models" / "yolo-fastest-1.1"
    cfg, weights = model / "yolo-fastest-1.1.cfg", model / "yolo-fastest-1.1.weights"
    darknet.save_weights(cfg, weights, tmp_path / "again.weights")
    again, before = (tmp_path / "again.weights").read_bytes(), weights.read_bytes()
    assert np.frombuffer(before, np.int32, 3).tolist() == [0, 2, 5]
    assert np.frombuffer(again, np.int32, 3).tolist() == [0, 2, 0]  # it writes its own revision
    assert again[12:] == before[12:]


@pytest.mark.parametrize(
    ("version", "width"),
    [((0, 0), "i"), ((0, 1), "i"), ((0, 1001), "i"), ((0, 2), "Q"), ((0, 999), "Q"), ((1, 0), "Q")],
)
def test_how_wide_seen_is_in_each_version(
    version: tuple[int, int], width: str, darknet: Original, tmp_path: Path
) -> None:
    """The images seen, and where the weights behind them begin, as the original reads a file and as we do."""
    cfg = tmp_path / "m.cfg"
    cfg.write_text("[net]\nwidth=2\nheight=2\nchannels=1\n[convolutional]\nfilters=2\nactivation=linear\n")
    body = np.array([1, 2, 3, 4], "<f4")  # two biases, two weights
    weights = tmp_path / "m.weights"
    weights.write_bytes(struct.pack(f"<iii{width}", *version, 0, 77) + body.tobytes())
    read = read_weights(weights, load_spec(cfg, dialect="original"))
    darknet.save_weights(cfg, weights, tmp_path / "again.weights")
    theirs = (tmp_path / "again.weights").read_bytes()
    assert np.frombuffer(theirs, "<u8", 1, 12)[0] == read.header.seen == 77
    assert np.frombuffer(theirs, "<f4", 4, 20).tolist() == body.tolist()
    assert np.concatenate([values.ravel() for _, values in read.arrays]).tolist() == body.tolist()


def test_cutoff_and_clear_are_what_partial_does(darknet: Original, shared_data: Path, tmp_path: Path) -> None:
    model = shared_data / "models" / "tiny-darknet"
    cfg, weights = model / "tiny.cfg", model / "tiny.weights"
    darknet.save_weights(cfg, weights, tmp_path / "ours.weights", cutoff=5, clear=True)
    run_program("partial", cfg, weights, tmp_path / "theirs.weights", 5)
    ours = (tmp_path / "ours.weights").read_bytes()
    assert ours == (tmp_path / "theirs.weights").read_bytes()
    assert len(ours) < weights.stat().st_size
    assert np.frombuffer(ours, np.int64, 1, offset=12)[0] == 0
    darknet.save_weights(cfg, weights, tmp_path / "seen.weights", cutoff=5)
    assert np.fromfile(tmp_path / "seen.weights", np.int64, 1, offset=12)[0] > 0


# ------------------------------------------------------------------------------------------------ detections, classes

DOG = {
    "yolo-lite-coco": [("dog", 62), ("car", 36), ("car", 33), ("car", 32), ("car", 26), ("bicycle", 77)],
    "yolo-lite-voc3": [("dog", 32), ("car", 66), ("car", 60), ("car", 25), ("bicycle", 79)],
    "yolo-fastest-1.1": [("dog", 61), ("bicycle", 43), ("cat", 28), ("car", 54), ("car", 37), ("bicycle", 60)],
    "yolo-lite-mismatch": [],
}


def detector_files(shared_data: Path, name: str) -> tuple[Path, Path, list[str]]:
    models = shared_data / "models"
    names = (models / ("coco.names" if name in ("yolo-lite-coco", "yolo-fastest-1.1") else "voc.names")).read_text()
    return models / name / f"{name}.cfg", models / name / f"{name}.weights", names.split("\n")


def rounded(found: reference.OriginalDetections, names: list[str]) -> list[tuple[str, int]]:
    return [(names[i], int(f"{100 * score:.0f}")) for score, i in zip(found.scores, found.class_ids, strict=True)]


@pytest.mark.parametrize("name", DOG)
def test_detections_of_the_dog(darknet: Original, shared_data: Path, name: str) -> None:
    cfg, weights, names = detector_files(shared_data, name)
    found = darknet.detections(cfg, weights, DATA / "dog.jpg", thresh=0.25)
    assert rounded(found, names) == DOG[name]
    assert found.boxes.shape == (len(DOG[name]), 4)
    for label, (x1, y1, x2, y2) in zip(found.class_ids, found.boxes, strict=True):
        if names[label] == "dog":
            assert x1 < 220 < x2 < 480 and y1 < 380 < y2 < 576


@pytest.mark.parametrize(
    ("name", "photo"), [("yolo-lite-coco", "dog"), ("yolo-lite-voc3", "person"), ("yolo-fastest-1.1", "giraffe")]
)
def test_detections_are_the_programs(
    darknet: Original, shared_data: Path, tmp_path: Path, name: str, photo: str
) -> None:
    cfg, weights, names = detector_files(shared_data, name)
    (tmp_path / "names").write_text("\n".join(names))
    (tmp_path / "its.data").write_text(f"classes={len(names)}\nnames={tmp_path / 'names'}\n")
    image = DATA / f"{photo}.jpg"
    printed = run_program("detector", "test", tmp_path / "its.data", cfg, weights, image, "-thresh", 0.1, "-out", "x")
    found = rounded(darknet.detections(cfg, weights, image, thresh=0.1), names)
    assert found == parse_detections(printed.stdout) != []


def test_an_image_may_be_an_array(darknet: Original, shared_data: Path) -> None:
    cfg, weights, _ = detector_files(shared_data, "yolo-lite-coco")
    from_file = darknet.detections(cfg, weights, DATA / "dog.jpg", thresh=0.1)
    from_array = darknet.detections(cfg, weights, darknet.load_image(DATA / "dog.jpg"), thresh=0.1)
    for one, other in zip(from_file, from_array, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_stretched_image_has_its_boxes_mapped_back_without_border(darknet: Original, shared_data: Path) -> None:
    cfg, weights, _ = detector_files(shared_data, "yolo-lite-coco")
    check_stretched(darknet, cfg, weights, 224, thresh=0.25)


def test_boxes_of_a_detection_layer_are_in_pixels_too(darknet: Original) -> None:
    check_stretched(darknet, CFG / "t1.test.cfg", None, 224, thresh=1e-6)


def check_stretched(darknet: Original, cfg: Path, weights: Path | None, side: int, thresh: float) -> None:
    image = darknet.load_image(DATA / "dog.jpg")
    found = darknet.detections(cfg, weights, image, thresh=thresh, letterbox=False)
    square = darknet.resize_image(image, side, side)
    for letterbox in (True, False):
        again = darknet.detections(cfg, weights, square, thresh=thresh, letterbox=letterbox)
        np.testing.assert_array_equal(found.scores, again.scores)
        scale = np.tile([768 / side, 576 / side], 2)
        np.testing.assert_allclose(found.boxes, again.boxes * scale, rtol=1e-4, atol=1e-3)
    assert len(found.scores) > 3


def test_a_classifier_detects_nothing_and_says_so(darknet: Original) -> None:
    with pytest.raises(OriginalError, match=r"cifar.cfg: no \[region\], \[yolo\] or \[detection\]"):
        darknet.detections(CFG / "cifar.cfg", None, noise(3, 28, 28))


def test_classes_are_the_programs(darknet: Original, shared_data: Path) -> None:
    model = shared_data / "models" / "tiny-darknet"
    arguments = model / "tiny.cfg", model / "tiny.weights", DATA / "dog.jpg"
    names = (DATA / "imagenet.shortnames.list").read_text().split("\n")
    ids, scores = darknet.classify(*arguments, top=5)
    found = [(names[i], round(100 * float(score), 2)) for i, score in zip(ids, scores, strict=True)]
    printed = run_program("classifier", "predict", CFG / "imagenet1k.data", *arguments).stdout
    assert found == parse_classes(printed)
    assert found[:2] == [("malamute", 14.18), ("Newfoundland", 6.13)]


# ------------------------------------------------------------------------------------------------ images


def test_a_loaded_image_is_rgb_from_0_to_1(darknet: Original, tmp_path: Path) -> None:
    (tmp_path / "a picture; of `two`.ppm").write_bytes(b"P6 2 1 255\n" + bytes([255, 0, 51, 0, 102, 255]))
    image = darknet.load_image(tmp_path / "a picture; of `two`.ppm")
    assert image.dtype == np.float32
    np.testing.assert_allclose(image, [[[1, 0]], [[0, 0.4]], [[0.2, 1]]], rtol=1e-6)


def test_a_picture_is_found_from_where_we_are(
    darknet: Original, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.ppm").write_bytes(b"P6 1 1 255\n" + bytes([255, 0, 51]))
    monkeypatch.chdir(tmp_path)
    assert darknet.load_image("in/a.ppm").shape == (3, 1, 1)


@pytest.mark.parametrize("content", [b"", b"no picture", b"\xff\xd8\xff\xe0 cut off"])
def test_what_is_no_image_is_an_error(darknet: Original, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.jpg"
    path.write_bytes(content)
    with pytest.raises(OriginalError, match=r"x.jpg: the original cannot load this"):
        darknet.load_image(path)
    assert os.listdir(tmp_path) == ["x.jpg"]  # no bad.list


def test_letterbox_keeps_the_aspect(darknet: Original) -> None:
    boxed = darknet.letterbox_image(np.ones((3, 10, 40), np.float32), 20, 20)
    assert boxed.shape == (3, 20, 20)
    assert (boxed[:, 7:12] == 1).all() and (boxed[:, :7] == 0.5).all() and (boxed[:, 12:] == 0.5).all()


def test_resize_is_linear_between_the_corners(darknet: Original) -> None:
    resized = darknet.resize_image(np.float32([[[0, 1, 2], [10, 11, 12]]]), 5, 3)
    np.testing.assert_allclose(resized, [[[0, 0.5, 1, 1.5, 2], [5, 5.5, 6, 6.5, 7], [10, 10.5, 11, 11.5, 12]]])


def test_resize_to_one_row_is_a_division_by_zero_in_the_original(darknet: Original) -> None:
    assert darknet.resize_image(noise(1, 5, 5), 1, 3).shape == (1, 3, 1)  # one column is thought of
    with pytest.raises(OriginalError, match=r"resize_image: the original was killed by SIGSEGV"):
        darknet.resize_image(noise(1, 2, 2), 1, 1)


def test_image_functions_that_work_in_place_leave_their_arguments_alone(darknet: Original) -> None:
    image = noise(3, 4, 5)
    flipped = darknet.image_function("flip_image", image)
    np.testing.assert_array_equal(flipped, image[:, :, ::-1])
    np.testing.assert_array_equal(image, noise(3, 4, 5))
    canvas = darknet.image_function("place_image", image, 5, 4, 2, 1, np.zeros((3, 9, 9), np.float32))
    np.testing.assert_allclose(canvas[:, 1:5, 2:7], image, atol=1e-6)
    assert not canvas[:, 5:].any()
    np.testing.assert_allclose(darknet.image_function("distort_image", image, 0.0, 1.0, 1.0), image, atol=1e-5)
    turned = darknet.image_function("rotate_crop_image", image, 0.0, 1.0, 3, 3, 0.0, 0.0, 1.0)
    assert turned.shape == (3, 3, 3)


def test_an_image_without_pixels_is_refused(darknet: Original) -> None:
    with pytest.raises(ValueError, match=r"\[C, H, W\] .* found shape \(3, 0, 4\)"):
        darknet.resize_image(np.zeros((3, 0, 4), np.float32), 2, 2)


# ------------------------------------------------------------------------------------------------ nms

BOXES = np.float32([[0.5, 0.5, 0.2, 0.2], [0.51, 0.5, 0.2, 0.2], [0.1, 0.1, 0.1, 0.1], [0.5, 0.49, 0.2, 0.2]])


def test_nms_suppresses_class_by_class_in_the_order_given(darknet: Original) -> None:
    scores = np.float32([[0.6, 0.1], [0.7, 0], [0.3, 0.2], [0.5, 0.4]])
    objectness, kept = darknet.nms(BOXES, np.float32([0.8, 0.7, 0.9, 0.6]), scores, 0.45)
    np.testing.assert_array_equal(kept, np.float32([[0, 0], [0.7, 0], [0.3, 0.2], [0, 0.4]]))
    np.testing.assert_array_equal(objectness, np.float32([0.8, 0.7, 0.9, 0.6]))


def test_nms_by_objectness_drops_whole_boxes(darknet: Original) -> None:
    scores = np.float32([[0.6, 0.1], [0.7, 0], [0.3, 0.2], [0.5, 0.4]])
    objectness, kept = darknet.nms(BOXES, np.float32([0.8, 0.7, 0.9, 0]), scores, 0.45, kind="obj")
    np.testing.assert_array_equal(objectness, np.float32([0.8, 0, 0.9, 0]))
    np.testing.assert_array_equal(kept, np.float32([[0.6, 0.1], [0, 0], [0.3, 0.2], [0.5, 0.4]]))


def test_nms_of_nothing_is_nothing(darknet: Original) -> None:
    assert [a.shape for a in darknet.nms(np.zeros((0, 4)), np.zeros(0), np.zeros((0, 3)))] == [(0,), (0, 3)]
    with pytest.raises(ValueError, match=r"found \(4, 4\), \(3,\), \(4, 2\)"):
        darknet.nms(BOXES, np.zeros(3), np.zeros((4, 2)))


# ------------------------------------------------------------------------------------------------ timing


def test_timing_counts_every_run(darknet: Original) -> None:
    seconds = darknet.time_forward(CFG / "cifar.cfg", None, noise(2, 3, 28, 28), repeats=3)
    assert len(seconds) == 3 and all(1e-4 < each < 60 for each in seconds)
    seconds = darknet.time_letterbox(noise(3, 576, 768), 416, 416, repeats=4)
    assert len(seconds) == 4 and all(1e-5 < each < 10 for each in seconds)


# ------------------------------------------------------------------------------------------------ deaths


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[net]\nwidth=8\nheight=8\nchannels=3\n\n[foo]\n", r"killed by SIGSEGV: .*Type not recognized: \[foo\]"),
        ("", r"killed by SIGABRT: .*Config file has no sections.*Assertion"),
        ("[convolutional]\n", r"killed by SIGABRT: .*First section must be \[net\]"),
        ("[net]\ninputs=4\n\n[softmax]\ntree=no/such.tree\n", r"killed by SIG"),
        (
            "[net]\nwidth=8\nheight=8\nchannels=3\n\n[yolo]\nnum=2\nmask=0,1\n",
            r"Assertion `l.outputs == params",
        ),
    ],
)
def test_a_death_is_one_line_and_the_next_call_works(darknet: Original, tmp_path: Path, text: str, why: str) -> None:
    cfg = tmp_path / "bad.cfg"
    cfg.write_text(text)
    with pytest.raises(OriginalError, match=rf"bad.cfg: the original was .*{why}") as caught:
        darknet.layer_outputs(cfg, None, noise(1, 192))
    assert "\n" not in str(caught.value)
    assert darknet.resize_image(noise(1, 2, 2), 3, 3).shape == (1, 3, 3)


def test_an_exit_is_a_death_too(darknet: Original, small: Path, tmp_path: Path) -> None:
    with pytest.raises(OriginalError, match=r"small.cfg: the original left with exit\(0\): .*Couldn't open file"):
        darknet.save_weights(small, None, tmp_path / "no folder" / "x.weights")


def test_a_missing_file_costs_no_process(darknet: Original, tmp_path: Path) -> None:
    for call in (lambda path: darknet.layer_shapes(path), lambda path: darknet.load_image(path)):
        with pytest.raises(OriginalError, match=r"nothing: no such file"):
            call(tmp_path / "nothing")


def test_an_answer_that_takes_too_long_is_an_error(small: Path) -> None:
    """Its own time counts, and not that of the process to start, which depends on how busy the machine is."""
    with Original(timeout=3) as darknet:
        with pytest.raises(OriginalError, match=r"small.cfg: no answer from the original within 3 s"):
            darknet.time_forward(small, None, noise(1, 3, 6, 8), repeats=10**8)
        assert len(darknet.layer_shapes(small)) == 2


def test_the_process_and_its_files_are_gone_after_the_block(small: Path) -> None:
    with Original() as darknet:
        darknet.layer_shapes(small)
        process, scratch = darknet._worker._process, darknet._worker._scratch
        assert process is not None and scratch is not None and Path(scratch.name).is_dir()
    assert process.poll() is not None and not Path(scratch.name).exists()


# ------------------------------------------------------------------------------------------------ installation, build


def test_an_empty_prefix_is_no_installation(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_ORIGINAL", str(tmp_path))
    assert find_original() is None
    with pytest.raises(OriginalError, match=r"no libdarknet.so .* under .*`apt-get install darknet`"):
        Original()


@pytest.mark.parametrize("layout", [("lib/darknet", "lib/darknet/include"), (".", "include")])
def test_a_prefix_may_be_packaged_or_a_source_tree(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, layout: tuple[str, str]
) -> None:
    installed = require_original()
    for folder, file in zip(layout, (installed.library, installed.header), strict=True):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / file.name).symlink_to(file)
    monkeypatch.setenv("DARKNET_COMPAT_ORIGINAL", str(tmp_path))
    found = require_original()
    assert found.library == tmp_path / layout[0] / "libdarknet.so"
    assert found.header == tmp_path / layout[1] / "darknet.h"


def test_any_number_of_processes_may_build_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    command = "from darknet_compat.parity.reference import Original; print(Original()._worker._module)"
    package = Path(build.__file__).parents[3]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])}

    def start(_: int) -> str:
        arguments = [sys.executable, "-c", command]
        return subprocess.run(arguments, capture_output=True, text=True, env=environment, check=True).stdout

    with ThreadPoolExecutor() as pool:
        printed = set(pool.map(start, range(3)))
    assert len(printed) == 1
    (folder,) = (tmp_path / "cache" / "original").iterdir()  # and no workshop left behind
    assert Path(printed.pop().strip()).parent == folder


def test_a_build_needs_a_compiler_and_headers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DARKNET_COMPAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(OriginalError, match=r"a C compiler is needed, and there is no no-such-compiler: `apt-get"):
        Original()
    monkeypatch.setenv("CC", "false")
    with pytest.raises(OriginalError, match=r"darknet.h: no binding to it could be compiled"):
        Original()
    assert not list((tmp_path / "cache" / "original").iterdir())
    monkeypatch.setattr(build, "_python_headers", lambda: tmp_path)
    monkeypatch.delenv("CC")
    with pytest.raises(OriginalError, match=r"Python's headers are needed, and .* has no Python.h"):
        Original()


# ------------------------------------------------------------------------------------------------ the program


def test_the_program_runs_in_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    result = run_program()
    assert result.returncode == 0 and "usage" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_death_of_the_program_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "empty.cfg").touch()
    with pytest.raises(OriginalError, match=r"darknet: was killed by signal 6: .*Assertion"):
        run_program("partial", tmp_path / "empty.cfg", "none", tmp_path / "out", 1)


def test_printed_lines_are_read() -> None:
    printed = "dog.jpg: Predicted in 0.15 seconds.\ndog: 62%\npotted plant: 100%\nloading: 5 %\n"
    assert parse_detections(printed) == [("dog", 62), ("potted plant", 100)]
    printed = "dog.jpg: Predicted\n14.18%: malamute\n 6.13%: Eskimo dog, husky\n"
    assert parse_classes(printed) == [("malamute", 14.18), ("Eskimo dog, husky", 6.13)]
