"""Darknet's verbs against the original program: the same text, times cut out.

The smallest model of each kind runs by default, the others are marked slow; what differs is in docs/guide/darknet.md,
and held here too.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.darknet.conftest import Darknet, Real, unnumbered, untimed, write_data
from tests.conftest import Original

pytestmark = pytest.mark.reference

SLOW = pytest.mark.slow
REGION, SMALLEST = {"yolo-lite-coco": "coco", "yolo-lite-voc3": "voc"}, "yolo-lite-voc3"
DETECTORS = REGION | {"yolo-fastest-1.1": "coco"}
EVERY = (*DETECTORS, "mobilenetv2-yolov3-nano-coco", "tiny-darknet")


def each(names: Any, quick: str = SMALLEST) -> list[Any]:
    """All but one of them slow."""
    return [name if name == quick else pytest.param(name, marks=SLOW) for name in names]


@pytest.mark.parametrize("thresh", each(["0.005", "0.1", "0.25", "0.5"], "0.25"))
@pytest.mark.parametrize("name", each(DETECTORS))
def test_detector_test(
    name: str, thresh: str, dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path],
    here: Path,
) -> None:  # fmt: skip
    """The prompt, a list on standard input, and one photograph."""
    write_data(here, original, DETECTORS[name], photos)
    words = ("detector", "test", "its.data", *real(name), "-thresh", thresh, "-out", "drawn")
    typed = "".join(f"{photo}\n" for photo in photos)
    expected = theirs(*words, stdin=typed).out
    assert expected.count("%") > 8
    assert untimed(dn(*words, stdin=typed).out) == untimed(expected)
    one = (*words[:5], photos[0], *words[5:])
    assert untimed(dn(*one).out) == untimed(theirs(*one).out)


@pytest.mark.parametrize("name", each([name for name in DETECTORS if DETECTORS[name] == "coco"], "yolo-fastest-1.1"))
def test_detect(
    name: str, dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    """Debian's looks for the names of COCO in its own folder, upstream's in cfg/coco.data."""
    (here / "cfg").mkdir()
    shutil.copy(original.cfg / "coco.data", here / "cfg" / "coco.data")
    for photo in photos:
        words = ("detect", *real(name), photo, "-thresh", "0.2", "-out", "drawn")
        assert untimed(dn(*words).out) == untimed(theirs(*words).out)


YOLO1 = """[net]
width=112
height=112
channels=3
[convolutional]
batch_normalize=1
filters=8
size=3
stride=2
pad=1
activation=leaky
[maxpool]
size=8
stride=8
[connected]
output=1470
activation=linear
[detection]
classes=20
coords=4
side=7
num=2
softmax=0
sqrt=1
rescore=1
"""


def test_yolo_test(dn: Darknet, theirs: Darknet, photos: list[Path], here: Path) -> None:
    """YOLO's first version, on random weights."""
    (here / "v1.cfg").write_text(YOLO1)
    floats = np.random.default_rng(3).normal(0.3, 0.4, 32 + 8 * 27 + 1470 + 1470 * 8 * 49).astype(np.float32)
    floats[8:32] = np.abs(floats[8:32]) + 0.1
    floats[32 + 8 * 27 + 1470 :] *= 0.0005
    (here / "v1.weights").write_bytes(np.array([0, 2, 0, 0, 0], np.int32).tobytes() + floats.tobytes())
    lines = 0
    for photo in photos:
        words = ("yolo", "test", "v1.cfg", "v1.weights", photo)
        expected = untimed(theirs(*words).out)
        assert untimed(dn(*words).out) == expected
        lines += expected.count("%")
    assert lines > 20


@pytest.mark.parametrize("name", each(DETECTORS))
def test_demo(
    name: str, dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    """The clearing of the terminal, three frames averaged, boxes suppressed whatever their classes."""
    import cv2

    write_data(here, original, DETECTORS[name], photos)
    writer = cv2.VideoWriter(str(here / "clip.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 5, (640, 480))
    for photo in photos:
        for _ in range(2):
            writer.write(cv2.resize(cv2.imread(str(photo)), (640, 480)))
    writer.release()
    words = ("detector", "demo", "its.data", *real(name), "clip.avi", "-thresh", "0.2")
    expected = untimed(theirs(*words, screen="offscreen").out)
    assert expected.count("FPS:N") == 14 and expected.count("%") > 20
    assert untimed(dn(*words).out) == expected


@pytest.mark.parametrize("name", each(REGION))
def test_recall(
    name: str, dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    write_data(here, original, REGION[name], photos)
    ours, expected = recalled(dn, theirs, real(name), photos, here)
    assert ours == expected
    assert len(ours) == 7


def recalled(dn: Darknet, theirs: Darknet, files: tuple[object, object], photos: list[Path], here: Path) -> Any:
    """The running lines of both programs, which are on standard error."""
    (here / "data").mkdir(exist_ok=True)
    for photo in photos:
        (here / photo.name).write_bytes(photo.read_bytes())
        (here / photo.name).with_suffix(".txt").write_text("16 0.34 0.6 0.38 0.55\n2 0.7 0.2 0.2 0.2\n")
    (here / "data" / "coco_val_5k.list").write_text("".join(f"{here / photo.name}\n" for photo in photos))
    words = ("detector", "recall", "its.data", *files)
    return ([line for line in text.splitlines() if "RPs/Img" in line] for text in (dn(*words).err, theirs(*words).err))


EVERYWHERE = """[net]
width=32
height=32
channels=3
[convolutional]
size=8
stride=8
filters=255
activation=linear
[yolo]
mask=0,1,2
anchors=4,4, 9,6, 20,25
classes=80
num=3
"""


def test_recall_looks_beyond_the_candidates_of_yolo_heads(
    dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    """The original reads as many candidates as the last head has cells and anchors, though fewer are there. The same
    lines come out where all of them are."""
    write_data(here, original, "coco", photos)
    ours, expected = recalled(dn, theirs, real("yolo-fastest-1.1"), photos, here)
    assert ours != expected
    assert [line.split()[:1] + line.split()[3:5] for line in ours] == [
        line.split()[:1] + line.split()[3:5] for line in expected
    ]  # as many proposals
    for line, beyond in zip(ours, expected, strict=True):
        assert float(line.split()[6][:-1]) <= float(beyond.split()[6][:-1])  # and a lesser IoU
    (here / "all.cfg").write_text(EVERYWHERE)
    floats = np.random.default_rng(0).normal(0, 0.05, 255 + 255 * 3 * 64).astype(np.float32)
    (here / "all.weights").write_bytes(np.array([0, 2, 0, 0, 0], np.int32).tobytes() + floats.tobytes())
    ours, expected = recalled(dn, theirs, ("all.cfg", "all.weights"), photos, here)
    assert ours == expected
    assert ours[-1].split()[4] != "0.00"


@pytest.mark.parametrize("verb", ["predict", "predict -t 7", "classify"])
def test_classifying(
    verb: str, dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    classifying(original, photos, here)
    typed = "".join(f"{photo}\n" for photo in photos)
    first, *options = verb.split()
    start = ("classify",) if first == "classify" else ("classifier", first, "its.data")
    words = (*start, *real("tiny-darknet"), *options)
    expected = theirs(*words, stdin=typed).out
    assert expected.count("%: ") == 7 * {"predict": 3, "predict -t 7": 7, "classify": 5}[verb]
    assert dn(*words, stdin=typed).out == expected


def test_classifier_valid_and_label(
    dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    classifying(original, photos, here)
    words = ("classifier", "valid", "its.data", *real("tiny-darknet"))
    for ours, expected in zip(dn(*words).out.splitlines(), theirs(*words).out.splitlines(), strict=True):
        assert unnumbered(ours) == unnumbered(expected)
        numbers, of_theirs = ([float(number) for number in re.findall(r"\d\.\d+", line)] for line in (ours, expected))
        np.testing.assert_allclose(numbers, of_theirs, atol=2e-6)  # of which the last digit is rounded
    words = ("classifier", "label", "its.data", *real("tiny-darknet"))
    assert dn(*words).out == theirs(*words).out


def classifying(original: Original, photos: list[Path], here: Path) -> None:
    files = original.data
    (here / "list.txt").write_text("".join(f"{photo}\n" for photo in photos))
    (here / "its.data").write_text(
        f"classes=1000\nnames={files}/imagenet.shortnames.list\nlabels={files}/imagenet.labels.list\n"
        "valid=list.txt\ntest=list.txt\ntop=3\n"
    )
    (here / "cfg").mkdir()
    shutil.copy(here / "its.data", here / "cfg" / "imagenet1k.data")


@pytest.mark.parametrize("name", each(EVERY))
def test_ops_and_statistics(name: str, dn: Darknet, theirs: Darknet, real: Real) -> None:
    cfg, weights = real(name)
    assert dn("ops", cfg).out == theirs("ops", cfg).out
    assert dn("statistics", cfg, weights).out == theirs("statistics", cfg, weights).out


@pytest.mark.slow
def test_ops_of_every_definition_of_the_original(dn: Darknet, theirs: Darknet, original: Original) -> None:
    cfgs = sorted(original.cfg.glob("*.cfg"))
    assert len(cfgs) == 45
    for cfg in cfgs:
        assert dn("ops", cfg).out == theirs("ops", cfg).out, cfg.name


@pytest.mark.parametrize("name", each(EVERY))
def test_speed(name: str, dn: Darknet, theirs: Darknet, real: Real) -> None:
    words = ("speed", real(name)[0], 1)
    assert unnumbered(dn(*words).out) == unnumbered(theirs(*words).out)


def test_what_the_original_does_with_other_models(
    dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    """Weights of another network: it sees nothing, here that is an error. Sections that only the fork has: it dies."""
    write_data(here, original, "voc", photos)
    words = ("detector", "test", "its.data", *real("yolo-lite-mismatch"), photos[0], "-out", "drawn")
    assert untimed(theirs(*words).out) == f"{photos[0]}: Predicted in T seconds.\n"
    done = dn(*words)
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    write_data(here, original, "coco", photos)
    words = ("detector", "test", "its.data", *real("yoloface-500k-v2"), photos[0], "-out", "drawn")
    assert theirs(*words).code < 0
    assert dn(*words).code == 0


def test_words_that_only_the_fork_has_mean_what_they_mean_there(
    dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    """`scale_x_y` and relu6, which the original skips: without them both see the same."""
    write_data(here, original, "coco", photos)
    cfg, weights = real("mobilenetv2-yolov3-nano-coco")
    plain = re.sub(r"(?m)^scale_x_y.*$", "", cfg.read_text()).replace("=relu6", "=relu")
    (here / "plain.cfg").write_text(plain)
    typed = "".join(f"{photo}\n" for photo in photos)
    outputs = []
    for program, path in ((theirs, cfg), (dn, here / "plain.cfg"), (dn, cfg)):
        words = ("detector", "test", "its.data", path, weights, "-thresh", "0.05", "-out", "drawn")
        outputs.append(untimed(program(*words, stdin=typed).out).splitlines())
    assert outputs[0] == outputs[1]
    assert 0 < len(set(outputs[2]) ^ set(outputs[0])) < 20
