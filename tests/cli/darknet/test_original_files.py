"""The files that Darknet's verbs write, against the original's program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darknet_compat.definition.lower import load_spec
from darknet_compat.formats.arrays import Floats
from darknet_compat.heads import answers
from darknet_compat.heads.numpy_ops import NumpyOps
from darknet_compat.inference import job
from darknet_compat.parity.reference import Original as Library
from tests.cli.darknet.conftest import Darknet, Real, unnumbered, write_data
from tests.cli.darknet.test_original import DETECTORS, EVERY, each
from tests.conftest import Original

pytestmark = pytest.mark.reference

EDITS = ("partial", "average", "rescale", "rgbgr", "normalize", "denormalize", "reset")
PIXELS, SCORE = 1e-3, 5e-6
"""How far a side of a box and a score may be from the original's, for sums that are added in another order."""


@pytest.mark.parametrize("name", each(EVERY))
def test_weights_are_the_same_bytes(name: str, dn: Darknet, theirs: Darknet, real: Real, here: Path) -> None:
    cfg, weights = real(name)
    groups = bool(re.search(r"(?m)^groups *= *[2-9]", cfg.read_text()))
    for verb in EDITS:

        def words(out: str, verb: str = verb) -> tuple[object, ...]:
            if verb == "average":
                return verb, cfg, out, weights, weights, weights
            return (verb, cfg, weights, out, 5) if verb == "partial" else (verb, cfg, weights, out)

        expected, done = theirs(*words("theirs")), dn(*words("ours"))
        assert (done.code, done.out, done.err) == (0, expected.out, "")
        assert (expected.code < 0) == (verb == "average" and groups)  # groups make the original read too far
        if expected.code == 0:
            assert (here / "ours").read_bytes() == (here / "theirs").read_bytes(), verb


def test_connected_layers_with_batch_normalization(dn: Darknet, theirs: Darknet, here: Path) -> None:
    (here / "net.cfg").write_text(
        "[net]\nwidth=8\nheight=8\nchannels=3\n[connected]\nbatch_normalize=1\noutput=37\nactivation=leaky\n"
        "[connected]\noutput=10\nactivation=linear\n[softmax]\n"
    )
    floats = np.abs(np.random.default_rng(0).normal(size=4 * 37 + 37 * 192 + 10 + 370)).astype(np.float32)
    (here / "net.weights").write_bytes(np.array([0, 2, 0, 0, 0], np.int32).tobytes() + floats.tobytes())
    words = ("statistics", "net.cfg", "net.weights")
    assert dn(*words).out == theirs(*words).out
    assert dn(*words).out.startswith("Connected Layer 0\nScales MSE: ")
    for verb in ("normalize", "denormalize", "reset"):
        theirs(verb, "net.cfg", "net.weights", "theirs")
        assert dn(verb, "net.cfg", "net.weights", "ours").code == 0
        assert (here / "ours").read_bytes() == (here / "theirs").read_bytes()


# ---------------------------------------------------------------------------------------------------- valid


@pytest.mark.parametrize("form", each(["voc", "coco"], "coco"))
@pytest.mark.parametrize("name", each(DETECTORS))
def test_valid(
    name: str, form: str, dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    """The same files, lines and order; numbers to their last digits."""
    write_data(here, original, DETECTORS[name], photos, f"eval={form}\n")
    ours, expected = validated(("detector", "valid", "its.data", *real(name)), dn, theirs, here)
    assert same_lines(ours, expected) > 400


def test_valid_with_another_name(
    dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    for form in ("voc", "coco"):
        write_data(here, original, "voc", photos[:4], f"eval={form}\n")
        words = ("detector", "valid", "its.data", *real("yolo-lite-voc3"), "-out", "mine")
        ours, expected = validated(words, dn, theirs, here)
        assert all(name.startswith("mine") for name in ours)
        assert same_lines(ours, expected) > 100


def test_valid_for_imagenets_judges(
    dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path
) -> None:
    """The original counts 200 classes there, and dies of a network that has fewer: of 80 made 200."""
    write_data(here, original, "coco", photos, "eval=imagenet\n")
    cfg, weights = real("yolo-lite-coco")
    words = ("detector", "valid", "its.data", cfg, weights)
    assert theirs(*words).code < 0
    assert dn(*words).code == 0
    text = cfg.read_text()
    (here / "many.cfg").write_text(text.replace("filters=425", "filters=1025").replace("classes=80", "classes=200"))
    inputs = load_spec(cfg).layers[-2].input.c
    floats = np.frombuffer(weights.read_bytes()[16:], np.float32)
    trunk, last = np.split(floats, [-425 * (inputs + 1)])
    rows = [number if number < 5 else 5 + (number - 5) % 80 for number in range(205)]
    parts = [part.reshape(5, 85, -1)[:, rows].ravel() for part in np.split(last, [425])]
    (here / "many.weights").write_bytes(weights.read_bytes()[:16] + np.concatenate([trunk, *parts]).tobytes())
    (here / "many.names").write_text("".join(f"class {number}\n" for number in range(200)))
    data = (here / "its.data").read_text()
    (here / "its.data").write_text(re.sub(r"names=.*", "names=many.names", data))
    ours, expected = validated(("detector", "valid", "its.data", "many.cfg", "many.weights"), dn, theirs, here)
    assert list(ours) == ["imagenet-detection.txt"]
    assert same_lines(ours, expected) > 400


def validated(words: tuple[object, ...], dn: Darknet, theirs: Darknet, here: Path) -> tuple[Any, Any]:
    """The files of both programs, by name."""
    written = []
    for program in (dn, theirs):
        done = program(*words)
        assert (done.code, done.out) == (0, "")
        written.append({path.name: path.read_text() for path in (here / "found").iterdir()})
        for path in (here / "found").iterdir():
            path.unlink()
    return written[0], written[1]


def same_lines(
    ours: Mapping[str, str], expected: Mapping[str, str], pixels: float = PIXELS, score: float = SCORE
) -> int:
    """How many lines there are, all of them alike."""
    assert set(ours) == set(expected)
    lines = 0
    for name, text in expected.items():
        assert unnumbered(ours[name]) == unnumbered(text)
        for mine, line in zip(ours[name].splitlines(), text.splitlines(), strict=True):
            lines += 1
            numbers, of_theirs = ([float(one) for one in re.findall(r"-?\d+\.\d+", each)] for each in (mine, line))
            if not numbers:
                continue
            place = -1 if line.startswith("{") else 0  # of the score among them
            assert abs(numbers.pop(place) - of_theirs.pop(place)) <= score, (mine, line)
            np.testing.assert_allclose(numbers, of_theirs, atol=pixels)
    return lines


class OriginalsLayers:
    """A runtime whose convolutions are the original's own, and whose heads are ours."""

    streams = 1

    def __init__(self, inner: Any, library: Library, cfg: Path, weights: Path) -> None:
        self.description, self.library, self.files = inner.description, library, (cfg, weights)
        self.spec = load_spec(cfg, dialect="original")

    def infer(self, images: Floats, thresh: float = 0.0) -> Mapping[str, Floats]:
        layers = self.library.layer_outputs(*self.files, images)
        before = [layers[head.index - 1] for head in self.spec.heads]
        raws = [one.output.reshape(len(images), *one.shape) for one in before]
        heads = [answers.HEADS[type(head)](head, "cpu") for head in self.spec.heads]
        found = answers.boxes(NumpyOps(), heads, raws, images)
        arrays = dict(zip(("boxes", "objectness", "classes"), found, strict=True))
        return {name: array.astype(np.float32) for name, array in arrays.items()} | {"dropped": np.zeros(len(images))}


@pytest.mark.slow
@pytest.mark.parametrize("name", DETECTORS)
def test_what_differs_in_valid_is_how_convolutions_add(
    name: str, dn: Darknet, theirs: Darknet, real: Real, original: Original, photos: list[Path], here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """With the original's convolutions between our pictures and our heads, scores are the same to one in the last
    digit, and boxes to the rounding of float32 at some hundred pixels."""
    cfg, weights = real(name)
    write_data(here, original, DETECTORS[name], photos, "eval=coco\n")
    opened = job.open_detector
    with Library() as library:

        def with_theirs(*arguments: Any, **named: Any) -> Any:
            detector = opened(*arguments, **named)
            detector.runtime = OriginalsLayers(detector.runtime, library, cfg, weights)  # type: ignore[assignment]
            return detector

        monkeypatch.setattr(job, "open_detector", with_theirs)
        ours, expected = validated(("detector", "valid", "its.data", cfg, weights), dn, theirs, here)
    assert same_lines(ours, expected, 2e-4, 1.5e-6) > 400
