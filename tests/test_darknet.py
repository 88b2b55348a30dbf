"""The fork's Python module: three programs written for it, as processes of their own, and each function."""

from __future__ import annotations

import ctypes
import gzip
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import darknet_compat.darknet as darknet
from darknet_compat.definition.lower import load_spec
from darknet_compat.definition.weights.file import Header, slots, write_weights
from darknet_compat.errors import DarknetCompatError, ImageError, MetadataError
from tests import conftest
from tests.cli.support import BARE_CLASSIFIER, CLASSIFIER, DETECTOR, REPOSITORY, paint, write_toy
from tests.vision.conftest import Library

SHIM = "from darknet_compat.darknet import *\n"
MODULE = "import sys, darknet_compat.darknet\nsys.modules['darknet'] = darknet_compat.darknet\n"

PICTURE = """
import cv2
import darknet

net, labels, palette = darknet.load_network("toy.cfg", "toy.data", "toy.weights", batch_size=1)
wide, high = darknet.network_width(net), darknet.network_height(net)
canvas = darknet.make_image(wide, high, 3)
rgb = cv2.cvtColor(cv2.imread("a.png"), cv2.COLOR_BGR2RGB)
rgb = cv2.resize(rgb, (wide, high), interpolation=cv2.INTER_LINEAR)
darknet.copy_image_from_bytes(canvas, rgb.tobytes())
seen = darknet.detect_image(net, labels, canvas, thresh=0.1)
darknet.free_image(canvas)
darknet.print_detections(seen, True)
cv2.imwrite("drawn.png", cv2.cvtColor(darknet.draw_boxes(seen, rgb, palette), cv2.COLOR_RGB2BGR))
"""

VIDEO = """
import queue
import threading

import cv2
import darknet

net, labels, palette = darknet.load_network("toy.cfg", "toy.data", "toy.weights")
side = darknet.network_width(net), darknet.network_height(net)
frames, images, answers = queue.Queue(), queue.Queue(maxsize=1), queue.Queue(maxsize=1)
source = cv2.VideoCapture("clip.avi")


def read():
    while True:
        there, frame = source.read()
        if not there:
            break
        small = cv2.resize(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB), side, interpolation=cv2.INTER_LINEAR)
        image = darknet.make_image(*side, 3)
        darknet.copy_image_from_bytes(image, small.tobytes())
        frames.put(frame)
        images.put(image)
    images.put(None)


def look():
    while (image := images.get()) is not None:
        answers.put(darknet.detect_image(net, labels, image, thresh=0.5))
        darknet.free_image(image)
    answers.put(None)


workers = [threading.Thread(target=work) for work in (read, look)]
for worker in workers:
    worker.start()
while (found := answers.get()) is not None:
    frame = frames.get()
    high, wide = frame.shape[:2]
    for label, confidence, (x, y, w, h) in found:
        box = x / side[0] * wide, y / side[1] * high, w / side[0] * wide, h / side[1] * high
        print(label, confidence, darknet.bbox2points(box))
for worker in workers:
    worker.join()
"""

BATCH = """
import cv2
import numpy as np
import darknet

net, labels, palette = darknet.load_network("toy.cfg", "toy.data", "toy.weights", batch_size=2)
wide, high = darknet.network_width(net), darknet.network_height(net)
pictures = [cv2.imread(name) for name in ("a.png", "b.png")]
planes = [cv2.resize(cv2.cvtColor(one, cv2.COLOR_BGR2RGB), (wide, high)).transpose(2, 0, 1) for one in pictures]
block = np.ascontiguousarray(np.concatenate(planes, axis=0).flat, dtype=np.float32) / 255.0
image = darknet.IMAGE(wide, high, 3, block.ctypes.data_as(darknet.POINTER(darknet.c_float)))
several = darknet.network_predict_batch(net, image, 2, 64, 32, 0.1, 0.5, None, 0, 0)
for one in several[:2]:
    darknet.do_nms_obj(one.dets, one.num, len(labels), 0.45)
    for label, score, box in darknet.remove_negatives(one.dets, labels, one.num):
        print(label, round(score, 3), [round(side, 1) for side in box])
darknet.free_batch_detections(several, 2)
"""


AGAIN_AND_AGAIN = """
import darknet

net, labels, palette = darknet.load_network("toy.cfg", "toy.data", "toy.weights")
rgb = bytes(32 * 32 * 3)


def once():
    image = darknet.make_image(32, 32, 3)
    darknet.copy_image_from_bytes(image, rgb)
    darknet.detect_image(net, labels, image, thresh=0.1)
    darknet.predict_image(net, image)
    number = darknet.pointer(darknet.c_int(0))
    darknet.do_nms_sort(darknet.get_network_boxes(net, 32, 32, 0.1, 0.5, None, 0, number, 0), number[0], 2, 0.45)


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


for _ in range(100):
    once()
before = resident()
for _ in range(500):
    once()
print(resident() - before)
"""

WAYS = pytest.mark.parametrize("way", ["shim", "module"])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a toy that finds a cat, and a dog of 0.12, in every picture."""
    monkeypatch.chdir(tmp_path)
    write_toy(tmp_path, "toy", DETECTOR, [0, 0, 0, 0, 4, 3, 0, 0, 0, 0, 0, -2, 0, 8])
    write_toy(tmp_path, "classes", CLASSIFIER, [0, 1, 2])
    (tmp_path / "toy.names").write_text("cat\ndog\n")
    (tmp_path / "abc.names").write_text("ant\nbee\ncow\n")
    (tmp_path / "toy.data").write_text("classes=2\nnames=toy.names\n")
    (tmp_path / "abc.data").write_text("classes=3\nnames=abc.names\n")
    paint(tmp_path / "a.png")
    paint(tmp_path / "b.png")
    return tmp_path


def run_program(text: str, here: Path, way: str) -> str:
    """What a program prints that was written for the fork's module, beside the shim or under its name."""
    if way == "shim":
        (here / "darknet.py").write_text(SHIM)
    (here / "program.py").write_text(text if way == "shim" else MODULE + text)
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "program.py"], cwd=here, env=environment, capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@WAYS
def test_a_program_for_a_picture(way: str, here: Path) -> None:
    printed = run_program(PICTURE, here, way)
    assert printed.splitlines() == [
        "",
        "Objects:",
        "dog: 11.92%    (left_x: 16   top_y:  16   width:   16   height:  16)",
        "cat: 93.54%    (left_x: 16   top_y:  16   width:   32   height:  32)",
    ]
    assert (here / "drawn.png").is_file()


@WAYS
def test_a_program_for_a_video(way: str, here: Path) -> None:
    import cv2

    writer = cv2.VideoWriter(str(here / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (64, 32))
    for shade in (60, 120, 180):
        writer.write(np.full((32, 64, 3), shade, np.uint8))
    writer.release()
    assert run_program(VIDEO, here, way) == "cat 93.54 (0, 0, 64, 32)\n" * 3


@WAYS
def test_a_program_for_a_batch(way: str, here: Path) -> None:
    printed = run_program(BATCH, here, way)
    assert printed == "cat 0.935 [32.0, 16.0, 64.0, 32.0]\ndog 0.119 [32.0, 16.0, 32.0, 16.0]\n" * 2


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs /proc")
def test_what_is_not_freed_is_not_kept(here: Path) -> None:
    """Mebibytes after 500 pictures of which nothing was freed; measured: 0.0 to 0.3."""
    assert float(run_program(AGAIN_AND_AGAIN, here, "shim")) < 2


def test_detecting_without_the_file(here: Path) -> None:
    network = darknet.load_net(b"toy.cfg", b"toy.weights", 0)
    meta = darknet.load_meta(b"toy.data")
    assert (meta.classes, meta.names) == (2, ["cat", "dog"])
    ((name, score, box),) = darknet.detect(network, meta, b"a.png")
    assert (name, score, box) == ("cat", pytest.approx(0.93544, abs=1e-4), pytest.approx((32, 16, 64, 64), abs=0.1))
    image = darknet.load_image(b"a.png")
    darknet.predict_image(network, image)
    number = darknet.pointer(darknet.c_int(0))
    dets = darknet.get_network_boxes(network, 64, 32, 0.1, 0.5, None, 0, number, 0)
    assert number[0] == len(dets) == 2
    darknet.do_nms_sort(dets, 2, 2, 0.45)
    assert darknet.remove_negatives_faster(dets, meta.names, 2)[0][:2] == ("cat", "93.54")
    fractions = darknet.get_network_boxes(network, 64, 32, 0.5, relative=1)
    assert fractions[0].bbox == pytest.approx((0.5, 0.5, 1, 1))
    darknet.free_detections(dets, 2)
    darknet.free_network(network)


def test_perform_detect(here: Path) -> None:
    files = ("a.png", 0.25, "toy.cfg", "toy.weights", "toy.data")
    assert darknet.performDetect(*files, initOnly=True) is None
    (found,) = darknet.performDetect(*files, showImage=False)
    assert found[0] == "cat"
    shown = darknet.performDetect(*files)
    assert shown["caption"] == "cat: 93.54%"
    assert shown["image"].shape == (32, 64, 3)


def test_classify(here: Path) -> None:
    found = darknet.classify(darknet.load_net("classes.cfg", "classes.weights"), darknet.load_meta("abc.data"), "a.png")
    assert [name for name, _ in found] == ["cow", "bee", "ant"]
    assert sum(probability for _, probability in found) == pytest.approx(1)


# ---------------------------------------------------------------------------------------------- the original's own

EXAMPLE = Path("/usr/share/doc/darknet/examples/python/darknet.py.gz")
SIZES = [(64, 32), (33, 70), (7, 7), (100, 4), (4, 100)]  # two pixels high and more: the original dies of one


def in_all_forms(planes: NDArray[np.float32]) -> Iterator[darknet.IMAGE]:
    """The same picture as the module's own bytes, as planes, as a program of ctypes has it, and behind a pointer."""
    channels, height, width = planes.shape
    pixels = np.rint(planes * 255).astype(np.uint8).transpose(1, 2, 0)
    own = darknet.make_image(width, height, channels)
    darknet.copy_image_from_bytes(own, pixels.tobytes())
    yield own
    yield darknet.IMAGE(width, height, channels, planes.copy())
    yield darknet.IMAGE(width, height, channels, darknet.c_array(darknet.c_float, planes.flatten()))
    values = darknet.c_array(darknet.c_float, planes.flatten())
    yield darknet.IMAGE(width, height, channels, ctypes.cast(values, darknet.POINTER(darknet.c_float)))


@pytest.fixture
def photo_planes() -> NDArray[np.float32]:
    pixels = np.random.default_rng(9).integers(0, 256, (3, 21, 34), np.uint8)
    return (pixels / 255.0).astype(np.float32)


@pytest.mark.reference
def test_letterbox_and_rgbgr_are_the_originals(original: conftest.Original, photo_planes: NDArray[np.float32]) -> None:
    library = Library(original.library)
    for image in in_all_forms(photo_planes):
        for swapped in (False, True):
            planes = photo_planes.copy()
            if swapped:
                darknet.rgbgr_image(image)
                library.rgbgr(planes)
            for size in SIZES:
                fitted = darknet.letterbox_image(image, *size)
                assert (fitted.w, fitted.h, fitted.c) == (*size, 3)
                np.testing.assert_array_equal(fitted.pixels, library.letterbox(planes, *size))


@pytest.mark.reference
def test_sample_is_the_originals(original: conftest.Original) -> None:
    if not EXAMPLE.exists():
        pytest.skip("Debian's documentation is not installed, of which the original's module is a part")
    there: dict[str, Any] = {}
    exec(gzip.decompress(EXAMPLE.read_bytes()).decode().partition("class BOX")[0], there)
    shares = [0.1, 2.5, 0.0, 3.0, 1e-9]
    for seed in range(200):
        random.seed(seed)
        expected = there["sample"](shares)
        random.seed(seed)
        assert darknet.sample(shares) == expected
    theirs, ours = (one(darknet.c_float, [1, 2.5]) for one in (there["c_array"], darknet.c_array))
    assert type(ours) is type(theirs) and list(ours) == list(theirs) == [1, 2.5]


def test_sample_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    for drawn, number in ((0.0, 0), (0.25, 0), (0.26, 2), (1.0, 2)):
        monkeypatch.setattr(random, "uniform", lambda low, high, drawn=drawn: drawn)
        assert darknet.sample([1, 0, 3]) == number


def test_red_and_blue_by_hand() -> None:
    floats = darknet.c_array(darknet.c_float, [0, 0.25, 0.5])
    darknet.rgbgr_image(darknet.IMAGE(1, 1, 3, floats))
    assert list(floats) == [0.5, 0.25, 0], "in place"
    image = darknet.make_image(1, 1, 4)
    darknet.copy_image_from_bytes(image, bytes([1, 2, 3, 4]))
    darknet.rgbgr_image(image)
    assert image.pixels.tolist() == [[[3, 2, 1, 4]]]


def seeing(here: Path, channels: int) -> darknet.LegacyNetwork:
    """Answers the mean of each channel that it reads, of three classes."""
    toy = write_toy(here, "seeing", BARE_CLASSIFIER.replace("channels=3", f"channels={channels}"), [0, 0, 0])
    arrays = [np.zeros(3, np.float32), np.eye(3, channels, dtype=np.float32).reshape(3, channels, 1, 1)]
    write_weights(toy.weights, Header(), zip(slots(load_spec(toy.cfg)), arrays, strict=True))
    return darknet.load_net(toy.cfg, toy.weights)


@pytest.mark.parametrize("channels", [3, 1])
def test_floats_are_predicted_as_they_are(channels: int, here: Path) -> None:
    """Where bytes would round 0.3 to 76 or 77 of 255; a grey network reads bytes."""
    network, meta = seeing(here, channels), darknet.load_meta("abc.data")
    planes = np.array([0.3, 0.6, 0.1], np.float32).repeat(16 * 8)
    image = darknet.IMAGE(8, 16, 3, darknet.c_array(darknet.c_float, planes))
    means = dict(darknet.classify(network, meta, darknet.letterbox_image(image, 8, 8)))
    if channels == 3:
        assert means == pytest.approx(
            {"ant": (0.3 + 0.5) / 2, "bee": (0.6 + 0.5) / 2, "cow": (0.1 + 0.5) / 2}, abs=1e-6
        )
    else:
        grey = 0.299 * 0.3 + 0.587 * 0.6 + 0.114 * 0.1
        assert means == pytest.approx({"ant": (grey + 0.5) / 2, "bee": 0, "cow": 0}, abs=0.005)
    darknet.rgbgr_image(image)
    ((name, _, box),) = darknet.detect(darknet.load_net("toy.cfg", "toy.weights"), darknet.load_meta("toy.data"), image)
    assert (name, box) == ("cat", pytest.approx((4, 8, 16, 16), abs=0.1))


def test_the_least_sure_come_first_as_numbers_not_as_text(here: Path) -> None:
    network, names, colours = darknet.load_network("toy.cfg", "toy.data", "toy.weights")
    image = darknet.load_image("a.png", 32, 32)
    confidences = [float(text) for _, text, _ in darknet.detect_image(network, names, image, thresh=0.01)]
    assert confidences == sorted(confidences)
    assert set(colours) == {"cat", "dog"}
    assert darknet.batch_detect_image(network, names, [image, image])[1][0][:2] == ("cat", "93.54")
    darknet.free_image(image)
    with pytest.raises(ImageError, match="an image without pixels: freed"):
        darknet.detect_image(network, names, image)


def test_small_helpers() -> None:
    assert darknet.bbox2points((10, 20, 4, 6)) == (8, 17, 12, 23)
    found = [("a", "50.0", (10.0, 10.0, 10.0, 10.0)), ("b", "90.0", (11.0, 10.0, 10.0, 10.0))]
    assert darknet.non_max_suppression_fast(found, 0.5) == [found[1]]
    assert darknet.decode_detection([("a", 0.12345, (1, 2, 3, 4))]) == [("a", "12.35", (1, 2, 3, 4))]


def test_wrong_input(here: Path) -> None:
    with pytest.raises(ImageError, match="expected 12 bytes for an image of 2 x 2 x 3, found 5"):
        darknet.copy_image_from_bytes(darknet.make_image(2, 2, 3), b"12345")
    for pixels in (darknet.c_array(darknet.c_float, [0.0] * 5), np.zeros(5, np.float32)):
        with pytest.raises(ImageError, match="expected 12 of float32 for an image of 2 x 2 x 3, found 5 of float32"):
            darknet.rgbgr_image(darknet.IMAGE(2, 2, 3, pixels))
    for empty in (darknet.make_image(2, 2, 3), darknet.IMAGE(2, 2, 3, darknet.POINTER(darknet.c_float)())):
        with pytest.raises(ImageError, match="an image without pixels"):
            darknet.letterbox_image(empty, 4, 4)
    with pytest.raises(ImageError, match="expected an image of 3 channels, to swap the first and the third, found 1"):
        darknet.rgbgr_image(darknet.make_image(2, 2, 1))
    with pytest.raises(ImageError, match="no picture has been put to the network yet"):
        darknet.get_network_boxes(darknet.load_net("toy.cfg", "toy.weights"), 1, 1, 0.5)
    (here / "many.data").write_text("classes=9\nnames=toy.names\n")
    with pytest.raises(MetadataError, match="classes=9, but there are only 2 names"):
        darknet.load_meta("many.data")
    with pytest.raises(DarknetCompatError, match=r"none\.weights"):
        darknet.load_network("toy.cfg", "toy.data", "none.weights")


def test_the_module_is_light_and_runs_darknets_lines(here: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    ask = "import sys, darknet_compat.darknet; print(sorted({'torch', 'cv2', 'numpy', 'typer'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", ask], env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr
    words = [sys.executable, "-m", "darknet_compat.darknet", "ops", "toy.cfg"]
    done = subprocess.run(words, cwd=here, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("Floating Point Operations: 84\n"), done.stderr
