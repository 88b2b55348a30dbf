"""Darknet's verbs against the original program: the same text, times cut out, and the same files."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.darknet.conftest import Darknet, untimed
from tests.conftest import Original

pytestmark = pytest.mark.reference

DETECTORS = {"yolo-lite-coco": "coco", "yolo-lite-voc3": "voc", "yolo-fastest-1.1": "coco"}


@pytest.fixture
def theirs(here: Path, original: Original) -> Callable[..., subprocess.CompletedProcess[str]]:
    """The original's program in the same working directory."""

    def call(*arguments: object, stdin: str = "") -> subprocess.CompletedProcess[str]:
        words = [str(original.program), *map(str, arguments)]
        return subprocess.run(words, cwd=here, input=stdin, capture_output=True, text=True, timeout=120, check=False)

    return call


@pytest.fixture
def real(shared_data: Path) -> Callable[[str], tuple[Path, Path]]:
    """A trained model's files."""

    def files(name: str) -> tuple[Path, Path]:
        folder = shared_data / "models" / name
        return next(folder.glob("*.cfg")), next(folder.glob("*.weights"))

    return files


def write_data(here: Path, original: Original, names: str, photos: list[Path]) -> None:
    (here / "list.txt").write_text("".join(f"{photo}\n" for photo in photos))
    file = original.cfg.parent / "data" / f"{names}.names"
    (here / "its.data").write_text(f"names={file}\nvalid=list.txt\nresults=found\n")
    (here / "found").mkdir(exist_ok=True)


@pytest.mark.parametrize("thresh", ["0.1", "0.25", "0.5"])
@pytest.mark.parametrize("name", DETECTORS)
def test_detector_test(
    name: str, thresh: str, dn: Darknet, theirs: Callable[..., subprocess.CompletedProcess[str]],
    real: Callable[[str], tuple[Path, Path]], original: Original, photos: list[Path], here: Path,
) -> None:  # fmt: skip
    write_data(here, original, DETECTORS[name], photos)
    words = ("detector", "test", "its.data", *real(name), "-thresh", thresh, "-out", "drawn")
    typed = "".join(f"{photo}\n" for photo in photos)
    expected = theirs(*words, stdin=typed).stdout
    assert expected.count("%") > 8
    assert untimed(dn(*words, stdin=typed).out) == untimed(expected)


def test_one_picture_and_detect(
    dn: Darknet, theirs: Callable[..., subprocess.CompletedProcess[str]], real: Callable[[str], tuple[Path, Path]],
    original: Original, photos: list[Path], here: Path,
) -> None:  # fmt: skip
    write_data(here, original, "coco", photos)
    (here / "cfg").mkdir()
    (here / "cfg" / "coco.data").write_bytes((here / "its.data").read_bytes())
    for words in (("detector", "test", "its.data"), ("detect",)):
        line = (*words, *real("yolo-fastest-1.1"), photos[0], "-out", "drawn")
        assert untimed(dn(*line).out) == untimed(theirs(*line).stdout)


def test_ops_and_statistics(
    dn: Darknet, theirs: Callable[..., subprocess.CompletedProcess[str]], real: Callable[[str], tuple[Path, Path]]
) -> None:
    for name in (*DETECTORS, "tiny-darknet"):
        cfg, weights = real(name)
        assert dn("ops", cfg).out == theirs("ops", cfg).stdout
        assert dn("statistics", cfg, weights).out == theirs("statistics", cfg, weights).stdout


@pytest.mark.parametrize("verb", ["partial", "average", "rescale", "rgbgr", "normalize", "denormalize", "reset"])
@pytest.mark.parametrize("name", [*DETECTORS, "tiny-darknet"])
def test_files_are_the_same_bytes(
    verb: str, name: str, dn: Darknet, theirs: Callable[..., subprocess.CompletedProcess[str]],
    real: Callable[[str], tuple[Path, Path]], here: Path,
) -> None:  # fmt: skip
    cfg, weights = real(name)

    def words(out: str) -> tuple[object, ...]:
        if verb == "average":
            return verb, cfg, out, weights, weights, weights
        return (verb, cfg, weights, out, 5) if verb == "partial" else (verb, cfg, weights, out)

    died = theirs(*words("theirs")).returncode < 0
    assert died == ((verb, name) == ("average", "yolo-fastest-1.1"))  # groups make the original read too far
    done = dn(*words("ours"))
    assert (done.code, done.out, done.err) == (0, "", "")
    if not died:
        assert (here / "ours").read_bytes() == (here / "theirs").read_bytes()


@pytest.mark.parametrize("form", ["voc", "coco"])
def test_valid_writes_the_same_detections(
    form: str, dn: Darknet, theirs: Callable[..., subprocess.CompletedProcess[str]],
    real: Callable[[str], tuple[Path, Path]], original: Original, photos: list[Path], here: Path,
) -> None:  # fmt: skip
    """Line for line, to the rounding of sums that are added in another order."""
    write_data(here, original, "coco", photos)
    (here / "its.data").write_text((here / "its.data").read_text() + f"eval={form}\n")
    words = ("detector", "valid", "its.data", *real("yolo-lite-coco"))
    theirs(*words)
    expected = {path.name: path.read_text() for path in (here / "found").iterdir()}
    done = dn(*words)
    assert (done.code, done.out) == (0, "")
    ours = {path.name: path.read_text() for path in (here / "found").iterdir()}
    assert set(ours) == set(expected)
    lines = 0
    for name, text in expected.items():
        pairs = list(zip(text.splitlines(), ours[name].splitlines(), strict=True))
        lines += len(pairs)
        for theirs_line, ours_line in pairs:
            (words_of_it, numbers), (words_of_ours, ours_numbers) = map(parted, (theirs_line, ours_line))
            assert words_of_it == words_of_ours
            np.testing.assert_allclose(ours_numbers, numbers, atol=2e-3)
    assert lines > 800


def parted(line: str) -> tuple[list[str], list[float]]:
    """The words of a line and its numbers with a point."""
    words, numbers = [], []
    for part in line.replace("[", " ").replace("]", " ").replace(":", " ").replace(",", " ").replace("}", " ").split():
        if "." in part and part.lstrip("-").replace(".", "").isdigit():
            numbers.append(float(part))
        else:
            words.append(part)
    return words, numbers


def test_classifier(
    dn: Darknet, theirs: Callable[..., subprocess.CompletedProcess[str]], real: Callable[[str], tuple[Path, Path]],
    original: Original, photos: list[Path], here: Path,
) -> None:  # fmt: skip
    files = original.cfg.parent / "data"
    (here / "list.txt").write_text("".join(f"{photo}\n" for photo in photos))
    (here / "its.data").write_text(
        f"classes=1000\nnames={files}/imagenet.shortnames.list\nlabels={files}/imagenet.labels.list\n"
        "valid=list.txt\ntest=list.txt\ntop=3\n"
    )
    typed = "".join(f"{photo}\n" for photo in photos)
    words = ("classifier", "predict", "its.data", *real("tiny-darknet"))
    assert dn(*words, stdin=typed).out == theirs(*words, stdin=typed).stdout
    words = ("classifier", "predict", "its.data", *real("tiny-darknet"), photos[0], "-t", 7)
    assert dn(*words).out == theirs(*words).stdout
    (here / "cfg").mkdir()
    (here / "cfg" / "imagenet1k.data").write_bytes((here / "its.data").read_bytes())
    words = ("classify", *real("tiny-darknet"), photos[1])
    assert dn(*words).out == theirs(*words).stdout
    words = ("classifier", "valid", "its.data", *real("tiny-darknet"))
    for ours, expected in zip(dn(*words).out.splitlines(), theirs(*words).stdout.splitlines(), strict=True):
        (words_of_ours, numbers), (words_of_it, expected_numbers) = map(parted, (ours, expected))
        assert words_of_ours == words_of_it
        np.testing.assert_allclose(numbers, expected_numbers, atol=2e-6)  # of which the last digit is rounded
    words = ("classifier", "label", "its.data", *real("tiny-darknet"))
    assert dn(*words).out == theirs(*words).stdout


def test_connected_layers_with_batch_normalization(
    dn: Darknet, theirs: Callable[..., subprocess.CompletedProcess[str]], here: Path
) -> None:
    (here / "net.cfg").write_text(
        "[net]\nwidth=8\nheight=8\nchannels=3\n[connected]\nbatch_normalize=1\noutput=37\nactivation=leaky\n"
        "[connected]\noutput=10\nactivation=linear\n[softmax]\n"
    )
    floats = np.abs(np.random.default_rng(0).normal(size=4 * 37 + 37 * 192 + 10 + 370)).astype(np.float32)
    (here / "net.weights").write_bytes(np.array([0, 2, 0, 0, 0], np.int32).tobytes() + floats.tobytes())
    words = ("statistics", "net.cfg", "net.weights")
    assert dn(*words).out == theirs(*words).stdout
    assert dn(*words).out.startswith("Connected Layer 0\nScales MSE: ")
    for verb in ("normalize", "denormalize", "reset"):
        theirs(verb, "net.cfg", "net.weights", "theirs")
        assert dn(verb, "net.cfg", "net.weights", "ours").code == 0
        assert (here / "ours").read_bytes() == (here / "theirs").read_bytes()


def test_recall(
    dn: Darknet, theirs: Callable[..., subprocess.CompletedProcess[str]], real: Callable[[str], tuple[Path, Path]],
    original: Original, photos: list[Path], here: Path,
) -> None:  # fmt: skip
    """Of a [region] head: with [yolo] the original looks at more candidates than it has."""
    write_data(here, original, "coco", photos)
    (here / "data").mkdir()
    for photo in photos:
        (here / photo.name).write_bytes(photo.read_bytes())
        (here / photo.name).with_suffix(".txt").write_text("16 0.34 0.6 0.38 0.55\n2 0.7 0.2 0.2 0.2\n")
    (here / "data" / "coco_val_5k.list").write_text("".join(f"{here / photo.name}\n" for photo in photos))
    words = ("detector", "recall", "its.data", *real("yolo-lite-coco"))
    ours, expected = ([line for line in text.splitlines() if "RPs/Img" in line] for text in (
        dn(*words).err, theirs(*words).stderr,
    ))  # fmt: skip
    assert ours == expected
    assert len(ours) == 7
